#include "store/delivery_store.h"

#include "base/clock.h"
#include "store/txn.h"
#include "store/url_hold.h"

enum { SEARCH_MOST = 20000 };

#define COLUMNS                                                                                                   \
	"SELECT id, number, tries, last_status, took_ms, task_id, callback_id, task_state, state, url, last_error, at," \
	" next_at, delivered_at, queued_task_id, waits, next_at > NOW(6), (SELECT r.open_at FROM receiver r"         \
	" WHERE r.lane = outbox.lane AND r.open_at > NOW(6)), named FROM outbox "
static const struct sql FLOOR = {
	"SELECT id FROM outbox FORCE INDEX (list) WHERE project_id = ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ?", "sii" };
static const struct sql LIST = {
	COLUMNS "FORCE INDEX (list) WHERE project_id = ? AND id < ? AND id >= ?"
	" AND (? = '' OR IF(? = 'failing', state = 'waiting' AND tries > plan_from, state = ?))"
	" AND (? IS NULL OR callback_id = ?) AND (? IS NULL OR task_id = ?) AND (? IS NULL OR at >= ?) AND (? IS NULL OR at <= ?)"
	" ORDER BY id DESC LIMIT ?", "siissssssstttti" };
static const struct sql GET = { COLUMNS "WHERE id = ? AND project_id = ?", "is" };
static const struct sql TRIES = {
	"SELECT number, at, status, lookup_ms, connect_ms, first_byte_ms, took_ms, address, error, answer,"
	" request, request_body, request_bytes, answer_headers FROM delivery"
	" WHERE outbox_id = ? ORDER BY number", "i" };
static const struct sql AGAIN = {
	"UPDATE outbox SET state = 'waiting', next_at = NOW(6), lane = 0, plan_from = tries, delivered_at = NULL, waits = NULL,"
	" by_hand = ? WHERE id = ? AND project_id = ?", "iis" };
static const struct sql HELD_URL = {
	"SELECT o.url FROM outbox o JOIN url_hold h ON h.url_id = " URL_HOLD_ID("o.project_id", "o.url")
	" WHERE o.id = ? AND o.project_id = ?", "is" };

/* Why one that waits does so: its own reason until next_at, else that its receiver rests, else others before it. */
static void explain(struct delivery_entry *e, const struct val *v)
{
	e->waiting_for = STR_LIT("");
	e->waiting_until = TIME_NONE;
	if (!str_is(e->state, "waiting"))
		return;
	if (val_int(&v[16])) {
		e->waiting_for = v[15].type != VAL_NULL ? val_str(&v[15]) : e->tries ? STR_LIT("retry") : STR_LIT("call");
		e->waiting_until = e->next_at;
	} else if (v[17].type != VAL_NULL) {
		e->waiting_for = STR_LIT("receiver");
		e->waiting_until = val_time(&v[17]);
	} else {
		e->waiting_for = STR_LIT("turn");
	}
}

static struct delivery_entry from_row(const struct val *v)
{
	struct delivery_entry e = {
		.id = val_int(&v[0]), .number = val_int(&v[1]), .tries = val_int(&v[2]), .status = val_int(&v[3]),
		.took_ms = val_int(&v[4]), .task_id = val_id(&v[5]), .callback_id = val_id(&v[6]), .kind = val_str(&v[7]),
		.state = val_str(&v[8]), .url = val_str(&v[9]), .error = val_str(&v[10]), .at = val_time(&v[11]),
		.next_at = val_time(&v[12]), .delivered_at = val_time(&v[13]), .queued_task_id = val_id(&v[14]) };

	e.is_named = val_int(&v[18]) != 0;
	explain(&e, v);
	return e;
}

enum err delivery_store_list(struct db *db, struct ctx *cx, const struct id *project, const struct delivery_filter *f,
                             struct delivery_entry **out, size_t *n, int64_t *searched_to)
{
	int64_t before = f->before > 0 ? f->before : INT64_MAX, floor = 0;
	struct val callback = v_id_or_null(&f->callback_id), task = v_id_or_null(&f->task_id), state = v_s(f->state.n ? f->state : STR_LIT(""));
	struct rows r;

	TRY(db_query(db, cx, &FLOOR, VALS(v_id(project), v_i(before), v_i(SEARCH_MOST)), &r));
	if (r.n)
		floor = val_int(&row(&r, 0)[0]);
	TRY(db_query(db, cx, &LIST, VALS(v_id(project), v_i(before), v_i(floor), state, state, state, callback, callback, task,
	                                 task, v_t(f->from), v_t(f->from), v_t(f->to), v_t(f->to), v_i(f->most)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		(*out)[i] = from_row(row(&r, i));
	*searched_to = (int64_t)r.n == f->most ? (*out)[r.n - 1].id : floor;
	return OK;
}

enum err delivery_store_get(struct db *db, struct ctx *cx, const struct id *project, int64_t id, struct delivery_entry *out,
                            struct delivery_try **tries, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &GET, VALS(v_i(id), v_id(project)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no such delivery in this project");
	*out = from_row(row(&r, 0));
	TRY(db_query(db, cx, &TRIES, VALS(v_i(id)), &r));
	*tries = arena_array(&cx->arena, r.n, sizeof **tries);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++) {
		const struct val *v = row(&r, i);

		(*tries)[i] = (struct delivery_try){
			.number = val_int(&v[0]), .at = val_time(&v[1]), .status = val_int(&v[2]), .lookup_ms = val_int(&v[3]),
			.connect_ms = val_int(&v[4]), .first_byte_ms = val_int(&v[5]), .took_ms = val_int(&v[6]),
			.address = val_str(&v[7]), .error = val_str(&v[8]), .answer = val_str(&v[9]),
			.request = val_str(&v[10]), .body = val_str(&v[11]), .body_bytes = val_int(&v[12]),
			.answer_headers = val_str(&v[13]) };
	}
	return OK;
}

struct redelivering {
	const struct id *project;
	const int64_t *ids;
	size_t n;
	int64_t changed;
};

static enum err lift_hold(struct db *db, struct ctx *cx, const struct id *project, int64_t id)
{
	struct rows r;

	TRY(db_query(db, cx, &HELD_URL, VALS(v_i(id), v_id(project)), &r));
	return r.n ? url_hold_lift(db, cx, project, val_str(&row(&r, 0)[0])) : OK;
}

static enum err again_work(struct db *db, struct ctx *cx, void *arg)
{
	struct redelivering *a = arg;
	struct val *v = arena_array(&cx->arena, a->n, 3 * sizeof *v);

	for (size_t i = 0; i < a->n; i++) {
		v[3 * i] = v_i(a->n == 1 ? 2 : 1);
		v[3 * i + 1] = v_i(a->ids[i]);
		v[3 * i + 2] = v_id(a->project);
		TRY(lift_hold(db, cx, a->project, a->ids[i]));
	}
	TRY(db_exec_array(db, cx, &AGAIN, v, a->n));
	a->changed = db_changed(db);
	return OK;
}

enum err delivery_store_again(struct db *db, struct ctx *cx, const struct id *project, const int64_t *ids, size_t n, int64_t *changed)
{
	static const struct txn AGAIN_ALL = { "redeliver", again_work, NULL };
	struct redelivering a = { project, ids, n, 0 };

	*changed = 0;
	if (!n)
		return OK;
	TRY(txn_run(db, cx, &AGAIN_ALL, &a));
	*changed = a.changed;
	return OK;
}

/* --- by the scheduler ------------------------------------------------------------------------------- */

enum { FORGET_MOST = 1000 };
static const struct sql OLD = {
	"SELECT MAX(id), COUNT(*), COALESCE(MAX(at), UTC_TIMESTAMP(6)) < UTC_TIMESTAMP(6) - INTERVAL ? DAY"
	" FROM (SELECT id, at FROM outbox FORCE INDEX (PRIMARY) WHERE id > ? ORDER BY id LIMIT ?) o", "iii" };
static const struct sql PURGE = { "CALL delivery_purge(?, ?, ?)", "iii" };

struct forgetting {
	int64_t days, after;
	bool more;
};

static enum err forget_work(struct db *db, struct ctx *cx, void *arg)
{
	struct forgetting *f = arg;
	struct rows r;
	int64_t last;

	f->more = false;
	TRY(db_query(db, cx, &OLD, VALS(v_i(f->days), v_i(f->after), v_i(FORGET_MOST)), &r));
	if (!val_int(&row(&r, 0)[1]))
		return OK;
	last = val_int(&row(&r, 0)[0]);
	TRY(db_exec(db, cx, &PURGE, VALS(v_i(f->days), v_i(f->after), v_i(last))));
	f->more = val_int(&row(&r, 0)[2]) != 0 && val_int(&row(&r, 0)[1]) == FORGET_MOST;
	f->after = last;
	return OK;
}

enum err delivery_store_forget(struct db *db, struct ctx *cx, int64_t days, int64_t *after, bool *more)
{
	static const struct txn FORGETTING = { "forget_deliveries", forget_work, NULL };
	struct forgetting f = { .days = days, .after = *after };

	TRY(txn_run(db, cx, &FORGETTING, &f));
	*after = f.after;
	*more = f.more;
	return OK;
}
