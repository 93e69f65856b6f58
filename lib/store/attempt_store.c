#include "store/attempt_store.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "model/node_loss.h"
#include "store/lane_count.h"
#include "store/task_insert.h"
#include "store/txn.h"

/* Tasks are written in order of their ids, here and in take-back: no two transactions wait crosswise.
 * What is sorted is the position of each in the caller's array. */
struct place {
	struct id id;
	size_t at;
};

static int by_id(const void *a, const void *b)
{
	return memcmp(&((const struct place *)a)->id, &((const struct place *)b)->id, sizeof(struct id));
}

/* --- starts ------------------------------------------------------------------------------------ */

static const struct sql TASK_START = {
	"UPDATE task SET state = 'running', note = NULL, started_at = NOW(6) - INTERVAL ? MICROSECOND"
	" WHERE id = ? AND state = 'preparing' AND attempt = ? AND node_session = ?", "isis" };
static const struct sql ATTEMPT_START = {
	"UPDATE attempt SET digest = IFNULL(?, digest), started_at ="
	" (SELECT t.started_at FROM task t WHERE t.id = attempt.task_id AND t.attempt = attempt.number)"
	" WHERE task_id = ? AND number = ? AND node_session = ? AND ended_at IS NULL", "ssis" };
static const struct sql TASK_RUNS_HERE = {
	"SELECT 1 FROM task WHERE id = ? AND attempt = ? AND node_session = ? AND state = 'running'", "sis" };

static const struct sql TASK_WAITS = {
	"UPDATE task SET changes = changes + 1, note = ? WHERE id = ? AND state = 'preparing' AND attempt = ?"
	" AND node_session = ?", "ssis" };

enum err attempt_store_waits(struct db *db, struct ctx *cx, const struct node_claim *who, const struct id *task,
                             int64_t attempt, struct str note)
{
	return db_exec(db, cx, &TASK_WAITS, VALS(v_s(note), v_id(task), v_i(attempt), v_s(who->session)));
}

struct start_batch {
	const struct node_claim *who;
	const struct attempt_start *starts;
	size_t n;
	bool *lost;
};

/* An array tells only how many moved: when not all did, each is asked for. */
static enum err find_lost_starts(struct db *db, struct ctx *cx, const struct start_batch *b)
{
	struct rows r;

	for (size_t i = 0; i < b->n; i++) {
		TRY(db_query(db, cx, &TASK_RUNS_HERE, VALS(v_id(&b->starts[i].task_id), v_i(b->starts[i].attempt),
		                                           v_s(b->who->session)), &r));
		b->lost[i] = r.n == 0;
	}
	return OK;
}

static enum err start_work(struct db *db, struct ctx *cx, void *arg)
{
	const struct start_batch *b = arg;
	struct val *tasks = arena_array(&cx->arena, 4 * b->n, sizeof *tasks);
	struct val *attempts = arena_array(&cx->arena, 4 * b->n, sizeof *attempts);

	for (size_t i = 0; i < b->n; i++) {
		const struct attempt_start *s = &b->starts[i];
		const struct val t[4] = { v_i(s->started_us_ago), v_id(&s->task_id), v_i(s->attempt),
			                  v_s(b->who->session) };
		const struct val a[4] = { s->digest.n ? v_s(s->digest) : v_null(), v_id(&s->task_id), v_i(s->attempt),
			                  v_s(b->who->session) };

		memcpy(tasks + 4 * i, t, sizeof t);
		memcpy(attempts + 4 * i, a, sizeof a);
		b->lost[i] = false;
	}
	TRY(db_exec_array(db, cx, &TASK_START, tasks, b->n));
	if (db_changed(db) != (int64_t)b->n)
		TRY(find_lost_starts(db, cx, b));
	return db_exec_array(db, cx, &ATTEMPT_START, attempts, b->n);
}

enum err attempt_store_start(struct db *db, struct ctx *cx, const struct node_claim *who,
                             const struct attempt_start *starts, size_t n, bool *lost)
{
	static const struct txn TXN = { "start", start_work, NULL }; /* harmless to repeat */
	struct place *places = arena_array(&cx->arena, n + 1, sizeof *places);
	struct attempt_start *sorted = arena_array(&cx->arena, n + 1, sizeof *sorted);
	struct start_batch b = { who, sorted, n, arena_array(&cx->arena, n + 1, sizeof *lost) };

	if (!n)
		return OK;
	for (size_t i = 0; i < n; i++)
		places[i] = (struct place){ starts[i].task_id, i };
	qsort(places, n, sizeof *places, by_id);
	for (size_t i = 0; i < n; i++)
		sorted[i] = starts[places[i].at];
	TRY(txn_run(db, cx, &TXN, &b));
	for (size_t i = 0; i < n; i++)
		lost[places[i].at] = b.lost[i];
	return OK;
}

/* --- ends -------------------------------------------------------------------------------------- */

/* `state` in the last assignments is the new one: the end's own msg takes the place of progress's. */
enum { SETTLE_COLUMNS = 10, ATTEMPT_END_COLUMNS = 11 };
static const struct sql TASK_SETTLE = {
	"UPDATE task SET state = ?, ended_at = GREATEST(NOW(6) - INTERVAL ? MICROSECOND, IFNULL(started_at, created_at)),"
	" exit_code = ?, cause = ?, note = ?, retry_task_id = ?, msg = IF(state IN ('error', 'killed'), ?, msg), node_id = NULL WHERE id = ? AND state = 'running' AND attempt = ? AND node_session = ?",
	"siisssssis" };
/* One that ends before its start was told. */
static const struct sql TASK_SETTLE_EARLY = {
	"UPDATE task SET state = ?, ended_at = GREATEST(NOW(6) - INTERVAL ? MICROSECOND, IFNULL(started_at, created_at)),"
	" exit_code = ?, cause = ?, note = ?, retry_task_id = ?, msg = IF(state IN ('error', 'killed'), ?, msg), node_id = NULL WHERE id = ? AND state = 'preparing' AND attempt = ? AND node_session = ?",
	"siisssssis" };
static const struct sql TASK_GIVE_BACK = {
	"UPDATE task SET state = 'queued', started_at = NULL, cause = ?, note = ?, node_id = NULL,"
	" node_session = NULL WHERE id = ? AND state IN ('preparing', 'running') AND attempt = ?"
	" AND node_session = ?", "sssis" };
static const struct sql READY_AGAIN = {
	"INSERT INTO ready (lane_id, rank_at, task_id, place, attempt)"
	" SELECT t.lane_id, t.rank_at, t.id, l.cluster_id, t.attempt"
	" FROM task t JOIN lane l ON l.id = t.lane_id WHERE t.id = ?", "s" };
static const struct sql ATTEMPT_END = {
	"UPDATE attempt SET ended_at = GREATEST(NOW(6) - INTERVAL ? MICROSECOND, IFNULL(started_at, claimed_at)),"
	" exit_code = ?, `signal` = ?, oom_kills = ?, max_rss = ?, cpu_us = ?, cause = ?, note = ?, suspect = ?"
	" WHERE task_id = ? AND number = ?", "iiiiiissisi" };
static const struct sql RUNNING_DELETE = { "DELETE FROM running WHERE node_id = ? AND task_id = ?", "is" };
static const struct sql LOOK = {
	"SELECT t.state, r.stop FROM task t LEFT JOIN running r ON r.node_id = ? AND r.task_id = t.id"
	" WHERE t.id = ? AND t.attempt = ? AND t.node_session = ? AND t.state IN ('preparing', 'running')"
	" FOR UPDATE", "isis" };
static const struct sql SETTLED_HERE = {
	"SELECT 1 FROM task WHERE id = ? AND attempt = ? AND node_session = ? AND ended_at IS NOT NULL", "sis" };
static const struct sql STILL_HERE = {
	"SELECT 1 FROM task WHERE id = ? AND attempt = ? AND node_session = ? AND ended_at IS NULL", "sis" };
/* How its code wants a lost node to be taken, and how often nodes died under it. */
_Static_assert(SUSPECT_HOURS == 72, "the statement says so too");
static const struct sql LOSS_OF = {
	"SELECT c.on_node_loss = 'fail', (SELECT COUNT(*) FROM attempt a WHERE a.task_id = t.id AND a.suspect = 1"
	" AND a.ended_at > NOW(6) - INTERVAL 72 HOUR) FROM task t JOIN code c ON c.id = t.code_id WHERE t.id = ?", "s" };
/* What a retry's new task is made of; nothing when its chain is at its end. */
static const struct sql RETRY_OF = {
	"SELECT t.project_id, t.code_id, c.revision, t.lane_id, l.cluster_id, t.priority, t.head_start_s,"
	" t.timeout_s, t.label, t.callback, t.original_task_id, t.retry, IFNULL(t.retries_delay_s, c.retries_delay_s),"
	" t.traceparent, t.schedule_id, t.retries, t.retries_delay_s,"
	" c.hooks, t.notify FROM task t JOIN code c ON c.id = t.code_id JOIN lane l ON l.id = t.lane_id"
	" WHERE t.id = ? AND c.deleted_at IS NULL AND t.retry < IFNULL(t.retries, c.retries)", "s" };
/* Within the server: fifty failed tasks with large payloads would not fit into the runner. */
static const struct sql RETRY_PAYLOAD = {
	"INSERT INTO payload (task_id, body) SELECT ?, p.body FROM payload p WHERE p.task_id = ?", "ss" };

/* The new task of one that failed. */
struct retry {
	struct id project;
	struct task_order order;
	struct code_target target;
	struct task_chain chain;
};

struct end_batch {
	const struct node_claim *who;
	const struct attempt_end *ends;
	size_t n;
	bool *lost;
	struct verdict *verdicts; /* as they are written: cleaned, and with who cancelled */
	struct retry **retries;   /* NULL = none */
	bool one_by_one, mixed;   /* mixed: the array did not move all of its rows */
};

static const struct id *retry_id(const struct end_batch *b, size_t i)
{
	static const struct id NONE;

	return b->retries[i] ? &b->retries[i]->order.id : &NONE;
}

static struct retry *retry_of(struct ctx *cx, const struct attempt_end *end, const struct val *v, int64_t now)
{
	struct retry *r = arena_take(&cx->arena, sizeof *r);

	r->project = val_id(&v[0]);
	r->target = (struct code_target){ .code_id = val_id(&v[1]), .revision = val_int(&v[2]),
		                          .lane_id = val_int(&v[3]), .cluster_id = val_int(&v[4]),
		                          .head_start_s = val_int(&v[6]), .hooks = val_int(&v[17]) };
	r->order = (struct task_order){ .id = id_make(now), .priority = val_int(&v[5]), .timeout_s = val_int(&v[7]),
		                        .label = val_str(&v[8]), .callback = val_str(&v[9]),
		                        .delay_s = val_int(&v[12]), .traceparent = val_str(&v[13]),
		                        .schedule_id = val_id(&v[14]), .has_retries = v[15].type != VAL_NULL,
		                        .retries = val_int(&v[15]), .has_retries_delay = v[16].type != VAL_NULL,
		                        .retries_delay_s = val_int(&v[16]), .notify = (unsigned)val_int(&v[18]) };
	r->chain.original = v[10].type == VAL_NULL ? end->task_id : val_id(&v[10]);
	r->chain.retry = val_int(&v[11]) + 1;
	return r;
}

/* What a new task would meet as well, or what may not be started again, as an attempt or as a task. */
static bool is_final_cause(enum cause cause)
{
	return cause == CAUSE_DECRYPTION || cause == CAUSE_NODE_LOST || cause == CAUSE_NODE_STOPPED ||
	       cause == CAUSE_ENGINE_RESTARTED || cause == CAUSE_POISON;
}

/* IronWorker 8.3: errors and kills are retried as new tasks, timeouts and cancels are not. Nor is a payload
 * that does not open: it would not the next time either. */
static enum err plan_retry(struct db *db, struct ctx *cx, struct end_batch *b, size_t i)
{
	enum task_state state = b->verdicts[i].state;
	struct rows r;
	int64_t now;

	b->retries[i] = NULL;
	if ((state != TASK_ERROR && state != TASK_KILLED) || is_final_cause(b->verdicts[i].cause))
		return OK;
	TRY(db_query(db, cx, &RETRY_OF, VALS(v_id(&b->ends[i].task_id)), &r));
	if (!r.n)
		return OK;
	TRY(db_now(db, cx, &now));
	b->retries[i] = retry_of(cx, &b->ends[i], row(&r, 0), now);
	return OK;
}

static int64_t ended_ago(const struct attempt_end *end)
{
	return end->ended_us_ago > 0 ? end->ended_us_ago : 0;
}

static struct val code_or_null(int64_t exit_code)
{
	return exit_code < 0 ? v_null() : v_i(exit_code);
}

/* A task that failed says what it printed last (IronWorker 8.2); one that ended well says nothing
 * (rule 19). */
static struct val msg_of(const struct verdict *v)
{
	bool failed = v->state == TASK_ERROR || v->state == TASK_KILLED;

	return failed && *v->output ? v_z(v->output) : v_null();
}

static void settle_row(struct val *out, const struct end_batch *b, size_t i)
{
	const struct verdict *v = &b->verdicts[i];
	const struct val row[SETTLE_COLUMNS] = { v_z(task_state_name(v->state)), v_i(ended_ago(&b->ends[i])),
		                    code_or_null(v->exit_code), v_z(cause_name(v->cause)), *v->note ? v_z(v->note) : v_null(), v_id_or_null(retry_id(b, i)), msg_of(v),
		                    v_id(&b->ends[i].task_id), v_i(b->ends[i].attempt), v_s(b->who->session) };

	memcpy(out, row, sizeof row);
}

/* The usual case: all of them run here and ended by themselves. */
static enum err settle_array(struct db *db, struct ctx *cx, struct end_batch *b)
{
	struct val *v = arena_array(&cx->arena, SETTLE_COLUMNS * b->n, sizeof *v);

	for (size_t i = 0; i < b->n; i++) {
		TRY(plan_retry(db, cx, b, i));
		settle_row(v + SETTLE_COLUMNS * i, b, i);
	}
	TRY(db_exec_array(db, cx, &TASK_SETTLE, v, b->n));
	if (db_changed(db) == (int64_t)b->n)
		return OK;
	b->mixed = true;
	return err_set(cx, ERR_CONFLICT, "settle: not all attempts are this node's any more");
}

/* Ended from outside, or nobody saw how. */
static bool gave_no_verdict(const struct verdict *v)
{
	return v->state == TASK_QUEUED || v->state == TASK_CANCELLED || v->cause == CAUSE_MONITOR_LOST;
}

/* Somebody asked for its end and the job gave no verdict of its own: that is why it ended. */
static void note_who_cancelled(struct verdict *v, struct str who)
{
	if (!gave_no_verdict(v))
		return;
	v->state = TASK_CANCELLED;
	v->cause = CAUSE_CANCELLED;
	snprintf(v->note, sizeof v->note, "cancelled by " STR_FMT, STR_ARG(text_cut(who, sizeof v->note - 14)));
}

/* No verdict: the next attempt follows, unless its code or its past forbid it. */
static enum err judge_loss(struct db *db, struct ctx *cx, struct end_batch *b, size_t i, enum task_state from)
{
	struct verdict *v = &b->verdicts[i];
	struct node_loss loss = { .suspect = v->suspect,
		                  .may_have_started = v->suspect || v->ran_us > 0 || from == TASK_RUNNING };
	const char *note = NULL;
	struct rows r;

	TRY(db_query(db, cx, &LOSS_OF, VALS(v_id(&b->ends[i].task_id)), &r));
	if (!r.n)
		return OK;
	loss.fails = val_int(&row(&r, 0)[0]) != 0;
	loss.suspects = val_int(&row(&r, 0)[1]);
	v->state = node_loss_verdict(&loss, &v->cause, &note);
	if (note)
		snprintf(v->note, sizeof v->note, "%s", note);
	return OK;
}

static enum err give_back(struct db *db, struct ctx *cx, const struct end_batch *b, size_t i)
{
	const struct attempt_end *end = &b->ends[i];
	const struct verdict *v = &b->verdicts[i];

	TRY(db_exec(db, cx, &TASK_GIVE_BACK, VALS(v_z(cause_name(v->cause)), *v->note ? v_z(v->note) : v_null(),
	                                          v_id(&end->task_id), v_i(end->attempt), v_s(b->who->session))));
	return db_exec(db, cx, &READY_AGAIN, VALS(v_id(&end->task_id)));
}

/* A job can be over before its start was told: the edges want the start first. */
static bool needs_start(const struct verdict *v, enum task_state from)
{
	return from == TASK_PREPARING && (v->ran_us > 0 || !task_state_can_move(from, v->state));
}

static enum err settle_one(struct db *db, struct ctx *cx, struct end_batch *b, size_t i)
{
	const struct attempt_end *end = &b->ends[i];
	struct verdict *v = &b->verdicts[i];
	enum task_state from = TASK_QUEUED;
	struct val set[SETTLE_COLUMNS];
	struct rows r;

	TRY(db_query(db, cx, &LOOK, VALS(v_i(b->who->node_id), v_id(&end->task_id), v_i(end->attempt),
	                                 v_s(b->who->session)), &r));
	b->lost[i] = r.n == 0;
	if (b->lost[i])
		return OK;
	task_state_parse(val_str(&row(&r, 0)[0]), &from);
	if (row(&r, 0)[1].type != VAL_NULL)
		note_who_cancelled(v, val_str(&row(&r, 0)[1]));
	if (v->state == TASK_QUEUED)
		TRY(judge_loss(db, cx, b, i, from));
	if (v->state == TASK_QUEUED)
		return give_back(db, cx, b, i);
	if (needs_start(v, from)) {
		TRY(db_exec(db, cx, &TASK_START, VALS(v_i(v->ran_us + ended_ago(end)), v_id(&end->task_id),
		                                      v_i(end->attempt), v_s(b->who->session))));
		TRY(db_exec(db, cx, &ATTEMPT_START, VALS(v_null(), v_id(&end->task_id),
		                                         v_i(end->attempt), v_s(b->who->session))));
		from = TASK_RUNNING;
	}
	TRY(plan_retry(db, cx, b, i));
	settle_row(set, b, i);
	return db_exec(db, cx, from == TASK_RUNNING ? &TASK_SETTLE : &TASK_SETTLE_EARLY, set, SETTLE_COLUMNS);
}

static enum err end_attempts(struct db *db, struct ctx *cx, const struct end_batch *b)
{
	struct val *ends = arena_array(&cx->arena, ATTEMPT_END_COLUMNS * b->n, sizeof *ends);
	struct val *gone = arena_array(&cx->arena, 2 * b->n, sizeof *gone);
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct verdict *v = &b->verdicts[i];
		const struct val e[ATTEMPT_END_COLUMNS] = { v_i(ended_ago(&b->ends[i])), code_or_null(v->exit_code), v->signal ? v_i(v->signal) : v_null(),
			                  v_i(v->oom_kills), v_i(v->max_rss_bytes), v_i(v->cpu_us),
			                  v_z(cause_name(v->cause)), *v->note ? v_z(v->note) : v_null(), v_i(v->suspect),
			                  v_id(&b->ends[i].task_id), v_i(b->ends[i].attempt) };
		const struct val g[2] = { v_i(b->who->node_id), v_id(&b->ends[i].task_id) };

		if (b->lost[i])
			continue;
		memcpy(ends + ATTEMPT_END_COLUMNS * n, e, sizeof e);
		memcpy(gone + 2 * n, g, sizeof g);
		n++;
	}
	TRY(db_exec_array(db, cx, &ATTEMPT_END, ends, n));
	return db_exec_array(db, cx, &RUNNING_DELETE, gone, n);
}

static enum err add_retries(struct db *db, struct ctx *cx, const struct end_batch *b)
{
	struct val *v = arena_array(&cx->arena, b->n * TASK_INSERT_COLUMNS, sizeof *v);
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct retry *r = b->retries[i];

		if (r && !b->lost[i])
			task_insert_row(v + n++ * TASK_INSERT_COLUMNS, &r->project, &r->order, &r->target, &r->chain,
			                TIME_NONE);
	}
	TRY(db_exec_array(db, cx, &TASK_INSERT, v, n));
	for (size_t i = 0; i < b->n; i++)
		if (b->retries[i] && !b->lost[i])
			TRY(db_exec(db, cx, &RETRY_PAYLOAD, VALS(v_id(retry_id(b, i)), v_id(&b->ends[i].task_id))));
	return OK;
}

static enum err release_lanes(struct db *db, struct ctx *cx, const struct end_batch *b)
{
	struct lane_count *counts = arena_array(&cx->arena, b->n, sizeof *counts);
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		if (!b->lost[i])
			lane_count_add(counts, &n, b->ends[i].lane_id);
	return lane_count_release(db, cx, counts, n);
}

/* What the node said, as text that the database takes. */
static void copy_verdicts(struct ctx *cx, struct end_batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct verdict *v = &b->verdicts[i];
		struct str clean;

		*v = b->ends[i].verdict;
		v->note[sizeof v->note - 1] = '\0';
		/* a copy: clean text is given back as it is, and would be printed onto itself */
		clean = text_cut(text_utf8(&cx->arena, str_of(arena_text(&cx->arena, v->note))), sizeof v->note - 1);
		snprintf(v->note, sizeof v->note, STR_FMT, STR_ARG(clean));
		v->output[sizeof v->output - 1] = '\0';
		clean = text_cut(text_utf8(&cx->arena, str_of(arena_text(&cx->arena, v->output))), sizeof v->output - 1);
		snprintf(v->output, sizeof v->output, STR_FMT, STR_ARG(clean));
		b->lost[i] = false;
		b->retries[i] = NULL;
	}
}

static enum err settle_work(struct db *db, struct ctx *cx, void *arg)
{
	struct end_batch *b = arg;

	copy_verdicts(cx, b);
	if (!b->one_by_one)
		TRY(settle_array(db, cx, b));
	for (size_t i = 0; b->one_by_one && i < b->n; i++)
		TRY(settle_one(db, cx, b, i));
	TRY(end_attempts(db, cx, b));
	TRY(add_retries(db, cx, b));
	return release_lanes(db, cx, b);
}

/* All of it is there, or nothing: the first that was ours tells. */
static enum err settle_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	const struct end_batch *b = arg;
	size_t i = 0;
	struct rows r;
	bool back;

	while (i < b->n && b->lost[i])
		i++;
	*yes = i == b->n;
	if (*yes)
		return OK;
	back = b->verdicts[i].state == TASK_QUEUED;
	TRY(db_query(db, cx, back ? &STILL_HERE : &SETTLED_HERE,
	             VALS(v_id(&b->ends[i].task_id), v_i(b->ends[i].attempt), v_s(b->who->session)), &r));
	*yes = back ? r.n == 0 : r.n == 1;
	return OK;
}

static bool all_ended_by_themselves(const struct end_batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (gave_no_verdict(&b->ends[i].verdict))
			return false;
	return true;
}

static enum err settle_sorted(struct db *db, struct ctx *cx, struct end_batch *b)
{
	static const struct txn TXN = { "settle", settle_work, settle_done };
	enum err e;

	b->one_by_one = !all_ended_by_themselves(b);
	e = txn_run(db, cx, &TXN, b);
	if (e == OK || !b->mixed)
		return e;
	b->one_by_one = true;
	return txn_run(db, cx, &TXN, b);
}

enum err attempt_store_settle(struct db *db, struct ctx *cx, const struct node_claim *who,
                              const struct attempt_end *ends, size_t n, bool *lost)
{
	struct place *places = arena_array(&cx->arena, n + 1, sizeof *places);
	struct attempt_end *sorted = arena_array(&cx->arena, n + 1, sizeof *sorted);
	struct end_batch b = { .who = who, .ends = sorted, .n = n };

	if (!n)
		return OK;
	for (size_t i = 0; i < n; i++)
		places[i] = (struct place){ ends[i].task_id, i };
	qsort(places, n, sizeof *places, by_id);
	for (size_t i = 0; i < n; i++)
		sorted[i] = ends[places[i].at];
	b.lost = arena_array(&cx->arena, n, sizeof *b.lost);
	b.verdicts = arena_array(&cx->arena, n, sizeof *b.verdicts);
	b.retries = arena_array(&cx->arena, n, sizeof(struct retry *));
	TRY(settle_sorted(db, cx, &b));
	for (size_t i = 0; i < n; i++)
		lost[places[i].at] = b.lost[i];
	return OK;
}
