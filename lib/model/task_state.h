#pragma once
#include <stdbool.h>

#include "base/str.h"

/* The life of a task. A row: C name, name in SQL and JSON, settled?
 * A settled task never moves again; a retry is a new task that points back at the old one.
 * The order is that of the ENUM columns in sql/: new states are added at the end only. */
#define TASK_STATES(X)              \
	X(QUEUED,    "queued",    0) \
	X(PREPARING, "preparing", 0) \
	X(RUNNING,   "running",   0) \
	X(COMPLETE,  "complete",  1) \
	X(ERROR,     "error",     1) \
	X(TIMEOUT,   "timeout",   1) \
	X(CANCELLED, "cancelled", 1) \
	X(KILLED,    "killed",    1) \
	X(EXPIRED,   "expired",   1)

#define X(name, text, settled) TASK_##name,
enum task_state { TASK_STATES(X) TASK_STATE_COUNT };
#undef X

const char *task_state_name(enum task_state s);
/* False if no state has that name. */
bool task_state_parse(struct str text, enum task_state *out);
/* A settled task never moves again. */
bool task_state_is_settled(enum task_state s);
/* Is there an edge from `from` to `to`? The database's triggers refuse the others too; a test
 * compares both. */
bool task_state_can_move(enum task_state from, enum task_state to);
/* The name on the IronWorker wire: preparing shows as queued (rule 18), expired as cancelled. */
const char *task_state_wire(enum task_state s);
