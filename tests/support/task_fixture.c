#include "tests/support/task_fixture.h"

#include "base/clock.h"
#include "base/crypt.h"

#include <check.h>
#include <stdio.h>

#define fine(f, call) ck_assert_msg((call) == OK, "%s", (f)->cx.message)

struct node_claim given_node(struct world *w, char session[16], int64_t lease_s)
{
	struct node_claim n = { .session = str_bytes(session, 16) };

	crypt_random(session, 16);
	fine(w->f, node_store_register(w->f->db, &w->f->cx, STR_LIT("node"), str_of(w->cluster), n.session, 16,
	                               STR_LIT("127.0.0.1:1"), STR_LIT("test"), lease_s, &n.node_id, &n.cluster_id));
	return n;
}

struct world given_world(struct store_fixture *f)
{
	struct world w = { .f = f, .project = given_project(f) };
	struct id name = id_make(clock_wall_us());
	char session[16];

	snprintf(w.cluster, sizeof w.cluster, "%s", id_format(&name).s);
	w.node = given_node(&w, session, 3600);
	memcpy(w.session, session, sizeof session);
	w.node.session = str_bytes(arena_copy(&f->cx.arena, session, 16), 16);
	return w;
}

struct code_target target_of(struct world *w, const char *code)
{
	struct code_target t;

	if (code_store_target(w->f->db, &w->f->cx, &w->project, str_of(code), str_of(w->cluster), &t) == OK)
		return t;
	given_code(w->f, &w->project, code);
	fine(w->f, code_store_target(w->f->db, &w->f->cx, &w->project, str_of(code), str_of(w->cluster), &t));
	return t;
}

void queue(struct world *w, const char *code, size_t n, struct task_order like, struct id *out)
{
	struct code_target target = target_of(w, code), *targets = arena_array(&w->f->cx.arena, n, sizeof *targets);
	struct task_order *orders = arena_array(&w->f->cx.arena, n, sizeof *orders);
	struct id *ids = arena_array(&w->f->cx.arena, n, sizeof *ids);

	id_make_many(clock_wall_us(), ids, n);
	for (size_t i = 0; i < n; i++) {
		targets[i] = target;
		orders[i] = like;
		orders[i].id = ids[i];
		if (out)
			out[i] = ids[i];
	}
	fine(w->f, task_store_add(w->f->db, &w->f->cx, &w->project, orders, targets, n));
}

struct claimed *claim(struct world *w, size_t most, int expected)
{
	struct claimed *out;
	size_t n;

	fine(w->f, ready_store_claim(w->f->db, &w->f->cx, &w->node, most, &out, &n));
	if (expected >= 0)
		ck_assert_int_eq((int)n, expected);
	return out;
}

struct task stored(struct world *w, const struct id *task)
{
	struct task t;

	fine(w->f, task_store_get(w->f->db, &w->f->cx, &w->project, task, &t));
	return t;
}

void start(struct world *w, const struct claimed *c, size_t n)
{
	struct attempt_start *starts = arena_array(&w->f->cx.arena, n, sizeof *starts);
	bool *lost = arena_array(&w->f->cx.arena, n, sizeof *lost);

	for (size_t i = 0; i < n; i++)
		starts[i] = (struct attempt_start){ .task_id = c[i].task_id, .attempt = c[i].attempt,
			                            .started_us_ago = 1000,
			                            .digest = STR_LIT("0123456789abcdef0123456789abcdef") };
	fine(w->f, attempt_store_start(w->f->db, &w->f->cx, &w->node, starts, n, lost));
	for (size_t i = 0; i < n; i++)
		ck_assert(!lost[i]);
}

bool settle(struct world *w, const struct claimed *c, size_t n, enum task_state state, enum cause cause)
{
	struct attempt_end *ends = arena_array(&w->f->cx.arena, n, sizeof *ends);
	bool *lost = arena_array(&w->f->cx.arena, n, sizeof *lost), all = true;

	for (size_t i = 0; i < n; i++)
		ends[i] = (struct attempt_end){ .task_id = c[i].task_id, .attempt = c[i].attempt, .lane_id = c[i].lane_id,
			                        .verdict = { .state = state, .cause = cause,
			                                     .exit_code = state == TASK_COMPLETE ? 0 : state == TASK_ERROR ? 3 : -1,
			                                     .ran_us = 2000, .max_rss_bytes = 4096, .cpu_us = 5,
			                                     .note = "as the test says" } };
	fine(w->f, attempt_store_settle(w->f->db, &w->f->cx, &w->node, ends, n, lost));
	for (size_t i = 0; i < n; i++)
		all = all && !lost[i];
	return all;
}

/* --- laws -------------------------------------------------------------------------------------- */

static const struct {
	const char *law, *broken; /* a query that counts what breaks it */
} LAWS[] = {
	{ "a lane counts its running tasks",
	  "SELECT COUNT(*) FROM lane l WHERE running <> (SELECT COUNT(*) FROM running r WHERE r.lane_id = l.id)" },
	{ "a code counts what runs in its lanes",
	  "SELECT COUNT(*) FROM code c WHERE running <> (SELECT IFNULL(SUM(running), 0) FROM lane l WHERE l.code_id = c.id)" },
	{ "a lane is open as its code says",
	  "SELECT COUNT(*) FROM lane l JOIN code c ON c.id = l.code_id WHERE l.open <>"
	  " (c.paused_at IS NULL AND c.held = 0 AND (c.max_running = 0 OR c.running < c.max_running))" },
	{ "no limit is exceeded", "SELECT COUNT(*) FROM code WHERE max_running > 0 AND running > max_running" },
	{ "each queued task stands in ready or delayed once, with its attempt",
	  "SELECT COUNT(*) FROM task t WHERE state = 'queued' AND 1 <>"
	  " (SELECT COUNT(*) FROM ready r WHERE r.lane_id = t.lane_id AND r.rank_at = t.rank_at AND r.task_id = t.id"
	  "  AND r.attempt = t.attempt)"
	  " + (SELECT COUNT(*) FROM `delayed` d WHERE d.due_at = t.due_at AND d.task_id = t.id AND d.attempt = t.attempt)" },
	{ "only queued tasks wait",
	  "SELECT (SELECT COUNT(*) FROM ready) + (SELECT COUNT(*) FROM `delayed`) - (SELECT COUNT(*) FROM task WHERE state = 'queued')" },
	{ "what is set aside is at or behind its lane's head",
	  "SELECT COUNT(*) FROM ready r JOIN lane l ON l.id = r.lane_id"
	  " WHERE r.place < 0 AND (r.place <> -l.id OR l.head_rank IS NULL OR r.rank_at < l.head_rank)" },
	{ "what is not set aside stands in its cluster's order",
	  "SELECT COUNT(*) FROM ready r JOIN lane l ON l.id = r.lane_id WHERE r.place > 0 AND r.place <> l.cluster_id" },
	{ "rows of running are the tasks that run",
	  "SELECT (SELECT COUNT(*) FROM task WHERE state IN ('preparing', 'running')) + (SELECT COUNT(*) FROM running)"
	  " - 2 * (SELECT COUNT(*) FROM running r JOIN task t ON t.id = r.task_id AND t.node_id = r.node_id"
	  "  AND t.attempt = r.attempt AND t.lane_id = r.lane_id)" },
	{ "each attempt has its row",
	  "SELECT COUNT(*) FROM task t WHERE attempt <> (SELECT COUNT(*) FROM attempt a WHERE a.task_id = t.id)" },
	{ "attempts of what does not run have ended",
	  "SELECT COUNT(*) FROM attempt a JOIN task t ON t.id = a.task_id WHERE a.ended_at IS NULL"
	  " AND NOT (t.state IN ('preparing', 'running') AND a.number = t.attempt)" },
	{ "a task has as many events as changes, numbered without a gap",
	  "SELECT COUNT(*) FROM (SELECT t.id FROM task t LEFT JOIN event e ON e.task_id = t.id GROUP BY t.id"
	  " HAVING COUNT(e.number) <> MAX(t.changes) OR MAX(e.number) <> MAX(t.changes)) x" },
	{ "the last event has the task's state and attempt",
	  "SELECT COUNT(*) FROM task t JOIN event e ON e.task_id = t.id AND e.number = t.changes"
	  " WHERE e.state <> t.state OR e.attempt <> t.attempt" },
	{ "each final state that calls back has its outbox row",
	  "SELECT COUNT(*) FROM task t WHERE t.ended_at IS NOT NULL AND t.callback IS NOT NULL AND 1 <>"
	  " (SELECT COUNT(*) FROM outbox o WHERE o.task_id = t.id AND o.number = t.changes AND o.task_state = t.state"
	  " AND o.callback_id = x'000000000000000000000000')" },
	{ "a retry and its origin point at each other",
	  "SELECT COUNT(*) FROM task t LEFT JOIN task n ON n.id = t.retry_task_id WHERE t.retry_task_id IS NOT NULL"
	  " AND (n.id IS NULL OR n.retry <> t.retry + 1 OR n.original_task_id <> IFNULL(t.original_task_id, t.id))" },
};

static const struct sql STEPS = {
	"SELECT a.state, b.state, a.attempt, b.attempt, COUNT(*) FROM event a"
	" JOIN event b ON b.task_id = a.task_id AND b.number = a.number + 1 GROUP BY 1, 2, 3, 4", "" };

/* The edge table of the model is the judge, not the triggers. */
static void check_edges(struct store_fixture *f)
{
	struct rows r;

	fine(f, db_query(f->db, &f->cx, &STEPS, NULL, 0, &r));
	for (size_t i = 0; i < r.n; i++) {
		const struct val *v = row(&r, i);
		enum task_state from, to;
		bool claims;

		ck_assert(task_state_parse(val_str(&v[0]), &from));
		ck_assert(task_state_parse(val_str(&v[1]), &to));
		claims = from == TASK_QUEUED && to == TASK_PREPARING;
		ck_assert_msg(from == to ? !task_state_is_settled(from) : task_state_can_move(from, to),
		              "events go from %s to %s", task_state_name(from), task_state_name(to));
		ck_assert_int_eq(val_int(&v[3]) - val_int(&v[2]), claims);
	}
}

void check_laws(struct store_fixture *f)
{
	for (size_t i = 0; i < sizeof LAWS / sizeof *LAWS; i++)
		ck_assert_msg(number_in(f, f->db, LAWS[i].broken) == 0, "%s: broken %lld times", LAWS[i].law,
		              (long long)number_in(f, f->db, LAWS[i].broken));
	check_edges(f);
}
