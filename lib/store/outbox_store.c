#include "store/outbox_store.h"

#include "base/text.h"
#include "store/txn.h"

/* The project comes by a subquery: its rows are read, not locked. */
static const struct sql DUE = {
	"SELECT o.id, o.number, o.tries, o.task_id, (SELECT t.project_id FROM task t WHERE t.id = o.task_id),"
	" o.url, o.task_state, o.at FROM outbox o FORCE INDEX (next_at) WHERE o.next_at <= NOW(6)"
	" ORDER BY o.next_at, o.id LIMIT ? FOR UPDATE SKIP LOCKED", "i" };
/* At rest this is all that a courier asks. */
static const struct sql ANY_DUE = { "SELECT EXISTS (SELECT 1 FROM outbox FORCE INDEX (next_at) WHERE next_at <= NOW(6))", "" };
static const struct sql HOLD = { "UPDATE outbox SET next_at = NOW(6) + INTERVAL ? SECOND WHERE id = ?", "ii" };
static const struct sql DELIVERED = {
	"UPDATE outbox SET state = 'delivered', next_at = NULL, tries = tries + 1, last_status = ?, last_error = NULL,"
	" took_ms = ?, delivered_at = NOW(6) WHERE id = ? AND state = 'waiting'", "iii" };
static const struct sql FAILED = {
	"UPDATE outbox SET next_at = NOW(6) + INTERVAL ? SECOND, tries = tries + 1, last_status = ?, last_error = ?"
	" WHERE id = ? AND state = 'waiting'", "iisi" };
static const struct sql EXHAUSTED = {
	"UPDATE outbox SET state = 'exhausted', next_at = NULL, tries = tries + 1, last_status = ?, last_error = ?"
	" WHERE id = ? AND state = 'waiting'", "isi" };

enum { TAKE_MOST = 1000, ERROR_BYTES = 500 };

struct taking {
	size_t most;
	int64_t hold_s;
	struct rows rows;
};

static enum err take_work(struct db *db, struct ctx *cx, void *arg)
{
	struct taking *t = arg;
	struct val *hold;

	TRY(db_query(db, cx, &DUE, VALS(v_i((int64_t)t->most)), &t->rows));
	hold = arena_array(&cx->arena, t->rows.n, 2 * sizeof *hold);
	for (size_t i = 0; i < t->rows.n; i++) {
		hold[2 * i] = v_i(t->hold_s);
		hold[2 * i + 1] = row(&t->rows, i)[0];
	}
	return db_exec_array(db, cx, &HOLD, hold, t->rows.n);
}

/* A COMMIT without an answer: the rows may be held by nobody now, and come back after hold_s. */
enum err outbox_store_take(struct db *db, struct ctx *cx, size_t most, int64_t hold_s, struct outbox_row **out, size_t *n)
{
	static const struct txn TAKING = { take_work, NULL };
	struct taking t = { .most = most > TAKE_MOST ? TAKE_MOST : most, .hold_s = hold_s };
	struct rows any;

	*n = 0;
	TRY(db_query(db, cx, &ANY_DUE, NULL, 0, &any));
	if (!val_int(&row(&any, 0)[0]))
		return OK;
	TRY(txn_run(db, cx, &TAKING, &t));
	*out = arena_array(&cx->arena, t.rows.n, sizeof **out);
	*n = t.rows.n;
	for (size_t i = 0; i < t.rows.n; i++) {
		const struct val *v = row(&t.rows, i);

		(*out)[i] = (struct outbox_row){ .id = val_int(&v[0]), .number = val_int(&v[1]), .tries = val_int(&v[2]),
			                         .task_id = val_id(&v[3]), .project_id = val_id(&v[4]),
			                         .url = val_str(&v[5]), .state = val_str(&v[6]), .at = val_time(&v[7]) };
	}
	return OK;
}

static struct val status_or_null(int64_t status)
{
	return status > 0 && status < 1000 ? v_i(status) : v_null();
}

enum err outbox_store_delivered(struct db *db, struct ctx *cx, int64_t id, int64_t status, int64_t took_ms)
{
	return db_exec(db, cx, &DELIVERED, VALS(status_or_null(status), v_i(took_ms), v_i(id)));
}

enum err outbox_store_failed(struct db *db, struct ctx *cx, int64_t id, int64_t status, struct str error, int64_t next_s)
{
	struct str text = text_cut(text_utf8(&cx->arena, error), ERROR_BYTES);

	if (next_s < 0)
		return db_exec(db, cx, &EXHAUSTED, VALS(status_or_null(status), v_s(text), v_i(id)));
	return db_exec(db, cx, &FAILED, VALS(v_i(next_s), status_or_null(status), v_s(text), v_i(id)));
}
