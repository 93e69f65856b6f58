#pragma once
#include "store/idempotency_store.h"
#include "store/schedule_row.h"

/* Firing: ledger row, task and the moved schedule in one transaction (design.md 10). Any number of
 * schedulers, each taking what the others have not locked; the unique key of the ledger is the second wall.
 * Only the database's clock decides. */

enum {
	FIRE_ROWS_MOST = 100,      /* ledger rows of one transaction */
	FIRE_LATE_SCHEDULES = 20,  /* schedules that share them while catching up */
	FIRE_LATE_S = 10,          /* so far behind a schedule waits for its turn among the late ones */
};
enum fire_pass {
	FIRE_ON_TIME, /* those due within the last FIRE_LATE_S seconds: one row each */
	FIRE_LATE,    /* those further behind: more rows each, never before the others have had theirs */
};

struct fired {
	size_t schedules, rows, tasks;
	bool more; /* the page was full: there may be more of it */
};
/* One transaction. */
enum err fire_store_due(struct db *db, struct ctx *cx, const char *zones, enum fire_pass pass, struct fired *out);
/* Microseconds until the next schedule is due, 0 if one is; INT64_MAX if none waits. One read of an index. */
enum err fire_store_wait(struct db *db, struct ctx *cx, int64_t *wait_us);

/* Its statements, for the test that EXPLAINs each. */
extern const struct sql FIRE_LOCK_ON_TIME, FIRE_LOCK_LATE, FIRE_NEXT;

/* --- fires that wait for the end of a run, and what is kept up ------------------------------------ */

/* Lets those begin whose run before is over, and, by `replace`, asks for the end of the runs they wait for.
 * At most FIRE_ROWS_MOST schedules; *n = tasks queued. */
enum err fire_store_release(struct db *db, struct ctx *cx, const char *zones, size_t *n);
/* Moves schedules of zones whose file is another one by now: at most FIRE_ROWS_MOST; *moved = how many. */
enum err fire_store_rezone(struct db *db, struct ctx *cx, const char *zones, size_t *moved);
/* Deletes ledger rows older than so many days, at most 1,000; *more = there were so many. */
enum err fire_store_forget(struct db *db, struct ctx *cx, int64_t days, bool *more);

/* --- by hand ---------------------------------------------------------------------------------------- */

/* Queues a task now, whatever the timetable, pause or overlap say; the schedule stays as it is. `who` stands in
 * the ledger. ERR_CONFLICT if its task cannot be queued, or the schedule is cancelled. `guard` NULL =
 * without a key. */
enum err fire_store_run_now(struct db *db, struct ctx *cx, const char *zones, const struct id *project, const struct id *id,
                            struct str who, struct idempotency_guard *guard, struct id *task);
enum { FIRE_BACKFILL_MOST = 1000 };
/* Queues a task for each nominal time from `from` to `to` that has none, also of times before its start. Times
 * that are not decided yet are left alone. ERR_INPUT for more than FIRE_BACKFILL_MOST times, ERR_CONFLICT as above. */
enum err fire_store_backfill(struct db *db, struct ctx *cx, const char *zones, const struct id *project,
                             const struct id *id, int64_t from, int64_t to, struct str who, size_t *queued, size_t *left_alone);
/* The ledger of a schedule (it is there: schedule_store_get), newest first, nominal times before `before`
 * (TIME_NONE = all), with the states of their tasks. */
enum err fire_store_list(struct db *db, struct ctx *cx, const struct id *schedule, int64_t before, int64_t most,
                         struct fire **out, size_t *n);
/* The newest `most` fires of each of the project's schedules with ids from `first` to `last`: by schedule, the newest
 * id first, then newest first. One statement, whose work is bounded by schedules × most, whatever the ledgers hold. */
enum err fire_store_newest(struct db *db, struct ctx *cx, const struct id *project, const struct id *first,
                           const struct id *last, int64_t most, struct fire **out, size_t *n);
