#include "store/event_store.h"

#include "store/txn.h"

#include <stdlib.h>

/* --- giving places --------------------------------------------------------------------------------- */

const struct sql EVENT_WAITING = {
	"SELECT EXISTS (SELECT 1 FROM event FORCE INDEX (stream) WHERE project_id IS NULL),"
	" (SELECT asked_at > NOW(6) - INTERVAL 1 MINUTE FROM event_turn WHERE id = 1)", "" };
/* In the order of the index, which for rows without a place is that of tasks and their numbers: of a task
 * the earlier events come first, and are there, since it was changed by one transaction after the other. */
const struct sql EVENT_UNPLACED = {
	"SELECT e.task_id, e.number, COALESCE(t.project_id, x'000000000000000000000000')"
	" FROM event e FORCE INDEX (stream) LEFT JOIN task t ON t.id = e.task_id"
	" WHERE e.project_id IS NULL AND e.place IS NULL ORDER BY e.task_id, e.number LIMIT ?", "i" };
/* The row is written first: what is read then is what all earlier ones have left. */
static const struct sql TURN = { "UPDATE event_turn SET place = place + 1 WHERE id = 1", "" };
static const struct sql LAST = { "SELECT place FROM event_turn WHERE id = 1", "" };
static const struct sql GIVE = {
	"UPDATE event SET project_id = ?, place = ? WHERE task_id = ? AND number = ? AND project_id IS NULL", "sisi" };
static const struct sql MOVE = { "UPDATE event_turn SET place = ? WHERE id = 1", "i" };

enum err event_store_waiting(struct db *db, struct ctx *cx, bool *any, bool *asked)
{
	struct rows r;

	TRY(db_query(db, cx, &EVENT_WAITING, NULL, 0, &r));
	*any = val_int(&row(&r, 0)[0]) != 0;
	*asked = val_int(&row(&r, 0)[1]) != 0;
	return OK;
}

static enum err place_work(struct db *db, struct ctx *cx, void *arg)
{
	enum { VALUES = 4 };
	size_t *n = arg;
	struct rows last, found;
	struct val *v;
	int64_t place;

	TRY(db_exec(db, cx, &TURN, NULL, 0));
	TRY(db_query(db, cx, &LAST, NULL, 0, &last));
	TRY(db_query(db, cx, &EVENT_UNPLACED, VALS(v_i(EVENT_BATCH)), &found));
	*n = found.n;
	if (!found.n)
		return OK;
	place = val_int(&row(&last, 0)[0]);
	v = arena_array(&cx->arena, found.n * VALUES, sizeof *v);
	for (size_t i = 0; i < found.n; i++) {
		const struct val *from = row(&found, i);

		v[i * VALUES] = from[2];
		v[i * VALUES + 1] = v_i(place + (int64_t)i);
		v[i * VALUES + 2] = from[0];
		v[i * VALUES + 3] = from[1];
	}
	TRY(db_exec_array(db, cx, &GIVE, v, found.n));
	if (db_changed(db) != (int64_t)found.n)
		return err_set(cx, ERR_INTERNAL, "of %zu events %lld got a place", found.n, (long long)db_changed(db));
	return db_exec(db, cx, &MOVE, VALS(v_i(place + (int64_t)found.n - 1)));
}

enum err event_store_place(struct db *db, struct ctx *cx, size_t *n)
{
	static const struct txn PLACE = { "place_events", place_work, NULL };

	return txn_run(db, cx, &PLACE, n);
}

/* --- reading --------------------------------------------------------------------------------------- */

static const struct sql ASK = {
	"UPDATE event_turn SET asked_at = NOW(6) WHERE id = 1 AND (asked_at IS NULL OR asked_at < NOW(6) - INTERVAL 5 SECOND)",
	"" };

/* ORDER BY both: the column that the index begins with is one value, and the server knows. */
#define PLACE "(SELECT ? AS reader, e.place, e.task_id, e.number, e.attempt, e.state, e.at, e.cause, e.note, c.name, t.label" \
	" FROM event e FORCE INDEX (stream) LEFT JOIN task t ON t.id = e.task_id LEFT JOIN code c ON c.id = t.code_id" \
	" WHERE e.project_id = ? AND e.place > ? ORDER BY e.place LIMIT 100)"
#define FOUR_PLACES PLACE " UNION ALL " PLACE " UNION ALL " PLACE " UNION ALL " PLACE
#define FOUR_TYPES "isi" "isi" "isi" "isi"
const struct sql EVENT_FOLLOW_ONE = { PLACE, "isi" };
static const struct sql FOLLOW_ALL = {
	FOUR_PLACES " UNION ALL " FOUR_PLACES " UNION ALL " FOUR_PLACES " UNION ALL " FOUR_PLACES,
	FOUR_TYPES FOUR_TYPES FOUR_TYPES FOUR_TYPES };
enum { VALUES_A_PLACE = 3 };
_Static_assert(EVENT_PLACES == 16 && EVENT_PIECE == 100, "what FOLLOW_ALL says");

enum err event_store_end(struct db *db, struct ctx *cx, int64_t *place)
{
	struct rows r;

	TRY(db_query(db, cx, &LAST, NULL, 0, &r));
	*place = r.n ? val_int(&row(&r, 0)[0]) : 0;
	return OK;
}

enum err event_store_ask(struct db *db, struct ctx *cx)
{
	return db_exec(db, cx, &ASK, NULL, 0);
}

static struct event from_row(const struct val *v, const struct id *project)
{
	struct event e = { .project_id = *project, .place = val_int(&v[1]), .task_id = val_id(&v[2]),
		           .number = val_int(&v[3]), .attempt = val_int(&v[4]), .at = val_time(&v[6]),
		           .cause = val_str(&v[7]), .note = val_str(&v[8]), .code_name = val_str(&v[9]),
		           .label = val_str(&v[10]) };

	task_state_parse(val_str(&v[5]), &e.state);
	return e;
}

static int by_place(const void *a, const void *b)
{
	int64_t x = ((const struct event *)a)->place, y = ((const struct event *)b)->place;

	return x < y ? -1 : x > y;
}

enum err event_store_follow(struct db *db, struct ctx *cx, struct event_place *places, size_t n)
{
	static const struct id NOBODY;
	struct val v[EVENT_PLACES * VALUES_A_PLACE];
	size_t asked = n == 1 ? 1 : EVENT_PLACES;
	struct rows r;

	for (size_t i = 0; i < asked; i++) {
		v[i * VALUES_A_PLACE] = v_i((int64_t)i);
		v[i * VALUES_A_PLACE + 1] = v_id(i < n ? &places[i].project : &NOBODY);
		v[i * VALUES_A_PLACE + 2] = v_i(i < n ? places[i].place : INT64_MAX);
	}
	TRY(db_query(db, cx, n == 1 ? &EVENT_FOLLOW_ONE : &FOLLOW_ALL, v, asked * VALUES_A_PLACE, &r));
	for (size_t i = 0; i < n; i++) {
		places[i].events = arena_array(&cx->arena, EVENT_PIECE, sizeof *places[i].events);
		places[i].n = 0;
	}
	for (size_t i = 0; i < r.n; i++) {
		struct event_place *p = &places[val_int(&row(&r, i)[0])];

		p->events[p->n++] = from_row(row(&r, i), &p->project);
	}
	for (size_t i = 0; i < n; i++) /* a union promises no order */
		qsort(places[i].events, places[i].n, sizeof *places[i].events, by_place);
	return OK;
}
