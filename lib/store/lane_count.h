#pragma once
#include "store/db.h"

/* Inside lib/store: the counters of what runs, in `code` and `lane`, inside the caller's transaction.
 * Codes are written first and in order of their ids, always: whoever has the row of a code decides
 * over its lanes (the trigger on code opens and closes them), so no two transactions wait crosswise. */
struct lane_count {
	int64_t lane_id;
	struct id code_id; /* zero: looked up */
	int64_t n;
};
/* Adds one to the lane's entry in `counts` (room for one more needed); *n is their number. */
void lane_count_add(struct lane_count *counts, size_t *n, int64_t lane_id);
/* So many fewer run: settled or taken back. Sorts `counts`. */
enum err lane_count_release(struct db *db, struct ctx *cx, struct lane_count *counts, size_t n);
