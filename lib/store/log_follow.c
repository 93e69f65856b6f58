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
#define FOUR(x, between) x between x between x between x
#define ALL(x, between) FOUR(FOUR(x, between), between)
#define PLACE "(SELECT ? AS place, " LOG_CHUNK_COLUMNS " FROM log_chunk" \
	" WHERE day = ? AND task_id = ? AND attempt = ? AND number >= ? ORDER BY number LIMIT 4)"
#define LIVE "(SELECT ? AS place, 0 AS number, " LOG_CHUNK_VALUES " FROM log_live WHERE task_id = ? AND attempt = ? AND first_byte >=" \
	" (SELECT COALESCE(MAX(first_byte), 0) FROM log_live WHERE task_id = ? AND attempt = ? AND first_byte <= ?)" \
	" ORDER BY first_byte LIMIT 4)"
#define PLACE_TYPES "iisii"
#define LIVE_TYPES "isisii"
enum { STORED, LIVING };
static const struct sql READ_ONE[] = { { PLACE, PLACE_TYPES }, { LIVE, LIVE_TYPES } };
static const struct sql READ_ALL[] = { { ALL(PLACE, " UNION ALL "), ALL(PLACE_TYPES, "") },
	                               { ALL(LIVE, " UNION ALL "), ALL(LIVE_TYPES, "") } };
enum { VALUES_MOST = 6 };
static const size_t VALUES_A_PLACE[] = { 5, 6 };
_Static_assert(LOG_FOLLOW_PLACES == 16 && LOG_FOLLOW_CHUNKS == 4, "what READ_ALL says");

static void ask_for(const struct log_place *p, const struct id *task, int64_t place, struct val *of)
{
	if (p->is_live)
		memcpy(of, (const struct val[]){ v_i(place), v_id(task), v_i(p->attempt), v_id(task), v_i(p->attempt), v_i(p->byte) },
		       VALUES_A_PLACE[LIVING] * sizeof *of);
	else
		memcpy(of, (const struct val[]){ v_i(place), v_i(p->day), v_id(task), v_i(p->attempt), v_i(p->number) },
		       VALUES_A_PLACE[STORED] * sizeof *of);
}

/* All places of one kind. */
static enum err read_kind(struct db *db, struct ctx *cx, struct log_place *places, const size_t *which, size_t n, int kind)
{
	static const struct id NOBODY; /* has no chunks */
	struct val v[LOG_FOLLOW_PLACES * VALUES_MOST];
	size_t asked = n == 1 ? 1 : LOG_FOLLOW_PLACES;
	struct rows r;

	if (!n)
		return OK;
	for (size_t i = 0; i < asked; i++)
		ask_for(&places[which[i < n ? i : 0]], i < n ? &places[which[i]].task : &NOBODY, i < n ? (int64_t)which[i] : 0,
		        &v[i * VALUES_A_PLACE[kind]]);
	TRY(db_query(db, cx, n == 1 ? &READ_ONE[kind] : &READ_ALL[kind], v, asked * VALUES_A_PLACE[kind], &r));
	for (size_t i = 0; i < r.n; i++) {
		struct log_place *p = &places[val_int(&row(&r, i)[0])];

		TRY(log_chunk_from_row(cx, &row(&r, i)[1], &p->chunks[p->n++]));
	}
	return OK;
}

enum err log_follow_read(struct db *db, struct ctx *cx, struct log_place *places, size_t n)
{
	size_t which[2][LOG_FOLLOW_PLACES], counts[2] = { 0 };

	for (size_t i = 0; i < n; i++) {
		int kind = places[i].is_live ? LIVING : STORED;

		places[i].n = 0;
		which[kind][counts[kind]++] = i;
	}
	TRY(read_kind(db, cx, places, which[STORED], counts[STORED], STORED));
	return read_kind(db, cx, places, which[LIVING], counts[LIVING], LIVING);
}
