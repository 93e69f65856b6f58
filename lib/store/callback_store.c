#include "store/callback_store.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/txn.h"
#include "store/url_hold.h"

/* --- registered callbacks ------------------------------------------------------------------------------------ */

#define COLUMNS                                                                                                \
	"SELECT k.id, k.project_id, k.code_id, c.name, k.chosen, k.flags, k.name, k.url, k.paused_at, k.disabled_at," \
	" k.created_at, k.updated_at"
#define FROM " FROM callback k LEFT JOIN code c ON c.id = k.code_id "
static const struct sql FIND = { COLUMNS FROM "WHERE k.id = ? AND k.project_id = ?", "ss" };
static const struct sql LIST = { COLUMNS FROM "WHERE k.project_id = ? ORDER BY k.id DESC", "s" };
static const struct sql HEALTH = { "SELECT failing_at, failures FROM receiver WHERE lane = ?", "i" };
static const struct sql ADD = {
	"INSERT INTO callback (id, project_id, code_id, states, chosen, flags, name, url) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
	"sssiiiss" };
static const struct sql COUNT = { "SELECT COUNT(*) FROM callback WHERE project_id = ?", "s" };
static const struct sql CHANGE = {
	"UPDATE callback SET code_id = ?, states = IF(states, ?, 0), chosen = ?, flags = ?, name = ?, url = ?, updated_at = NOW(6)"
	" WHERE id = ? AND project_id = ?", "siiissss" };
static const struct sql PAUSE = {
	"UPDATE callback SET states = 0, paused_at = NOW(6), updated_at = NOW(6) WHERE id = ? AND project_id = ?", "ss" };
static const struct sql RESUME = {
	"UPDATE callback SET states = chosen, paused_at = NULL, disabled_at = NULL, updated_at = NOW(6)"
	" WHERE id = ? AND project_id = ?", "ss" };
static const struct sql DELETE = { "DELETE FROM callback WHERE id = ? AND project_id = ?", "ss" };
static const struct sql DELETE_KEY = { "DELETE FROM callback_key WHERE owner_id = ?", "s" };
static const struct sql TEST = {
	"INSERT INTO outbox (task_id, number, task_state, project_id, callback_id, url, at, next_at, by_hand)"
	" VALUES (?, 0, 'test', ?, ?, ?, NOW(6), NOW(6), 2) RETURNING id", "ssss" };
static const struct sql TESTED = { "SELECT id FROM outbox WHERE task_id = ?", "s" };
/* What couriers put off while it was paused: by lane 0 they look at it at once. */
static const struct sql WAKE_PAUSED = {
	"UPDATE outbox FORCE INDEX (lane) SET next_at = NOW(6), lane = 0, waits = NULL WHERE lane = ? AND next_at > NOW(6)"
	" AND callback_id = ? AND waits = 'paused' AND state = 'waiting'", "is" };
/* With the change, and once more when it is committed: a code that is registered at the same time sees either it,
 * or is seen then. */
static const struct sql HOOK_CODES = {
	"UPDATE code c SET c.hooks = (SELECT IFNULL(BIT_OR(k.states), 0) FROM callback k WHERE k.project_id = c.project_id"
	" AND k.code_id IN (x'000000000000000000000000', c.id)) WHERE c.project_id = ?", "s" };

static struct callback from_row(const struct val *v)
{
	return (struct callback){ .id = val_id(&v[0]), .project_id = val_id(&v[1]), .code_id = val_id(&v[2]),
		                  .code_name = val_str(&v[3]), .states = (unsigned)val_int(&v[4]),
		                  .flags = (unsigned)val_int(&v[5]), .name = val_str(&v[6]), .url = val_str(&v[7]),
		                  .paused_at = val_time(&v[8]), .disabled_at = val_time(&v[9]),
		                  .created_at = val_time(&v[10]), .updated_at = val_time(&v[11]), .failing_at = TIME_NONE };
}

enum err callback_store_find(struct db *db, struct ctx *cx, const struct id *project, const struct id *id,
                             struct callback *out, bool *found)
{
	struct rows r;

	TRY(db_query(db, cx, &FIND, VALS(v_id(id), v_id(project)), &r));
	*found = r.n > 0;
	if (r.n)
		*out = from_row(row(&r, 0));
	return OK;
}

static enum err read_health(struct db *db, struct ctx *cx, struct callback *c)
{
	struct rows r;

	TRY(db_query(db, cx, &HEALTH, VALS(v_i(callback_lane(&c->project_id, callback_origin(&cx->arena, c->url)))), &r));
	if (r.n) {
		c->failing_at = val_time(&row(&r, 0)[0]);
		c->failures = val_int(&row(&r, 0)[1]);
	}
	return OK;
}

enum err callback_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, struct callback *out)
{
	bool found;

	TRY(callback_store_find(db, cx, project, id, out, &found));
	if (!found)
		return err_set(cx, ERR_NOT_FOUND, "there is no such callback in this project");
	return read_health(db, cx, out);
}

enum err callback_store_list(struct db *db, struct ctx *cx, const struct id *project, struct callback **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &LIST, VALS(v_id(project)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++) {
		(*out)[i] = from_row(row(&r, i));
		TRY(read_health(db, cx, &(*out)[i]));
	}
	return OK;
}

static enum err hook_codes(struct db *db, struct ctx *cx, const struct id *project)
{
	return db_exec(db, cx, &HOOK_CODES, VALS(v_id(project)));
}

/* The change is committed and told as done, whatever becomes of this: it is for a code that came in between. */
static void hook_late_codes(struct db *db, const struct id *project)
{
	auto_ctx own = { 0 };

	if (hook_codes(db, &own, project) != OK)
		log_warn("callback.late_codes", "project=%s %s", id_format(project).s, own.message);
}

struct adding {
	const struct callback *c;
	const struct seal_key *key;
	struct str secret;
};

static enum err add_work(struct db *db, struct ctx *cx, void *arg)
{
	const struct adding *a = arg;
	const struct callback *c = a->c;

	TRY(db_exec(db, cx, &ADD, VALS(v_id(&c->id), v_id(&c->project_id), v_id(&c->code_id), v_i(c->states), v_i(c->states),
	                               v_i(c->flags), v_s(c->name), v_s(c->url))));
	if (a->secret.n)
		TRY(callback_store_rotate(db, cx, a->key, &c->id, a->secret, 0));
	return hook_codes(db, cx, &c->project_id);
}

static enum err add_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	const struct adding *a = arg;
	struct callback c;

	return callback_store_find(db, cx, &a->c->project_id, &a->c->id, &c, yes);
}

enum err callback_store_add(struct db *db, struct ctx *cx, const struct callback *c, const struct seal_key *key, struct str secret)
{
	static const struct txn ADDING = { "add_callback", add_work, add_done };
	struct adding a = { c, key, secret };
	struct rows r;

	TRY(db_query(db, cx, &COUNT, VALS(v_id(&c->project_id)), &r));
	if (val_int(&row(&r, 0)[0]) >= CALLBACKS_MOST)
		return err_set(cx, ERR_LIMIT, "the project has %d callbacks: that is the most", CALLBACKS_MOST);
	TRY(txn_run(db, cx, &ADDING, &a));
	hook_late_codes(db, &c->project_id);
	return OK;
}

/* What is there already: harmless to repeat. */
struct changing {
	const struct id *project, *id;
	const struct callback *c; /* what it says now; NULL = pause, resume or delete it, as `sql` says */
	const struct sql *sql;
};

static enum err change_work(struct db *db, struct ctx *cx, void *arg)
{
	const struct changing *a = arg;
	const struct callback *c = a->c;

	if (c)
		TRY(db_exec(db, cx, &CHANGE, VALS(v_id(&c->code_id), v_i(c->states), v_i(c->states), v_i(c->flags), v_s(c->name),
		                                  v_s(c->url), v_id(a->id), v_id(a->project))));
	else
		TRY(db_exec(db, cx, a->sql, VALS(v_id(a->id), v_id(a->project))));
	if (a->sql == &DELETE && db_changed(db))
		TRY(db_exec(db, cx, &DELETE_KEY, VALS(v_id(a->id))));
	return hook_codes(db, cx, a->project);
}

static enum err change(struct db *db, struct ctx *cx, struct changing *a)
{
	static const struct txn CHANGING = { "change_callback", change_work, NULL };

	TRY(txn_run(db, cx, &CHANGING, a));
	hook_late_codes(db, a->project);
	return OK;
}

enum err callback_store_change(struct db *db, struct ctx *cx, const struct callback *c)
{
	struct changing a = { &c->project_id, &c->id, c, NULL };

	return change(db, cx, &a);
}

enum err callback_store_pause(struct db *db, struct ctx *cx, const struct callback *c, bool paused)
{
	struct changing a = { &c->project_id, &c->id, NULL, paused ? &PAUSE : &RESUME };

	TRY(change(db, cx, &a));
	if (paused)
		return OK;
	return db_exec(db, cx, &WAKE_PAUSED, VALS(v_i(callback_lane(&c->project_id, callback_origin(&cx->arena, c->url))), v_id(&c->id)));
}

enum err callback_store_delete(struct db *db, struct ctx *cx, const struct id *project, const struct id *id)
{
	struct changing a = { project, id, NULL, &DELETE };

	return change(db, cx, &a);
}

struct testing {
	const struct callback *c;
	struct id event;
	int64_t number;
};

static enum err test_work(struct db *db, struct ctx *cx, void *arg)
{
	struct testing *t = arg;
	const struct callback *c = t->c;
	struct rows r;

	TRY(url_hold_lift(db, cx, &c->project_id, c->url));
	TRY(db_query(db, cx, &TEST, VALS(v_id(&t->event), v_id(&c->project_id), v_id(&c->id), v_s(c->url)), &r));
	t->number = val_int(&row(&r, 0)[0]);
	return OK;
}

static enum err test_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	const struct testing *t = arg;
	struct rows r;

	TRY(db_query(db, cx, &TESTED, VALS(v_id(&t->event)), &r));
	*yes = r.n > 0;
	return OK;
}

enum err callback_store_test(struct db *db, struct ctx *cx, const struct callback *c, int64_t *number)
{
	static const struct txn TESTING = { "test_callback", test_work, test_done };
	struct testing t = { .c = c, .event = id_make(clock_wall_us()) };

	TRY(txn_run(db, cx, &TESTING, &t));
	*number = t.number;
	return OK;
}

/* --- keys ------------------------------------------------------------------------------------------------------ */

static const struct sql KEYS = {
	"SELECT sealed, former, former_until > NOW(6) FROM callback_key WHERE owner_id = ?", "s" };
/* In this order: MariaDB assigns from left to right. */
static const struct sql ROTATE = {
	"INSERT INTO callback_key (owner_id, sealed) VALUES (?, ?) ON DUPLICATE KEY UPDATE former = sealed,"
	" former_until = NOW(6) + INTERVAL ? SECOND, sealed = VALUES(sealed), created_at = NOW(6)", "ssi" };

/* A row moved to another owner cannot be opened. */
static struct str where(struct ctx *cx, const struct id *owner)
{
	return str_of(arena_printf(&cx->arena, "callback_key %s", id_format(owner).s));
}

enum err callback_store_keys(struct db *db, struct ctx *cx, const struct seal_key *key, const struct id *owner,
                             struct signature_keys *out)
{
	struct signature_keys keys = { .n = 0 };
	struct rows r;

	TRY(db_query(db, cx, &KEYS, VALS(v_id(owner)), &r));
	if (r.n) {
		const struct val *v = row(&r, 0);

		TRY(unseal(cx, key, where(cx, owner), val_str(&v[0]), &keys.key[keys.n++]));
		if (val_int(&v[2]) && v[1].type != VAL_NULL)
			TRY(unseal(cx, key, where(cx, owner), val_str(&v[1]), &keys.key[keys.n++]));
	}
	*out = keys;
	return OK;
}

enum err callback_store_rotate(struct db *db, struct ctx *cx, const struct seal_key *key, const struct id *owner,
                               struct str secret, int64_t keep_s)
{
	return db_exec(db, cx, &ROTATE, VALS(v_id(owner), v_s(seal(cx, key, where(cx, owner), secret)), v_i(keep_s)));
}
