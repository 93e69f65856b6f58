#include "base/clock.h"
#include "base/crypt.h"
#include "store/code_store.h"
#include "store/log_store.h"
#include "store/verify_store.h"
#include "tests/support/task_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* The checker is checked: it passes histories that the product's own functions make, and finds each of
 * those that were broken by hand, a row at a time. */
static struct store_fixture f;

#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

/* What it found, as text. */
struct found {
	struct ctx *cx;
	struct {
		const char *law;
		struct str rows;
	} list[64];
	size_t n;
};

static void note(void *arg, const struct verify_finding *finding)
{
	struct found *o = arg;

	if (o->n == sizeof o->list / sizeof *o->list)
		return;
	o->list[o->n].law = finding->law;
	o->list[o->n++].rows = str_of(arena_printf(&o->cx->arena, STR_FMT " (%s)", STR_ARG(finding->rows), finding->what));
}

static struct found verify(int64_t piece)
{
	struct found o = { .cx = &f.cx };
	struct verify v = { .found = note, .arg = &o, .piece = piece };

	fine(verify_store_tasks(f.db, &f.cx, &v));
	fine(verify_store_logs(f.logs, &f.cx, &v));
	return o;
}

static void expect_nothing(void)
{
	for (int64_t piece = 3; piece < 4000; piece *= 10) { /* borders of pieces lie everywhere */
		struct found o = verify(piece);

		ck_assert_msg(o.n == 0, "%s %.*s", o.n ? o.list[0].law : "", o.n ? (int)o.list[0].rows.n : 0, o.n ? o.list[0].rows.p : "");
	}
}

static void set_up(void)
{
	store_fixture_open(&f);
}

static void tear_down(void)
{
	store_fixture_close(&f);
}

/* --- histories ----------------------------------------------------------------------------------------- */

/* Every kind of task, each by its id. */
struct history {
	struct id queued, later, complete, failed, cancelled, stopped, running, again, limited[2], aside, keyed;
	int64_t node, lane_aside;
};
static struct history h; /* of the broken cases: made in the parent, before the tests fork */

static struct id one_task(struct world *w, const char *code, struct task_order like)
{
	struct id id;

	queue(w, code, 1, like, &id);
	return id;
}

static struct id completed(struct world *w, const char *code)
{
	struct id id = one_task(w, code, (struct task_order){ .callback = STR_LIT("http://example.net/"), .payload = STR_LIT("x") });
	struct claimed *c = claim(w, 1, 1);

	start(w, c, 1);
	ck_assert(settle(w, c, 1, TASK_COMPLETE, CAUSE_EXIT));
	return id;
}

static struct id failed_and_retried(struct world *w)
{
	struct code_order order = { .name = STR_LIT("retried"), .has_image = true, .image = STR_LIT("busybox"), .has_retries = true, .retries = 1 };
	struct code code;
	struct id id;
	struct claimed *c;

	fine(code_store_put(f.db, &f.cx, &w->project, &order, &code));
	id = one_task(w, "retried", (struct task_order){ 0 });
	c = claim(w, 1, 1);
	start(w, c, 1);
	ck_assert(settle(w, c, 1, TASK_ERROR, CAUSE_EXIT));
	c = claim(w, 1, 1);
	start(w, c, 1);
	ck_assert(settle(w, c, 1, TASK_ERROR, CAUSE_EXIT));
	return id;
}

static void cancel(struct world *w, const struct id *id)
{
	enum task_state now;
	struct str bell;

	fine(task_store_cancel(f.db, &f.cx, &w->project, id, STR_LIT("x"), &now, &bell));
}

static struct id cancelled_while_running(struct world *w)
{
	struct id id = one_task(w, "a", (struct task_order){ 0 });
	struct claimed *c = claim(w, 1, 1);

	start(w, c, 1);
	cancel(w, &id);
	ck_assert(settle(w, c, 1, TASK_CANCELLED, CAUSE_CANCELLED));
	return id;
}

static struct id given_back_and_completed(struct world *w)
{
	struct id id = one_task(w, "a", (struct task_order){ 0 });
	struct claimed *c = claim(w, 1, 1);

	start(w, c, 1);
	ck_assert(settle(w, c, 1, TASK_QUEUED, CAUSE_NODE_STOPPED));
	c = claim(w, 1, 1);
	ck_assert_int_eq(c->attempt, 2);
	start(w, c, 1);
	ck_assert(settle(w, c, 1, TASK_COMPLETE, CAUSE_EXIT));
	return id;
}

/* Claimed by a node that dies; what was to be cancelled is, the rest is queued again. */
static void lose_a_node(struct world *w, size_t cancelled)
{
	char session[16];
	struct node_claim live = w->node;
	struct id ids[4];
	int64_t taken;

	queue(w, "a", 4, (struct task_order){ 0 }, ids);
	w->node = given_node(w, session, 3600);
	start(w, claim(w, 4, 4), 2);
	for (size_t i = 0; i < cancelled; i++)
		cancel(w, &ids[i]);
	fine(db_exec(f.db, &f.cx, &(struct sql){ "UPDATE node SET lease_until = NOW(6) - INTERVAL 1 SECOND WHERE id = ?", "i" },
	             VALS(v_i(w->node.node_id))));
	run_in(&f, f.db, "UPDATE beat SET at = NOW(6), grace_until = NOW(6) - INTERVAL 1 MINUTE");
	fine(node_store_take_back(f.db, &f.cx, &taken, NULL));
	ck_assert_int_eq(taken, 4);
	w->node = live;
}

/* One place, two tasks: the second is set aside, and runs when the first has ended. */
static void run_limited(struct world *w, struct id out[2])
{
	struct code_order order = { .name = STR_LIT("limited"), .has_image = true, .image = STR_LIT("busybox"), .has_max_concurrency = true, .max_concurrency = 1 };
	struct code code;
	struct claimed *c;

	fine(code_store_put(f.db, &f.cx, &w->project, &order, &code));
	queue(w, "limited", 2, (struct task_order){ 0 }, out);
	for (int i = 0; i < 2; i++) {
		c = claim(w, 2, 1);
		start(w, c, 1);
		claim(w, 2, 0);
		ck_assert(settle(w, c, 1, TASK_COMPLETE, CAUSE_EXIT));
	}
}

/* Waits in a paused code, set aside by a claim. */
static struct id set_aside(struct world *w)
{
	struct id code = given_code(&f, &w->project, "paused"), id = one_task(w, "paused", (struct task_order){ 0 });
	bool changed;

	fine(code_store_pause(f.db, &f.cx, &w->project, &code, true, &changed));
	claim(w, 1, 0);
	return id;
}

static void write_log(const struct id *task)
{
	int64_t day = time_day(clock_wall_us());
	struct log_piece piece = { 1, 6, clock_wall_us() };
	struct log_chunk first = { .number = 0, .plain = STR_LIT("hello\n"), .pieces = &piece, .piece_count = 1, .line_count = 1, .first_at = piece.at };
	struct log_chunk second = first;
	struct log_head head;

	second.number = 1;
	second.first_byte = 100; /* some were left out between */
	second.first_line = 9;
	fine(log_store_begin(f.logs, &f.cx, task, task, 1, day));
	fine(log_store_append(f.logs, &f.cx, task, 1, day, &first, &head));
	fine(log_store_append(f.logs, &f.cx, task, 1, day, &second, &head));
	fine(log_store_close(f.logs, &f.cx, task, 1));
}

static struct id queued_by_key(struct world *w)
{
	struct code_target target = target_of(w, "a");
	struct task_order order = { .id = id_make(clock_wall_us()) };
	struct idempotency once = { .answer = str_of(arena_printf(&f.cx.arena, "{\"msg\":\"Queued up\",\"tasks\":[{\"id\":\"%s\"}]}",
	                                                          id_format(&order.id).s)) };
	bool taken;

	crypt_random(once.key, sizeof once.key);
	fine(task_store_add_once(f.db, &f.cx, &w->project, &order, &target, 1, &once, &taken));
	ck_assert(!taken);
	return order.id;
}

/* --- ten that are right ------------------------------------------------------------------------------------ */

START_TEST(what_waits_is_right)
{
	struct world w = given_world(&f);

	queue(&w, "a", 7, (struct task_order){ 0 }, NULL);
	queue(&w, "a", 5, (struct task_order){ .delay_s = 3600 }, NULL);
	expect_nothing();
}
END_TEST

START_TEST(what_was_done_and_called_back_is_right)
{
	struct world w = given_world(&f);

	completed(&w, "a");
	expect_nothing();
}
END_TEST

START_TEST(a_chain_of_retries_is_right)
{
	struct world w = given_world(&f);

	failed_and_retried(&w);
	expect_nothing();
}
END_TEST

START_TEST(what_was_cancelled_is_right)
{
	struct world w = given_world(&f);
	struct id waiting = one_task(&w, "a", (struct task_order){ 0 });

	cancel(&w, &waiting);
	cancelled_while_running(&w);
	expect_nothing();
}
END_TEST

START_TEST(what_was_given_back_is_right)
{
	struct world w = given_world(&f);

	given_back_and_completed(&w);
	expect_nothing();
}
END_TEST

START_TEST(what_was_taken_back_is_right)
{
	struct world w = given_world(&f);

	lose_a_node(&w, 2);
	expect_nothing();
}
END_TEST

START_TEST(what_runs_is_right)
{
	struct world w = given_world(&f);

	queue(&w, "a", 5, (struct task_order){ 0 }, NULL);
	start(&w, claim(&w, 5, 5), 3);
	expect_nothing();
}
END_TEST

START_TEST(what_ran_under_a_limit_or_waits_behind_a_pause_is_right)
{
	struct world w = given_world(&f);
	struct id limited[2];

	run_limited(&w, limited);
	set_aside(&w);
	expect_nothing();
}
END_TEST

START_TEST(a_log_with_bytes_left_out_is_right)
{
	struct world w = given_world(&f);
	struct id id = completed(&w, "a");

	write_log(&id);
	expect_nothing();
}
END_TEST

START_TEST(what_was_queued_by_a_key_is_right)
{
	struct world w = given_world(&f);

	queued_by_key(&w);
	expect_nothing();
}
END_TEST

/* A database of yesterday: nobody has beaten, every lease is over, and that is nobody's fault. */
START_TEST(an_old_database_is_right)
{
	run_in(&f, f.db, "START TRANSACTION");
	run_in(&f, f.db, "UPDATE beat SET at = NOW(6) - INTERVAL 1 DAY, grace_until = NOW(6) - INTERVAL 1 DAY");
	run_in(&f, f.db, "UPDATE node SET lease_until = NOW(6) - INTERVAL 1 DAY");
	expect_nothing();
	run_in(&f, f.db, "ROLLBACK");
}
END_TEST

/* --- and many that are not ------------------------------------------------------------------------------------ */

#define SCHEDULER_RUNS "UPDATE beat SET at = NOW(6), grace_until = NOW(6) - INTERVAL 1 HOUR; "

static const struct {
	const char *law, *names; /* names: the row that the finding must name, a variable below or a text */
	const char *how;         /* statements, separated by "; " */
	bool logs;
} BROKEN[] = {
	{ "I1", "@queued", "DELETE FROM ready WHERE task_id = @queued", false },
	{ "I1", "@queued", "INSERT INTO `delayed` SELECT due_at, id, lane_id, rank_at, 1, attempt FROM task WHERE id = @queued", false },
	{ "I1", "@queued", "UPDATE ready SET attempt = attempt + 1 WHERE task_id = @queued", false },
	{ "I1", "@queued", "UPDATE ready SET place = 999999 WHERE task_id = @queued", false },
	{ "I1", "@aside", "UPDATE lane SET head_rank = NULL WHERE id = @lane_aside", false },
	{ "I1", "@complete", "INSERT INTO ready SELECT lane_id, rank_at, id, 1, attempt FROM task WHERE id = @complete", false },
	{ "I1", "@later", "DELETE FROM `delayed` WHERE task_id = @later", false },
	{ "I1", "@later", "UPDATE task SET state = 'cancelled', cause = 'cancelled', ended_at = NOW(6) WHERE id = @later", false },
	{ "I1", "@later", SCHEDULER_RUNS "UPDATE `delayed` SET due_at = NOW(6) - INTERVAL 1 MINUTE WHERE task_id = @later", false },
	{ "I1", "@running", "DELETE FROM running WHERE task_id = @running", false },
	{ "I1", "@failed", "UPDATE task SET retry_task_id = x'000000000000000000000001' WHERE id = @failed", false },
	{ "I1", "@failed", "UPDATE task SET retry = 5 WHERE id = @retry_of_failed", false },
	{ "I1", "@queued", "UPDATE task SET lane_id = 999999 WHERE id = @queued", false },
	{ "I1", "@complete", "DELETE FROM task WHERE id = @complete", false },
	{ "I2", "@complete", "DELETE FROM task WHERE id = @complete", false },
	{ "I2", "@complete", "DELETE FROM event WHERE task_id = @complete AND number = 3", false },
	{ "I2", "@complete", "UPDATE event SET state = 'running' WHERE task_id = @complete AND number = 2", false },
	{ "I2", "@complete", "UPDATE event SET state = 'preparing' WHERE task_id = @complete AND number = 1", false },
	{ "I2", "@again", "UPDATE event SET attempt = 0 WHERE task_id = @again AND number = 4", false },
	{ "I2", "@queued", "UPDATE task SET changes = 2 WHERE id = @queued", false },
	{ "I2", "@complete", "INSERT INTO event (task_id, number, attempt, state, at, cause, note) SELECT task_id, number + 1, attempt, 'queued', at, NULL, NULL FROM event WHERE"
	  " task_id = @complete AND number = 4; UPDATE task SET changes = 5, state = 'queued' WHERE id = @complete", false },
	{ "I3", "@again", "DELETE FROM attempt WHERE task_id = @again AND number = 1", false },
	{ "I3", "@again", "UPDATE attempt SET ended_at = ended_at + INTERVAL 1 HOUR WHERE task_id = @again AND number = 1", false },
	{ "I3", "@complete", "UPDATE attempt SET started_at = claimed_at - INTERVAL 1 HOUR WHERE task_id = @complete", false },
	{ "I3", "@complete", "UPDATE event SET number = 6 WHERE task_id = @complete AND number = 4; INSERT INTO event (task_id, number, attempt, state, at, cause, note) VALUES"
	  " (@complete, 4, 1, 'preparing', NOW(6), NULL, NULL), (@complete, 5, 1, 'running', NOW(6), NULL, NULL);"
	  " UPDATE task SET changes = 6 WHERE id = @complete", false },
	{ "I3", "000000000000000000000007", "INSERT INTO attempt (task_id, number, node_id, node_session, day, claimed_at)"
	  " VALUES (x'000000000000000000000007', 1, 1, x'00', 1, NOW(6))", false },
	{ "I3", "@again", "UPDATE attempt SET cause = 'exit' WHERE task_id = @again AND number = 1", false },
	{ "I6", "@again", "UPDATE code SET on_node_loss = 'fail' WHERE id = (SELECT code_id FROM task WHERE id = @again)", false },
	{ "I6", "@again", "UPDATE code SET on_node_loss = 'fail' WHERE id = (SELECT code_id FROM task WHERE id = @again);"
	  " UPDATE attempt SET started_at = NULL, suspect = 1 WHERE task_id = @again AND number = 1", false },
	{ "I4", "@complete", "INSERT INTO event (task_id, number, attempt, state, at, cause, note) SELECT task_id, 5, attempt, 'error', at, cause, note FROM event WHERE"
	  " task_id = @complete AND number = 4; UPDATE task SET changes = 5 WHERE id = @complete", false },
	{ "I4", "@complete", "UPDATE attempt SET ended_at = NULL WHERE task_id = @complete", false },
	{ "I4", "@complete", "UPDATE attempt SET exit_code = 9 WHERE task_id = @complete", false },
	{ "I4", "@complete", "UPDATE attempt SET node_session = x'00' WHERE task_id = @complete", false },
	{ "I4", "@complete", "UPDATE task SET cause = 'timeout' WHERE id = @complete", false },
	{ "I4", "@stopped", "UPDATE task SET cause = 'exit' WHERE id = @stopped", false },
	{ "I5", "@running", SCHEDULER_RUNS "UPDATE node SET lease_until = NOW(6) - INTERVAL 1 MINUTE WHERE id = @node", false },
	{ "I5", "@running", "UPDATE running SET attempt = attempt + 1 WHERE task_id = @running", false },
	{ "I5", "@complete", "INSERT INTO running SELECT @node, id, attempt, lane_id, NULL FROM task WHERE id = @complete", false },
	{ "I5", "@running", "UPDATE task SET node_session = x'00' WHERE id = @running", false },
	{ "I7", "@complete", "INSERT INTO fire (schedule_id, nominal, outcome, due, at, task_id) VALUES (x'000000000000000000000007', NOW(6),"
	  " 'fired', NOW(6), NOW(6), @complete)", false },
	{ "I7", "@complete", "UPDATE task SET schedule_id = x'000000000000000000000007' WHERE id = @complete; INSERT INTO fire (schedule_id,"
	  " nominal, outcome, due, at, task_id) VALUES (x'000000000000000000000007', NOW(6), 'fired', NOW(6), NOW(6), @complete),"
	  " (x'000000000000000000000007', NOW(6) + INTERVAL 1 HOUR, 'fired', NOW(6), NOW(6), @complete)", false },
	{ "I7", "000000000000000000000008", "INSERT INTO fire (schedule_id, nominal, outcome, due, at, task_id) VALUES"
	  " (x'000000000000000000000007', NOW(6), 'fired', NOW(6), NOW(6), x'000000000000000000000008')", false },
	{ "I8", "@complete", "DELETE FROM outbox WHERE task_id = @complete", false },
	{ "I8", "@complete", "UPDATE outbox SET task_state = 'error' WHERE task_id = @complete", false },
	{ "I8", "@complete", "UPDATE outbox SET next_at = NULL WHERE task_id = @complete", false },
	{ "I8", "@complete", "UPDATE outbox SET state = 'delivered', next_at = NULL, tries = 1 WHERE task_id = @complete", false },
	{ "I9", "@complete", "DELETE FROM log_chunk WHERE task_id = @complete AND number = 0", true },
	{ "I9", "@complete", "UPDATE log_chunk SET bytes = bytes + 1 WHERE task_id = @complete AND number = 1", true },
	{ "I9", "@complete", "UPDATE log_chunk SET first_byte = 3 WHERE task_id = @complete AND number = 1", true },
	{ "I9", "@complete", "DELETE FROM log_head WHERE task_id = @complete", true },
	{ "I11", "counts 1,", "UPDATE lane SET running = running + 1 WHERE id = @lane_aside", false },
	{ "I11", "(paused) counts 1", "UPDATE code SET running = running + 1 WHERE id = (SELECT code_id FROM lane WHERE id = @lane_aside)", false },
	{ "I11", "last taken never", "UPDATE turn SET at = NULL", false },
	{ "I11", "last taken 2020", "UPDATE turn SET at = '2020-01-01'", false },
	{ "I11", "its code is not", "UPDATE lane SET open = 1 WHERE id = @lane_aside", false },
	{ "I11", "its limit is 1", "UPDATE attempt SET ended_at = ended_at + INTERVAL 1 HOUR WHERE task_id = @limited", false },
	{ "I11", "@limited", "UPDATE code SET paused_at = NOW(6) - INTERVAL 1 HOUR WHERE name = 'limited'", false },
	{ "I11", "has 0 slots", "UPDATE node SET slots = 0 WHERE id = @node", false },
	{ "I14", "@keyed", "INSERT INTO idempotency SELECT project_id, REVERSE(`key`), body, answer, created_at FROM idempotency"
	  " WHERE answer LIKE CONCAT('%', LOWER(HEX(@keyed)), '%')", false },
	{ "I14", "000000000000000000000007", "UPDATE idempotency SET answer = REPLACE(answer, LOWER(HEX(@keyed)), '000000000000000000000007')", false },
	{ "I14", "key ", "UPDATE idempotency SET answer = '{\"tasks'", false },
};

static void set_id(struct db *db, const char *name, const struct id *id)
{
	run_in(&f, db, arena_printf(&f.cx.arena, "SET @%s = x'%s'", name, id_format(id).s));
}

static void name_rows(struct db *db)
{
	set_id(db, "queued", &h.queued);
	set_id(db, "later", &h.later);
	set_id(db, "complete", &h.complete);
	set_id(db, "failed", &h.failed);
	set_id(db, "stopped", &h.stopped);
	set_id(db, "running", &h.running);
	set_id(db, "again", &h.again);
	set_id(db, "limited", &h.limited[0]);
	set_id(db, "aside", &h.aside);
	set_id(db, "keyed", &h.keyed);
	run_in(&f, db, arena_printf(&f.cx.arena, "SET @node = %lld, @lane_aside = %lld", (long long)h.node, (long long)h.lane_aside));
	if (db == f.db)
		run_in(&f, db, "SET @retry_of_failed = (SELECT retry_task_id FROM task WHERE id = @failed)");
	run_in(&f, db, "SET check_constraint_checks = 0");
}

/* The text that a finding must have: that of an id if `names` is a variable. */
static const char *named(const char *names)
{
	struct rows r;

	if (*names != '@')
		return names;
	fine(db_query(f.db, &f.cx, &(struct sql){ arena_printf(&f.cx.arena, "SELECT LOWER(HEX(%s))", names), "" }, NULL, 0, &r));
	return str_c(&f.cx.arena, val_str(&row(&r, 0)[0]));
}

static void run_all(struct db *db, const char *statements)
{
	const char *end;

	for (; (end = strstr(statements, "; ")); statements = end + 2)
		run_in(&f, db, str_c(&f.cx.arena, str_bytes(statements, (size_t)(end - statements))));
	run_in(&f, db, statements);
}

START_TEST(a_key_that_is_gone_is_found)
{
	struct found o;

	run_in(&f, f.db, "ALTER TABLE fire DROP PRIMARY KEY, ADD KEY unlike (schedule_id, nominal)");
	o = verify(2000);
	run_in(&f, f.db, "ALTER TABLE fire DROP KEY unlike, ADD PRIMARY KEY (schedule_id, nominal)");
	ck_assert_uint_eq(o.n, 1);
	ck_assert_str_eq(o.list[0].law, "I7");
	ck_assert_uint_eq(verify(2000).n, 0);
}
END_TEST

START_TEST(a_broken_history_is_found)
{
	struct db *db = BROKEN[_i].logs ? f.logs : f.db;
	const char *name;
	struct found o;
	bool is_there = false;

	name_rows(f.db);
	name_rows(f.logs);
	name = named(BROKEN[_i].names);
	run_in(&f, db, "START TRANSACTION");
	run_all(db, BROKEN[_i].how);
	o = verify(2000);
	run_in(&f, db, "ROLLBACK");
	for (size_t i = 0; i < o.n; i++)
		is_there |= strcmp(o.list[i].law, BROKEN[_i].law) == 0 && str_find(o.list[i].rows, name) != (size_t)-1;
	ck_assert_msg(is_there, "%s: %s %s not found among %zu, the first is %s %.*s", BROKEN[_i].how, BROKEN[_i].law, name, o.n,
	              o.n ? o.list[0].law : "", o.n ? (int)o.list[0].rows.n : 0, o.n ? o.list[0].rows.p : "");
	ck_assert_uint_eq(verify(2000).n, 0);
}
END_TEST

/* In the parent, once: one of each kind; then the walls go that would refuse what is to be broken. */
static void make_history(void)
{
	struct world w;

	store_fixture_open(&f);
	w = given_world(&f);
	h.complete = completed(&w, "a");
	write_log(&h.complete);
	h.failed = failed_and_retried(&w);
	h.stopped = cancelled_while_running(&w);
	h.again = given_back_and_completed(&w);
	run_limited(&w, h.limited);
	h.aside = set_aside(&w);
	h.lane_aside = target_of(&w, "paused").lane_id;
	h.running = one_task(&w, "a", (struct task_order){ 0 });
	start(&w, claim(&w, 1, 1), 1);
	h.queued = one_task(&w, "a", (struct task_order){ 0 });
	h.later = one_task(&w, "a", (struct task_order){ .delay_s = 3600 });
	h.keyed = queued_by_key(&w);
	h.node = w.node.node_id;
	run_in(&f, f.db, "DROP TRIGGER task_before_update");
	store_fixture_close(&f);
}

static Suite *suite(void)
{
	Suite *s = suite_create("verify");
	TCase *right = tcase_create("right"), *broken = tcase_create("broken");

	tcase_add_checked_fixture(right, set_up, tear_down);
	tcase_set_timeout(right, 60);
	tcase_add_test(right, what_waits_is_right);
	tcase_add_test(right, what_was_done_and_called_back_is_right);
	tcase_add_test(right, a_chain_of_retries_is_right);
	tcase_add_test(right, what_was_cancelled_is_right);
	tcase_add_test(right, what_was_given_back_is_right);
	tcase_add_test(right, what_was_taken_back_is_right);
	tcase_add_test(right, what_runs_is_right);
	tcase_add_test(right, what_ran_under_a_limit_or_waits_behind_a_pause_is_right);
	tcase_add_test(right, a_log_with_bytes_left_out_is_right);
	tcase_add_test(right, what_was_queued_by_a_key_is_right);
	tcase_add_test(right, an_old_database_is_right);
	suite_add_tcase(s, right);
	tcase_add_unchecked_fixture(broken, make_history, NULL);
	tcase_add_checked_fixture(broken, set_up, tear_down);
	tcase_set_timeout(broken, 60);
	tcase_add_test(broken, a_key_that_is_gone_is_found);
	tcase_add_loop_test(broken, a_broken_history_is_found, 0, sizeof BROKEN / sizeof *BROKEN);
	suite_add_tcase(s, broken);
	return s;
}

int main(void)
{
	SRunner *runner;
	int failed;

	store_fixture_serve();
	runner = srunner_create(suite());
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
