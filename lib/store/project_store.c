#include "store/project_store.h"

#include "base/clock.h"

#define COLUMNS "SELECT p.id, p.name, p.created_at, p.paused_at, p.timeout_most_s, p.payload_keys FROM project p "

static const struct sql ADD = { "INSERT INTO project (id, name) VALUES (?, ?)", "ss" };
static const struct sql GET = { COLUMNS "WHERE p.id = ?", "s" };
static const struct sql FIND = { COLUMNS "WHERE p.name = ?", "s" };
static const struct sql LIST_ALL = { COLUMNS "ORDER BY p.name LIMIT 1000", "" };
static const struct sql LIST = {
	COLUMNS "WHERE EXISTS (SELECT 1 FROM user u WHERE u.id = ? AND u.admin = 1 AND u.disabled_at IS NULL)"
	" OR EXISTS (SELECT 1 FROM member m WHERE m.project_id = p.id AND m.user_id = ?)"
	" ORDER BY p.name LIMIT 1000", "ss" };

static const struct sql SET_TIMEOUT_MOST = { "UPDATE project SET timeout_most_s = NULLIF(?, 0) WHERE id = ?", "is" };

static const struct sql SET_PAYLOAD_KEYS = { "UPDATE project SET payload_keys = ? WHERE id = ?", "ss" };

enum { DUPLICATE = 1062, NAME_BYTES = 255 };

static void from_row(const struct val *v, struct project *out)
{
	*out = (struct project){ .id = val_id(&v[0]), .name = val_str(&v[1]), .created_at = val_time(&v[2]),
		                 .paused = val_time(&v[3]) != TIME_NONE, .timeout_most_s = val_int(&v[4]),
		                 .payload_keys = val_str(&v[5]) };
}

enum err project_store_add(struct db *db, struct ctx *cx, struct str name, struct project *out)
{
	struct id id = id_make(clock_wall_us());
	enum err e;

	if (!name.n || name.n > NAME_BYTES)
		return err_set(cx, ERR_INPUT, "a project's name must have 1 to %d bytes", NAME_BYTES);
	e = db_exec(db, cx, &ADD, VALS(v_id(&id), v_s(name)));
	if (e != OK && db_errno(db) == DUPLICATE)
		return err_set(cx, ERR_CONFLICT, "a project named '" STR_FMT "' exists already", STR_ARG(name));
	TRY(e);
	return project_store_get(db, cx, &id, out);
}

static enum err one(struct db *db, struct ctx *cx, const struct sql *sql, struct val key, struct project *out)
{
	struct rows r;

	TRY(db_query(db, cx, sql, &key, 1, &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no such project");
	from_row(row(&r, 0), out);
	return OK;
}

enum err project_store_get(struct db *db, struct ctx *cx, const struct id *id, struct project *out)
{
	return one(db, cx, &GET, v_id(id), out);
}

enum err project_store_find(struct db *db, struct ctx *cx, struct str name, struct project *out)
{
	return one(db, cx, &FIND, v_s(name), out);
}

enum err project_store_set_timeout_most(struct db *db, struct ctx *cx, const struct id *id, int64_t most_s)
{
	return db_exec(db, cx, &SET_TIMEOUT_MOST, VALS(v_i(most_s), v_id(id)));
}

enum err project_store_set_payload_keys(struct db *db, struct ctx *cx, const struct id *id, struct str words)
{
	return db_exec(db, cx, &SET_PAYLOAD_KEYS, VALS(v_s(words), v_id(id)));
}

enum err project_store_list(struct db *db, struct ctx *cx, const struct id *user, struct project **out, size_t *n)
{
	struct rows r;

	if (user)
		TRY(db_query(db, cx, &LIST, VALS(v_id(user), v_id(user)), &r));
	else
		TRY(db_query(db, cx, &LIST_ALL, NULL, 0, &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		from_row(row(&r, i), &(*out)[i]);
	return OK;
}
