#include "store/trigger_store.h"

#include "base/clock.h"
#include "base/text.h"
#include "store/txn.h"

#define COLUMNS                                                                                                    \
	"SELECT g.id, g.project_id, g.code_id, c.name, g.name, g.verify, g.sealed, g.options, g.paused_at, g.created_at," \
	" g.updated_at FROM code_trigger g JOIN code c ON c.id = g.code_id AND c.project_id = g.project_id "
static const struct sql GET = { COLUMNS "WHERE g.id = ? AND g.project_id = ?", "ss" };
static const struct sql LIST = { COLUMNS "WHERE g.project_id = ? ORDER BY g.id DESC", "s" };
static const struct sql OF_TOKEN = { COLUMNS "WHERE g.token = ? AND g.paused_at IS NULL", "s" };
static const struct sql COUNT = { "SELECT COUNT(*) FROM code_trigger WHERE project_id = ?", "s" };
static const struct sql ADD = {
	"INSERT INTO code_trigger (id, project_id, code_id, name, token, verify, sealed, options) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
	"ssssssss" };
static const struct sql CHANGE = {
	"UPDATE code_trigger SET name = ?, verify = ?, sealed = IFNULL(?, sealed), options = ?, updated_at = NOW(6)"
	" WHERE id = ? AND project_id = ?", "ssssss" };
static const struct sql ROTATE = { "UPDATE code_trigger SET token = ?, updated_at = NOW(6) WHERE id = ? AND project_id = ?", "sss" };
static const struct sql PAUSE = {
	"UPDATE code_trigger SET paused_at = IF(? = 1, NOW(6), NULL), updated_at = NOW(6) WHERE id = ? AND project_id = ?", "iss" };
static const struct sql DELETE = { "DELETE FROM code_trigger WHERE id = ? AND project_id = ?", "ss" };
static const struct sql FORGET = { "DELETE FROM trigger_request WHERE trigger_id = ?", "s" };
static const struct sql NOTE = {
	"INSERT INTO trigger_request (trigger_id, id, at, address, verdict, reason, delivery, task_id, body)"
	" VALUES (?, ?, NOW(6), ?, ?, ?, ?, ?, ?)", "ssssssss" };
static const struct sql OLDEST_KEPT = {
	"SELECT id FROM trigger_request WHERE trigger_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?", "si" };
static const struct sql TRIM = { "DELETE FROM trigger_request WHERE trigger_id = ? AND id < ?", "ss" };
/* Ids order by the millisecond only; about a hundred are there to be sorted. */
static const struct sql NOTES = {
	"SELECT at, address, verdict, reason, delivery, body, task_id FROM trigger_request WHERE trigger_id = ?"
	" ORDER BY at DESC, id DESC LIMIT ?", "si" };

enum { DUPLICATE = 1062, TEXT_BYTES = 255, ADDRESS_BYTES = 64 };

static struct trigger from_row(const struct val *v)
{
	struct trigger t = { .id = val_id(&v[0]), .project_id = val_id(&v[1]), .code_id = val_id(&v[2]), .code_name = val_str(&v[3]),
		             .name = val_str(&v[4]), .sealed = val_str(&v[6]), .options = val_str(&v[7]),
		             .paused_at = val_time(&v[8]), .created_at = val_time(&v[9]), .updated_at = val_time(&v[10]) };

	trigger_kind_parse(val_str(&v[5]), &t.kind);
	return t;
}

static enum err not_found(struct ctx *cx)
{
	return err_set(cx, ERR_NOT_FOUND, "there is no such trigger");
}

static enum err one(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, size_t n, struct trigger *out)
{
	struct rows r;

	TRY(db_query(db, cx, sql, v, n, &r));
	if (!r.n)
		return not_found(cx);
	*out = from_row(row(&r, 0));
	return OK;
}

enum err trigger_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, struct trigger *out)
{
	return one(db, cx, &GET, VALS(v_id(id), v_id(project)), out);
}

enum err trigger_store_of_token(struct db *db, struct ctx *cx, const unsigned char token[SHA256_BYTES], struct trigger *out)
{
	return one(db, cx, &OF_TOKEN, VALS(v_s(str_bytes(token, SHA256_BYTES))), out);
}

enum err trigger_store_list(struct db *db, struct ctx *cx, const struct id *project, struct trigger **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &LIST, VALS(v_id(project)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		(*out)[i] = from_row(row(&r, i));
	return OK;
}

/* A row moved to another trigger cannot be opened. */
static struct str where(struct ctx *cx, const struct id *id)
{
	return str_of(arena_printf(&cx->arena, "code_trigger %s", id_format(id).s));
}

static struct val sealed(struct ctx *cx, const struct seal_key *key, const struct id *id, struct str secret)
{
	return secret.n ? v_s(seal(cx, key, where(cx, id), secret)) : v_null();
}

enum err trigger_store_secret(struct ctx *cx, const struct seal_key *key, const struct trigger *t, struct str *out)
{
	*out = STR_LIT("");
	return t->sealed.n ? unseal(cx, key, where(cx, &t->id), t->sealed, out) : OK;
}

/* One of that name is there already? */
static enum err say_taken(struct db *db, struct ctx *cx, enum err e, struct str name)
{
	if (e != OK && db_errno(db) == DUPLICATE)
		return err_set(cx, ERR_CONFLICT, "this code has a trigger '" STR_FMT "' already", STR_ARG(name));
	return e;
}

enum err trigger_store_add(struct db *db, struct ctx *cx, const struct trigger *t, const unsigned char token[SHA256_BYTES],
                           const struct seal_key *key, struct str secret)
{
	struct rows r;

	TRY(db_query(db, cx, &COUNT, VALS(v_id(&t->project_id)), &r));
	if (val_int(&row(&r, 0)[0]) >= TRIGGERS_MOST)
		return err_set(cx, ERR_LIMIT, "the project has %d triggers: that is the most", TRIGGERS_MOST);
	return say_taken(db, cx, db_exec(db, cx, &ADD, VALS(v_id(&t->id), v_id(&t->project_id), v_id(&t->code_id), v_s(t->name),
	                                                    v_s(str_bytes(token, SHA256_BYTES)), v_z(trigger_kind_name(t->kind)),
	                                                    sealed(cx, key, &t->id, secret), v_s(t->options))), t->name);
}

enum err trigger_store_change(struct db *db, struct ctx *cx, const struct trigger *t, const struct seal_key *key, struct str secret)
{
	return say_taken(db, cx, db_exec(db, cx, &CHANGE, VALS(v_s(t->name), v_z(trigger_kind_name(t->kind)),
	                                                       sealed(cx, key, &t->id, secret), v_s(t->options), v_id(&t->id),
	                                                       v_id(&t->project_id))), t->name);
}

enum err trigger_store_rotate(struct db *db, struct ctx *cx, const struct id *project, const struct id *id,
                              const unsigned char token[SHA256_BYTES])
{
	return db_exec(db, cx, &ROTATE, VALS(v_s(str_bytes(token, SHA256_BYTES)), v_id(id), v_id(project)));
}

enum err trigger_store_pause(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, bool paused)
{
	return db_exec(db, cx, &PAUSE, VALS(v_i(paused), v_id(id), v_id(project)));
}

struct deleting {
	const struct id *project, *id;
	bool found; /* by any of its runs: one whose answer was lost leaves nothing to be found */
};

static enum err delete_work(struct db *db, struct ctx *cx, void *arg)
{
	struct deleting *d = arg;

	TRY(db_exec(db, cx, &DELETE, VALS(v_id(d->id), v_id(d->project))));
	if (!db_changed(db))
		return OK;
	d->found = true;
	return db_exec(db, cx, &FORGET, VALS(v_id(d->id)));
}

enum err trigger_store_delete(struct db *db, struct ctx *cx, const struct id *project, const struct id *id)
{
	static const struct txn DELETING = { "delete_trigger", delete_work, NULL }; /* harmless to repeat */
	struct deleting d = { project, id, false };

	TRY(txn_run(db, cx, &DELETING, &d));
	return d.found ? OK : not_found(cx);
}

enum err trigger_store_note(struct db *db, struct ctx *cx, const struct id *trigger, const struct trigger_note *note)
{
	struct id id = id_make(clock_wall_us());
	struct arena *a = &cx->arena;
	struct rows r;

	TRY(db_exec(db, cx, &NOTE, VALS(v_id(trigger), v_id(&id), v_s(text_cut(text_utf8(a, note->address), ADDRESS_BYTES)), v_s(note->verdict),
	                                v_s(text_cut(text_utf8(a, note->reason), TEXT_BYTES)),
	                                v_s(text_cut(text_utf8(a, note->delivery), TEXT_BYTES)), v_id_or_null(&note->task_id),
	                                v_s(str_bytes(note->body.n ? note->body.p : "", note->body.n < TRIGGER_BODY_BYTES
	                                                                                ? note->body.n : TRIGGER_BODY_BYTES)))));
	TRY(db_query(db, cx, &OLDEST_KEPT, VALS(v_id(trigger), v_i(TRIGGER_REQUESTS_MOST - 1)), &r));
	return r.n ? db_exec(db, cx, &TRIM, VALS(v_id(trigger), row(&r, 0)[0])) : OK;
}

enum err trigger_store_notes(struct db *db, struct ctx *cx, const struct id *trigger, struct trigger_note **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &NOTES, VALS(v_id(trigger), v_i(TRIGGER_REQUESTS_MOST)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++) {
		const struct val *v = row(&r, i);

		(*out)[i] = (struct trigger_note){ .at = val_time(&v[0]), .address = val_str(&v[1]), .verdict = val_str(&v[2]),
			                           .reason = val_str(&v[3]), .delivery = val_str(&v[4]), .body = val_str(&v[5]),
			                           .task_id = val_id(&v[6]) };
	}
	return OK;
}
