#include "store/log_follow.h"

#include "store/log_row.h"

#define TEN "?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
#define FIFTY TEN ", " TEN ", " TEN ", " TEN ", " TEN
#define TEN_TYPES "ssssssssss"
#define FIFTY_TYPES TEN_TYPES TEN_TYPES TEN_TYPES TEN_TYPES TEN_TYPES
#define FIVE(x, between) x between x between x between x between x

enum { AT_ONCE = 500 };
static const struct sql HEADS = {
	"SELECT task_id, " LOG_HEAD_COLUMNS " FROM log_head FORCE INDEX (PRIMARY) WHERE task_id IN (" FIVE(FIFTY, ", ") ", "
	FIVE(FIFTY, ", ") ") ORDER BY task_id, attempt",
	FIVE(FIFTY_TYPES, "") FIVE(FIFTY_TYPES, "") };

static enum err heads_of(struct db *db, struct ctx *cx, const struct id *tasks, size_t n, struct rows *r)
{
	struct val v[AT_ONCE];

	for (size_t i = 0; i < AT_ONCE; i++)
		v[i] = v_id(&tasks[i < n ? i : 0]); /* the server looks an id that is named again up once */
	return db_query(db, cx, &HEADS, v, AT_ONCE, r);
}

enum err log_follow_heads(struct db *db, struct ctx *cx, const struct id *tasks, size_t n, struct log_standing **out,
                          size_t *found)
{
	size_t pages = (n + AT_ONCE - 1) / AT_ONCE, all = 0;
	struct rows *r = arena_array(&cx->arena, pages, sizeof *r);

	for (size_t i = 0; i < pages; i++) {
		size_t at = i * AT_ONCE;

		TRY(heads_of(db, cx, tasks + at, n - at < AT_ONCE ? n - at : AT_ONCE, &r[i]));
		all += r[i].n;
	}
	*out = arena_array(&cx->arena, all, sizeof **out);
	*found = 0;
	for (size_t i = 0; i < pages; i++)
		for (size_t k = 0; k < r[i].n; k++) {
			struct log_standing *s = &(*out)[(*found)++];

			s->task = val_id(&row(&r[i], k)[0]);
			log_head_from_row(&row(&r[i], k)[1], &s->head);
		}
	return OK;
}

/* --- chunks ---------------------------------------------------------------------------------------- */
#define PLACE "(SELECT ? AS place, " LOG_CHUNK_COLUMNS " FROM log_chunk" \
	" WHERE day = ? AND task_id = ? AND attempt = ? AND number >= ? ORDER BY number LIMIT 4)"
#define FOUR_PLACES PLACE " UNION ALL " PLACE " UNION ALL " PLACE " UNION ALL " PLACE
#define PLACE_TYPES "iisii"
#define FOUR_TYPES PLACE_TYPES PLACE_TYPES PLACE_TYPES PLACE_TYPES
static const struct sql READ_ONE = { PLACE, PLACE_TYPES };
static const struct sql READ_ALL = {
	FOUR_PLACES " UNION ALL " FOUR_PLACES " UNION ALL " FOUR_PLACES " UNION ALL " FOUR_PLACES,
	FOUR_TYPES FOUR_TYPES FOUR_TYPES FOUR_TYPES };
enum { VALUES_A_PLACE = 5 };
_Static_assert(LOG_FOLLOW_PLACES == 16 && LOG_FOLLOW_CHUNKS == 4, "what READ_ALL says");

enum err log_follow_read(struct db *db, struct ctx *cx, struct log_place *places, size_t n)
{
	static const struct id NOBODY; /* has no chunks */
	struct val v[LOG_FOLLOW_PLACES * VALUES_A_PLACE];
	size_t asked = n == 1 ? 1 : LOG_FOLLOW_PLACES;
	struct rows r;

	for (size_t i = 0; i < asked; i++) {
		const struct log_place *p = &places[i < n ? i : 0];
		struct val *of = &v[i * VALUES_A_PLACE];

		of[0] = v_i((int64_t)i);
		of[1] = v_i(p->day);
		of[2] = v_id(i < n ? &p->task : &NOBODY);
		of[3] = v_i(p->attempt);
		of[4] = v_i(p->number);
	}
	for (size_t i = 0; i < n; i++)
		places[i].n = 0;
	TRY(db_query(db, cx, n == 1 ? &READ_ONE : &READ_ALL, v, asked * VALUES_A_PLACE, &r));
	for (size_t i = 0; i < r.n; i++) {
		struct log_place *p = &places[val_int(&row(&r, i)[0])];

		TRY(log_chunk_from_row(cx, &row(&r, i)[1], &p->chunks[p->n++]));
	}
	return OK;
}
