#pragma once
#include "fcgi/reply.h"

/* One request from first byte to last: parse, route, answer, log line, what is due afterwards
 * (doorbells, the token's use). `rq` is one that request_release left or a zeroed one. */
void exchange(struct process *process, struct request *rq, const struct request_source *source,
              const struct reply_sink *sink);
