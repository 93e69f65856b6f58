#include "store/lane_count.h"

#include <stdlib.h>

enum { AT_ONCE = 16 };

static const struct sql CODES_OF = {
	"SELECT id, code_id FROM lane WHERE id IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "iiiiiiiiiiiiiiii" };
static const struct sql CODE_RELEASE = { "UPDATE code SET running = running - ? WHERE id = ?", "is" };
static const struct sql LANE_RELEASE = { "UPDATE lane SET running = running - ? WHERE id = ?", "ii" };

void lane_count_add(struct lane_count *counts, size_t *n, int64_t lane_id)
{
	for (size_t i = 0; i < *n; i++) {
		if (counts[i].lane_id == lane_id) {
			counts[i].n++;
			return;
		}
	}
	counts[(*n)++] = (struct lane_count){ .lane_id = lane_id, .n = 1 };
}

static int by_code(const void *a, const void *b)
{
	const struct lane_count *x = a, *y = b;
	int order = memcmp(&x->code_id, &y->code_id, sizeof x->code_id);

	return order ? order : (x->lane_id > y->lane_id) - (x->lane_id < y->lane_id);
}

static enum err look_up(struct db *db, struct ctx *cx, struct lane_count *counts, size_t n)
{
	struct rows r;

	for (size_t at = 0; at < n; at += AT_ONCE) {
		struct val v[AT_ONCE];

		for (size_t i = 0; i < AT_ONCE; i++)
			v[i] = v_i(at + i < n ? counts[at + i].lane_id : 0);
		TRY(db_query(db, cx, &CODES_OF, v, AT_ONCE, &r));
		for (size_t k = 0; k < r.n; k++)
			for (size_t i = at; i < n && i < at + AT_ONCE; i++)
				if (counts[i].lane_id == val_int(&row(&r, k)[0]))
					counts[i].code_id = val_id(&row(&r, k)[1]);
	}
	return OK;
}

enum err lane_count_release(struct db *db, struct ctx *cx, struct lane_count *counts, size_t n)
{
	struct val *codes = arena_array(&cx->arena, 2 * n + 1, sizeof *codes);
	struct val *lanes = arena_array(&cx->arena, 2 * n + 1, sizeof *lanes);

	TRY(look_up(db, cx, counts, n));
	qsort(counts, n, sizeof *counts, by_code);
	for (size_t i = 0; i < n; i++) {
		codes[2 * i] = lanes[2 * i] = v_i(counts[i].n);
		codes[2 * i + 1] = v_id(&counts[i].code_id);
		lanes[2 * i + 1] = v_i(counts[i].lane_id);
	}
	TRY(db_exec_array(db, cx, &CODE_RELEASE, codes, n));
	return db_exec_array(db, cx, &LANE_RELEASE, lanes, n);
}
