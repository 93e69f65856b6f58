#pragma once
#include "store/task_store.h"

/* Inside lib/store: the one statement that queues a task (its trigger does the rest), for requests,
 * retries and schedules. Made for array binding. It brings the whole row, times included (the database's, in
 * its VALUES): then the trigger has nothing to fill in, which would double its cost. */
extern const struct sql TASK_INSERT;
enum { TASK_INSERT_COLUMNS = 23 };

/* What only a retry says: the task before it in its chain, and its number. */
struct task_chain {
	struct id original;
	int64_t retry;
};
/* Fills one row of values. `not_after`: by the database's clock, TIME_NONE = no deadline. */
void task_insert_row(struct val *out, const struct id *project, const struct task_order *order,
                     const struct code_target *target, const struct task_chain *chain, int64_t not_after);
