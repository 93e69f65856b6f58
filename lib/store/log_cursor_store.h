#pragma once
#include "model/log_batch.h"
#include "model/task_state.h"
#include "store/log_store.h"

/* How far logs were sent to destinations, in the logs' database. A cursor is made with its log and deleted when
 * all of that was sent: what waits is what has one, in whatever order logs and chunks were committed. */
struct log_cursor {
	struct id task;
	int64_t attempt;
	struct log_position at;
	int64_t seen;         /* head.next when all there was was read; 0 = there is more */
	struct log_head head; /* as it was when the cursor was read */
	bool is_done;         /* all was sent: it goes */
};

/* At most `most` whose logs have news, oldest tasks first. */
enum err log_cursor_store_due(struct db *db, struct ctx *cx, const struct id *destination, size_t most, struct log_cursor **out,
                              size_t *n);
/* What one batch came to; `holder` (log_destination_store.h) is let go. ERR_CONFLICT: somebody else holds the
 * destination, or it is gone, and nothing was changed. */
struct log_sent {
	struct id destination, holder;
	const struct log_cursor *cursors; /* where they stand now */
	size_t n;
	int64_t lines, refused;           /* taken by the receiver; refused for good */
	struct str error;                 /* why some were refused */
};
enum err log_cursor_store_sent(struct db *db, struct ctx *cx, const struct log_sent *sent);

/* Of the task tables (DB_TASKS): what is to be said of these tasks' lines. Not found ones have a zero id. */
struct log_task {
	struct id id, project;
	struct str code;
	enum task_state state;
	int64_t attempt;
};
enum err log_cursor_store_tasks(struct db *tasks, struct ctx *cx, const struct id *ids, size_t n, struct log_task *out);
/* --- by the scheduler --- */
/* The next id of a destination behind *destination that has cursors. */
enum err log_cursor_store_next(struct db *db, struct ctx *cx, struct id *destination, bool *found);
/* Its cursors of tasks behind `after` whose logs nobody closed and that have no news: their node may be lost. */
enum err log_cursor_store_still(struct db *db, struct ctx *cx, const struct id *destination, const struct id *after, size_t most,
                                struct log_cursor **out, size_t *n);
/* Cursors of logs that are older than `days` go; *lost = logs that were not sent to their end, which their
 * destinations count. Then those of destinations that are gone. */
enum err log_cursor_store_forget(struct db *db, struct ctx *cx, int64_t days, int64_t *lost);
