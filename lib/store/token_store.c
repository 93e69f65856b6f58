#include "store/token_store.h"

#include "base/clock.h"
#include "store/txn.h"

static const struct sql FIND = {
	"SELECT t.id, t.user_id, u.name, t.name, t.project_id, t.role, u.admin, p.id, m.role"
	" FROM token t JOIN user u ON u.id = t.user_id"
	" LEFT JOIN project p ON p.id = ?"
	" LEFT JOIN member m ON m.project_id = p.id AND m.user_id = t.user_id"
	" WHERE t.hash = ? AND u.disabled_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > NOW(6))", "ss" };
static const struct sql TOUCH = {
	"UPDATE token SET used_at = NOW(6) WHERE id = ? AND (used_at IS NULL OR used_at < NOW(6) - INTERVAL 1 MINUTE)",
	"s" };

static const struct sql ADD_USER = {
	"INSERT INTO user (id, name, admin) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE admin = GREATEST(admin, VALUES(admin))",
	"ssi" };
static const struct sql FIND_USER = { "SELECT id, disabled_at FROM user WHERE name = ?", "s" };
/* role + 0 is its place in the ENUM: as texts 'viewer' would be the greatest */
static const struct sql ADD_MEMBER = {
	"INSERT INTO member (project_id, user_id, role) VALUES (?, ?, ?)"
	" ON DUPLICATE KEY UPDATE role = IF(role + 0 < VALUES(role) + 0, VALUES(role), role)", "sss" };
static const struct sql ADD = {
	"INSERT INTO token (id, prefix, hash, name, user_id, project_id, role, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
	"ssssssst" };
static const struct sql IS_THERE = { "SELECT 1 FROM token WHERE id = ?", "s" };
static const struct sql REVOKE = { "DELETE FROM token WHERE id = ?", "s" };

#define LIST_COLUMNS \
	"SELECT t.id, t.user_id, t.project_id, t.name, t.prefix, u.name, t.role, t.created_at, t.expires_at, t.used_at" \
	" FROM token t JOIN user u ON u.id = t.user_id "
static const struct sql LIST = { LIST_COLUMNS "WHERE t.project_id = ? ORDER BY t.id DESC LIMIT 1000", "s" };
static const struct sql LIST_ALL = { LIST_COLUMNS "ORDER BY t.id DESC LIMIT 1000", "" };

enum { DUPLICATE = 1062, NAME_BYTES = 255, IMPORTED_LEAST = 8, IMPORTED_MOST = 512 };

static enum role role_of(const struct val *v)
{
	enum role r = ROLE_NONE;

	role_parse(val_str(v), &r);
	return r;
}

static enum role lesser(enum role a, enum role b)
{
	return a < b ? a : b;
}

/* The token's role is a ceiling; what its user may do in the project is the other. */
static enum role effective(enum role token, bool user_is_admin, enum role member)
{
	return lesser(token, user_is_admin ? ROLE_ADMIN : member);
}

enum err token_store_find(struct db *db, struct ctx *cx, const unsigned char hash[SHA256_BYTES],
                          const struct id *project, struct principal *out)
{
	struct id bound, none = { { 0 } };
	const struct val *v;
	struct rows r;
	enum role own;
	bool admin;

	TRY(db_query(db, cx, &FIND, VALS(v_id(project ? project : &none), v_s(str_bytes(hash, SHA256_BYTES))), &r));
	if (!r.n)
		return err_set(cx, ERR_AUTH, "the token is unknown, or no longer valid");
	v = row(&r, 0);
	bound = val_id(&v[4]);
	own = role_of(&v[5]);
	admin = val_int(&v[6]) != 0;
	*out = (struct principal){ .token_id = val_id(&v[0]), .user_id = val_id(&v[1]), .user_name = val_str(&v[2]),
		                   .token_name = val_str(&v[3]), .project_id = bound };
	if (!project)
		out->role = admin || own < ROLE_ADMIN ? own : ROLE_OPERATOR;
	else if (v[7].type == VAL_NULL || (!id_is_zero(&bound) && !id_equal(&bound, project)))
		out->role = ROLE_NONE; /* no such project, or one that this token is not for */
	else
		out->role = effective(own, admin, role_of(&v[8]));
	return OK;
}

enum err token_store_touch(struct db *db, struct ctx *cx, const struct id *token)
{
	return db_exec(db, cx, &TOUCH, VALS(v_id(token)));
}

struct adding {
	struct id id, user;
	struct str user_name, name, prefix, hash;
	const struct id *project;
	enum role role;
	int64_t expires_at;
};

static enum err add_work(struct db *db, struct ctx *cx, void *arg)
{
	struct adding *a = arg;
	struct id fresh = id_make(clock_wall_us());
	struct val project = a->project ? v_id(a->project) : v_null();
	struct rows r;
	enum err e;

	TRY(db_exec(db, cx, &ADD_USER, VALS(v_id(&fresh), v_s(a->user_name), v_i(a->role == ROLE_ADMIN))));
	TRY(db_query(db, cx, &FIND_USER, VALS(v_s(a->user_name)), &r));
	if (!r.n || val_time(&row(&r, 0)[1]) != TIME_NONE)
		return err_set(cx, ERR_CONFLICT, "user '" STR_FMT "' is disabled", STR_ARG(a->user_name));
	a->user = val_id(&row(&r, 0)[0]);
	if (a->project)
		TRY(db_exec(db, cx, &ADD_MEMBER, VALS(project, v_id(&a->user), v_z(role_name(a->role)))));
	e = db_exec(db, cx, &ADD, VALS(v_id(&a->id), v_s(a->prefix), v_s(a->hash), v_s(a->name), v_id(&a->user), project,
	                               v_z(role_name(a->role)), v_t(a->expires_at)));
	if (e != OK && db_errno(db) == DUPLICATE)
		return err_set(cx, ERR_CONFLICT, "this token is there already");
	return e;
}

static enum err add_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	struct adding *a = arg;
	struct rows r;

	TRY(db_query(db, cx, &IS_THERE, VALS(v_id(&a->id)), &r));
	*yes = r.n > 0;
	return OK;
}

static enum err check(struct ctx *cx, const struct adding *a, struct str imported)
{
	if (!a->user_name.n || a->user_name.n > NAME_BYTES || a->name.n > NAME_BYTES)
		return err_set(cx, ERR_INPUT, "names of users must have 1 to %d bytes, names of tokens at most as many", NAME_BYTES);
	if (a->project && a->role == ROLE_ADMIN)
		return err_set(cx, ERR_INPUT, "role admin is for the whole instance, not for one project");
	if (a->role == ROLE_NONE)
		return err_set(cx, ERR_INPUT, "a token needs a role");
	if (imported.n && (imported.n < IMPORTED_LEAST || imported.n > IMPORTED_MOST))
		return err_set(cx, ERR_INPUT, "a token to import must have %d to %d characters", IMPORTED_LEAST, IMPORTED_MOST);
	for (size_t i = 0; i < imported.n; i++)
		if (imported.p[i] <= ' ' || imported.p[i] > '~')
			return err_set(cx, ERR_INPUT, "a token to import must be printable ASCII without blanks");
	return OK;
}

enum err token_store_add(struct db *db, struct ctx *cx, struct str user, struct str name,
                         const struct id *project, enum role role, int64_t expires_at,
                         struct str imported, struct token_text *text, struct id *id)
{
	static const struct txn ADDING = { "add_token", add_work, add_done };
	struct adding a = { .id = id_make(clock_wall_us()), .user_name = user, .name = name, .project = project,
		            .role = role, .expires_at = expires_at };
	struct token_text fresh = token_make();
	struct str whole = imported.n ? imported : str_of(fresh.s);
	unsigned char hash[SHA256_BYTES];
	char prefix[TOKEN_PREFIX];

	TRY(check(cx, &a, imported));
	token_hash(whole, hash);
	token_prefix(whole, prefix);
	a.hash = str_bytes(hash, sizeof hash);
	a.prefix = str_of(prefix);
	TRY(txn_run(db, cx, &ADDING, &a));
	*id = a.id;
	if (imported.n)
		fresh.s[0] = 0; /* its owner has it */
	*text = fresh;
	return OK;
}

enum err token_store_list(struct db *db, struct ctx *cx, const struct id *project, struct token_row **out, size_t *n)
{
	struct rows r;

	if (project)
		TRY(db_query(db, cx, &LIST, VALS(v_id(project)), &r));
	else
		TRY(db_query(db, cx, &LIST_ALL, NULL, 0, &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++) {
		const struct val *v = row(&r, i);

		(*out)[i] = (struct token_row){ val_id(&v[0]), val_id(&v[1]), val_id(&v[2]), val_str(&v[3]), val_str(&v[4]),
			                        val_str(&v[5]), role_of(&v[6]), val_time(&v[7]), val_time(&v[8]),
			                        val_time(&v[9]) };
	}
	return OK;
}

enum err token_store_owner(struct db *db, struct ctx *cx, const struct id *token, struct id *user)
{
	static const struct sql OWNER = { "SELECT user_id FROM token WHERE id = ?", "s" };
	struct rows r;

	TRY(db_query(db, cx, &OWNER, VALS(v_id(token)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no such token");
	*user = val_id(&row(&r, 0)[0]);
	return OK;
}

enum err token_store_revoke(struct db *db, struct ctx *cx, const struct id *token)
{
	TRY(db_exec(db, cx, &REVOKE, VALS(v_id(token))));
	if (db_changed(db) != 1)
		return err_set(cx, ERR_NOT_FOUND, "there is no such token");
	return OK;
}
