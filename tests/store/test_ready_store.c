#include "base/clock.h"
#include "store/ready_pick.h"
#include "tests/support/task_fixture.h"

#include <check.h>
#include <stdio.h>

static struct store_fixture f;

static void set_up(void)
{
	store_fixture_open(&f);
}

static void tear_down(void)
{
	check_laws(&f);
	store_fixture_close(&f);
}

#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

static void pause_code(struct world *w, const char *code, bool paused)
{
	struct code_target t = target_of(w, code);
	bool changed;

	fine(code_store_pause(f.db, &f.cx, &w->project, &t.code_id, paused, &changed));
}

static void limit_code(struct world *w, const char *code, int most)
{
	struct code_order order = { .name = str_of(code), .has_max_concurrency = true, .max_concurrency = most };
	struct code c;

	target_of(w, code);
	fine(code_store_put(f.db, &f.cx, &w->project, &order, &c));
}

static bool peek(struct world *w)
{
	bool any;

	fine(ready_store_peek(f.db, &f.cx, w->node.cluster_id, &any));
	return any;
}

/* However late the scheduler is that ends it: nothing starts it any more. The others of the same claim start. */
START_TEST(what_had_to_start_earlier_is_not_claimed_but_ended)
{
	struct world w = given_world(&f);
	struct id late[2], in_time[2], lost;
	struct claimed *c;

	queue(&w, "a", 2, (struct task_order){ .expires_in_s = 60 }, late);
	queue(&w, "b", 1, (struct task_order){ .expires_in_s = 3600 }, &in_time[0]);
	queue(&w, "b", 1, (struct task_order){ 0 }, &in_time[1]);
	run_in(&f, f.db, "UPDATE expiry SET expires_at = NOW(6) - INTERVAL 1 SECOND, look_at = NOW(6) - INTERVAL 1 SECOND"
	                 " WHERE expires_at < NOW(6) + INTERVAL 120 SECOND AND look_at IS NOT NULL");
	c = claim(&w, 10, 2);
	ck_assert(id_equal(&c[0].task_id, &in_time[0]));
	ck_assert(id_equal(&c[1].task_id, &in_time[1]));
	for (int i = 0; i < 2; i++) {
		struct task t = stored(&w, &late[i]);

		ck_assert_int_eq(t.state, TASK_EXPIRED);
		ck_assert_int_eq(t.attempt, 0);
	}
	ck_assert(!peek(&w));

	/* what was started in time and whose node was lost later goes on */
	queue(&w, "c", 1, (struct task_order){ .expires_in_s = 60 }, &lost);
	run_in(&f, f.db, "UPDATE expiry SET expires_at = NOW(6) - INTERVAL 1 SECOND, look_at = NULL WHERE look_at IS NOT NULL");
	c = claim(&w, 10, 1);
	ck_assert(id_equal(&c->task_id, &lost));
}
END_TEST

START_TEST(a_claim_gives_all_that_a_launch_needs)
{
	struct world w = given_world(&f);
	struct code_order order = { .name = STR_LIT("hello"), .has_image = true, .image = STR_LIT("busybox"),
		                    .has_command = true, .command = STR_LIT("echo hi"), .has_env = true,
		                    .env = STR_LIT("{\"A\":\"b\"}"), .has_config = true, .config = STR_LIT("cfg"),
		                    .has_memory = true, .memory_mb = 64, .has_grace = true, .grace_s = 3 };
	struct claimed *c, *mine;
	struct code code;
	struct id id;
	size_t n;

	fine(code_store_put(f.db, &f.cx, &w.project, &order, &code));
	queue(&w, "hello", 1, (struct task_order){ .payload = STR_LIT("p\0q"), .label = STR_LIT("l"), .timeout_s = 9 }, &id);
	ck_assert(peek(&w));
	c = claim(&w, 10, 1);
	ck_assert(id_equal(&c->task_id, &id));
	ck_assert(id_equal(&c->project_id, &w.project));
	ck_assert(id_equal(&c->code_id, &code.id));
	ck_assert_int_eq(c->state, TASK_PREPARING);
	ck_assert_int_eq(c->attempt, 1);
	ck_assert_int_eq(c->revision, 1);
	ck_assert_int_eq(c->timeout_s, 9);
	ck_assert_int_eq(c->grace_s, 3);
	ck_assert_int_eq(c->memory_mb, 64);
	ck_assert(str_is(c->image, "busybox"));
	ck_assert(str_is(c->command, "echo hi"));
	ck_assert(str_is(c->env, "{\"A\":\"b\"}"));
	ck_assert(str_is(c->config, "cfg"));
	ck_assert(str_is(c->code_name, "hello"));
	ck_assert(str_is(c->label, "l"));
	ck_assert(str_equal(c->payload, STR_LIT("p\0q")));
	ck_assert_int_eq(c->day, time_day(clock_wall_us()));
	ck_assert(!peek(&w));
	fine(ready_store_mine(f.db, &f.cx, &w.node, &mine, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert(id_equal(&mine->task_id, &id));
	start(&w, c, 1);
	fine(ready_store_mine(f.db, &f.cx, &w.node, &mine, &n));
	ck_assert_int_eq(mine->state, TASK_RUNNING);
	ck_assert(str_equal(mine->payload, STR_LIT("p\0q")));
}
END_TEST

START_TEST(higher_priority_goes_first_by_its_head_start_and_equals_in_the_order_given)
{
	struct world w = given_world(&f);
	struct id low[3], high[2];
	struct claimed *c;

	queue(&w, "a", 3, (struct task_order){ .priority = 0 }, low);
	queue(&w, "b", 2, (struct task_order){ .priority = 1 }, high);
	c = claim(&w, 10, 5);
	ck_assert(id_equal(&c[0].task_id, &high[0]));
	ck_assert(id_equal(&c[1].task_id, &high[1]));
	for (int i = 0; i < 3; i++)
		ck_assert(id_equal(&c[2 + i].task_id, &low[i]));
}
END_TEST

START_TEST(what_is_not_due_waits_whatever_its_priority)
{
	struct world w = given_world(&f);
	struct id id;
	size_t moved;

	queue(&w, "a", 1, (struct task_order){ .priority = 2, .delay_s = 50 }, &id);
	claim(&w, 5, 0);
	fine(db_set_clock(f.db, &f.cx, clock_wall_us() + 49000000));
	fine(ready_store_promote(f.db, &f.cx, 100, &moved));
	ck_assert_uint_eq(moved, 0);
	fine(db_set_clock(f.db, &f.cx, clock_wall_us() + 51000000));
	fine(ready_store_promote(f.db, &f.cx, 100, &moved));
	ck_assert_uint_eq(moved, 1);
	fine(db_set_clock(f.db, &f.cx, TIME_NONE));
	ck_assert(id_equal(&claim(&w, 5, 1)->task_id, &id));
}
END_TEST

START_TEST(a_paused_code_is_stepped_over_and_goes_on_in_its_place)
{
	struct world w = given_world(&f);
	struct id a[20], b[3], later[2];
	struct claimed *c;

	queue(&w, "a", 20, (struct task_order){ 0 }, a);
	queue(&w, "b", 3, (struct task_order){ 0 }, b);
	pause_code(&w, "a", true);
	c = claim(&w, 2, 2);
	ck_assert(id_equal(&c[0].task_id, &b[0]));
	check_laws(&f);
	c = claim(&w, 2, 1);
	ck_assert(id_equal(&c[0].task_id, &b[2]));
	ck_assert(!peek(&w));
	queue(&w, "b", 2, (struct task_order){ 0 }, later);
	pause_code(&w, "a", false);
	ck_assert(peek(&w));
	for (size_t i = 0; i < 20; i += 5) { /* what was set aside comes before what came later */
		c = claim(&w, 5, 5);
		for (size_t k = 0; k < 5; k++)
			ck_assert(id_equal(&c[k].task_id, &a[i + k]));
		check_laws(&f);
	}
	c = claim(&w, 5, 2);
	ck_assert(id_equal(&c[0].task_id, &later[0]));
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM lane WHERE head_rank IS NOT NULL"), 0);
}
END_TEST

START_TEST(a_limit_holds_and_gives_way_as_tasks_end)
{
	struct world w = given_world(&f);
	struct id a[9];
	struct claimed *c, *more;

	limit_code(&w, "a", 3);
	queue(&w, "a", 9, (struct task_order){ 0 }, a);
	c = claim(&w, 10, 3);
	claim(&w, 10, 0);
	ck_assert(!peek(&w));
	start(&w, c, 3);
	ck_assert(settle(&w, c, 2, TASK_COMPLETE, CAUSE_EXIT));
	ck_assert(peek(&w));
	more = claim(&w, 10, 2);
	ck_assert(id_equal(&more[0].task_id, &a[3]));
	ck_assert(id_equal(&more[1].task_id, &a[4]));
	limit_code(&w, "a", 4);
	ck_assert(id_equal(&claim(&w, 10, 1)->task_id, &a[5]));
	limit_code(&w, "a", 0);
	ck_assert(id_equal(&claim(&w, 10, 3)->task_id, &a[6]));
}
END_TEST

/* A node that lacks what some codes need, and another that has it. */
START_TEST(lanes_that_a_node_passes_over_are_left_to_others)
{
	enum { EACH = 500 }; /* more than one claim sets aside */
	static const struct sql LANE = { "SELECT lane_id FROM task WHERE id = ?", "s" };
	struct world w = given_world(&f), here;
	struct id a[EACH], b[EACH], c[4];
	int64_t passed[2];
	struct rows r;

	queue(&w, "a", EACH, (struct task_order){ 0 }, a);
	queue(&w, "b", EACH, (struct task_order){ 0 }, b);
	queue(&w, "c", 4, (struct task_order){ 0 }, c);
	for (int i = 0; i < 2; i++) {
		fine(db_query(f.db, &f.cx, &LANE, VALS(v_id(i ? b : a)), &r));
		passed[i] = val_int(&row(&r, 0)[0]);
	}
	here = w;
	here.node.passed = passed;
	here.node.passed_n = 2;
	for (int i = 0; i < 4; i++)
		ck_assert(id_equal(&claim(&here, 1, 1)->task_id, &c[i]));
	claim(&here, 1, 0);
	check_laws(&f);
	ck_assert(id_equal(&claim(&w, 1, 1)->task_id, &a[0]));
	here.node.passed = passed + 1;
	here.node.passed_n = 1;
	ck_assert(id_equal(&claim(&here, 1, 1)->task_id, &a[1]));
	ck_assert(id_equal(&claim(&here, 2 * EACH, EACH - 2)[0].task_id, &a[2]));
	ck_assert(id_equal(&claim(&w, 1, 1)->task_id, &b[0]));
	check_laws(&f);
}
END_TEST

START_TEST(a_limit_counts_over_clusters)
{
	struct world w = given_world(&f), other = given_world(&f);
	struct id here, there;

	other.project = w.project;
	limit_code(&w, "a", 1);
	queue(&w, "a", 1, (struct task_order){ 0 }, &here);
	queue(&other, "a", 1, (struct task_order){ 0 }, &there);
	ck_assert(id_equal(&claim(&w, 5, 1)->task_id, &here));
	claim(&other, 5, 0);
}
END_TEST

START_TEST(set_aside_rows_of_many_lanes_come_back_in_exact_order)
{
	enum { LANES = 30, EACH = 7 };
	struct world w = given_world(&f);
	int64_t last = INT64_MIN;
	char name[LANES][16];
	size_t got = 0;

	for (int round = 0; round < EACH; round++) {
		for (int i = 0; i < LANES; i++) {
			snprintf(name[i], sizeof name[i], "c%d", i);
			queue(&w, name[i], 1, (struct task_order){ .priority = (round * 7 + i) % 3 }, NULL);
		}
	}
	for (int i = 0; i < LANES; i += 2)
		pause_code(&w, name[i], true);
	claim(&w, 50, 50);
	claim(&w, 200, LANES / 2 * EACH - 50);
	check_laws(&f);
	for (int i = 0; i < LANES; i += 2)
		pause_code(&w, name[i], false);
	while (got < LANES / 2 * EACH) {
		static const struct sql RANK = { "SELECT rank_at FROM task WHERE id = ?", "s" };
		size_t n;
		struct claimed *c;
		struct rows r;

		fine(ready_store_claim(f.db, &f.cx, &w.node, 8, &c, &n));
		ck_assert_uint_gt(n, 0);
		for (size_t i = 0; i < n; i++) {
			fine(db_query(f.db, &f.cx, &RANK, VALS(v_id(&c[i].task_id)), &r));
			ck_assert_int_ge(val_time(&row(&r, 0)[0]), last);
			last = val_time(&row(&r, 0)[0]);
		}
		got += n;
		check_laws(&f);
	}
	ck_assert(!peek(&w));
}
END_TEST

START_TEST(a_long_front_of_paused_rows_does_not_keep_others_waiting)
{
	struct world w = given_world(&f);
	int64_t before = number_in(&f, f.db, "SELECT COUNT(*) FROM ready WHERE place < 0");
	struct id b[3];

	queue(&w, "a", 3000, (struct task_order){ .priority = 1 }, NULL);
	queue(&w, "b", 3, (struct task_order){ 0 }, b);
	pause_code(&w, "a", true);
	for (int i = 0; i < 3; i++) {
		ck_assert(id_equal(&claim(&w, 1, 1)->task_id, &b[i]));
		ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM ready WHERE place < 0"), before + PICK_ASIDE_MOST * (i + 1));
		check_laws(&f);
	}
}
END_TEST

START_TEST(cancelled_rows_that_were_set_aside_leave_no_trace)
{
	struct world w = given_world(&f);
	enum task_state state;
	struct str bell;
	struct id a[5];

	queue(&w, "a", 5, (struct task_order){ 0 }, a);
	pause_code(&w, "a", true);
	claim(&w, 5, 0);
	for (int i = 0; i < 4; i++)
		fine(task_store_cancel(f.db, &f.cx, &w.project, &a[i], STR_LIT("eve"), &state, &bell));
	pause_code(&w, "a", false);
	ck_assert(id_equal(&claim(&w, 5, 1)->task_id, &a[4]));
	claim(&w, 5, 0);
	ck_assert(!peek(&w));
}
END_TEST

START_TEST(a_row_that_stands_for_nothing_stops_nobody)
{
	static const struct sql STRAY = {
		"INSERT INTO ready (lane_id, rank_at, task_id, place, attempt)"
		" VALUES (?, '2001-01-01', x'0123456789ab0123456789ab', ?, 0)", "ii" };
	struct world w = given_world(&f);
	struct code_target t = target_of(&w, "a");
	struct id a[2];

	fine(db_exec(f.db, &f.cx, &STRAY, VALS(v_i(t.lane_id), v_i(t.cluster_id))));
	queue(&w, "a", 2, (struct task_order){ 0 }, a);
	claim(&w, 5, 2);
}
END_TEST

START_TEST(a_drained_node_claims_nothing_and_one_taken_back_is_told)
{
	struct world w = given_world(&f);
	static const struct sql RENAME = { "UPDATE node SET name = ? WHERE id = ?", "si" };
	static const struct sql LATE = { "UPDATE node SET lease_until = NOW(6) - INTERVAL 1 SECOND WHERE id = ?", "i" };
	struct claimed *c;
	bool draining;
	int64_t taken;
	size_t n;

	fine(db_exec(f.db, &f.cx, &RENAME, VALS(v_z(w.cluster), v_i(w.node.node_id))));
	queue(&w, "a", 3, (struct task_order){ 0 }, NULL);
	fine(node_store_drain(f.db, &f.cx, str_of(w.cluster), true));
	claim(&w, 5, 0);
	fine(node_store_renew(f.db, &f.cx, w.node.node_id, w.node.session, 12, 0, &draining));
	ck_assert(draining);
	fine(node_store_drain(f.db, &f.cx, str_of(w.cluster), false));
	claim(&w, 1, 1);
	fine(db_exec(f.db, &f.cx, &LATE, VALS(v_i(w.node.node_id))));
	claim(&w, 1, 0); /* late, but nobody has judged it yet */
	run_in(&f, f.db, "UPDATE beat SET at = NOW(6), grace_until = NOW(6)");
	fine(node_store_take_back(f.db, &f.cx, &taken, NULL));
	ck_assert_int_eq(taken, 1);
	ck_assert_int_eq(ready_store_claim(f.db, &f.cx, &w.node, 1, &c, &n), ERR_CONFLICT);
	ck_assert_int_eq(node_store_renew(f.db, &f.cx, w.node.node_id, w.node.session, 12, 0, &draining), ERR_CONFLICT);
}
END_TEST

START_TEST(a_claim_is_all_or_nothing_at_every_database_call)
{
	for (int after = 0; after <= 1; after++) {
		for (int n = 1;; n++) {
			struct world w = given_world(&f);
			struct claimed *c = NULL, *mine;
			size_t got = 0, have = 0;
			int64_t statements;
			enum err e;

			limit_code(&w, "a", 2);
			queue(&w, "a", 4, (struct task_order){ 0 }, NULL);
			queue(&w, "b", 1, (struct task_order){ 0 }, NULL);
			statements = db_statements(f.db);
			db_fail_at(f.db, n, after);
			e = ready_store_claim(f.db, &f.cx, &w.node, 4, &c, &got);
			db_fail_at(f.db, 0, false);
			statements = db_statements(f.db) - statements;
			fine(ready_store_mine(f.db, &f.cx, &w.node, &mine, &have));
			ck_assert_msg(e == OK, "call %d: one lost connection is survived: %s", n, f.cx.message);
			ck_assert_uint_eq(got, 3);
			ck_assert_uint_eq(have, 3);
			check_laws(&f);
			if (statements < n)
				break;
		}
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("ready_store");
	Suite *s = suite_create("ready_store");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, what_had_to_start_earlier_is_not_claimed_but_ended);
	tcase_add_test(t, a_claim_gives_all_that_a_launch_needs);
	tcase_add_test(t, higher_priority_goes_first_by_its_head_start_and_equals_in_the_order_given);
	tcase_add_test(t, what_is_not_due_waits_whatever_its_priority);
	tcase_add_test(t, a_paused_code_is_stepped_over_and_goes_on_in_its_place);
	tcase_add_test(t, a_limit_holds_and_gives_way_as_tasks_end);
	tcase_add_test(t, lanes_that_a_node_passes_over_are_left_to_others);
	tcase_add_test(t, a_limit_counts_over_clusters);
	tcase_add_test(t, set_aside_rows_of_many_lanes_come_back_in_exact_order);
	tcase_add_test(t, a_long_front_of_paused_rows_does_not_keep_others_waiting);
	tcase_add_test(t, cancelled_rows_that_were_set_aside_leave_no_trace);
	tcase_add_test(t, a_row_that_stands_for_nothing_stops_nobody);
	tcase_add_test(t, a_drained_node_claims_nothing_and_one_taken_back_is_told);
	tcase_add_test(t, a_claim_is_all_or_nothing_at_every_database_call);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
