#include "store/code_store.h"

#include "base/clock.h"
#include "store/txn.h"

/* What a code was, what came of it, and its end. */

enum { PER_PAGE_MOST = 100 };

/* --- deleting ------------------------------------------------------------------------------------ */

/* What still looks for it by project and name, programs of schema version 1 too, finds nothing; who
 * remembers where its tasks go has another revision than it has now, and the INSERT refuses. A limit or
 * pause stays: it holds for what still waits. */
static const struct sql DELETE = {
	"UPDATE code SET deleted_at = NOW(6), deleted_from = project_id, project_id = id, revision = -revision, retries = 0, updated_at = NOW(6)"
	" WHERE id = ? AND project_id = ? AND deleted_at IS NULL", "ss" };
static const struct sql END_SCHEDULES = {
	"UPDATE schedule SET state = 'cancelled', msg = 'Its code was deleted.', updated_at = NOW(6)"
	" WHERE code_id = ? AND project_id = ? AND state = 'scheduled'", "ss" };
static const struct sql IS_DELETED = {
	"SELECT 1 FROM code WHERE id = ? AND deleted_from = ?", "ss" };

struct deleting {
	const struct id *project, *code;
};

static enum err delete_work(struct db *db, struct ctx *cx, void *arg)
{
	const struct deleting *d = arg;

	TRY(db_exec(db, cx, &DELETE, VALS(v_id(d->code), v_id(d->project))));
	if (db_changed(db) != 1)
		return err_set(cx, ERR_NOT_FOUND, "there is no such code in this project");
	return db_exec(db, cx, &END_SCHEDULES, VALS(v_id(d->code), v_id(d->project)));
}

static enum err delete_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	const struct deleting *d = arg;
	struct rows r;

	TRY(db_query(db, cx, &IS_DELETED, VALS(v_id(d->code), v_id(d->project)), &r));
	*yes = r.n > 0;
	return OK;
}

enum err code_store_delete(struct db *db, struct ctx *cx, const struct id *project, const struct id *code)
{
	static const struct txn DELETING = { delete_work, delete_done };
	struct deleting d = { project, code };

	return txn_run(db, cx, &DELETING, &d);
}

/* --- revisions ----------------------------------------------------------------------------------- */

static const struct sql REVISIONS = {
	"SELECT id, number, created_at, image, command, env, config FROM revision WHERE code_id = ?"
	" ORDER BY number DESC LIMIT ? OFFSET ?", "sii" };

enum err code_store_revisions(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                              int64_t page, int64_t per_page, struct code *of, struct code_revision **out, size_t *n)
{
	struct rows r;

	TRY(code_store_get(db, cx, project, code, of));
	per_page = per_page < 1 ? 1 : per_page > PER_PAGE_MOST ? PER_PAGE_MOST : per_page;
	TRY(db_query(db, cx, &REVISIONS, VALS(v_id(code), v_i(per_page), v_i(page * per_page)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++) {
		const struct val *v = row(&r, i);

		(*out)[i] = (struct code_revision){ val_id(&v[0]), val_int(&v[1]), val_time(&v[2]), val_str(&v[3]),
			                            val_str(&v[4]), val_str(&v[5]), val_str(&v[6]) };
	}
	return OK;
}

/* --- counts -------------------------------------------------------------------------------------- */

#define COUNT(state)                                                                              \
	"(SELECT '" state "', COUNT(*) FROM (SELECT updated_at FROM task FORCE INDEX (code_state)" \
	" WHERE code_id = ? AND state = '" state "' ORDER BY id DESC LIMIT 10000) x"              \
	" WHERE updated_at >= IFNULL(?, NOW(6) - INTERVAL 1 DAY) AND updated_at <= IFNULL(?, NOW(6)))"
static const struct sql STATS = {
	COUNT("queued") " UNION ALL " COUNT("preparing") " UNION ALL " COUNT("running") " UNION ALL "
	COUNT("complete") " UNION ALL " COUNT("error") " UNION ALL " COUNT("timeout") " UNION ALL "
	COUNT("cancelled") " UNION ALL " COUNT("killed") " UNION ALL " COUNT("expired"), "sttsttsttsttsttsttsttsttstt" };
_Static_assert(TASK_STATE_COUNT == 9, "a part of the union for each state");

enum err code_store_stats(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                          int64_t from, int64_t to, int64_t counts[TASK_STATE_COUNT])
{
	struct val v[3 * TASK_STATE_COUNT];
	struct code of;
	struct rows r;

	TRY(code_store_get(db, cx, project, code, &of));
	for (int s = 0; s < TASK_STATE_COUNT; s++) {
		v[3 * s] = v_id(code);
		v[3 * s + 1] = v_t(from);
		v[3 * s + 2] = v_t(to);
		counts[s] = 0;
	}
	TRY(db_query(db, cx, &STATS, v, 3 * TASK_STATE_COUNT, &r));
	for (size_t i = 0; i < r.n; i++) {
		enum task_state s;

		if (task_state_parse(val_str(&row(&r, i)[0]), &s))
			counts[s] = val_int(&row(&r, i)[1]);
	}
	return OK;
}
