#pragma once
#include "store/task_store.h"

/* Inside lib/store: tasks by their ids, with the names of code and cluster. */
enum { TASK_ROWS_MOST = 100 };
enum payload_part {
	PAYLOAD_NONE,
	PAYLOAD_LIST, /* those up to 64 KiB; of larger ones, in order, as many as are 16 MiB together */
	PAYLOAD_WHOLE,
};
/* Those of `ids` (n <= TASK_ROWS_MOST) that are the project's, in the order of `ids`; `out` has room
 * for n. */
enum err task_rows_read(struct db *db, struct ctx *cx, const struct id *project, const struct id *ids, size_t n,
                        enum payload_part payload, struct task *out, size_t *found);
