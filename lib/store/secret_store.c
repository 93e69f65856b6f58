#include "store/secret_store.h"

static const struct sql COUNT = { "SELECT COUNT(*) FROM secret WHERE project_id = ?", "s" };
static const struct sql PUT = {
	"INSERT INTO secret (project_id, code_id, name, sealed) VALUES (?, ?, ?, ?)"
	" ON DUPLICATE KEY UPDATE sealed = VALUES(sealed), created_at = NOW(6)", "ssss" };
static const struct sql DELETE = { "DELETE FROM secret WHERE project_id = ? AND code_id = ? AND name = ?", "sss" };
static const struct sql LIST = {
	"SELECT s.name, c.name, s.created_at FROM secret s LEFT JOIN code c ON c.id = s.code_id WHERE s.project_id = ?"
	" ORDER BY c.name, s.name", "s" };
static const struct sql VALUES = {
	"SELECT code_id, name, sealed FROM secret WHERE project_id = ? AND code_id IN (x'000000000000000000000000', ?)", "ss" };

/* A row moved to another project, code or name cannot be opened. */
static struct str where(struct ctx *cx, const struct id *project, const struct id *code, struct str name)
{
	return str_of(arena_printf(&cx->arena, "secret %s %s " STR_FMT, id_format(project).s, id_format(code).s, STR_ARG(name)));
}

enum err secret_store_put(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                          const struct seal_key *key, struct str name, struct str value)
{
	struct rows r;

	TRY(db_query(db, cx, &COUNT, VALS(v_id(project)), &r));
	if (val_int(&row(&r, 0)[0]) >= SECRETS_MOST)
		return err_set(cx, ERR_LIMIT, "a project has at most %d secrets", SECRETS_MOST);
	return db_exec(db, cx, &PUT, VALS(v_id(project), v_id(code), v_s(name),
	                                  v_s(seal(cx, key, where(cx, project, code, name), value))));
}

enum err secret_store_delete(struct db *db, struct ctx *cx, const struct id *project, const struct id *code, struct str name)
{
	TRY(db_exec(db, cx, &DELETE, VALS(v_id(project), v_id(code), v_s(name))));
	return db_changed(db) ? OK : err_set(cx, ERR_NOT_FOUND, "there is no such secret");
}

enum err secret_store_list(struct db *db, struct ctx *cx, const struct id *project, struct secret **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &LIST, VALS(v_id(project)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++) {
		const struct val *v = row(&r, i);

		(*out)[i] = (struct secret){ val_str(&v[0]), val_str(&v[1]), val_time(&v[2]) };
	}
	return OK;
}

enum err secret_store_values(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                             const char *key_file, struct str **out, size_t *n)
{
	struct seal_key key;
	struct rows r;

	*n = 0;
	TRY(db_query(db, cx, &VALUES, VALS(v_id(project), v_id(code)), &r));
	if (!r.n)
		return OK;
	TRY(seal_key_read(cx, key_file, &key));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	for (; *n < r.n; ++*n) {
		const struct val *v = row(&r, *n);
		struct id of = val_id(&v[0]);

		if (unseal(cx, &key, where(cx, project, &of, val_str(&v[1])), val_str(&v[2]), &(*out)[*n]))
			return err_wrap(cx, "secret '" STR_FMT "'", STR_ARG(val_str(&v[1])));
	}
	return OK;
}
