#pragma once
#include "store/db.h"

/* The one place that runs transactions and knows what may be tried again (reliability.md 5.5):
 * deadlock 1213, lock wait 1205, certification failure, changed record 1020 and a connection lost
 * before COMMIT are retried whole, at most 5 times with full jitter of 5 to 200 ms. A COMMIT
 * without an answer is resolved by asking: `done` is called on a fresh connection. */
struct txn {
	const char *name; /* what it does, in a word: "claim" */
	/* The work: statements on `db`. May run more than once: everything it writes to `arg` must be
	 * overwritten by the next run. An error of its own rolls back and is returned. */
	enum err (*work)(struct db *db, struct ctx *cx, void *arg);
	/* Was it committed? Sets *yes. NULL: repeating the work is harmless. */
	enum err (*done)(struct db *db, struct ctx *cx, void *arg, bool *yes);
};
enum err txn_run(struct db *db, struct ctx *cx, const struct txn *t, void *arg);
/* Retries counted since the process began. */
int64_t txn_retries(void);
