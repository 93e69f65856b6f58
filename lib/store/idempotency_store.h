#pragma once
#include "base/crypt.h"
#include "store/db.h"

/* First answers to requests that carry an Idempotency-Key, kept for 24 hours. */
struct idempotency {
	unsigned char key[SHA256_BYTES];  /* of who asks, the path and the key's text */
	unsigned char body[SHA256_BYTES];
	struct str answer;                /* what the first request answers */
};

/* The first answer to this key, if there is one. ERR_MISMATCH: it came with another body. */
enum err idempotency_store_find(struct db *db, struct ctx *cx, const struct id *project,
                                const struct idempotency *once, bool *found, struct str *answer);
/* A transaction that is done once under a key. `say` writes the answer when all that it says is known; `made` is the task
 * that was queued, or the first schedule. It may be called more than once. */
struct idempotency_guard {
	struct idempotency once;
	struct str (*say)(struct ctx *cx, void *arg, const struct id *made);
	void *arg;
	bool taken; /* somebody has done it meanwhile: as of idempotency_store_take */
};
/* The last of that transaction: idempotency_store_take with what `say` writes; NULL = there is no key. */
enum err idempotency_store_guard(struct db *db, struct ctx *cx, const struct id *project, struct idempotency_guard *guard,
                                 const struct id *made);
/* Inside the transaction that does the work: takes the key. ERR_CONFLICT with *taken = true: somebody
 * has done it meanwhile (the caller rolls back and asks). Waits for one who is at it. */
enum err idempotency_store_take(struct db *db, struct ctx *cx, const struct id *project,
                                const struct idempotency *once, bool *taken);
