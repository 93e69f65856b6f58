#include "store/expiry_store.h"

#include "store/txn.h"

enum { LOOK_AGAIN_S = 5 };

static const struct sql NOTE = {
	"INSERT INTO expiry (task_id, expires_at, look_at)"
	" VALUES (?, UTC_TIMESTAMP(6) + INTERVAL ? SECOND, UTC_TIMESTAMP(6) + INTERVAL ? SECOND)", "sii" };
static const struct sql DUE = {
	"SELECT task_id FROM expiry FORCE INDEX (look_at) WHERE look_at <= NOW(6) ORDER BY look_at LIMIT ?", "i" };
static const struct sql TASK = { "SELECT state, lane_id, rank_at, due_at, attempt FROM task WHERE id = ?", "s" };
static const struct sql READY_DELETE = { "DELETE FROM ready WHERE lane_id = ? AND rank_at = ? AND task_id = ?", "its" };
static const struct sql DELAYED_DELETE = { "DELETE FROM `delayed` WHERE due_at = ? AND task_id = ?", "ts" };
#define END_IT                                                        \
	"UPDATE task SET state = 'expired', ended_at = NOW(6)," \
	" cause = 'expired', note = 'nothing had started it when its time was over' WHERE id = ? AND state = 'queued'"
static const struct sql EXPIRE = { END_IT " AND attempt = ?", "si" };
static const struct sql EXPIRE_TAKEN = { END_IT " AND " EXPIRY_IS_OVER, "s" };
static const struct sql DECIDED = { "UPDATE expiry SET look_at = NULL WHERE task_id = ?", "s" };
static const struct sql LATER = { "UPDATE expiry SET look_at = NOW(6) + INTERVAL ? SECOND WHERE task_id = ?", "is" };

enum err expiry_store_note(struct db *db, struct ctx *cx, const struct task_order *orders, size_t n)
{
	struct val *v = arena_array(&cx->arena, 3 * n, sizeof *v);
	size_t noted = 0;

	for (size_t i = 0; i < n; i++) {
		const struct val one[3] = { v_id(&orders[i].id), v_i(orders[i].expires_in_s), v_i(orders[i].expires_in_s) };

		if (orders[i].expires_in_s > 0)
			memcpy(v + 3 * noted++, one, sizeof one);
	}
	return noted ? db_exec_array(db, cx, &NOTE, v, noted) : OK;
}

/* Out of `ready` or `delayed` first, as a claim does: the same order of locks. ERR_CONFLICT: it moved. */
static enum err expire(struct db *db, struct ctx *cx, const struct val *id, const struct val *v)
{
	TRY(db_exec(db, cx, &READY_DELETE, VALS(v[1], v[2], *id)));
	if (!db_changed(db))
		TRY(db_exec(db, cx, &DELAYED_DELETE, VALS(v[3], *id)));
	if (!db_changed(db))
		return err_set(cx, ERR_CONFLICT, "expiry: the task moved meanwhile");
	TRY(db_exec(db, cx, &EXPIRE, VALS(*id, v[4])));
	return db_changed(db) == 1 ? OK : err_set(cx, ERR_CONFLICT, "expiry: the task moved meanwhile");
}

static enum err end_work(struct db *db, struct ctx *cx, void *arg)
{
	struct val *id = arg;
	enum task_state state = TASK_COMPLETE; /* of a task that is gone: nothing to end */
	struct rows r;

	TRY(db_query(db, cx, &TASK, id, 1, &r));
	if (r.n)
		task_state_parse(val_str(&row(&r, 0)[0]), &state);
	if (state == TASK_PREPARING)
		return db_exec(db, cx, &LATER, VALS(v_i(LOOK_AGAIN_S), *id));
	if (state == TASK_QUEUED)
		TRY(expire(db, cx, id, row(&r, 0)));
	return db_exec(db, cx, &DECIDED, id, 1);
}

enum err expiry_store_end_taken(struct db *db, struct ctx *cx, const struct id *task)
{
	return db_exec(db, cx, &EXPIRE_TAKEN, VALS(v_id(task)));
}

enum err expiry_store_end(struct db *db, struct ctx *cx, size_t most, size_t *looked)
{
	static const struct txn TXN = { "expire", end_work, NULL }; /* harmless to repeat */
	struct rows due;
	enum err e;

	*looked = 0;
	TRY(db_query(db, cx, &DUE, VALS(v_i((int64_t)most)), &due));
	for (size_t i = 0; i < due.n; i++) {
		struct id id = val_id(&row(&due, i)[0]);
		struct val v = v_id(&id);

		e = txn_run(db, cx, &TXN, &v);
		if (e != OK && e != ERR_CONFLICT) /* what moved is looked at in the next round */
			return e;
	}
	*looked = due.n;
	return OK;
}
