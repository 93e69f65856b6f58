#pragma once
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
