#include "store/task_store.h"

#include "base/clock.h"
#include "base/fault_point.h"
#include "base/text.h"
#include "store/db_error.h"
#include "store/expiry_store.h"
#include "store/task_insert.h"
#include "store/task_row.h"
#include "store/txn.h"

#include <time.h>

/* --- queueing ---------------------------------------------------------------------------------- */

enum { ADD_TRIES = 3, PAGE_TASKS = 1000, PAGE_BYTES = 2 << 20, ONE_PAGE_BYTES = 64 << 10, DUPLICATE = 1062,
       CLOCK_ERROR_MOST_US = 200000 };

/* A locking read waits for an insert that is under way on a connection we have lost. */
static const struct sql IS_QUEUED = { "SELECT 1 FROM task WHERE id = ? AND project_id = ? LOCK IN SHARE MODE", "ss" };

struct add {
	const struct id *project;
	const struct task_order *orders;
	const struct code_target *targets;
	size_t n;
	int64_t not_after;
	struct val *page; /* values of one page, used again for the next */
	const struct idempotency *once; /* NULL = no key */
	bool taken, expires; /* any of them has a time */
};

/* How many tasks from `at` on make one array: bounded in rows and in bytes, since the server takes
 * packets of a limited size, and each statement has to be over within db_wait_s. */
static size_t page_length(const struct add *a, size_t at)
{
	size_t n = 0, bytes = 0;

	while (at + n < a->n && n < PAGE_TASKS && (n == 0 || bytes + a->orders[at + n].payload.n <= PAGE_BYTES))
		bytes += a->orders[at + n++].payload.n;
	return n;
}

static enum err insert_page(struct db *db, struct ctx *cx, const struct add *a, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		task_insert_row(a->page + i * TASK_INSERT_COLUMNS, a->project, &a->orders[at + i], &a->targets[at + i],
		                NULL, a->not_after);
	return db_exec_array(db, cx, &TASK_INSERT, a->page, n);
}

static enum err set_deadline(struct db *db, struct ctx *cx, struct add *a)
{
	int64_t now;

	TRY(db_now(db, cx, &now));
	a->not_after = now + (int64_t)db_wait_s(db) * 1000000;
	return OK;
}

static enum err add_work(struct db *db, struct ctx *cx, void *arg)
{
	struct add *a = arg;

	if (a->once)
		TRY(idempotency_store_take(db, cx, a->project, a->once, &a->taken));
	for (size_t at = 0, n; at < a->n; at += n) {
		/* Each page has a deadline of its own: what keeps a large request from being carried out late is
		 * that nothing counts before the COMMIT, and one deadline for all refused it on a busy machine. */
		TRY(set_deadline(db, cx, a));
		n = page_length(a, at);
		TRY(insert_page(db, cx, a, at, n));
	}
	return a->expires ? expiry_store_note(db, cx, a->orders, a->n) : OK;
}

/* All or nothing, so the first id answers for all. */
static enum err add_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	const struct add *a = arg;
	struct rows r;

	TRY(db_query(db, cx, &IS_QUEUED, VALS(v_id(&a->orders[0].id), v_id(a->project)), &r));
	*yes = r.n == 1;
	return OK;
}

/* It went out and no answer came: asks as long as the caller can wait. */
static enum err ask_whether_added(struct db *db, struct ctx *cx, struct add *a, int64_t until, bool *yes)
{
	const struct timespec pause = { 0, 50000000 };

	while (clock_boot_us() < until) {
		if (add_done(db, cx, a, yes) == OK)
			return OK;
		nanosleep(&pause, NULL);
	}
	return err_set(cx, ERR_UNSURE, "the database went away in the middle of the change: look whether it was "
	               "carried out");
}

/* A full disk keeps MariaDB trying for seconds over rows like these. In a transaction, whose COMMIT is not out then,
 * no answer means that nothing is queued; by their own commit nobody could say. */
static bool is_large(const struct add *a)
{
	size_t bytes = 0;

	for (size_t i = 0; i < a->n; i++)
		bytes += a->orders[i].payload.n;
	return bytes > ONE_PAGE_BYTES;
}

/* A statement that a hanging server had not begun when its deadline passed is never carried out: waits for the rest of
 * it, which is the error of our notion of the server's clock. */
static bool is_past_deadline(struct db *db, int64_t until)
{
	const struct timespec pause = { 0, 1000000 };
	int64_t past = until + db_clock_error(db);

	if (past - until > CLOCK_ERROR_MOST_US)
		return false;
	while (clock_boot_us() <= past)
		nanosleep(&pause, NULL);
	return true;
}

/* The usual case: one array, one round trip, its own commit. Its deadline keeps a server that hung
 * from beginning it late, but not from ending what had begun: hence ERR_UNSURE. */
static enum err add_one_page(struct db *db, struct ctx *cx, struct add *a, int64_t until)
{
	enum err e = OK;
	bool yes = false;

	for (int try = 0; try < ADD_TRIES; try++) {
		FAULT_POINT("enqueue_page", "before_commit");
		e = insert_page(db, cx, a, 0, a->n); /* its own commit */
		FAULT_POINT("enqueue_page", "after_commit");
		if (e == OK || (try > 0 && db_errno(db) == DUPLICATE))
			return OK; /* its own ids, of a try whose answer was lost */
		if (db_was_unread(db) && is_past_deadline(db, until))
			return e;
		if (db_is_unsure(db)) {
			TRY(ask_whether_added(db, cx, a, until, &yes));
			if (yes)
				return OK;
		} else if (db_is_lost(db)) {
			if (clock_boot_us() >= until)
				return e;
		} else if (db_error_action(db_errno(db)) != DB_AGAIN) {
			return e;
		}
	}
	return e;
}

static enum err add(struct db *db, struct ctx *cx, struct add *a)
{
	static const struct txn TXN = { "enqueue", add_work, add_done };
	int64_t until = clock_boot_us() + (int64_t)db_wait_s(db) * 1000000;
	size_t n = a->n;

	if (!n)
		return OK;
	TRY(set_deadline(db, cx, a));
	a->page = arena_array(&cx->arena, (n < PAGE_TASKS ? n : PAGE_TASKS) * TASK_INSERT_COLUMNS, sizeof *a->page);
	for (size_t i = 0; i < n; i++)
		a->expires |= a->orders[i].expires_in_s > 0;
	if (!a->once && !a->expires && page_length(a, 0) == n && !is_large(a))
		return add_one_page(db, cx, a, until);
	return txn_run(db, cx, &TXN, a);
}

enum err task_store_add(struct db *db, struct ctx *cx, const struct id *project,
                        const struct task_order *orders, const struct code_target *targets, size_t n)
{
	struct add a = { .project = project, .orders = orders, .targets = targets, .n = n };

	return add(db, cx, &a);
}

enum err task_store_add_once(struct db *db, struct ctx *cx, const struct id *project, const struct task_order *orders,
                             const struct code_target *targets, size_t n, const struct idempotency *once, bool *taken)
{
	struct add a = { .project = project, .orders = orders, .targets = targets, .n = n, .once = once };
	enum err e = add(db, cx, &a);

	*taken = a.taken;
	return e;
}

/* --- one task ---------------------------------------------------------------------------------- */

enum err task_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct id *task, struct task *out)
{
	size_t n;

	TRY(task_rows_read(db, cx, project, task, 1, PAYLOAD_WHOLE, out, &n));
	return n ? OK : err_set(cx, ERR_NOT_FOUND, "task not found");
}

enum err task_store_read(struct db *db, struct ctx *cx, const struct id *project, const struct id *ids, size_t n,
                         struct task *out, size_t *found)
{
	*found = 0;
	for (size_t i = 0, got; i < n; i += TASK_ROWS_MOST) {
		size_t piece = n - i < TASK_ROWS_MOST ? n - i : TASK_ROWS_MOST;

		TRY(task_rows_read(db, cx, project, ids + i, piece, PAYLOAD_NONE, out + *found, &got));
		*found += got;
	}
	return OK;
}

static const struct sql EXISTS = { "SELECT 1 FROM task WHERE id = ? AND project_id = ?", "ss" };

static enum err must_exist(struct db *db, struct ctx *cx, const struct id *project, const struct id *task)
{
	struct rows r;

	TRY(db_query(db, cx, &EXISTS, VALS(v_id(task), v_id(project)), &r));
	return r.n ? OK : err_set(cx, ERR_NOT_FOUND, "task not found");
}

/* What a failed task printed last is not to be had again. */
static const struct sql PROGRESS = {
	"UPDATE task SET percent = IFNULL(?, percent), msg = IF(state IN ('error', 'killed'), msg, IFNULL(?, msg)),"
	" updated_at = NOW(6)"
	" WHERE id = ? AND project_id = ?", "isss" };

enum err task_store_progress(struct db *db, struct ctx *cx, const struct id *project, const struct id *task,
                             int64_t percent, struct str msg)
{
	TRY(must_exist(db, cx, project, task)); /* also finds a connection that died unseen */
	return db_exec(db, cx, &PROGRESS, VALS(percent < 0 ? v_null() : v_i(percent > 100 ? 100 : percent),
	                                       msg.p ? v_s(msg) : v_null(), v_id(task), v_id(project)));
}

/* --- cancel ------------------------------------------------------------------------------------ */

static const struct sql CANCEL_LOOK = {
	"SELECT t.state, t.attempt, t.lane_id, t.rank_at, t.due_at, t.node_id, n.doorbell, r.stop"
	" FROM task t LEFT JOIN node n ON n.id = t.node_id"
	" LEFT JOIN running r ON r.node_id = t.node_id AND r.task_id = t.id WHERE t.id = ? AND t.project_id = ?", "ss" };
static const struct sql READY_DELETE = { "DELETE FROM ready WHERE lane_id = ? AND rank_at = ? AND task_id = ?", "its" };
static const struct sql DELAYED_DELETE = { "DELETE FROM `delayed` WHERE due_at = ? AND task_id = ?", "ts" };
static const struct sql CANCEL_WAITING = {
	"UPDATE task SET state = 'cancelled', ended_at = NOW(6), cause = 'cancelled', note = ?"
	" WHERE id = ? AND state = 'queued' AND attempt = ?", "ssi" };
/* No state changes yet: the statement counts the change itself, and the trigger makes its event. */
static const struct sql CANCEL_ASKED = {
	"UPDATE task SET changes = changes + 1, note = ? WHERE id = ? AND attempt = ? AND node_id = ?"
	" AND state IN ('preparing', 'running')", "ssii" };
static const struct sql STOP_ASKED = {
	"UPDATE running SET stop = ? WHERE node_id = ? AND task_id = ? AND attempt = ? AND stop IS NULL", "sisi" };

struct cancel {
	const struct id *project, *task;
	struct str who;
	enum task_state state;
	struct str doorbell;
	bool again; /* it moved between look and write */
};

/* Out of `ready` or `delayed` first, as a claim does: the same order of locks. */
static enum err cancel_waiting(struct db *db, struct ctx *cx, struct cancel *c, const struct val *v)
{
	const char *note = arena_printf(&cx->arena, "cancelled by " STR_FMT, STR_ARG(c->who));

	TRY(db_exec(db, cx, &READY_DELETE, VALS(v[2], v[3], v_id(c->task))));
	if (!db_changed(db))
		TRY(db_exec(db, cx, &DELAYED_DELETE, VALS(v[4], v_id(c->task))));
	c->again = db_changed(db) != 1; /* claimed or promoted meanwhile */
	if (c->again)
		return OK;
	TRY(db_exec(db, cx, &CANCEL_WAITING, VALS(v_z(note), v_id(c->task), v[1])));
	if (db_changed(db) != 1)
		return err_set(cx, ERR_INTERNAL, "cancel: the task waits and is not queued");
	c->state = TASK_CANCELLED;
	return OK;
}

static enum err ask_node(struct db *db, struct ctx *cx, struct cancel *c, const struct val *v)
{
	const char *note = arena_printf(&cx->arena, "cancel asked by " STR_FMT, STR_ARG(c->who));

	c->doorbell = val_str(&v[6]);
	if (v[7].type != VAL_NULL)
		return OK; /* somebody asked before */
	TRY(db_exec(db, cx, &CANCEL_ASKED, VALS(v_z(note), v_id(c->task), v[1], v[5])));
	c->again = db_changed(db) != 1;
	if (c->again)
		return OK;
	return db_exec(db, cx, &STOP_ASKED, VALS(v_s(c->who), v[5], v_id(c->task), v[1]));
}

static enum err cancel_work(struct db *db, struct ctx *cx, void *arg)
{
	struct cancel *c = arg;
	struct rows r;

	c->again = false;
	c->doorbell = STR_LIT("");
	TRY(db_query(db, cx, &CANCEL_LOOK, VALS(v_id(c->task), v_id(c->project)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "task not found");
	task_state_parse(val_str(&row(&r, 0)[0]), &c->state);
	if (task_state_is_settled(c->state))
		return OK;
	return c->state == TASK_QUEUED ? cancel_waiting(db, cx, c, row(&r, 0)) : ask_node(db, cx, c, row(&r, 0));
}

enum err task_store_cancel(struct db *db, struct ctx *cx, const struct id *project, const struct id *task,
                           struct str who, enum task_state *state, struct str *node_doorbell)
{
	enum { TRIES = 10, WHO_BYTES = 200 };
	static const struct txn TXN = { "cancel", cancel_work, NULL }; /* harmless to repeat */
	struct cancel c = { .project = project, .task = task, .who = text_cut(who, WHO_BYTES) };

	for (int try = 0; try < TRIES; try++) {
		TRY(txn_run(db, cx, &TXN, &c));
		if (c.again)
			continue;
		*state = c.state;
		*node_doorbell = c.doorbell;
		return OK;
	}
	return err_set(cx, ERR_BUSY, "cancel: the task keeps moving");
}

/* --- its history ------------------------------------------------------------------------------- */

static const struct sql EVENTS = {
	"SELECT number, attempt, state, at, cause, note FROM event WHERE task_id = ? ORDER BY number", "s" };
static const struct sql ATTEMPTS = {
	"SELECT a.number, a.claimed_at, a.started_at, a.ended_at, a.exit_code, a.`signal`, a.oom_kills, a.max_rss,"
	" a.cpu_us, a.day, n.name, a.cause, a.note FROM attempt a LEFT JOIN node n ON n.id = a.node_id"
	" WHERE a.task_id = ? ORDER BY a.number", "s" };
static const struct sql DELIVERIES = {
	"SELECT number, tries, last_status, at, next_at, state, last_error FROM outbox"
	" WHERE task_id = ? ORDER BY number", "s" };

enum err task_store_events(struct db *db, struct ctx *cx, const struct id *project, const struct id *task,
                           struct task_event **out, size_t *n)
{
	struct rows r;

	TRY(must_exist(db, cx, project, task));
	TRY(db_query(db, cx, &EVENTS, VALS(v_id(task)), &r));
	*out = arena_array(&cx->arena, r.n + 1, sizeof **out);
	for (size_t i = 0; i < r.n; i++) {
		const struct val *v = row(&r, i);
		struct task_event *e = &(*out)[i];

		*e = (struct task_event){ .number = val_int(&v[0]), .attempt = val_int(&v[1]), .at = val_time(&v[3]),
			                  .cause = val_str(&v[4]), .note = val_str(&v[5]) };
		task_state_parse(val_str(&v[2]), &e->state);
	}
	*n = r.n;
	return OK;
}

static struct task_attempt attempt_of(const struct val *v)
{
	return (struct task_attempt){
		.number = val_int(&v[0]), .claimed_at = val_time(&v[1]), .started_at = val_time(&v[2]),
		.ended_at = val_time(&v[3]), .exit_code = v[4].type == VAL_NULL ? -1 : val_int(&v[4]),
		.signal = val_int(&v[5]), .oom_kills = val_int(&v[6]), .max_rss_bytes = val_int(&v[7]),
		.cpu_us = val_int(&v[8]), .day = val_int(&v[9]), .node_name = val_str(&v[10]), .cause = val_str(&v[11]),
		.note = val_str(&v[12]) };
}

enum err task_store_attempts(struct db *db, struct ctx *cx, const struct id *project, const struct id *task,
                             struct task_attempt **out, size_t *n)
{
	struct rows r;

	TRY(must_exist(db, cx, project, task));
	TRY(db_query(db, cx, &ATTEMPTS, VALS(v_id(task)), &r));
	*out = arena_array(&cx->arena, r.n + 1, sizeof **out);
	for (size_t i = 0; i < r.n; i++)
		(*out)[i] = attempt_of(row(&r, i));
	*n = r.n;
	return OK;
}

enum err task_store_deliveries(struct db *db, struct ctx *cx, const struct id *project, const struct id *task,
                               struct task_delivery **out, size_t *n)
{
	struct rows r;

	TRY(must_exist(db, cx, project, task));
	TRY(db_query(db, cx, &DELIVERIES, VALS(v_id(task)), &r));
	*out = arena_array(&cx->arena, r.n + 1, sizeof **out);
	for (size_t i = 0; i < r.n; i++) {
		const struct val *v = row(&r, i);

		(*out)[i] = (struct task_delivery){ .number = val_int(&v[0]), .tries = val_int(&v[1]),
			                            .status = val_int(&v[2]), .at = val_time(&v[3]),
			                            .next_at = val_time(&v[4]), .state = val_str(&v[5]),
			                            .error = val_str(&v[6]) };
	}
	*n = r.n;
	return OK;
}
