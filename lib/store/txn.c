#include "store/txn.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/fault_point.h"
#include "base/log.h"
#include "store/db_error.h"

#include <stdatomic.h>
#include <time.h>

enum { TRIES = 6, JITTER_LEAST_US = 5000, JITTER_MOST_US = 200000 };

static _Atomic int64_t retries; /* a figure for people; decides nothing */

int64_t txn_retries(void)
{
	return atomic_load(&retries);
}

/* What a whole new run may cure. */
static bool may_retry(const struct db *db)
{
	return db_is_lost(db) || db_error_action(db_errno(db)) == DB_AGAIN;
}

static void pause_with_jitter(void)
{
	uint32_t r;
	struct timespec t = { 0, 0 };

	crypt_random(&r, sizeof r);
	t.tv_nsec = (long)(JITTER_LEAST_US + r % (JITTER_MOST_US - JITTER_LEAST_US)) * 1000;
	nanosleep(&t, NULL);
}

/* COMMIT went out and no answer came: only the database knows. */
static enum err ask(struct db *db, struct ctx *cx, const struct txn *t, void *arg, int64_t until, bool *yes)
{
	enum err e;

	if (!t->done) {
		*yes = false;
		return OK;
	}
	while (clock_boot_us() < until) {
		e = t->done(db, cx, arg, yes);
		if (e == OK || !db_is_lost(db))
			return e;
		pause_with_jitter();
	}
	return err_set(cx, ERR_UNSURE, "the database went away in the middle of the change: look whether it was "
	               "carried out");
}

static enum err run_once(struct db *db, struct ctx *cx, const struct txn *t, void *arg, bool *commit_sent)
{
	enum err e;

	*commit_sent = false;
	TRY(db_begin(db, cx));
	e = t->work(db, cx, arg);
	if (e != OK) {
		db_rollback(db);
		return e;
	}
	FAULT_POINT(t->name, "before_commit");
	*commit_sent = true;
	e = db_commit(db, cx);
	if (e != OK)
		db_rollback(db); /* a commit that was refused: what is open still would go with the next START TRANSACTION */
	FAULT_POINT(t->name, "after_commit");
	return e;
}

enum err txn_run(struct db *db, struct ctx *cx, const struct txn *t, void *arg)
{
	int64_t until = clock_boot_us() + (int64_t)db_wait_s(db) * 1000000;
	bool commit_sent, yes;
	enum err e = OK;

	for (int try = 1; try <= TRIES; try++) {
		e = run_once(db, cx, t, arg, &commit_sent);
		if (e == OK || !may_retry(db))
			return e;
		if (commit_sent && db_is_unsure(db)) {
			TRY(ask(db, cx, t, arg, until, &yes));
			if (yes)
				return OK;
		}
		if (try == TRIES || clock_boot_us() >= until)
			break;
		atomic_fetch_add(&retries, 1);
		log_info("txn.retry", "of=%s try=%d errno=%u", t->name, try, db_errno(db));
		pause_with_jitter();
	}
	return err_wrap(cx, "gave up after several tries");
}
