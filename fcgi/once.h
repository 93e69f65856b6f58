#pragma once
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "store/idempotency_store.h"

/* Idempotency-Key: which request this is, and what it says. */
enum { ONCE_KEY_BYTES = 255 };

/* Digests of key and body; keys are each user's own, path by path. *has = false: there is none. ERR_INPUT
 * for one that is too long. */
enum err once_read(struct request *rq, struct idempotency *once, bool *has);
/* The first answer again, if the key has one (*found). ERR_MISMATCH: it came with another body. */
enum err once_replay(struct request *rq, struct reply *rp, const struct idempotency *once, bool *found);
/* How it ended: `e` of the work, or, where somebody has done it meanwhile (`taken`), his answer, and *replayed. */
enum err once_end(struct request *rq, struct reply *rp, const struct idempotency *once, bool taken, enum err e, bool *replayed);
