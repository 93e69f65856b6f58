#pragma once
#include "fcgi/reply.h"

/* How many tasks of a project may wait: [limits] waiting. Counted after an answer is out, at most once a
 * second, project and process, and never by the enqueue; in between what this process queues is added.
 * So a project can pass its limit by what other processes queue within a second. */
struct quota;

struct quota *quota_new(void);
/* NULL is allowed. */
void quota_free(struct quota *q);
/* Says of a limit of the project what it is and how much of it is left: RateLimit-Policy and RateLimit
 * (draft-ietf-httpapi-ratelimit-headers), on refusals too. */
void quota_say(struct request *rq, struct reply *rp, const char *name, int64_t most, int64_t left);
/* May the request's project queue `n` more? ERR_LIMIT. Says so where there is a limit, with the 429 too. */
enum err quota_check(struct request *rq, struct reply *rp, size_t n);
/* They are queued. */
void quota_add(struct request *rq, size_t n);
/* Counts for those who asked since the last count. After the answer is out. */
void quota_refresh(struct process *process, struct ctx *cx);
