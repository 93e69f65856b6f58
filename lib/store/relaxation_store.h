#pragma once
#include "model/relaxation.h"
#include "store/db.h"

/* One change of what is relaxed for a code's jobs. */
struct relaxation_change {
	struct str project, code, word, by; /* word: an item, with a minus where it was taken back */
	int64_t at;
};

/* Relaxes one item, or (`is_on` false) makes it as strict as before; holds for what is claimed afterwards, and
 * stays in the list of changes. For an account that may; the programs' own may only read. ERR_NOT_FOUND. */
enum err relaxation_store_set(struct db *db, struct ctx *cx, const struct id *project, struct str code,
                              enum relaxation item, bool is_on, struct str by);
/* All changes of all codes, newest first, at most 1,000. */
enum err relaxation_store_list(struct db *db, struct ctx *cx, struct relaxation_change **out, size_t *n);
