#include "store/log_cursor_store.h"

#include "base/clock.h"
#include "store/txn.h"

#define CURSOR                                                                                                     \
	"SELECT c.task_id, c.attempt, c.chunk, c.out_byte, c.err_byte, c.out_part, c.err_part, c.sequence, h.attempt, h.day," \
	" h.next, h.bytes, h.`lines`, h.kept, h.closed FROM log_cursor c FORCE INDEX (PRIMARY)"                             \
	" JOIN log_head h ON h.task_id = c.task_id AND h.attempt = c.attempt "
static const struct sql DUE = {
	CURSOR "WHERE c.destination_id = ? AND (h.next > c.seen OR h.closed = 1) ORDER BY c.task_id, c.attempt LIMIT ?", "si" };
static const struct sql STILL = {
	CURSOR "WHERE c.destination_id = ? AND c.task_id > ? AND h.closed = 0 AND h.next <= c.seen ORDER BY c.task_id, c.attempt LIMIT ?",
	"ssi" };
/* What was said of a refused line stays until something fails and is over. */
static const struct sql SENT = {
	"UPDATE log_destination SET error = IF(? <> '', ?, IF(? > 0 AND failing_at IS NOT NULL, '', error)),"
	" sent_lines = sent_lines + ?, refused_lines = refused_lines + ?, sent_at = IF(? > 0, NOW(6), sent_at),"
	" failures = IF(? > 0, 0, failures), failing_at = IF(? > 0, NULL, failing_at), open_at = NULL,"
	" holder = NULL, held_until = NULL WHERE id = ? AND holder = ?", "ssiiiiiiss" };
static const struct sql MOVE = {
	"UPDATE log_cursor SET chunk = ?, seen = ?, out_byte = ?, err_byte = ?, out_part = ?, err_part = ?, sequence = ?"
	" WHERE destination_id = ? AND task_id = ? AND attempt = ?", "iiiiiiissi" };
static const struct sql DELETE = { "DELETE FROM log_cursor WHERE destination_id = ? AND task_id = ? AND attempt = ?", "ssi" };

static struct log_cursor from_row(const struct val *v)
{
	return (struct log_cursor){
		.task = val_id(&v[0]), .attempt = val_int(&v[1]),
		.at = { .chunk = val_int(&v[2]), .byte = { val_int(&v[3]), val_int(&v[4]) }, .part = { val_int(&v[5]), val_int(&v[6]) },
		        .sequence = val_int(&v[7]) },
		.head = { .attempt = val_int(&v[8]), .day = val_int(&v[9]), .next = val_int(&v[10]), .bytes = val_int(&v[11]),
		          .lines = val_int(&v[12]), .kept = val_int(&v[13]), .closed = val_int(&v[14]) != 0 } };
}

static void all_from_rows(struct ctx *cx, const struct rows *r, struct log_cursor **out, size_t *n)
{
	*out = arena_array(&cx->arena, r->n, sizeof **out);
	*n = r->n;
	for (size_t i = 0; i < r->n; i++)
		(*out)[i] = from_row(row(r, i));
}

enum err log_cursor_store_due(struct db *db, struct ctx *cx, const struct id *destination, size_t most, struct log_cursor **out,
                              size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &DUE, VALS(v_id(destination), v_i((int64_t)most)), &r));
	all_from_rows(cx, &r, out, n);
	return OK;
}

enum err log_cursor_store_still(struct db *db, struct ctx *cx, const struct id *destination, const struct id *after, size_t most,
                                struct log_cursor **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &STILL, VALS(v_id(destination), v_id(after), v_i((int64_t)most)), &r));
	all_from_rows(cx, &r, out, n);
	return OK;
}

static const struct sql NEXT_DESTINATION = { "SELECT MIN(destination_id) FROM log_cursor WHERE destination_id > ?", "s" };

enum err log_cursor_store_next(struct db *db, struct ctx *cx, struct id *destination, bool *found)
{
	struct rows r;

	TRY(db_query(db, cx, &NEXT_DESTINATION, VALS(v_id(destination)), &r));
	*found = row(&r, 0)[0].type != VAL_NULL;
	if (*found)
		*destination = val_id(&row(&r, 0)[0]);
	return OK;
}

/* --- sent ------------------------------------------------------------------------------------------------------ */

static enum err move_all(struct db *db, struct ctx *cx, const struct log_sent *s)
{
	enum { MOVES = 10, KEYS = 3 };
	struct val *moves = arena_array(&cx->arena, s->n * MOVES, sizeof *moves);
	struct val *keys = arena_array(&cx->arena, s->n * KEYS, sizeof *keys);
	size_t moved = 0, done = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct log_cursor *c = &s->cursors[i];
		const struct log_position *at = &c->at;

		if (c->is_done)
			memcpy(&keys[KEYS * done++], (const struct val[]){ v_id(&s->destination), v_id(&c->task), v_i(c->attempt) },
			       KEYS * sizeof *keys);
		else
			memcpy(&moves[MOVES * moved++],
			       (const struct val[]){ v_i(at->chunk), v_i(c->seen), v_i(at->byte[0]), v_i(at->byte[1]), v_i(at->part[0]),
			                             v_i(at->part[1]), v_i(at->sequence), v_id(&s->destination), v_id(&c->task),
			                             v_i(c->attempt) },
			       MOVES * sizeof *moves);
	}
	if (moved)
		TRY(db_exec_array(db, cx, &MOVE, moves, moved));
	return done ? db_exec_array(db, cx, &DELETE, keys, done) : OK;
}

static enum err sent_work(struct db *db, struct ctx *cx, void *arg)
{
	const struct log_sent *s = arg;
	int64_t heard = s->lines + s->refused;

	TRY(db_exec(db, cx, &SENT, VALS(v_s(s->error), v_s(s->error), v_i(heard), v_i(s->lines), v_i(s->refused), v_i(s->lines),
	                                v_i(heard), v_i(heard), v_id(&s->destination), v_id(&s->holder))));
	if (!db_changed(db))
		return err_set(cx, ERR_CONFLICT, "somebody else sends to this log destination, or it is gone");
	return move_all(db, cx, s);
}

/* A lost answer leaves the holder let go, or as it was and the work undone: then it is sent once more. */
enum err log_cursor_store_sent(struct db *db, struct ctx *cx, const struct log_sent *sent)
{
	static const struct txn SENDING = { "log_sent", sent_work, NULL };

	return txn_run(db, cx, &SENDING, (void *)(uintptr_t)sent);
}

/* --- their tasks ------------------------------------------------------------------------------------------------ */

enum { TASKS_AT_ONCE = 50 };
#define TEN "?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
static const struct sql TASKS = {
	"SELECT t.id, t.project_id, c.name, t.state, t.attempt FROM task t JOIN code c ON c.id = t.code_id WHERE t.id IN (" TEN
	", " TEN ", " TEN ", " TEN ", " TEN ")", "ssssssssssssssssssssssssssssssssssssssssssssssssss" };

static enum err some_tasks(struct db *tasks, struct ctx *cx, const struct id *ids, size_t n, struct log_task *out)
{
	struct val v[TASKS_AT_ONCE];
	struct rows r;

	for (size_t i = 0; i < TASKS_AT_ONCE; i++)
		v[i] = v_id(&ids[i < n ? i : 0]);
	TRY(db_query(tasks, cx, &TASKS, v, TASKS_AT_ONCE, &r));
	for (size_t i = 0; i < n; i++) {
		out[i] = (struct log_task){ .code = STR_LIT("") };
		for (size_t k = 0; k < r.n; k++) {
			const struct val *of = row(&r, k);
			struct id id = val_id(&of[0]);

			if (!id_equal(&id, &ids[i]))
				continue;
			out[i] = (struct log_task){ .id = id, .project = val_id(&of[1]), .code = val_str(&of[2]), .attempt = val_int(&of[4]) };
			if (!task_state_parse(val_str(&of[3]), &out[i].state))
				return err_set(cx, ERR_INTERNAL, "a task has a state that this program does not know");
		}
	}
	return OK;
}

enum err log_cursor_store_tasks(struct db *tasks, struct ctx *cx, const struct id *ids, size_t n, struct log_task *out)
{
	for (size_t at = 0; at < n; at += TASKS_AT_ONCE)
		TRY(some_tasks(tasks, cx, ids + at, n - at < TASKS_AT_ONCE ? n - at : TASKS_AT_ONCE, out + at));
	return OK;
}

/* --- by the scheduler ----------------------------------------------------------------------------------------- */

enum { FORGET_AT_ONCE = 1000 };
static const struct sql OLD = {
	"SELECT c.destination_id, c.task_id, c.attempt, GREATEST(IFNULL(h.bytes, 0) - LEAST(c.out_byte, c.err_byte), 0)"
	" FROM log_cursor c FORCE INDEX (day) LEFT JOIN log_head h ON h.task_id = c.task_id AND h.attempt = c.attempt"
	" WHERE c.day < ? ORDER BY c.day LIMIT 1000 FOR UPDATE", "i" };
static const struct sql LOST = {
	"UPDATE log_destination SET lost_logs = lost_logs + 1, lost_bytes = lost_bytes + ?, lost_at = NOW(6) WHERE id = ?", "is" };
static const struct sql IS_THERE = { "SELECT 1 FROM log_destination WHERE id = ?", "s" };
static const struct sql SWEEP = { "DELETE FROM log_cursor WHERE destination_id = ? LIMIT 1000", "s" };

struct forget {
	int64_t oldest;
	int64_t lost, found;
};

static enum err forget_work(struct db *db, struct ctx *cx, void *arg)
{
	enum { KEYS = 3, COUNTS = 2 };
	struct forget *f = arg;
	struct val *keys, *counts;
	struct rows r;

	TRY(db_query(db, cx, &OLD, VALS(v_i(f->oldest)), &r));
	f->found = (int64_t)r.n;
	f->lost = 0;
	if (!r.n)
		return OK;
	keys = arena_array(&cx->arena, r.n * KEYS, sizeof *keys);
	counts = arena_array(&cx->arena, r.n * COUNTS, sizeof *counts);
	for (size_t i = 0; i < r.n; i++) {
		const struct val *v = row(&r, i);

		memcpy(&keys[KEYS * i], v, KEYS * sizeof *keys);
		if (val_int(&v[3]))
			memcpy(&counts[COUNTS * f->lost++], (const struct val[]){ v_i(val_int(&v[3])), v[0] }, COUNTS * sizeof *counts);
	}
	TRY(db_exec_array(db, cx, &DELETE, keys, r.n));
	return f->lost ? db_exec_array(db, cx, &LOST, counts, (size_t)f->lost) : OK;
}

static enum err sweep(struct db *db, struct ctx *cx)
{
	struct id at = { { 0 } };
	struct rows there;
	bool found;

	for (;;) {
		TRY(log_cursor_store_next(db, cx, &at, &found));
		if (!found)
			return OK;
		TRY(db_query(db, cx, &IS_THERE, VALS(v_id(&at)), &there));
		if (there.n)
			continue;
		do
			TRY(db_exec(db, cx, &SWEEP, VALS(v_id(&at))));
		while (db_changed(db) == FORGET_AT_ONCE);
	}
}

enum err log_cursor_store_forget(struct db *db, struct ctx *cx, int64_t days, int64_t *lost)
{
	static const struct txn FORGETTING = { "forget_log_cursors", forget_work, NULL };
	struct forget f = { 0 };
	int64_t now;

	*lost = 0;
	TRY(db_now(db, cx, &now));
	f.oldest = time_day(now) - days;
	do {
		TRY(txn_run(db, cx, &FORGETTING, &f));
		*lost += f.lost;
	} while (f.found == FORGET_AT_ONCE);
	return sweep(db, cx);
}
