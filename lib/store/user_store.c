#include "store/user_store.h"

#include "base/clock.h"

enum { DUPLICATE = 1062, NAME_BYTES = 255, PER_PAGE_MOST = 100 };

#define COLUMNS "SELECT id, name, password, admin, created_at, disabled_at FROM user "
static const struct sql FIND = { COLUMNS "WHERE id = ? OR name = ? ORDER BY id = ? DESC LIMIT 1", "sss" };
static const struct sql LIST = { COLUMNS "WHERE id > ? ORDER BY id LIMIT ?", "si" };
static const struct sql ADD = { "INSERT INTO user (id, name, password) VALUES (?, ?, ?)", "sss" };
static const struct sql SET_PASSWORD = { "UPDATE user SET password = ? WHERE id = ?", "ss" };
static const struct sql DISABLE = { "UPDATE user SET disabled_at = NOW(6) WHERE id = ? AND disabled_at IS NULL", "s" };

static struct user from_row(const struct val *v)
{
	return (struct user){ .id = val_id(&v[0]), .name = val_str(&v[1]), .password = val_str(&v[2]),
		              .is_admin = val_int(&v[3]) != 0, .created_at = val_time(&v[4]), .disabled_at = val_time(&v[5]) };
}

enum err user_store_add(struct db *db, struct ctx *cx, struct str name, struct str password, struct id *id)
{
	enum err e;

	if (!name.n || name.n > NAME_BYTES)
		return err_set(cx, ERR_INPUT, "a user's name must have 1 to %d bytes", NAME_BYTES);
	*id = id_make(clock_wall_us());
	e = db_exec(db, cx, &ADD, VALS(v_id(id), v_s(name), v_s(password.n ? password : STR_LIT(""))));
	if (e != OK && db_errno(db) == DUPLICATE)
		return err_set(cx, ERR_CONFLICT, "a user '" STR_FMT "' is there already", STR_ARG(name));
	return e;
}

enum err user_store_find(struct db *db, struct ctx *cx, struct str id_or_name, struct user *out)
{
	struct id id = { { 0 } };
	struct rows r;

	id_parse(id_or_name, &id);
	TRY(db_query(db, cx, &FIND, VALS(v_id(&id), v_s(id_or_name.n ? id_or_name : STR_LIT("")), v_id(&id)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no such user");
	*out = from_row(row(&r, 0));
	return OK;
}

enum err user_store_list(struct db *db, struct ctx *cx, const struct id *previous, int64_t per_page, struct user **out,
                         size_t *n)
{
	struct rows r;

	per_page = per_page < 1 ? 1 : per_page > PER_PAGE_MOST ? PER_PAGE_MOST : per_page;
	TRY(db_query(db, cx, &LIST, VALS(v_id(previous), v_i(per_page)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		(*out)[i] = from_row(row(&r, i));
	return OK;
}

enum err user_store_set_password(struct db *db, struct ctx *cx, const struct id *user, struct str password)
{
	return db_exec(db, cx, &SET_PASSWORD, VALS(v_s(password), v_id(user)));
}

enum err user_store_disable(struct db *db, struct ctx *cx, const struct id *user)
{
	return db_exec(db, cx, &DISABLE, VALS(v_id(user)));
}
