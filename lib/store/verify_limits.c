#include "store/verify_laws.h"

#include <stdlib.h>

#include "base/clock.h"

/* --- I11: at no instant more than the limit ---------------------------------------------------------------- */

/* The attempts of codes with a limit, since the code was last changed (an older limit is not known). */
static const struct sql LIMITED = {
	"SELECT c.id, c.max_running, a.claimed_at, a.ended_at, (SELECT COUNT(*) FROM lane l WHERE l.code_id = c.id)"
	" FROM attempt a JOIN task t ON t.id = a.task_id JOIN code c ON c.id = t.code_id"
	" WHERE a.task_id > ? AND a.task_id <= ? AND c.max_running > 0 AND a.claimed_at > c.updated_at", "ss" };
static const struct sql NEXT_ATTEMPT = {
	"SELECT task_id FROM attempt WHERE task_id > ? ORDER BY task_id LIMIT 1 OFFSET ?", "si" };

/* One attempt begins or ends. */
struct turn_of {
	struct id code;
	int64_t at, limit;
	int step; /* 1 begins, -1 ends */
};
struct turns {
	struct turn_of *list;
	size_t n, room;
};

static void turns_add(struct turns *t, struct turn_of turn)
{
	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 1024;
		t->list = reallocarray(t->list, t->room, sizeof *t->list);
		if (!t->list)
			abort();
	}
	t->list[t->n++] = turn;
}

static void turns_release(struct turns *t)
{
	free(t->list);
}

/* Ends before beginnings: a place given back may be taken in the same microsecond. */
static int by_code_and_time(const void *a, const void *b)
{
	const struct turn_of *x = a, *y = b;
	int order = memcmp(&x->code, &y->code, sizeof x->code);

	if (!order)
		order = (x->at > y->at) - (x->at < y->at);
	return order ? order : x->step - y->step;
}

/* A code in several clusters is claimed by several at once: a claim may stamp its attempts a moment
 * before the end that made room for it. In one cluster the turn puts them in order. */
static void add_turns(struct turns *t, const struct val *v)
{
	enum { SLACK_US = 1000000 };
	int64_t begin = val_time(&v[2]), end = val_time(&v[3]);
	struct turn_of turn = { .code = val_id(&v[0]), .limit = val_int(&v[1]), .at = begin, .step = 1 };

	if (end != TIME_NONE && val_int(&v[4]) > 1)
		end = end - SLACK_US > begin ? end - SLACK_US : begin + 1;
	turns_add(t, turn);
	if (end == TIME_NONE)
		return;
	turn.at = end;
	turn.step = -1;
	turns_add(t, turn);
}

/* A piece of the attempts; *from moves on to its last task. */
static enum err gather_piece(struct db *db, struct ctx *cx, struct verify *v, struct turns *t, struct id *from, bool *more)
{
	static const struct id LAST = { { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 } };
	struct rows r, next;
	struct id to;

	TRY(db_query(db, cx, &NEXT_ATTEMPT, VALS(v_id(from), v_i(verify_piece_rows(v) - 1)), &next));
	*more = next.n > 0;
	to = *more ? val_id(&row(&next, 0)[0]) : LAST;
	TRY(db_query(db, cx, &LIMITED, VALS(v_id(from), v_id(&to)), &r));
	for (size_t i = 0; i < r.n; i++)
		add_turns(t, row(&r, i));
	*from = to;
	return OK;
}

static enum err gather(struct db *db, struct ctx *cx, struct verify *v, struct turns *t)
{
	struct id from = { { 0 } };
	bool more = true;

	while (more) {
		auto_ctx own = { 0 };
		enum err e = gather_piece(db, &own, v, t, &from, &more);

		if (e != OK)
			return err_set(cx, e, "%s", own.message);
	}
	return OK;
}

enum err verify_limits(struct db *db, struct ctx *cx, struct verify *v)
{
	__attribute__((cleanup(turns_release))) struct turns t = { 0 };
	int64_t running = 0;
	bool told = false;

	TRY(gather(db, cx, v, &t));
	if (t.n)
		qsort(t.list, t.n, sizeof *t.list, by_code_and_time);
	for (size_t i = 0; i < t.n; i++) {
		if (i == 0 || !id_equal(&t.list[i].code, &t.list[i - 1].code)) {
			running = 0;
			told = false;
		}
		running += t.list[i].step;
		if (running <= t.list[i].limit || told)
			continue;
		told = true; /* once a code */
		verify_tell(v, "I11", "no more attempts of a code run than it may",
		     str_of(arena_printf(&cx->arena, "code %s ran %lld at %s, its limit is %lld", id_format(&t.list[i].code).s,
		                         (long long)running, time_rfc3339(&cx->arena, t.list[i].at), (long long)t.list[i].limit)));
	}
	return OK;
}
