#include "base/clock.h"
#include "base/crypt.h"
#include "store/code_store.h"
#include "tests/support/task_fixture.h"

#include <check.h>
#include <stdio.h>

static struct store_fixture f;

static void set_up(void)
{
	store_fixture_open(&f);
	run_in(&f, f.db, "UPDATE beat SET at = NOW(6), grace_until = NOW(6)");
}

static void tear_down(void)
{
	check_laws(&f);
	store_fixture_close(&f);
}

#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

static void let_lease_pass(const struct node_claim *n)
{
	static const struct sql LATE = { "UPDATE node SET lease_until = NOW(6) - INTERVAL 1 SECOND WHERE id = ?", "i" };

	fine(db_exec(f.db, &f.cx, &LATE, VALS(v_i(n->node_id))));
}

static int64_t take_back(void)
{
	int64_t all = 0, taken = 1;

	while (taken) {
		fine(node_store_take_back(f.db, &f.cx, &taken, NULL));
		all += taken;
	}
	return all;
}

START_TEST(a_session_begins_is_renewed_taken_over_and_ends)
{
	struct world w = given_world(&f);
	int64_t id, cluster, live, before;
	struct str bells[2];
	struct node *nodes;
	char session[16];
	bool draining;
	size_t n;

	fine(node_store_live(f.db, &f.cx, &before));
	crypt_random(session, 16);
	fine(node_store_register(f.db, &f.cx, STR_LIT("n1"), str_of(w.cluster), str_bytes(session, 16), 4,
	                         STR_LIT("127.0.0.1:9"), STR_LIT("crun"), 12, &id, &cluster));
	ck_assert_int_eq(cluster, w.node.cluster_id);
	fine(node_store_live(f.db, &f.cx, &live));
	ck_assert_int_eq(live, before + 1);
	fine(node_store_renew(f.db, &f.cx, id, str_bytes(session, 16), 12, 4, &draining));
	ck_assert(!draining);
	fine(node_store_drain(f.db, &f.cx, STR_LIT("n1"), true));
	fine(node_store_renew(f.db, &f.cx, id, str_bytes(session, 16), 12, 4, &draining));
	ck_assert(draining);
	fine(node_store_live(f.db, &f.cx, &live));
	ck_assert_int_eq(live, before); /* one that drains takes nothing new */
	fine(node_store_drain(f.db, &f.cx, STR_LIT("n1"), false));
	fine(node_store_live(f.db, &f.cx, &live));
	ck_assert_int_eq(live, before + 1);
	fine(node_store_doorbells(f.db, &f.cx, cluster, bells, &n));
	ck_assert_uint_eq(n, 1); /* n1 is full: only the world's own node is rung */
	ck_assert(str_is(bells[0], "127.0.0.1:1"));
	fine(node_store_list(f.db, &f.cx, &nodes, &n));
	ck_assert(str_is(nodes[0].name, "n1"));
	ck_assert(str_is(nodes[0].cluster_name, w.cluster));
	ck_assert(str_is(nodes[0].state, "live"));
	ck_assert_int_eq(nodes[0].slots, 4);
	ck_assert_int_eq(nodes[0].running, 4);
	fine(node_store_resume(f.db, &f.cx, str_bytes(session, 16), 8, STR_LIT("127.0.0.1:10"), 12, &id, &cluster));
	ck_assert_int_eq(id, nodes[0].id);
	fine(node_store_leave(f.db, &f.cx, id, str_bytes(session, 16)));
	fine(node_store_leave(f.db, &f.cx, id, str_bytes(session, 16)));
	ck_assert_int_eq(node_store_renew(f.db, &f.cx, id, str_bytes(session, 16), 12, 0, &draining), ERR_CONFLICT);
	ck_assert_int_eq(node_store_resume(f.db, &f.cx, str_bytes(session, 16), 8, STR_LIT(""), 12, &id, &cluster), ERR_NOT_FOUND);
	ck_assert_int_eq(node_store_drain(f.db, &f.cx, STR_LIT("n1"), true), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_node_with_tasks_cannot_leave)
{
	struct world w = given_world(&f);

	queue(&w, "a", 1, (struct task_order){ 0 }, NULL);
	claim(&w, 1, 1);
	ck_assert_int_eq(node_store_leave(f.db, &f.cx, w.node.node_id, w.node.session), ERR_CONFLICT);
}
END_TEST

START_TEST(tasks_of_a_dead_node_get_their_next_attempt_and_the_dead_can_say_nothing)
{
	struct world w = given_world(&f);
	struct node_claim dead = w.node;
	struct claimed *c, *again;
	enum task_state state;
	char session[16];
	struct str bell;
	struct task t;

	queue(&w, "a", 3, (struct task_order){ .callback = STR_LIT("http://x/") }, NULL);
	c = claim(&w, 3, 3);
	start(&w, c, 2); /* the third is still preparing */
	fine(task_store_cancel(f.db, &f.cx, &w.project, &c[1].task_id, STR_LIT("eve"), &state, &bell));
	ck_assert_int_eq(take_back(), 0);
	let_lease_pass(&dead);
	ck_assert_int_eq(take_back(), 3);
	t = stored(&w, &c[0].task_id);
	ck_assert_int_eq(t.state, TASK_QUEUED);
	ck_assert(str_is(t.cause, "node_lost"));
	ck_assert_int_eq(t.attempt, 1);
	ck_assert_int_eq(t.started_at, TIME_NONE);
	t = stored(&w, &c[1].task_id);
	ck_assert_int_eq(t.state, TASK_CANCELLED);
	ck_assert(str_starts(t.note, "cancelled by eve"));
	check_laws(&f);
	ck_assert(!settle(&w, c, 3, TASK_COMPLETE, CAUSE_EXIT));
	w.node = given_node(&w, session, 3600);
	again = claim(&w, 5, 2);
	ck_assert(id_equal(&again[0].task_id, &c[0].task_id));
	ck_assert_int_eq(again[0].attempt, 2);
	start(&w, again, 2);
	ck_assert(settle(&w, again, 2, TASK_COMPLETE, CAUSE_EXIT));
}
END_TEST

/* Registers a code in the world, with what a task of it is to do when its node is lost. */
static void given_code_that_fails_on_loss(struct world *w, const char *name)
{
	struct code_order order = { .name = str_of(name), .has_image = true, .image = STR_LIT("busybox"), .has_on_node_loss = true,
		                    .fails_on_node_loss = true, .has_retries = true, .retries = 3 };
	struct code code;

	fine(code_store_put(f.db, &f.cx, &w->project, &order, &code));
	ck_assert(code.fails_on_node_loss);
}

START_TEST(a_task_whose_code_says_so_ends_with_its_node_and_never_starts_again)
{
	struct world w = given_world(&f);
	struct claimed *c;
	struct task t;

	given_code_that_fails_on_loss(&w, "once");
	queue(&w, "once", 2, (struct task_order){ 0 }, NULL);
	c = claim(&w, 2, 2);
	start(&w, c, 1); /* of the other nobody can say that it has not */
	let_lease_pass(&w.node);
	ck_assert_int_eq(take_back(), 2);
	for (int i = 0; i < 2; i++) {
		t = stored(&w, &c[i].task_id);
		ck_assert_int_eq(t.state, TASK_KILLED);
		ck_assert(str_is(t.cause, "node_lost"));
		ck_assert(id_is_zero(&t.retry_task_id));
	}
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM ready r JOIN lane l ON l.id = r.lane_id JOIN code c ON c.id = l.code_id"
	                                     " WHERE c.name = 'once'"), 0);
}
END_TEST

/* What the node itself says of an attempt that it could not bring to an end. */
static struct task given_back(struct world *w, const struct claimed *c, enum cause cause, bool suspect)
{
	struct attempt_end end = { .task_id = c->task_id, .attempt = c->attempt, .lane_id = c->lane_id,
		                   .verdict = { .state = TASK_QUEUED, .cause = cause, .exit_code = -1, .suspect = suspect } };
	bool lost;

	fine(attempt_store_settle(f.db, &f.cx, &w->node, &end, 1, &lost));
	ck_assert(!lost);
	return stored(w, &c->task_id);
}

START_TEST(a_task_whose_code_says_so_is_given_back_only_if_it_never_started)
{
	struct world w = given_world(&f);
	struct claimed *c;
	struct task t;

	given_code_that_fails_on_loss(&w, "once");
	queue(&w, "once", 1, (struct task_order){ 0 }, NULL);
	t = given_back(&w, claim(&w, 1, 1), CAUSE_NODE_LOST, false); /* the node could not start it, and says so */
	ck_assert_int_eq(t.state, TASK_QUEUED);
	c = claim(&w, 1, 1);
	start(&w, c, 1);
	t = given_back(&w, c, CAUSE_NODE_STOPPED, false);
	ck_assert_int_eq(t.state, TASK_KILLED);
	ck_assert(str_is(t.cause, "node_stopped"));
	ck_assert(id_is_zero(&t.retry_task_id));
}
END_TEST

START_TEST(the_third_node_that_dies_under_a_task_is_the_last)
{
	struct world w = given_world(&f);
	char sessions[2][16];
	struct claimed *c;
	struct task t;

	queue(&w, "poison", 1, (struct task_order){ 0 }, NULL);
	c = claim(&w, 1, 1);
	start(&w, c, 1);
	let_lease_pass(&w.node);
	ck_assert_int_eq(take_back(), 1); /* one */
	w.node = given_node(&w, sessions[0], 3600);
	ck_assert_int_eq(given_back(&w, claim(&w, 1, 1), CAUSE_NODE_LOST, false).state, TASK_QUEUED); /* its node's own fault: none */
	ck_assert_int_eq(given_back(&w, claim(&w, 1, 1), CAUSE_NODE_LOST, true).state, TASK_QUEUED); /* two */
	/* 72 hours later the first would count no more */
	fine(db_exec(f.db, &f.cx, &(struct sql){ "UPDATE attempt SET ended_at = ended_at - INTERVAL 73 HOUR, claimed_at = claimed_at"
	             " - INTERVAL 73 HOUR, started_at = NULL WHERE task_id = ? AND number = 1", "s" }, VALS(v_id(&c->task_id))));
	ck_assert_int_eq(given_back(&w, claim(&w, 1, 1), CAUSE_NODE_LOST, true).state, TASK_QUEUED);
	claim(&w, 1, 1);
	let_lease_pass(&w.node);
	ck_assert_int_eq(take_back(), 1); /* three */
	t = stored(&w, &c->task_id);
	ck_assert_int_eq(t.state, TASK_KILLED);
	ck_assert(str_is(t.cause, "poison"));
	ck_assert_int_eq(t.attempt, 5);
	w.node = given_node(&w, sessions[1], 3600);
	claim(&w, 1, 0);
}
END_TEST

START_TEST(a_thousand_tasks_are_taken_back_in_pages)
{
	enum { MANY = 1006 };
	struct world w = given_world(&f);
	int64_t taken, began;

	queue(&w, "a", MANY, (struct task_order){ 0 }, NULL);
	claim(&w, MANY, 1000);
	claim(&w, MANY, 6);
	let_lease_pass(&w.node);
	began = clock_boot_us();
	fine(node_store_take_back(f.db, &f.cx, &taken, NULL));
	ck_assert_int_eq(taken, 500);
	check_laws(&f);
	ck_assert_int_eq(take_back(), MANY - 500);
	printf("%d tasks taken back in %lld ms\n", MANY, (long long)(clock_boot_us() - began) / 1000);
}
END_TEST

START_TEST(the_end_of_the_next_lease_is_told_before_it_comes)
{
	static const struct sql ENDS = { "UPDATE node SET lease_until = NOW(6) + INTERVAL ? MICROSECOND WHERE id = ?", "ii" };
	struct world w = given_world(&f);
	int64_t taken, next_us, now;

	queue(&w, "a", 1, (struct task_order){ 0 }, NULL);
	claim(&w, 1, 1);
	run_in(&f, f.db, "UPDATE node SET lease_until = NOW(6) + INTERVAL 1 HOUR WHERE state IN ('live', 'draining')");
	fine(db_now(f.db, &f.cx, &now));
	fine(db_set_clock(f.db, &f.cx, now)); /* it stands still */
	fine(node_store_take_back(f.db, &f.cx, &taken, &next_us));
	ck_assert_int_eq(next_us, LEASE_AHEAD_US);
	fine(db_exec(f.db, &f.cx, &ENDS, VALS(v_i(300000), v_i(w.node.node_id))));
	fine(node_store_take_back(f.db, &f.cx, &taken, &next_us));
	ck_assert_int_eq(taken, 0);
	ck_assert_int_eq(next_us, 300000);
	fine(db_set_clock(f.db, &f.cx, now + 300001));
	run_in(&f, f.db, "UPDATE beat SET at = NOW(6), grace_until = at");
	fine(node_store_take_back(f.db, &f.cx, &taken, &next_us));
	ck_assert_int_eq(taken, 1);
	fine(db_set_clock(f.db, &f.cx, TIME_NONE));
	run_in(&f, f.db, "UPDATE beat SET at = NOW(6), grace_until = NOW(6)");
}
END_TEST

START_TEST(after_an_outage_of_the_database_nobody_is_judged_for_a_lease)
{
	struct world w = given_world(&f);
	bool grace;
	int64_t now;

	queue(&w, "a", 1, (struct task_order){ 0 }, NULL);
	claim(&w, 1, 1);
	let_lease_pass(&w.node);
	run_in(&f, f.db, "UPDATE beat SET at = NOW(6) - INTERVAL 4 SECOND, grace_until = at");
	ck_assert_int_eq(take_back(), 0); /* nobody has beaten since */
	fine(node_store_beat(f.db, &f.cx, 12, &grace));
	ck_assert(grace);
	ck_assert_int_eq(take_back(), 0);
	fine(node_store_beat(f.db, &f.cx, 12, &grace));
	ck_assert(grace);
	for (int i = 0; i < 5; i++) { /* the clock goes on, with a beat every two seconds and a half */
		fine(db_now(f.db, &f.cx, &now));
		fine(db_set_clock(f.db, &f.cx, now + 2500000));
		fine(node_store_beat(f.db, &f.cx, 12, &grace));
	}
	ck_assert(!grace);
	ck_assert_int_eq(take_back(), 1);
	fine(db_set_clock(f.db, &f.cx, TIME_NONE));
	run_in(&f, f.db, "UPDATE beat SET at = NOW(6), grace_until = NOW(6)");
}
END_TEST

START_TEST(a_take_back_is_all_or_nothing_at_every_database_call)
{
	for (int after = 0; after <= 1; after++) {
		for (int n = 1;; n++) {
			struct world w = given_world(&f);
			int64_t statements = 0, taken;
			enum err e;

			queue(&w, "a", 2, (struct task_order){ 0 }, NULL);
			start(&w, claim(&w, 2, 2), 2);
			let_lease_pass(&w.node);
			run_in(&f, f.db, "UPDATE beat SET at = NOW(6), grace_until = NOW(6)");
			statements = db_statements(f.db);
			db_fail_at(f.db, n, after);
			e = node_store_take_back(f.db, &f.cx, &taken, NULL);
			db_fail_at(f.db, 0, false);
			statements = db_statements(f.db) - statements;
			ck_assert_msg(e == OK, "%s", f.cx.message);
			check_laws(&f);
			ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM running r JOIN node n ON n.id = r.node_id WHERE n.state = 'gone'"), 0);
			if (statements < n)
				break;
		}
	}
}
END_TEST

/* As a settlement once left them: out of `running`, their places free, and not over. */
static void forget(const struct claimed *c)
{
	const char *id = id_format(&c->task_id).s;

	run_in(&f, f.db, arena_printf(&f.cx.arena, "DELETE FROM running WHERE task_id = x'%s'", id));
	run_in(&f, f.db, arena_printf(&f.cx.arena, "UPDATE code SET running = running - 1 WHERE id = x'%s'", id_format(&c->code_id).s));
	run_in(&f, f.db, arena_printf(&f.cx.arena, "UPDATE lane SET running = running - 1 WHERE id = %lld", (long long)c->lane_id));
}

START_TEST(what_runs_nowhere_is_given_back_and_what_may_run_is_left)
{
	struct world w = given_world(&f);
	struct claimed *c;
	int64_t mended;

	queue(&w, "a", 3, (struct task_order){ 0 }, NULL);
	c = claim(&w, 3, 3);
	start(&w, c + 1, 2);
	for (int i = 0; i < 3; i++)
		forget(&c[i]);
	/* the first two came to their end, the node of the third lives and may have it */
	run_in(&f, f.db, arena_printf(&f.cx.arena, "UPDATE attempt SET ended_at = NOW(6), cause = 'exit' WHERE task_id IN (x'%s', x'%s')",
	                              id_format(&c[0].task_id).s, id_format(&c[1].task_id).s));
	fine(node_store_mend(f.db, &f.cx, &mended));
	ck_assert_int_eq(mended, 2);
	ck_assert_int_eq(stored(&w, &c[2].task_id).state, TASK_RUNNING);
	run_in(&f, f.db, arena_printf(&f.cx.arena, "UPDATE node SET state = 'gone' WHERE id = %lld", (long long)w.node.node_id));
	fine(node_store_mend(f.db, &f.cx, &mended));
	ck_assert_int_eq(mended, 1);
	check_laws(&f);
	run_in(&f, f.db, arena_printf(&f.cx.arena, "UPDATE node SET state = 'live' WHERE id = %lld", (long long)w.node.node_id));
	ck_assert_int_eq(claim(&w, 5, 3)[0].attempt, 2);
	check_laws(&f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("node_store");
	Suite *s = suite_create("node_store");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_session_begins_is_renewed_taken_over_and_ends);
	tcase_add_test(t, a_node_with_tasks_cannot_leave);
	tcase_add_test(t, tasks_of_a_dead_node_get_their_next_attempt_and_the_dead_can_say_nothing);
	tcase_add_test(t, a_thousand_tasks_are_taken_back_in_pages);
	tcase_add_test(t, a_task_whose_code_says_so_ends_with_its_node_and_never_starts_again);
	tcase_add_test(t, a_task_whose_code_says_so_is_given_back_only_if_it_never_started);
	tcase_add_test(t, the_third_node_that_dies_under_a_task_is_the_last);
	tcase_add_test(t, the_end_of_the_next_lease_is_told_before_it_comes);
	tcase_add_test(t, after_an_outage_of_the_database_nobody_is_judged_for_a_lease);
	tcase_add_test(t, what_runs_nowhere_is_given_back_and_what_may_run_is_left);
	tcase_add_test(t, a_take_back_is_all_or_nothing_at_every_database_call);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
