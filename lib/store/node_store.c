#include "store/node_store.h"

#include "base/clock.h"
#include "base/fault_point.h"
#include "model/cause.h"
#include "model/node_loss.h"
#include "store/db_error.h"
#include "store/lane_count.h"
#include "store/txn.h"

/* --- sessions ---------------------------------------------------------------------------------- */

static const struct sql CLUSTER_FIND = {
	"SELECT c.id, t.cluster_id FROM cluster c LEFT JOIN turn t ON t.cluster_id = c.id WHERE c.name = ?", "s" };
static const struct sql CLUSTER_ADD = { "INSERT IGNORE INTO cluster (name) VALUES (?)", "s" };
static const struct sql TURN_ADD = {
	"INSERT IGNORE INTO turn (cluster_id) SELECT id FROM cluster WHERE name = ?", "s" };
static const struct sql NODE_ADD = {
	"INSERT INTO node (name, cluster_id, session, lease_until, beat_at, started_at, slots, doorbell, runtime)"
	" VALUES (?, ?, ?, NOW(6) + INTERVAL ? SECOND, NOW(6), NOW(6), ?, ?, ?)"
	" ON DUPLICATE KEY UPDATE lease_until = VALUES(lease_until)", "sisiiss" };
static const struct sql NODE_FIND = { "SELECT id, cluster_id FROM node WHERE session = ? AND state <> 'gone'", "s" };
static const struct sql NODE_RESUME = {
	"UPDATE node FORCE INDEX (PRIMARY) SET lease_until = NOW(6) + INTERVAL ? SECOND, beat_at = NOW(6), slots = ?,"
	" doorbell = ? WHERE id = ? AND session = ? AND state <> 'gone'", "iisis" };
/* beat_at always changes, also for two renewals in one microsecond: a row that did not change would
 * read as a session that is gone. */
static const struct sql NODE_RENEW = {
	"UPDATE node FORCE INDEX (PRIMARY) SET lease_until = NOW(6) + INTERVAL ? SECOND,"
	" beat_at = GREATEST(NOW(6), beat_at + INTERVAL 1 MICROSECOND), running = ?"
	" WHERE id = ? AND session = ? AND state <> 'gone'", "iiis" };
static const struct sql NODE_IS_DRAINING = { "SELECT 1 FROM node WHERE id = ? AND state = 'draining'", "i" };
static const struct sql NODE_LEAVE = {
	"UPDATE node FORCE INDEX (PRIMARY) SET state = 'gone', lease_until = NOW(6), running = 0 WHERE id = ? AND session = ?"
	" AND NOT EXISTS (SELECT 1 FROM running r WHERE r.node_id = node.id)", "is" };
static const struct sql STOPS = { "SELECT task_id, attempt FROM running WHERE node_id = ? AND stop IS NOT NULL", "i" };

static bool may_repeat(const struct db *db, int64_t began)
{
	return db_error_action(db_errno(db)) == DB_AGAIN || (db_is_lost(db) && clock_boot_us() - began < 500000);
}

/* For single statements that may be done twice, at once: an idle connection may have died unseen, which
 * shows at once (a server that took its time to fail is not asked again); another one had the row in a
 * deadlock or for too long (a lease does not wait for what that one does next). */
static enum err exec_repeatable(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, size_t n)
{
	int64_t began = clock_boot_us();
	enum err e;

	FAULT_POINT("node_row", "before_commit"); /* registered, renewed, handed over, drained, left */
	e = db_exec(db, cx, sql, v, n);
	FAULT_POINT("node_row", "after_commit");
	for (int again = 0; again < 2 && e != OK && may_repeat(db, began); again++)
		e = db_exec(db, cx, sql, v, n);
	return e;
}

static enum err cluster_of(struct db *db, struct ctx *cx, struct str name, int64_t *id)
{
	struct rows r;

	TRY(db_query(db, cx, &CLUSTER_FIND, VALS(v_s(name)), &r));
	if (!r.n || row(&r, 0)[1].type == VAL_NULL) {
		TRY(exec_repeatable(db, cx, &CLUSTER_ADD, VALS(v_s(name))));
		TRY(exec_repeatable(db, cx, &TURN_ADD, VALS(v_s(name))));
		TRY(db_query(db, cx, &CLUSTER_FIND, VALS(v_s(name)), &r));
	}
	*id = val_int(&row(&r, 0)[0]);
	return OK;
}

static enum err find_session(struct db *db, struct ctx *cx, struct str session, int64_t *node_id, int64_t *cluster_id)
{
	struct rows r;

	TRY(db_query(db, cx, &NODE_FIND, VALS(v_s(session)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "this node's session was taken back");
	*node_id = val_int(&row(&r, 0)[0]);
	*cluster_id = val_int(&row(&r, 0)[1]);
	return OK;
}

enum err node_store_register(struct db *db, struct ctx *cx, struct str name, struct str cluster,
                             struct str session, int64_t slots, struct str doorbell, struct str runtime,
                             int64_t lease_s, int64_t *node_id, int64_t *cluster_id)
{
	int64_t id;

	TRY(cluster_of(db, cx, cluster, &id));
	TRY(exec_repeatable(db, cx, &NODE_ADD, VALS(v_s(name), v_i(id), v_s(session), v_i(lease_s), v_i(slots),
	                                            v_s(doorbell), v_s(runtime))));
	return find_session(db, cx, session, node_id, cluster_id);
}

enum err node_store_resume(struct db *db, struct ctx *cx, struct str session, int64_t slots,
                           struct str doorbell, int64_t lease_s, int64_t *node_id, int64_t *cluster_id)
{
	TRY(find_session(db, cx, session, node_id, cluster_id));
	TRY(exec_repeatable(db, cx, &NODE_RESUME, VALS(v_i(lease_s), v_i(slots), v_s(doorbell), v_i(*node_id), v_s(session))));
	if (db_changed(db) != 1)
		return err_set(cx, ERR_NOT_FOUND, "this node's session was taken back");
	return OK;
}

enum err node_store_renew(struct db *db, struct ctx *cx, int64_t node_id, struct str session,
                          int64_t lease_s, int64_t running, bool *draining)
{
	struct rows r;

	TRY(exec_repeatable(db, cx, &NODE_RENEW, VALS(v_i(lease_s), v_i(running), v_i(node_id), v_s(session))));
	if (db_changed(db) != 1)
		return err_set(cx, ERR_CONFLICT, "renew the lease: this node's session was taken back");
	TRY(db_query(db, cx, &NODE_IS_DRAINING, VALS(v_i(node_id)), &r));
	*draining = r.n == 1;
	return OK;
}

enum err node_store_stops(struct db *db, struct ctx *cx, int64_t node_id, struct stop_request **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &STOPS, VALS(v_i(node_id)), &r));
	*out = arena_array(&cx->arena, r.n + 1, sizeof **out);
	for (size_t i = 0; i < r.n; i++)
		(*out)[i] = (struct stop_request){ val_id(&row(&r, i)[0]), val_int(&row(&r, i)[1]) };
	*n = r.n;
	return OK;
}

enum err node_store_leave(struct db *db, struct ctx *cx, int64_t node_id, struct str session)
{
	struct rows r;

	TRY(exec_repeatable(db, cx, &NODE_LEAVE, VALS(v_i(node_id), v_s(session))));
	if (db_changed(db) == 1)
		return OK;
	TRY(db_query(db, cx, &NODE_FIND, VALS(v_s(session)), &r));
	return r.n ? err_set(cx, ERR_CONFLICT, "leave: this node still has tasks") : OK;
}

/* --- what people and the API ask ------------------------------------------------------------------ */

static const struct sql NODE_DRAIN = {
	"UPDATE node FORCE INDEX (PRIMARY) SET state = 'draining' WHERE id = ? AND state = 'live'", "i" };
static const struct sql NODE_UNDRAIN = {
	"UPDATE node FORCE INDEX (PRIMARY) SET state = 'live' WHERE id = ? AND state = 'draining'", "i" };
static const struct sql NODES_NAMED = {
	"SELECT id FROM node FORCE INDEX (lease) WHERE name = ? AND state IN ('live', 'draining')", "s" };
static const struct sql NODE_LIST = {
	"SELECT n.id, n.cluster_id, n.slots, n.running, n.name, c.name, n.session, n.doorbell, n.runtime, n.state,"
	" n.lease_until, n.beat_at, n.started_at FROM node n JOIN cluster c ON c.id = n.cluster_id"
	" ORDER BY n.state, n.id DESC LIMIT 200", "" };
static const struct sql DOORBELLS = {
	"SELECT doorbell FROM node FORCE INDEX (lease) WHERE state = 'live' AND lease_until > NOW(6)"
	" AND cluster_id = ? AND running < slots AND doorbell <> '' LIMIT 2", "i" };
static const struct sql LIVE = {
	"SELECT COUNT(*) FROM node FORCE INDEX (lease) WHERE state = 'live' AND lease_until > NOW(6)", "" };

enum err node_store_drain(struct db *db, struct ctx *cx, struct str name, bool drain)
{
	struct rows r;

	TRY(db_query(db, cx, &NODES_NAMED, VALS(v_s(name)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no live node '" STR_FMT "'", STR_ARG(name));
	for (size_t i = 0; i < r.n; i++) /* by key, one at a time: see NODE_CLAIMS in ready_store.c */
		TRY(exec_repeatable(db, cx, drain ? &NODE_DRAIN : &NODE_UNDRAIN, VALS(row(&r, i)[0])));
	return OK;
}

static struct node node_of(const struct val *v)
{
	return (struct node){ .id = val_int(&v[0]), .cluster_id = val_int(&v[1]), .slots = val_int(&v[2]),
		              .running = val_int(&v[3]), .name = val_str(&v[4]), .cluster_name = val_str(&v[5]),
		              .session = val_str(&v[6]), .doorbell = val_str(&v[7]), .runtime = val_str(&v[8]),
		              .state = val_str(&v[9]), .lease_until = val_time(&v[10]), .beat_at = val_time(&v[11]),
		              .started_at = val_time(&v[12]) };
}

enum err node_store_list(struct db *db, struct ctx *cx, struct node **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &NODE_LIST, NULL, 0, &r));
	*out = arena_array(&cx->arena, r.n + 1, sizeof **out);
	for (size_t i = 0; i < r.n; i++)
		(*out)[i] = node_of(row(&r, i));
	*n = r.n;
	return OK;
}

enum err node_store_doorbells(struct db *db, struct ctx *cx, int64_t cluster_id, struct str out[2], size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &DOORBELLS, VALS(v_i(cluster_id)), &r));
	for (size_t i = 0; i < r.n; i++)
		out[i] = val_str(&row(&r, i)[0]);
	*n = r.n;
	return OK;
}

enum err node_store_live(struct db *db, struct ctx *cx, int64_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &LIVE, NULL, 0, &r));
	*n = val_int(&row(&r, 0)[0]);
	return OK;
}

/* --- the scheduler: beat and take-back ------------------------------------------------------------- */

enum { PAGE = 500, NODES_AT_ONCE = 20 };

/* grace_until first: it judges the old `at`. */
static const struct sql BEAT = {
	"UPDATE beat SET grace_until = IF(at < NOW(6) - INTERVAL 3 SECOND, NOW(6) + INTERVAL ? SECOND, grace_until),"
	" at = NOW(6) WHERE id = 1", "i" };
/* A beat that nobody kept says as little as one that lapsed. */
static const struct sql IS_GRACE = {
	"SELECT grace_until > NOW(6) OR at < NOW(6) - INTERVAL 3 SECOND FROM beat WHERE id = 1", "" };
/* Those too whose lease will be over within a second, with how long it still is. */
static const struct sql DEAD_NODES = {
	"(SELECT id, session, TIMESTAMPDIFF(MICROSECOND, NOW(6), lease_until) FROM node FORCE INDEX (lease)"
	" WHERE state IN ('live', 'draining') AND lease_until < NOW(6) + INTERVAL 1 SECOND LIMIT 20)"
	" UNION ALL (SELECT id, session, -1 FROM node FORCE INDEX (lease)"
	" WHERE state = 'gone' AND EXISTS (SELECT 1 FROM running r WHERE r.node_id = node.id) LIMIT 20)", "" };
static const struct sql NODE_GONE = {
	"UPDATE node FORCE INDEX (PRIMARY) SET state = 'gone', claims = claims + 1, running = 0"
	" WHERE id = ? AND session = ? AND (state = 'gone' OR lease_until < NOW(6))", "is" };
_Static_assert(SUSPECT_HOURS == 72, "the statement says so too");
static const struct sql RUNNING_PAGE = {
	"SELECT r.task_id, r.attempt, r.lane_id, r.stop, t.rank_at, l.cluster_id, c.on_node_loss = 'fail',"
	" (SELECT COUNT(*) FROM attempt a WHERE a.task_id = r.task_id AND a.suspect = 1"
	" AND a.ended_at > NOW(6) - INTERVAL 72 HOUR) FROM running r"
	" STRAIGHT_JOIN task t FORCE INDEX (PRIMARY) ON t.id = r.task_id"
	" STRAIGHT_JOIN lane l FORCE INDEX (PRIMARY) ON l.id = r.lane_id"
	" STRAIGHT_JOIN code c FORCE INDEX (PRIMARY) ON c.id = l.code_id"
	" WHERE r.node_id = ? ORDER BY r.task_id LIMIT 500", "i" };
static const struct sql TASK_AGAIN = {
	"UPDATE task SET state = 'queued', started_at = NULL, cause = ?, note = ?, node_id = NULL, node_session = NULL"
	" WHERE id = ? AND state IN ('preparing', 'running') AND attempt = ? AND node_session = ?", "sssis" };
static const struct sql TASK_END_LOST = {
	"UPDATE task SET state = ?, ended_at = NOW(6), cause = ?, note = ?, node_id = NULL"
	" WHERE id = ? AND state IN ('preparing', 'running') AND attempt = ? AND node_session = ?", "ssssis" };
static const struct sql READY_AGAIN = {
	"INSERT INTO ready (lane_id, rank_at, task_id, place, attempt) VALUES (?, ?, ?, ?, ?)", "itsii" };
static const struct sql ATTEMPT_LOST = {
	"UPDATE attempt SET ended_at = NOW(6), cause = ?, note = ?, suspect = 1 WHERE task_id = ? AND number = ?", "sssi" };
static const struct sql RUNNING_DELETE = { "DELETE FROM running WHERE node_id = ? AND task_id = ?", "is" };

struct lost_task {
	struct id id;
	int64_t attempt, lane_id, rank_at, cluster_id;
	enum task_state next; /* TASK_QUEUED: its next attempt follows */
	struct val cause, note;
};

struct take_back {
	int64_t node_id;
	struct str session;
	struct lost_task *tasks; /* those that were moved */
	size_t n;
	bool grace;
};

static enum err in_grace(struct db *db, struct ctx *cx, bool *grace)
{
	struct rows r;

	TRY(db_query(db, cx, &IS_GRACE, NULL, 0, &r));
	*grace = !r.n || val_int(&row(&r, 0)[0]) != 0;
	return OK;
}

enum err node_store_beat(struct db *db, struct ctx *cx, int64_t lease_s, bool *grace)
{
	TRY(exec_repeatable(db, cx, &BEAT, VALS(v_i(lease_s))));
	return in_grace(db, cx, grace);
}

/* `suspect`: it may have been the death of its node. */
static struct lost_task lost_task_of(struct ctx *cx, const struct val *v, bool suspect)
{
	struct lost_task t = { .id = val_id(&v[0]), .attempt = val_int(&v[1]), .lane_id = val_int(&v[2]),
		               .rank_at = val_time(&v[4]), .cluster_id = val_int(&v[5]) };
	struct node_loss loss = { .fails = val_int(&v[6]) != 0, .may_have_started = true, .suspect = suspect,
		                  .suspects = val_int(&v[7]) };
	enum cause cause = CAUSE_NODE_LOST;
	const char *note = "its node was lost";

	t.next = node_loss_verdict(&loss, &cause, &note);
	if (v[3].type != VAL_NULL) {
		t.next = TASK_CANCELLED;
		cause = CAUSE_CANCELLED;
		note = arena_printf(&cx->arena, "cancelled by " STR_FMT ", then its node was lost", STR_ARG(val_str(&v[3])));
	}
	t.cause = v_z(cause_name(cause));
	t.note = v_z(note);
	return t;
}

static enum err move_one(struct db *db, struct ctx *cx, const struct take_back *b, const struct lost_task *t)
{
	if (t->next == TASK_QUEUED)
		return db_exec(db, cx, &TASK_AGAIN, VALS(t->cause, t->note, v_id(&t->id), v_i(t->attempt), v_s(b->session)));
	return db_exec(db, cx, &TASK_END_LOST, VALS(v_z(task_state_name(t->next)), t->cause, t->note, v_id(&t->id),
	                                            v_i(t->attempt), v_s(b->session)));
}

/* One by one: each is a compare-and-set against a settlement that may come at the same time. */
static enum err move_lost(struct db *db, struct ctx *cx, struct take_back *b, const struct rows *r)
{
	b->tasks = arena_array(&cx->arena, r->n + 1, sizeof *b->tasks);
	b->n = 0;
	for (size_t i = 0; i < r->n; i++) {
		struct lost_task *t = &b->tasks[b->n];

		*t = lost_task_of(cx, row(r, i), true);
		TRY(move_one(db, cx, b, t));
		if (db_changed(db) == 1)
			b->n++;
	}
	return OK;
}

static enum err write_lost(struct db *db, struct ctx *cx, const struct take_back *b)
{
	struct val *ready = arena_array(&cx->arena, 5 * b->n + 1, sizeof *ready);
	struct val *attempts = arena_array(&cx->arena, 4 * b->n + 1, sizeof *attempts);
	struct val *running = arena_array(&cx->arena, 2 * b->n + 1, sizeof *running);
	size_t waiting = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct lost_task *t = &b->tasks[i];
		const struct val a[4] = { t->cause, t->note, v_id(&t->id), v_i(t->attempt) };
		const struct val w[5] = { v_i(t->lane_id), v_t(t->rank_at), v_id(&t->id), v_i(t->cluster_id),
			                  v_i(t->attempt) };

		if (t->next == TASK_QUEUED)
			memcpy(ready + 5 * waiting++, w, sizeof w);
		memcpy(attempts + 4 * i, a, sizeof a);
		running[2 * i] = v_i(b->node_id);
		running[2 * i + 1] = v_id(&t->id);
	}
	TRY(db_exec_array(db, cx, &READY_AGAIN, ready, waiting));
	TRY(db_exec_array(db, cx, &ATTEMPT_LOST, attempts, b->n));
	return db_exec_array(db, cx, &RUNNING_DELETE, running, b->n);
}

static enum err take_back_work(struct db *db, struct ctx *cx, void *arg)
{
	struct take_back *b = arg;
	struct lane_count *counts;
	size_t n = 0;
	struct rows r;

	b->n = 0;
	b->grace = false;
	TRY(db_exec(db, cx, &NODE_GONE, VALS(v_i(b->node_id), v_s(b->session))));
	if (db_changed(db) != 1)
		return OK; /* it renewed meanwhile */
	TRY(in_grace(db, cx, &b->grace));
	if (b->grace) /* looked at again here, under the row's lock; undone */
		return err_set(cx, ERR_CONFLICT, "take back: the database was away, nobody's lease is judged yet");
	TRY(db_query(db, cx, &RUNNING_PAGE, VALS(v_i(b->node_id)), &r));
	TRY(move_lost(db, cx, b, &r));
	TRY(write_lost(db, cx, b));
	counts = arena_array(&cx->arena, b->n + 1, sizeof *counts);
	for (size_t i = 0; i < b->n; i++)
		lane_count_add(counts, &n, b->tasks[i].lane_id);
	return lane_count_release(db, cx, counts, n);
}

enum err node_store_take_back(struct db *db, struct ctx *cx, int64_t *taken, int64_t *next_us)
{
	static const struct txn TXN = { "take_back", take_back_work, NULL }; /* what was moved is not moved again */
	bool grace = false;
	struct rows r;

	*taken = 0;
	if (next_us)
		*next_us = LEASE_AHEAD_US;
	TRY(db_query(db, cx, &DEAD_NODES, NULL, 0, &r));
	if (r.n)
		TRY(in_grace(db, cx, &grace));
	if (grace)
		return OK;
	for (size_t i = 0; i < r.n; i++) {
		struct take_back b = { .node_id = val_int(&row(&r, i)[0]), .session = val_str(&row(&r, i)[1]) };
		int64_t left_us = val_int(&row(&r, i)[2]);
		enum err e;

		if (next_us && left_us >= 0 && left_us < *next_us)
			*next_us = left_us;
		if (left_us >= 0)
			continue;
		e = txn_run(db, cx, &TXN, &b);
		if (e != OK)
			return b.grace ? OK : e;
		*taken += (int64_t)b.n;
	}
	return OK;
}

/* --- what nobody has ----------------------------------------------------------------------------------- */

enum { MEND_PIECE = 2000 };
static const struct sql MEND_NEXT = { "SELECT id FROM task FORCE INDEX (PRIMARY) WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?", "si" };
/* The first eight columns as RUNNING_PAGE has them. */
static const struct sql NOBODYS = {
	"SELECT t.id, t.attempt, t.lane_id, NULL, t.rank_at, l.cluster_id, c.on_node_loss = 'fail',"
	" (SELECT COUNT(*) FROM attempt s WHERE s.task_id = t.id AND s.suspect = 1"
	" AND s.ended_at > NOW(6) - INTERVAL 72 HOUR), t.node_session FROM task t FORCE INDEX (PRIMARY)"
	" STRAIGHT_JOIN lane l FORCE INDEX (PRIMARY) ON l.id = t.lane_id"
	" STRAIGHT_JOIN code c FORCE INDEX (PRIMARY) ON c.id = t.code_id"
	" LEFT JOIN attempt a ON a.task_id = t.id AND a.number = t.attempt LEFT JOIN node n ON n.session = t.node_session"
	" WHERE t.id > ? AND t.id <= ? AND t.state IN ('preparing', 'running')"
	" AND NOT EXISTS (SELECT 1 FROM running r WHERE r.node_id = t.node_id AND r.task_id = t.id)"
	" AND (a.ended_at IS NOT NULL OR n.id IS NULL OR n.state = 'gone') ORDER BY t.id", "ss" };
/* Its end may be known: that stays. */
static const struct sql ATTEMPT_OVER = {
	"UPDATE attempt SET ended_at = IFNULL(ended_at, NOW(6)), cause = ?, note = ? WHERE task_id = ? AND number = ?", "sssi" };

struct mending {
	struct lost_task task;
	struct str session;
	bool moved;
};

static enum err mend_work(struct db *db, struct ctx *cx, void *arg)
{
	struct mending *m = arg;
	const struct lost_task *t = &m->task;
	const struct take_back by = { .session = m->session };

	TRY(move_one(db, cx, &by, t)); /* by compare-and-set: its attempt and session are what they were */
	m->moved = db_changed(db) == 1;
	if (!m->moved)
		return OK;
	if (t->next == TASK_QUEUED)
		TRY(db_exec(db, cx, &READY_AGAIN, VALS(v_i(t->lane_id), v_t(t->rank_at), v_id(&t->id), v_i(t->cluster_id), v_i(t->attempt))));
	return db_exec(db, cx, &ATTEMPT_OVER, VALS(t->cause, t->note, v_id(&t->id), v_i(t->attempt)));
}

static enum err mend_piece(struct db *db, struct ctx *cx, struct val from, struct val to, int64_t *mended)
{
	static const struct txn MENDING = { "mend", mend_work, NULL }; /* what was moved is not moved again */
	struct rows r;

	TRY(db_query(db, cx, &NOBODYS, VALS(from, to), &r));
	for (size_t i = 0; i < r.n; i++) {
		struct mending m = { .task = lost_task_of(cx, row(&r, i), false), .session = val_str(&row(&r, i)[8]) };

		TRY(txn_run(db, cx, &MENDING, &m));
		*mended += m.moved;
	}
	return OK;
}

enum err node_store_mend(struct db *db, struct ctx *cx, int64_t *mended)
{
	static const unsigned char LAST[ID_BYTES] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };
	struct id at = { { 0 } };
	bool more = true;

	*mended = 0;
	while (more) {
		auto_ctx own = { 0 };
		struct val from = v_id(&at), to = v_s(str_bytes(LAST, ID_BYTES));
		struct rows r;
		enum err e = db_query(db, &own, &MEND_NEXT, VALS(from, v_i(MEND_PIECE - 1)), &r);

		more = e == OK && r.n;
		if (more)
			to = row(&r, 0)[0];
		if (e == OK)
			e = mend_piece(db, &own, from, to, mended);
		if (e != OK)
			return err_set(cx, e, "%s", own.message);
		if (more)
			at = val_id(&to);
	}
	return OK;
}
