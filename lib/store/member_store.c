#include "store/member_store.h"

#include "store/txn.h"
#include "store/user_store.h"

static const struct sql LIST = {
	"SELECT m.user_id, u.name, m.role FROM member m JOIN user u ON u.id = m.user_id WHERE m.project_id = ?"
	" AND u.disabled_at IS NULL ORDER BY u.name LIMIT 1000", "s" };
static const struct sql ADD = { "INSERT IGNORE INTO member (project_id, user_id, role) VALUES (?, ?, ?)", "sss" };
static const struct sql REMOVE = { "DELETE FROM member WHERE project_id = ? AND user_id = ?", "ss" };

enum err member_store_list(struct db *db, struct ctx *cx, const struct id *project, struct member **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &LIST, VALS(v_id(project)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++) {
		const struct val *v = row(&r, i);

		(*out)[i] = (struct member){ .user_id = val_id(&v[0]), .name = val_str(&v[1]) };
		role_parse(val_str(&v[2]), &(*out)[i].role);
	}
	return OK;
}

enum err member_store_add(struct db *db, struct ctx *cx, const struct id *project, struct str user, enum role role)
{
	struct user found;

	if (user_store_find(db, cx, user, &found))
		return err_wrap(cx, "user '" STR_FMT "'", STR_ARG(user));
	return db_exec(db, cx, &ADD, VALS(v_id(project), v_id(&found.id), v_z(role_name(role))));
}

enum err member_store_remove(struct db *db, struct ctx *cx, const struct id *project, struct str user)
{
	struct user found;

	if (user_store_find(db, cx, user, &found))
		return err_wrap(cx, "user '" STR_FMT "'", STR_ARG(user));
	return db_exec(db, cx, &REMOVE, VALS(v_id(project), v_id(&found.id)));
}

/* --- the end of a project ------------------------------------------------------------------------ */

static const struct sql IN_USE = {
	"SELECT EXISTS (SELECT 1 FROM code WHERE project_id = ?), EXISTS (SELECT 1 FROM task FORCE INDEX (project_state)"
	" WHERE project_id = ? AND state IN ('queued', 'preparing', 'running'))", "ss" };
static const struct sql END_TOKENS = { "DELETE FROM token WHERE project_id = ?", "s" };
static const struct sql END_MEMBERS = { "DELETE FROM member WHERE project_id = ?", "s" };
static const struct sql END_CREDENTIALS = { "DELETE FROM credential WHERE project_id = ?", "s" };
static const struct sql END_PROJECT = { "DELETE FROM project WHERE id = ?", "s" };

static enum err end_work(struct db *db, struct ctx *cx, void *arg)
{
	struct val project = v_id(arg);
	struct rows r;

	TRY(db_query(db, cx, &IN_USE, VALS(project, project), &r));
	if (val_int(&row(&r, 0)[0]))
		return err_set(cx, ERR_CONFLICT, "the project has codes: delete them first");
	if (val_int(&row(&r, 0)[1]))
		return err_set(cx, ERR_CONFLICT, "the project has tasks that are not over: cancel them first");
	TRY(db_exec(db, cx, &END_TOKENS, VALS(project)));
	TRY(db_exec(db, cx, &END_MEMBERS, VALS(project)));
	TRY(db_exec(db, cx, &END_CREDENTIALS, VALS(project)));
	return db_exec(db, cx, &END_PROJECT, VALS(project));
}

enum err member_store_end_project(struct db *db, struct ctx *cx, const struct id *project)
{
	static const struct txn ENDING = { "end_member", end_work, NULL }; /* harmless to repeat */
	struct id id = *project;

	return txn_run(db, cx, &ENDING, &id);
}
