#include "base/clock.h"
#include "tests/support/task_fixture.h"

#include <check.h>
#include <stdio.h>
#include <unistd.h>

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

static void allow_retries(struct world *w, const char *code, int64_t retries, int64_t delay_s)
{
	struct code_order order = { .name = str_of(code), .has_retries = true, .retries = retries,
		                    .has_retries_delay = true, .retries_delay_s = delay_s };
	struct code c;

	target_of(w, code);
	fine(code_store_put(f.db, &f.cx, &w->project, &order, &c));
}

START_TEST(a_whole_life_leaves_its_history)
{
	struct world w = given_world(&f);
	struct task_attempt *attempts;
	struct task_delivery *calls;
	struct task_event *events;
	struct claimed *c;
	struct task t;
	struct id id;
	size_t n;

	queue(&w, "a", 1, (struct task_order){ .callback = STR_LIT("http://127.0.0.1/") }, &id);
	c = claim(&w, 1, 1);
	start(&w, c, 1);
	start(&w, c, 1); /* told twice is no loss */
	ck_assert_int_eq(stored(&w, &id).state, TASK_RUNNING);
	ck_assert(settle(&w, c, 1, TASK_COMPLETE, CAUSE_EXIT));
	ck_assert(!settle(&w, c, 1, TASK_COMPLETE, CAUSE_EXIT));
	t = stored(&w, &id);
	ck_assert_int_eq(t.state, TASK_COMPLETE);
	ck_assert_int_eq(t.exit_code, 0);
	ck_assert(str_is(t.cause, "exit"));
	ck_assert(str_is(t.note, "as the test says"));
	ck_assert_int_eq(t.changes, 4);
	ck_assert_int_gt(t.ended_at, t.started_at);
	fine(task_store_events(f.db, &f.cx, &w.project, &id, &events, &n));
	ck_assert_uint_eq(n, 4);
	ck_assert_int_eq(events[3].state, TASK_COMPLETE);
	ck_assert_int_eq(events[3].at, t.ended_at);
	fine(task_store_attempts(f.db, &f.cx, &w.project, &id, &attempts, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert(str_is(attempts->node_name, "node"));
	ck_assert_int_eq(attempts->started_at, t.started_at);
	ck_assert_int_eq(attempts->max_rss_bytes, 4096);
	ck_assert_int_eq(attempts->exit_code, 0);
	fine(task_store_deliveries(f.db, &f.cx, &w.project, &id, &calls, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert(str_is(calls->state, "waiting"));
	ck_assert_int_eq(calls->number, 4);
}
END_TEST

START_TEST(each_end_keeps_its_own_cause)
{
	static const struct {
		enum task_state state;
		enum cause cause;
	} ENDS[] = { { TASK_COMPLETE, CAUSE_EXIT }, { TASK_ERROR, CAUSE_EXIT }, { TASK_ERROR, CAUSE_IMAGE },
		     { TASK_TIMEOUT, CAUSE_TIMEOUT }, { TASK_KILLED, CAUSE_OUT_OF_MEMORY },
		     { TASK_CANCELLED, CAUSE_CANCELLED }, { TASK_KILLED, CAUSE_MONITOR_LOST } };
	struct world w = given_world(&f);

	for (size_t i = 0; i < sizeof ENDS / sizeof *ENDS; i++) {
		struct claimed *c;
		struct task t;
		struct id id;

		queue(&w, "a", 1, (struct task_order){ .callback = STR_LIT("http://x/") }, &id);
		c = claim(&w, 1, 1);
		if (i % 2) /* one that is over before its start was told is settled as well */
			start(&w, c, 1);
		ck_assert(settle(&w, c, 1, ENDS[i].state, ENDS[i].cause));
		t = stored(&w, &id);
		ck_assert_int_eq(t.state, ENDS[i].state);
		ck_assert(str_is(t.cause, cause_name(ENDS[i].cause)));
		ck_assert_int_ne(t.started_at, TIME_NONE);
	}
}
END_TEST

START_TEST(an_attempt_that_never_started_ends_without_a_start)
{
	struct world w = given_world(&f);
	struct attempt_end end;
	struct claimed *c;
	struct task t;
	bool lost;

	queue(&w, "a", 1, (struct task_order){ 0 }, NULL);
	c = claim(&w, 1, 1);
	end = (struct attempt_end){ c->task_id, c->attempt, c->lane_id,
		                    { .state = TASK_ERROR, .cause = CAUSE_IMAGE, .exit_code = -1, .note = "no \xff image" }, 0 };
	fine(attempt_store_settle(f.db, &f.cx, &w.node, &end, 1, &lost));
	ck_assert(!lost);
	t = stored(&w, &c->task_id);
	ck_assert_int_eq(t.state, TASK_ERROR);
	ck_assert_int_eq(t.started_at, TIME_NONE);
	ck_assert_int_eq(t.exit_code, -1);
	ck_assert(str_is(t.note, "no \xef\xbf\xbd image"));
}
END_TEST

START_TEST(an_end_that_is_told_late_keeps_its_time)
{
	static const int64_t AGES[] = { 250000, 3600000000, -5 }, MOST_MS[] = { 250, 1, 100000 };
	struct world w = given_world(&f);

	for (size_t i = 0; i < 3; i++) {
		struct attempt_end end;
		struct task_attempt *attempts;
		struct claimed *c;
		struct task t;
		bool lost;
		size_t n;

		queue(&w, "a", 1, (struct task_order){ 0 }, NULL);
		c = claim(&w, 1, 1);
		start(&w, c, 1);
		usleep(300000);
		end = (struct attempt_end){ c->task_id, c->attempt, c->lane_id,
			                    { .state = TASK_COMPLETE, .cause = CAUSE_EXIT }, AGES[i] };
		fine(attempt_store_settle(f.db, &f.cx, &w.node, &end, 1, &lost));
		t = stored(&w, &c->task_id);
		ck_assert_int_ge(t.ended_at, t.started_at);
		ck_assert_int_lt(t.ended_at - t.started_at, MOST_MS[i] * 1000);
		ck_assert_int_ge(t.ended_at - t.started_at, i == 1 ? 0 : i == 2 ? 300000 : 50000);
		fine(task_store_attempts(f.db, &f.cx, &w.project, &c->task_id, &attempts, &n));
		ck_assert_int_eq(attempts->started_at, t.started_at);
		ck_assert_int_lt(attempts->ended_at - attempts->started_at, MOST_MS[i] * 1000);
	}
}
END_TEST

START_TEST(what_is_given_back_gets_its_next_attempt_in_its_old_place)
{
	struct world w = given_world(&f);
	struct claimed *c, *again;
	struct id ids[2];
	struct task t;

	queue(&w, "a", 2, (struct task_order){ 0 }, ids);
	c = claim(&w, 1, 1);
	start(&w, c, 1);
	ck_assert(settle(&w, c, 1, TASK_QUEUED, CAUSE_NODE_STOPPED));
	t = stored(&w, &ids[0]);
	ck_assert_int_eq(t.state, TASK_QUEUED);
	ck_assert_int_eq(t.attempt, 1);
	ck_assert(str_is(t.cause, "node_stopped"));
	check_laws(&f);
	again = claim(&w, 1, 1);
	ck_assert(id_equal(&again->task_id, &ids[0]));
	ck_assert_int_eq(again->attempt, 2);
	ck_assert(!settle(&w, c, 1, TASK_COMPLETE, CAUSE_EXIT)); /* the first attempt's word is worth nothing now */
	ck_assert_uint_eq(stored(&w, &ids[0]).cause.n, 0);
	start(&w, again, 1);
	ck_assert(settle(&w, again, 1, TASK_COMPLETE, CAUSE_EXIT));
}
END_TEST

START_TEST(what_is_given_back_though_its_end_was_asked_for_is_cancelled)
{
	static const enum task_state ENDS[] = { TASK_QUEUED, TASK_KILLED };
	static const enum cause CAUSES_OF[] = { CAUSE_NODE_STOPPED, CAUSE_MONITOR_LOST };
	struct world w = given_world(&f);
	enum task_state state;
	struct claimed *c;
	struct task t;
	struct str bell;

	for (size_t i = 0; i < 2; i++) {
		queue(&w, "a", 1, (struct task_order){ .has_retries = true, .retries = 1 }, NULL);
		c = claim(&w, 1, 1);
		start(&w, c, 1);
		fine(task_store_cancel(f.db, &f.cx, &w.project, &c->task_id, STR_LIT("eve"), &state, &bell));
		ck_assert(settle(&w, c, 1, ENDS[i], CAUSES_OF[i]));
		t = stored(&w, &c->task_id);
		ck_assert_int_eq(t.state, TASK_CANCELLED);
		ck_assert(str_is(t.note, "cancelled by eve"));
		ck_assert(id_is_zero(&t.retry_task_id));
	}
}
END_TEST

START_TEST(in_a_mixed_batch_the_lost_are_named_and_the_rest_settle)
{
	struct world w = given_world(&f);
	struct attempt_end ends[4] = { 0 };
	struct claimed *c;
	bool lost[4];

	queue(&w, "a", 4, (struct task_order){ 0 }, NULL);
	c = claim(&w, 4, 4);
	start(&w, c, 3); /* the fourth is still preparing */
	ck_assert(settle(&w, &c[1], 1, TASK_QUEUED, CAUSE_NODE_STOPPED));
	for (int i = 0; i < 4; i++)
		ends[i] = (struct attempt_end){ c[i].task_id, c[i].attempt, c[i].lane_id,
			                        { .state = TASK_COMPLETE, .cause = CAUSE_EXIT, .ran_us = 5000 }, 0 };
	fine(attempt_store_settle(f.db, &f.cx, &w.node, ends, 4, lost));
	ck_assert(!lost[0] && lost[1] && !lost[2] && !lost[3]);
	ck_assert_int_eq(stored(&w, &c[3].task_id).state, TASK_COMPLETE);
	ck_assert_int_eq(stored(&w, &c[1].task_id).state, TASK_QUEUED);
}
END_TEST

/* The session is the same: the number alone tells the old attempt from the new one. */
START_TEST(an_old_attempt_of_the_same_node_can_say_nothing)
{
	struct world w = given_world(&f);
	struct claimed old, *c;

	queue(&w, "a", 1, (struct task_order){ 0 }, NULL);
	old = *claim(&w, 1, 1);
	start(&w, &old, 1);
	ck_assert(settle(&w, &old, 1, TASK_QUEUED, CAUSE_NODE_STOPPED));
	c = claim(&w, 1, 1);
	start(&w, c, 1);
	ck_assert(!settle(&w, &old, 1, TASK_COMPLETE, CAUSE_EXIT));
	ck_assert(!settle(&w, &old, 1, TASK_QUEUED, CAUSE_NODE_STOPPED));
	ck_assert_int_eq(stored(&w, &c->task_id).state, TASK_RUNNING);
	ck_assert(settle(&w, c, 1, TASK_COMPLETE, CAUSE_EXIT));
}
END_TEST

/* The server's count of changed rows decides who is lost: what triggers do meanwhile must not count. */
START_TEST(ends_are_counted_right_whoever_is_told_of_them)
{
	static const struct sql REGISTER = {
		"INSERT INTO callback (id, project_id, states, chosen, url) VALUES (?, ?, 2047, 2047, 'http://127.0.0.1/')", "ss" };
	static const struct sql TOLD = { "SELECT COUNT(*) FROM outbox WHERE task_state = 'complete' AND project_id = ?", "s" };
	struct world w = given_world(&f);
	struct attempt_end ends[4] = { 0 };
	struct id id = id_make(1);
	struct claimed *c;
	struct rows r;
	bool lost[4];

	fine(db_exec(f.db, &f.cx, &REGISTER, VALS(v_id(&id), v_id(&w.project))));
	queue(&w, "a", 4, (struct task_order){ .callback = STR_LIT("http://127.0.0.1/") }, NULL);
	c = claim(&w, 4, 4);
	start(&w, c, 4);
	for (int i = 0; i < 4; i++)
		ends[i] = (struct attempt_end){ c[i].task_id, c[i].attempt, c[i].lane_id,
			                        { .state = TASK_COMPLETE, .cause = CAUSE_EXIT, .ran_us = 5000 }, 0 };
	fine(attempt_store_settle(f.db, &f.cx, &w.node, ends, 2, lost));
	ck_assert(!lost[0] && !lost[1]);
	fine(attempt_store_settle(f.db, &f.cx, &w.node, ends, 4, lost));
	ck_assert(lost[0] && lost[1] && !lost[2] && !lost[3]);
	fine(db_query(f.db, &f.cx, &TOLD, VALS(v_id(&w.project)), &r));
	ck_assert_int_eq(val_int(&row(&r, 0)[0]), 8);
	check_laws(&f);
}
END_TEST

static void settle_with_one_started(struct world *w, int n, struct str callback)
{
	struct attempt_end ends[6] = { 0 };
	struct claimed *c;
	bool lost[6];

	queue(w, "a", (size_t)n, (struct task_order){ .callback = callback }, NULL);
	c = claim(w, (size_t)n, n);
	start(w, c, 1);
	for (int i = 0; i < n; i++)
		ends[i] = (struct attempt_end){ c[i].task_id, c[i].attempt, c[i].lane_id,
			                        { .state = TASK_ERROR, .cause = CAUSE_LAUNCH, .exit_code = -1 }, 0 };
	fine(attempt_store_settle(f.db, &f.cx, &w->node, ends, (size_t)n, lost));
	for (int i = 0; i < n; i++)
		ck_assert_int_eq(stored(w, &c[i].task_id).state, TASK_ERROR);
}

/* One of each batch was started; with whatever callbacks add, no size of the batch may make it look whole. */
START_TEST(what_callbacks_write_hides_no_row_that_an_array_missed)
{
	static const struct sql REGISTER = {
		"INSERT INTO callback (id, project_id, states, chosen, url) VALUES (?, ?, 2047, 2047, 'http://127.0.0.1/')", "ss" };

	for (int registered = 0; registered <= 2; registered++) {
		struct world w = given_world(&f);

		for (int i = 0; i < registered; i++) {
			struct id id = id_make(1);

			fine(db_exec(f.db, &f.cx, &REGISTER, VALS(v_id(&id), v_id(&w.project))));
		}
		for (int i = 0; i < 10; i++)
			settle_with_one_started(&w, 2 + i / 2, i % 2 ? STR_LIT("http://127.0.0.1/") : STR_LIT(""));
		check_laws(&f);
	}
}
END_TEST

START_TEST(a_failed_task_is_retried_as_a_new_one_linked_both_ways)
{
	struct world w = given_world(&f);
	struct id first, id;
	struct task t, next;

	allow_retries(&w, "a", 2, 0);
	queue(&w, "a", 1, (struct task_order){ .payload = STR_LIT("p"), .label = STR_LIT("l"), .priority = 2, .timeout_s = 7,
	                                       .callback = STR_LIT("http://x/") }, &first);
	id = first;
	for (int retry = 0; retry <= 2; retry++) {
		struct claimed *c = claim(&w, 5, 1);

		ck_assert(id_equal(&c->task_id, &id));
		start(&w, c, 1);
		ck_assert(settle(&w, c, 1, retry ? TASK_ERROR : TASK_KILLED, retry ? CAUSE_EXIT : CAUSE_OUT_OF_MEMORY));
		t = stored(&w, &id);
		ck_assert_int_eq(t.retry, retry);
		if (retry == 2)
			break;
		next = stored(&w, &t.retry_task_id);
		ck_assert(id_equal(&next.original_task_id, &first));
		ck_assert(str_is(next.payload, "p"));
		ck_assert(str_is(next.label, "l"));
		ck_assert(str_is(next.callback, "http://x/"));
		ck_assert_int_eq(next.priority, 2);
		ck_assert_int_eq(next.timeout_s, 7);
		id = next.id;
	}
	ck_assert(id_is_zero(&t.retry_task_id));
	claim(&w, 5, 0);
}
END_TEST

START_TEST(a_retry_waits_its_delay_and_timeouts_and_cancels_have_none)
{
	static const enum task_state ENDS[] = { TASK_ERROR, TASK_TIMEOUT, TASK_CANCELLED, TASK_COMPLETE };
	static const enum cause CAUSES_OF[] = { CAUSE_EXIT, CAUSE_TIMEOUT, CAUSE_CANCELLED, CAUSE_EXIT };
	struct world w = given_world(&f);
	struct task t;
	struct id id;

	allow_retries(&w, "a", 1, 30);
	for (int i = 0; i < 4; i++) {
		struct claimed *c;

		queue(&w, "a", 1, (struct task_order){ 0 }, &id);
		c = claim(&w, 5, 1);
		start(&w, c, 1);
		ck_assert(settle(&w, c, 1, ENDS[i], CAUSES_OF[i]));
		t = stored(&w, &id);
		ck_assert_int_eq(id_is_zero(&t.retry_task_id), i != 0);
		if (i == 0)
			ck_assert_int_eq(stored(&w, &t.retry_task_id).delay_s, 30);
	}
}
END_TEST

/* The same with each statement lost before and after it was done: one settlement, one retry, one row
 * for the callback, whatever happened. */
static void settle_with_failures(enum task_state state, enum cause cause)
{
	for (int after = 0; after <= 1; after++) {
		for (int n = 1;; n++) {
			struct world w = given_world(&f);
			struct attempt_end end[2];
			int64_t statements;
			struct claimed *c;
			bool lost[2];
			enum err e;

			allow_retries(&w, "a", 1, 0);
			queue(&w, "a", 2, (struct task_order){ .callback = STR_LIT("http://x/") }, NULL);
			c = claim(&w, 2, 2);
			start(&w, c, 2);
			for (int i = 0; i < 2; i++)
				end[i] = (struct attempt_end){ c[i].task_id, c[i].attempt, c[i].lane_id,
					                       { .state = state, .cause = cause, .exit_code = state == TASK_ERROR }, 0 };
			statements = db_statements(f.db);
			db_fail_at(f.db, n, after);
			e = attempt_store_settle(f.db, &f.cx, &w.node, end, 2, lost);
			db_fail_at(f.db, 0, false);
			statements = db_statements(f.db) - statements;
			ck_assert_msg(e == OK, "call %d: one lost connection is survived: %s", n, f.cx.message);
			ck_assert(!lost[0] && !lost[1]);
			check_laws(&f);
			claim(&w, 10, state == TASK_ERROR || state == TASK_QUEUED ? 2 : 0);
			if (statements < n)
				break;
		}
	}
}

START_TEST(settling_is_all_or_nothing_at_every_database_call)
{
	settle_with_failures(TASK_COMPLETE, CAUSE_EXIT);
	settle_with_failures(TASK_ERROR, CAUSE_EXIT);
	settle_with_failures(TASK_QUEUED, CAUSE_NODE_STOPPED);
}
END_TEST

START_TEST(a_settlement_whose_server_keeps_dying_changes_nothing)
{
	struct world w = given_world(&f);
	struct claimed *c;
	bool lost;

	queue(&w, "a", 1, (struct task_order){ .callback = STR_LIT("http://x/") }, NULL);
	c = claim(&w, 1, 1);
	start(&w, c, 1);
	{
		struct store_fixture away;
		struct attempt_end end = { c->task_id, c->attempt, c->lane_id, { .state = TASK_COMPLETE, .cause = CAUSE_EXIT }, 0 };
		char none[] = "/nowhere/s";

		store_fixture_open(&away);
		away.set.database.socket = none;
		ck_assert_int_eq(attempt_store_settle(away.db, &away.cx, &w.node, &end, 1, &lost), ERR_BUSY);
		store_fixture_close(&away);
	}
	ck_assert_int_eq(stored(&w, &c->task_id).state, TASK_RUNNING);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("attempt_store");
	Suite *s = suite_create("attempt_store");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_whole_life_leaves_its_history);
	tcase_add_test(t, each_end_keeps_its_own_cause);
	tcase_add_test(t, an_attempt_that_never_started_ends_without_a_start);
	tcase_add_test(t, an_end_that_is_told_late_keeps_its_time);
	tcase_add_test(t, what_is_given_back_gets_its_next_attempt_in_its_old_place);
	tcase_add_test(t, what_is_given_back_though_its_end_was_asked_for_is_cancelled);
	tcase_add_test(t, in_a_mixed_batch_the_lost_are_named_and_the_rest_settle);
	tcase_add_test(t, an_old_attempt_of_the_same_node_can_say_nothing);
	tcase_add_test(t, ends_are_counted_right_whoever_is_told_of_them);
	tcase_add_test(t, what_callbacks_write_hides_no_row_that_an_array_missed);
	tcase_add_test(t, a_failed_task_is_retried_as_a_new_one_linked_both_ways);
	tcase_add_test(t, a_retry_waits_its_delay_and_timeouts_and_cancels_have_none);
	tcase_add_test(t, settling_is_all_or_nothing_at_every_database_call);
	tcase_add_test(t, a_settlement_whose_server_keeps_dying_changes_nothing);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
