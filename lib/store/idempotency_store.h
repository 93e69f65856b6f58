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
/* Inside the transaction that does the work: takes the key. ERR_CONFLICT with *taken = true: somebody
 * has done it meanwhile (the caller rolls back and asks). Waits for one who is at it. */
enum err idempotency_store_take(struct db *db, struct ctx *cx, const struct id *project,
                                const struct idempotency *once, bool *taken);
