#include "store/log_destination_store.h"

#include "base/clock.h"
#include "base/text.h"

#define COLUMNS                                                                                                         \
	"d.id, d.project_id, d.name, d.address, d.template, d.tenant, d.sealed, d.ca, d.paused_at, d.created_at, d.updated_at," \
	" d.failures, d.failing_at, d.open_at, d.sent_at, d.sent_lines, d.refused_lines, d.lost_logs, d.lost_bytes, d.lost_at," \
	" d.ping_at, d.pinged_at, d.error, d.ping_error"
/* A log with something to be looked at: it grew, or it is closed and was not sent to its end (else it has no cursor). */
#define WAITING                                                                                                \
	"FROM log_cursor c FORCE INDEX (PRIMARY) JOIN log_head h ON h.task_id = c.task_id AND h.attempt = c.attempt"  \
	" WHERE c.destination_id = "
#define IS_NEWS " AND (h.next > c.seen OR h.closed = 1)"

static const struct sql GET = { "SELECT " COLUMNS " FROM log_destination d WHERE d.id = ? AND d.project_id = ?", "ss" };
static const struct sql LIST = { "SELECT " COLUMNS " FROM log_destination d WHERE d.project_id = ? ORDER BY d.id DESC", "s" };
static const struct sql COUNT = { "SELECT COUNT(*) FROM log_destination WHERE project_id = ?", "s" };
static const struct sql ADD = {
	"INSERT INTO log_destination (id, project_id, name, address, template, tenant, sealed, ca) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
	"ssssssss" };
#define AT_ONCE " failures = 0, failing_at = NULL, open_at = NULL, error = '', updated_at = NOW(6)"
static const struct sql CHANGE = {
	"UPDATE log_destination SET name = ?, address = ?, template = ?, tenant = ?, ca = ?, sealed = IF(? = 1, ?, sealed)," AT_ONCE
	" WHERE id = ? AND project_id = ?", "sssssisss" };
static const struct sql DELETE = { "DELETE FROM log_destination WHERE id = ? AND project_id = ?", "ss" };
static const struct sql DELETE_ALL = { "DELETE FROM log_destination WHERE project_id = ?", "s" };
static const struct sql PAUSE = {
	"UPDATE log_destination SET paused_at = IF(? = 1, NOW(6), NULL)," AT_ONCE " WHERE id = ? AND project_id = ?", "iss" };
static const struct sql PING = {
	"UPDATE log_destination SET ping_at = NOW(6), pinged_at = NULL, ping_error = '' WHERE id = ? AND project_id = ?", "ss" };
static const struct sql LAG = {
	"SELECT COUNT(*), SUM(w.bytes) FROM (SELECT GREATEST(h.bytes - LEAST(c.out_byte, c.err_byte), 0) AS bytes " WAITING "?" IS_NEWS
	" LIMIT ?) w", "si" };
static const struct sql OLDEST = {
	"SELECT k.first_at FROM (SELECT c.day, c.task_id, c.attempt, c.chunk " WAITING "?" IS_NEWS
	" ORDER BY c.task_id, c.attempt LIMIT 1) w JOIN log_chunk k ON k.day = w.day AND k.task_id = w.task_id"
	" AND k.attempt = w.attempt AND k.number = w.chunk", "s" };
static const struct sql DUE = {
	"SELECT " COLUMNS " FROM log_destination d WHERE (d.holder IS NULL OR d.holder = ? OR d.held_until < NOW(6))"
	" AND ((d.ping_at IS NOT NULL AND d.pinged_at IS NULL) OR (d.paused_at IS NULL AND (d.open_at IS NULL OR d.open_at <= NOW(6))"
	" AND EXISTS (SELECT 1 " WAITING "d.id" IS_NEWS " LIMIT 1)))", "s" };
static const struct sql HOLD = {
	"UPDATE log_destination SET holder = ?, held_until = NOW(6) + INTERVAL ? SECOND"
	" WHERE id = ? AND (holder IS NULL OR holder = ? OR held_until < NOW(6))", "siss" };
#define LET_GO " holder = NULL, held_until = NULL WHERE id = ? AND holder = ?"
static const struct sql FAILED = {
	"UPDATE log_destination SET failures = failures + 1, failing_at = IFNULL(failing_at, NOW(6)), error = ?,"
	" open_at = NOW(6) + INTERVAL ? SECOND," LET_GO, "siss" };
static const struct sql PINGED = { "UPDATE log_destination SET pinged_at = NOW(6), ping_error = ?," LET_GO, "sss" };

static struct log_destination from_row(const struct val *v)
{
	struct log_destination d = {
		.id = val_id(&v[0]), .project_id = val_id(&v[1]), .name = val_str(&v[2]), .address = val_str(&v[3]),
		.tenant = val_str(&v[5]), .sealed = val_str(&v[6]), .ca = val_str(&v[7]), .paused_at = val_time(&v[8]),
		.created_at = val_time(&v[9]), .updated_at = val_time(&v[10]), .failures = val_int(&v[11]),
		.failing_at = val_time(&v[12]), .open_at = val_time(&v[13]), .sent_at = val_time(&v[14]),
		.sent_lines = val_int(&v[15]), .refused_lines = val_int(&v[16]), .lost_logs = val_int(&v[17]),
		.lost_bytes = val_int(&v[18]), .lost_at = val_time(&v[19]), .ping_at = val_time(&v[20]),
		.pinged_at = val_time(&v[21]), .error = val_str(&v[22]), .ping_error = val_str(&v[23]) };

	log_template_parse(val_str(&v[4]), &d.template);
	return d;
}

static void all_from_rows(struct ctx *cx, const struct rows *r, struct log_destination **out, size_t *n)
{
	*out = arena_array(&cx->arena, r->n, sizeof **out);
	*n = r->n;
	for (size_t i = 0; i < r->n; i++)
		(*out)[i] = from_row(row(r, i));
}

/* --- by the API ---------------------------------------------------------------------------------------------- */

static struct str where(struct ctx *cx, const struct id *id)
{
	return str_of(arena_printf(&cx->arena, "log_destination %s", id_format(id).s));
}

static struct val sealed(struct ctx *cx, const struct seal_key *key, const struct id *id, struct str secret)
{
	return secret.n ? v_s(seal(cx, key, where(cx, id), secret)) : v_null();
}

static struct val text_or_null(struct str s)
{
	return s.n ? v_s(s) : v_null();
}

enum err log_destination_store_add(struct db *db, struct ctx *cx, const struct log_destination *d, const struct seal_key *key,
                                   struct str secret)
{
	struct rows r;

	TRY(db_query(db, cx, &COUNT, VALS(v_id(&d->project_id)), &r));
	if (val_int(&row(&r, 0)[0]) >= LOG_DESTINATIONS_MOST)
		return err_set(cx, ERR_LIMIT, "the project has %d log destinations: that is the most", LOG_DESTINATIONS_MOST);
	return db_exec(db, cx, &ADD, VALS(v_id(&d->id), v_id(&d->project_id), v_s(d->name), v_s(d->address),
	                                  v_z(log_template_name(d->template)), v_s(d->tenant), sealed(cx, key, &d->id, secret),
	                                  text_or_null(d->ca)));
}

static enum err must_be(struct db *db, struct ctx *cx)
{
	return db_changed(db) ? OK : err_set(cx, ERR_NOT_FOUND, "there is no such log destination in this project");
}

enum err log_destination_store_change(struct db *db, struct ctx *cx, const struct log_destination *d, const struct seal_key *key,
                                      const struct str *secret)
{
	TRY(db_exec(db, cx, &CHANGE, VALS(v_s(d->name), v_s(d->address), v_z(log_template_name(d->template)), v_s(d->tenant),
	                                  text_or_null(d->ca), v_i(secret != NULL),
	                                  secret ? sealed(cx, key, &d->id, *secret) : v_null(), v_id(&d->id), v_id(&d->project_id))));
	return must_be(db, cx);
}

enum err log_destination_store_delete(struct db *db, struct ctx *cx, const struct id *project, const struct id *id)
{
	TRY(db_exec(db, cx, &DELETE, VALS(v_id(id), v_id(project))));
	return must_be(db, cx);
}

enum err log_destination_store_delete_all(struct db *db, struct ctx *cx, const struct id *project)
{
	return db_exec(db, cx, &DELETE_ALL, VALS(v_id(project)));
}

enum err log_destination_store_pause(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, bool paused)
{
	TRY(db_exec(db, cx, &PAUSE, VALS(v_i(paused), v_id(id), v_id(project))));
	return must_be(db, cx);
}

enum err log_destination_store_ping(struct db *db, struct ctx *cx, const struct id *project, const struct id *id)
{
	TRY(db_exec(db, cx, &PING, VALS(v_id(id), v_id(project))));
	return must_be(db, cx);
}

enum err log_destination_store_list(struct db *db, struct ctx *cx, const struct id *project, struct log_destination **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &LIST, VALS(v_id(project)), &r));
	all_from_rows(cx, &r, out, n);
	return OK;
}

enum err log_destination_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct id *id,
                                   struct log_destination *out)
{
	struct rows r;

	TRY(db_query(db, cx, &GET, VALS(v_id(id), v_id(project)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no such log destination in this project");
	*out = from_row(row(&r, 0));
	return OK;
}

enum err log_destination_store_lag(struct db *db, struct ctx *cx, const struct id *id, struct log_lag *out)
{
	struct rows r;

	TRY(db_query(db, cx, &LAG, VALS(v_id(id), v_i(LOG_LAG_MOST)), &r));
	*out = (struct log_lag){ .logs = val_int(&row(&r, 0)[0]), .bytes = val_int(&row(&r, 0)[1]), .since = TIME_NONE };
	if (!out->logs)
		return OK;
	TRY(db_query(db, cx, &OLDEST, VALS(v_id(id)), &r));
	if (r.n)
		out->since = val_time(&row(&r, 0)[0]);
	return OK;
}

/* --- by couriers ---------------------------------------------------------------------------------------------- */

enum err log_destination_store_due(struct db *db, struct ctx *cx, const struct id *holder, struct log_destination **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &DUE, VALS(v_id(holder)), &r));
	all_from_rows(cx, &r, out, n);
	return OK;
}

static enum err must_be_held(struct db *db, struct ctx *cx)
{
	return db_changed(db) ? OK : err_set(cx, ERR_CONFLICT, "somebody else sends to this log destination, or it is gone");
}

enum err log_destination_store_hold(struct db *db, struct ctx *cx, const struct id *holder, const struct id *id, int64_t hold_s)
{
	TRY(db_exec(db, cx, &HOLD, VALS(v_id(holder), v_i(hold_s), v_id(id), v_id(holder))));
	return must_be_held(db, cx);
}

enum err log_destination_store_secret(struct ctx *cx, const struct seal_key *key, const struct log_destination *d, struct str *out)
{
	*out = STR_LIT("");
	return d->sealed.n ? unseal(cx, key, where(cx, &d->id), d->sealed, out) : OK;
}

enum { ERROR_BYTES = 500 };

enum err log_destination_store_failed(struct db *db, struct ctx *cx, const struct id *holder, const struct id *id, struct str why,
                                      int64_t pause_s)
{
	TRY(db_exec(db, cx, &FAILED, VALS(v_s(text_cut(text_utf8(&cx->arena, why), ERROR_BYTES)), v_i(pause_s), v_id(id), v_id(holder))));
	return must_be_held(db, cx);
}

enum err log_destination_store_pinged(struct db *db, struct ctx *cx, const struct id *holder, const struct id *id, struct str why)
{
	TRY(db_exec(db, cx, &PINGED, VALS(v_s(text_cut(text_utf8(&cx->arena, why), ERROR_BYTES)), v_id(id), v_id(holder))));
	return must_be_held(db, cx);
}
