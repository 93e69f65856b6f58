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
	static const struct txn DELETING = { "delete_code", delete_work, delete_done };
	struct deleting d = { project, code };

	return txn_run(db, cx, &DELETING, &d);
}

/* --- revisions ----------------------------------------------------------------------------------- */

#define REVISION_COLUMNS \
	"SELECT r.id, r.number, r.created_at, r.image, r.command, r.env, r.config, r.package, r.package_name, r.runtime," \
	" r.stack, r.file_name, p.md5, p.bytes FROM revision r LEFT JOIN package p ON p.digest = r.package "
static const struct sql REVISIONS = {
	REVISION_COLUMNS "WHERE r.code_id = ? ORDER BY r.number DESC LIMIT ? OFFSET ?", "sii" };
static const struct sql REVISION = { REVISION_COLUMNS "WHERE r.code_id = ? AND r.number = ?", "si" };

static struct code_revision revision_of(const struct val *v)
{
	return (struct code_revision){
		.id = val_id(&v[0]), .number = val_int(&v[1]), .created_at = val_time(&v[2]), .image = val_str(&v[3]),
		.command = val_str(&v[4]), .env = val_str(&v[5]), .config = val_str(&v[6]), .package = val_str(&v[7]),
		.package_name = val_str(&v[8]), .runtime = val_str(&v[9]), .stack = val_str(&v[10]),
		.file_name = val_str(&v[11]), .package_md5 = val_str(&v[12]), .package_bytes = val_int(&v[13]),
	};
}

enum err code_store_revisions(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                              int64_t page, int64_t per_page, struct code *of, struct code_revision **out, size_t *n)
{
	struct rows r;

	TRY(code_store_get(db, cx, project, code, of));
	per_page = per_page < 1 ? 1 : per_page > PER_PAGE_MOST ? PER_PAGE_MOST : per_page;
	TRY(db_query(db, cx, &REVISIONS, VALS(v_id(code), v_i(per_page), v_i(page * per_page)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		(*out)[i] = revision_of(row(&r, i));
	return OK;
}

enum err code_store_revision(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                             int64_t number, struct code *of, struct code_revision *out)
{
	struct rows r;

	TRY(code_store_get(db, cx, project, code, of));
	TRY(db_query(db, cx, &REVISION, VALS(v_id(code), v_i(number ? number : of->revision)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no revision %lld of this code", (long long)number);
	*out = revision_of(row(&r, 0));
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
