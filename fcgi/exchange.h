#pragma once
#include "fcgi/reply.h"

/* One request from first byte to last: parse, route, answer, log line, what is due afterwards
 * (doorbells, the token's use). `rq` is one that request_release left or a zeroed one. */
void exchange(struct process *process, struct request *rq, const struct request_source *source,
              const struct reply_sink *sink);

/* The same in halves, for a program that can put an answer off (process.may_wait). `rp` is zeroed; `rq`,
 * `rp` and the source's variables must stay where they are until the end.
 * Begin: true = it is put off (rp->later); the request's body is gone and the doorbells have rung. */
bool exchange_begin(struct process *process, struct request *rq, struct reply *rp, const struct request_source *source);
/* Sends what there is, or, of one that was put off, what is to be said now. Releases both. */
void exchange_end(struct request *rq, struct reply *rp, const struct reply_sink *sink);
/* Nobody listens any more: releases both. */
void exchange_drop(struct request *rq, struct reply *rp);
