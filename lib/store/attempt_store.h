#pragma once
#include "store/ready_store.h"

/* The containers of these attempts have started, `started_us_ago` microseconds before now. Array;
 * ours are guarded by state, attempt and session. lost[i] = true: it is not ours any more (kill it);
 * one that this session has and that runs already is not lost (the call may be repeated). */
struct attempt_start {
	struct id task_id;
	int64_t attempt, started_us_ago;
	struct str digest;  /* 32 bytes of the image */
};
enum err attempt_store_start(struct db *db, struct ctx *cx, const struct node_claim *who,
                             const struct attempt_start *starts, size_t n, bool *lost);

/* Notes what a task waits for on its node, while it is preparing; one that is not here any more is left. */
enum err attempt_store_waits(struct db *db, struct ctx *cx, const struct node_claim *who, const struct id *task,
                             int64_t attempt, struct str note);

/* The end of attempts, in one transaction with event, outbox rows, limits, and the retry's new task
 * (IronWorker 8.3). A verdict of TASK_QUEUED gives the task back for its next attempt (or cancels it
 * if that was asked). Its end is told as an age, since what decides is the database's clock, and never
 * lies before its start. lost[i] = true: another attempt has it, or it was settled before; drop ours. */
struct attempt_end {
	struct id task_id;
	int64_t attempt, lane_id;
	struct verdict verdict;
	int64_t ended_us_ago; /* it ended so long before now; less than 0 counts as 0 */
};
enum err attempt_store_settle(struct db *db, struct ctx *cx, const struct node_claim *who,
                              const struct attempt_end *ends, size_t n, bool *lost);
