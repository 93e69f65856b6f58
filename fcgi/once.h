#pragma once
#include "fcgi/request.h"
#include "store/idempotency_store.h"

/* Idempotency-Key: which request this is, and what it says. */
enum { ONCE_KEY_BYTES = 255 };

/* Digests of key and body; keys are each user's own, path by path. *has = false: there is none. ERR_INPUT
 * for one that is too long. */
enum err once_read(struct request *rq, struct idempotency *once, bool *has);
