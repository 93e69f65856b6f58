#include "base/clock.h"
#include "model/rank.h"
#include "tests/support/task_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

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

static int64_t tasks_of(const struct world *w)
{
	static const struct sql COUNT = { "SELECT COUNT(*) FROM task WHERE project_id = ?", "s" };
	struct rows r;

	fine(db_query(f.db, &f.cx, &COUNT, VALS(v_id(&w->project)), &r));
	return val_int(&row(&r, 0)[0]);
}

START_TEST(a_queued_task_is_read_back_as_it_was_given)
{
	struct world w = given_world(&f);
	struct task_order order = { .priority = 2, .timeout_s = 77, .label = STR_LIT("night\xc3\xa9"),
		                    .payload = STR_LIT("a\0\xff b"), .callback = STR_LIT("http://127.0.0.1/x") };
	struct id id;
	struct task t;

	queue(&w, "hello", 1, order, &id);
	t = stored(&w, &id);
	ck_assert(id_equal(&t.id, &id));
	ck_assert(id_equal(&t.project_id, &w.project));
	ck_assert_int_eq(t.state, TASK_QUEUED);
	ck_assert(str_is(t.code_name, "hello"));
	ck_assert(str_is(t.cluster_name, w.cluster));
	ck_assert(str_equal(t.payload, order.payload));
	ck_assert(str_equal(t.label, order.label));
	ck_assert(str_equal(t.callback, order.callback));
	ck_assert_int_eq(t.priority, 2);
	ck_assert_int_eq(t.timeout_s, 77);
	ck_assert_int_eq(t.attempt, 0);
	ck_assert_int_eq(t.changes, 1);
	ck_assert_int_eq(t.exit_code, -1);
	ck_assert_int_eq(t.created_at, t.due_at);
	ck_assert_int_eq(t.started_at, TIME_NONE);
	ck_assert_int_eq(t.ended_at, TIME_NONE);
	ck_assert(!t.cancel_asked);
}
END_TEST

START_TEST(what_an_order_leaves_out_comes_from_the_code)
{
	struct world w = given_world(&f);
	struct code_order code = { .name = STR_LIT("hello"), .has_image = true, .image = STR_LIT("busybox"),
		                   .has_priority = true, .default_priority = 1, .has_timeout = true, .timeout_s = 60,
		                   .has_callback = true, .callback = STR_LIT("http://127.0.0.1/code") };
	struct code c;
	struct task t;
	struct id id;

	fine(code_store_put(f.db, &f.cx, &w.project, &code, &c));
	queue(&w, "hello", 1, (struct task_order){ .priority = TASK_PRIORITY_UNSET }, &id);
	t = stored(&w, &id);
	ck_assert_int_eq(t.priority, 1);
	ck_assert_int_eq(t.timeout_s, 60);
	ck_assert(str_is(t.callback, "http://127.0.0.1/code"));
	queue(&w, "other", 1, (struct task_order){ 0 }, &id);
	ck_assert_int_eq(stored(&w, &id).timeout_s, TASK_TIMEOUT_DEFAULT_S);
}
END_TEST

START_TEST(the_trigger_ranks_by_the_law_of_the_model)
{
	static const struct sql RANK = { "SELECT due_at, rank_at, head_start_s FROM task WHERE id = ?", "s" };
	struct world w = given_world(&f);

	for (int priority = 0; priority <= 2; priority++) {
		struct id id;
		struct rows r;

		queue(&w, "hello", 1, (struct task_order){ .priority = priority, .delay_s = 10 * priority }, &id);
		fine(db_query(f.db, &f.cx, &RANK, VALS(v_id(&id)), &r));
		ck_assert_int_eq(val_int(&row(&r, 0)[2]), 300);
		ck_assert_int_eq(val_time(&row(&r, 0)[1]), rank_at(val_time(&row(&r, 0)[0]), priority, 300));
		ck_assert_int_eq(val_time(&row(&r, 0)[0]) - stored(&w, &id).created_at, 10000000 * priority);
	}
}
END_TEST

START_TEST(another_projects_task_is_not_found)
{
	struct world w = given_world(&f), other = given_world(&f);
	enum task_state state;
	struct str doorbell;
	struct task_event *events;
	struct task t;
	struct id id;
	size_t n;

	queue(&w, "hello", 1, (struct task_order){ 0 }, &id);
	ck_assert_int_eq(task_store_get(f.db, &f.cx, &other.project, &id, &t), ERR_NOT_FOUND);
	ck_assert_int_eq(task_store_cancel(f.db, &f.cx, &other.project, &id, STR_LIT("x"), &state, &doorbell), ERR_NOT_FOUND);
	ck_assert_int_eq(task_store_progress(f.db, &f.cx, &other.project, &id, 1, STR_LIT("x")), ERR_NOT_FOUND);
	ck_assert_int_eq(task_store_events(f.db, &f.cx, &other.project, &id, &events, &n), ERR_NOT_FOUND);
	ck_assert_int_eq(stored(&w, &id).state, TASK_QUEUED);
}
END_TEST

START_TEST(one_task_costs_one_round_trip)
{
	struct world w = given_world(&f);
	struct code_target target = target_of(&w, "hello");
	struct task_order order = { .id = id_make(clock_wall_us()) };
	int64_t before = db_statements(f.db);

	fine(task_store_add(f.db, &f.cx, &w.project, &order, &target, 1));
	ck_assert_int_eq(db_statements(f.db) - before, 1);
}
END_TEST

static void prepare_many(struct world *w, size_t n, size_t payload, struct task_order **orders, struct code_target **targets)
{
	struct code_target target = target_of(w, "hello");
	struct id *ids = malloc(n * sizeof *ids);
	char *bytes = arena_take(&f.cx.arena, payload + 1);

	id_make_many(clock_wall_us(), ids, n);
	*orders = arena_array(&f.cx.arena, n, sizeof **orders);
	*targets = arena_array(&f.cx.arena, n, sizeof **targets);
	memset(bytes, 'x', payload);
	for (size_t i = 0; i < n; i++) {
		(*orders)[i] = (struct task_order){ .id = ids[i], .payload = str_bytes(bytes, payload) };
		(*targets)[i] = target;
	}
	free(ids);
}

START_TEST(ten_thousand_at_once_are_one_transaction_and_little_memory)
{
	enum { MANY = 10000 };
	struct world w = given_world(&f);
	struct task_order *orders;
	struct code_target *targets;
	struct rusage usage;

	prepare_many(&w, MANY, 3300, &orders, &targets); /* 33 MB, as much as a request may have */
	fine(task_store_add(f.db, &f.cx, &w.project, orders, targets, MANY));
	ck_assert_int_eq(tasks_of(&w), MANY);
	getrusage(RUSAGE_SELF, &usage);
	ck_assert_msg(usage.ru_maxrss < 256 * 1024, "%ld KiB", usage.ru_maxrss);
}
END_TEST

START_TEST(one_bad_task_of_many_queues_none)
{
	enum { MANY = 2500 };
	struct world w = given_world(&f);
	struct task_order *orders;
	struct code_target *targets;

	prepare_many(&w, MANY, 10, &orders, &targets);
	orders[MANY - 1].id = orders[0].id;
	ck_assert_int_ne(task_store_add(f.db, &f.cx, &w.project, orders, targets, MANY), OK);
	ck_assert_int_eq(tasks_of(&w), 0);
}
END_TEST

START_TEST(queueing_is_all_or_nothing_at_every_database_call)
{
	static const size_t SIZES[] = { 1, 3, 2500 };

	for (size_t s = 0; s < 3; s++) {
		for (int after = 0; after <= 1; after++) {
			for (int n = 1;; n++) {
				struct world w = given_world(&f);
				struct task_order *orders;
				struct code_target *targets;
				int64_t statements;
				enum err e;

				prepare_many(&w, SIZES[s], 10, &orders, &targets);
				statements = db_statements(f.db);
				db_fail_at(f.db, n, after);
				e = task_store_add(f.db, &f.cx, &w.project, orders, targets, SIZES[s]);
				db_fail_at(f.db, 0, false);
				ck_assert_int_eq(tasks_of(&w), e == OK ? (int64_t)SIZES[s] : 0);
				ck_assert_msg(e == OK, "one lost connection is survived: %s", f.cx.message);
				if (db_statements(f.db) - statements < n)
					break;
			}
		}
	}
}
END_TEST

START_TEST(past_its_deadline_an_insert_does_nothing)
{
	static const struct sql LATE = {
		"INSERT INTO task (project_id, code_id, lane_id, cluster_id, not_after)"
		" VALUES (?, ?, ?, ?, NOW(6) - INTERVAL 1 MICROSECOND)", "ssii" };
	struct world w = given_world(&f);
	struct code_target t = target_of(&w, "hello");

	ck_assert_int_eq(db_exec(f.db, &f.cx, &LATE, VALS(v_id(&w.project), v_id(&t.code_id), v_i(t.lane_id), v_i(t.cluster_id))),
	                 ERR_BUSY);
	ck_assert_uint_eq(db_errno(f.db), 31001);
	ck_assert_int_eq(tasks_of(&w), 0);
}
END_TEST

START_TEST(progress_is_kept_in_any_state_and_makes_no_event)
{
	struct world w = given_world(&f);
	struct claimed *c;
	struct task t;
	struct id id;

	queue(&w, "hello", 1, (struct task_order){ 0 }, &id);
	fine(task_store_progress(f.db, &f.cx, &w.project, &id, 25, STR_LIT("a quarter")));
	c = claim(&w, 1, 1);
	start(&w, c, 1);
	ck_assert(settle(&w, c, 1, TASK_COMPLETE, CAUSE_EXIT));
	t = stored(&w, &id);
	ck_assert_int_eq(t.percent, 25);
	ck_assert(str_is(t.msg, "a quarter"));
	fine(task_store_progress(f.db, &f.cx, &w.project, &id, -1, STR_LIT("done")));
	t = stored(&w, &id);
	ck_assert_int_eq(t.percent, 25);
	ck_assert(str_is(t.msg, "done"));
	ck_assert_int_eq(t.changes, 4);
}
END_TEST

START_TEST(cancel_ends_what_waits_and_asks_for_what_runs)
{
	struct world w = given_world(&f);
	struct stop_request *stops;
	enum task_state state;
	struct id ids[3];
	struct claimed *c;
	struct str bell;
	struct task t;
	size_t n;

	queue(&w, "hello", 1, (struct task_order){ 0 }, &ids[0]);
	queue(&w, "hello", 1, (struct task_order){ .delay_s = 60 }, &ids[1]);
	for (int i = 0; i < 2; i++) {
		fine(task_store_cancel(f.db, &f.cx, &w.project, &ids[i], STR_LIT("eve"), &state, &bell));
		ck_assert_int_eq(state, TASK_CANCELLED);
		t = stored(&w, &ids[i]);
		ck_assert(str_is(t.cause, "cancelled"));
		ck_assert(str_is(t.note, "cancelled by eve"));
	}
	claim(&w, 5, 0);
	queue(&w, "hello", 1, (struct task_order){ 0 }, &ids[2]);
	c = claim(&w, 1, 1);
	start(&w, c, 1);
	fine(task_store_cancel(f.db, &f.cx, &w.project, &ids[2], STR_LIT("eve"), &state, &bell));
	ck_assert_int_eq(state, TASK_RUNNING);
	ck_assert(str_is(bell, "127.0.0.1:1"));
	ck_assert(stored(&w, &ids[2]).cancel_asked);
	fine(task_store_cancel(f.db, &f.cx, &w.project, &ids[2], STR_LIT("bob"), &state, &bell));
	fine(node_store_stops(f.db, &f.cx, w.node.node_id, &stops, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert(id_equal(&stops[0].task_id, &ids[2]));
	ck_assert(settle(&w, c, 1, TASK_CANCELLED, CAUSE_CANCELLED));
	t = stored(&w, &ids[2]);
	ck_assert_int_eq(t.state, TASK_CANCELLED);
	ck_assert(str_is(t.note, "cancelled by eve"));
	fine(task_store_cancel(f.db, &f.cx, &w.project, &ids[2], STR_LIT("eve"), &state, &bell));
	ck_assert_int_eq(state, TASK_CANCELLED);
	ck_assert_int_eq(stored(&w, &ids[2]).changes, t.changes);
}
END_TEST

/* --- lists --------------------------------------------------------------------------------------- */

static struct task_page list(const struct world *w, struct task_filter filter)
{
	struct task_page page;

	if (!filter.per_page)
		filter.per_page = 100;
	fine(task_store_list(f.db, &f.cx, &w->project, &filter, &page));
	for (size_t i = 1; i < page.n; i++)
		ck_assert_int_gt(memcmp(&page.tasks[i - 1].id, &page.tasks[i].id, sizeof(struct id)), 0);
	return page;
}

START_TEST(lists_are_newest_first_by_page_and_by_key_in_both_directions)
{
	struct world w = given_world(&f);
	struct id ids[7];
	struct task_page p;

	queue(&w, "hello", 7, (struct task_order){ .payload = STR_LIT("p") }, ids);
	p = list(&w, (struct task_filter){ .per_page = 3 });
	ck_assert_uint_eq(p.n, 3);
	ck_assert(p.more);
	ck_assert(id_equal(&p.tasks[0].id, &ids[6]));
	ck_assert_ptr_null(p.tasks[0].payload.p);
	p = list(&w, (struct task_filter){ .per_page = 3, .page = 2, .with_payload = true });
	ck_assert_uint_eq(p.n, 1);
	ck_assert(!p.more);
	ck_assert(id_equal(&p.tasks[0].id, &ids[0]));
	ck_assert(str_is(p.tasks[0].payload, "p"));
	p = list(&w, (struct task_filter){ .per_page = 2, .has_before = true, .before = ids[4] });
	ck_assert(id_equal(&p.tasks[0].id, &ids[3]));
	ck_assert(p.more);
	p = list(&w, (struct task_filter){ .per_page = 2, .has_after = true, .after = ids[4] });
	ck_assert_uint_eq(p.n, 2);
	ck_assert(id_equal(&p.tasks[0].id, &ids[6]));
	ck_assert(!p.more);
	p = list(&w, (struct task_filter){ .page = 50 });
	ck_assert_uint_eq(p.n, 0);
}
END_TEST

START_TEST(lists_by_state_code_label_cluster_and_time)
{
	struct world w = given_world(&f);
	struct id a[4], b[3];
	struct claimed *c;
	struct task_page p;
	int64_t counts[TASK_STATE_COUNT];
	struct task_overview o;

	queue(&w, "a", 4, (struct task_order){ .label = STR_LIT("x") }, a);
	queue(&w, "b", 3, (struct task_order){ .label = STR_LIT("y") }, b);
	c = claim(&w, 2, 2);
	start(&w, c, 2);
	ck_assert(settle(&w, c, 1, TASK_COMPLETE, CAUSE_EXIT));
	ck_assert_uint_eq(list(&w, (struct task_filter){ .states = 1u << TASK_QUEUED }).n, 5);
	p = list(&w, (struct task_filter){ .states = 1u << TASK_RUNNING | 1u << TASK_COMPLETE });
	ck_assert_uint_eq(p.n, 2);
	ck_assert(id_equal(&p.tasks[0].id, &a[1]));
	p = list(&w, (struct task_filter){ .states = 1u << TASK_QUEUED, .page = 1, .per_page = 2 });
	ck_assert_uint_eq(p.n, 2);
	ck_assert(id_equal(&p.tasks[0].id, &b[0]));
	ck_assert(p.more);
	ck_assert_uint_eq(list(&w, (struct task_filter){ .code_name = STR_LIT("a") }).n, 4);
	ck_assert_uint_eq(list(&w, (struct task_filter){ .code_name = STR_LIT("a"), .states = 1u << TASK_QUEUED }).n, 2);
	ck_assert_uint_eq(list(&w, (struct task_filter){ .code_name = STR_LIT("none") }).n, 0);
	ck_assert_uint_eq(list(&w, (struct task_filter){ .label = STR_LIT("y") }).n, 3);
	ck_assert_uint_eq(list(&w, (struct task_filter){ .label = STR_LIT("x"), .states = 1u << TASK_COMPLETE }).n, 1);
	ck_assert_uint_eq(list(&w, (struct task_filter){ .cluster = str_of(w.cluster) }).n, 7);
	ck_assert_uint_eq(list(&w, (struct task_filter){ .cluster = STR_LIT("default") }).n, 0);
	ck_assert_uint_eq(list(&w, (struct task_filter){ .from = stored(&w, &b[0]).created_at, .to = TIME_NONE }).n, 3);
	ck_assert_uint_eq(list(&w, (struct task_filter){ .from = 1000000, .to = 59000000 }).n, 0);
	fine(task_store_count(f.db, &f.cx, &w.project, 4, counts));
	ck_assert_int_eq(counts[TASK_QUEUED], 4);
	ck_assert_int_eq(counts[TASK_RUNNING], 1);
	ck_assert_int_eq(counts[TASK_COMPLETE], 1);
	ck_assert_int_eq(counts[TASK_ERROR], 0);
	fine(task_store_overview(f.db, &f.cx, &w.project, &o));
	ck_assert_int_eq(o.waiting, 5);
	ck_assert_int_eq(o.running, 1);
	ck_assert_int_eq(o.complete_hour, 1);
	ck_assert_int_eq(o.failed_hour, 0);
	ck_assert_int_eq(o.oldest_waiting_at, stored(&w, &a[2]).created_at);
	ck_assert_int_eq(o.later, 0);
}
END_TEST

START_TEST(what_is_queued_for_later_does_not_wait_yet)
{
	struct world w = given_world(&f);
	struct task_overview o;
	struct id later[2], due;

	queue(&w, "a", 2, (struct task_order){ .delay_s = 3600 }, later);
	fine(task_store_overview(f.db, &f.cx, &w.project, &o));
	ck_assert_int_eq(o.waiting, 0);
	ck_assert_int_eq(o.later, 2);
	ck_assert_int_eq(o.oldest_waiting_at, TIME_NONE);
	queue(&w, "b", 1, (struct task_order){ 0 }, &due);
	fine(task_store_overview(f.db, &f.cx, &w.project, &o));
	ck_assert_int_eq(o.waiting, 1);
	ck_assert_int_eq(o.later, 2);
	ck_assert_int_eq(o.oldest_waiting_at, stored(&w, &due).due_at);
}
END_TEST

START_TEST(the_oldest_that_waits_is_found_behind_a_thousand_for_later)
{
	struct world w = given_world(&f);
	struct id *later = calloc(1000, sizeof *later), due;
	struct task_overview o;

	queue(&w, "a", 1000, (struct task_order){ .delay_s = 3600 }, later);
	queue(&w, "a", 1, (struct task_order){ 0 }, &due);
	fine(task_store_overview(f.db, &f.cx, &w.project, &o));
	ck_assert_int_eq(o.oldest_waiting_at, stored(&w, &due).due_at);
	free(later);
}
END_TEST

START_TEST(a_search_without_an_index_looks_at_a_bounded_number_and_says_how_far)
{
	enum { MANY = 24000 };
	struct world w = given_world(&f);
	struct task_page p;
	struct id first;
	int64_t before, after;

	queue(&w, "hello", 1, (struct task_order){ .label = STR_LIT("needle") }, &first);
	for (int i = 0; i < MANY / 8000; i++)
		queue(&w, "hello", 8000, (struct task_order){ .label = STR_LIT("hay") }, NULL);
	before = number_in(&f, f.db, "SELECT SUM(variable_value) FROM information_schema.session_status"
	                             " WHERE variable_name IN ('HANDLER_READ_NEXT', 'HANDLER_READ_PREV')");
	p = list(&w, (struct task_filter){ .label = STR_LIT("needle") });
	after = number_in(&f, f.db, "SELECT SUM(variable_value) FROM information_schema.session_status"
	                            " WHERE variable_name IN ('HANDLER_READ_NEXT', 'HANDLER_READ_PREV')");
	ck_assert_uint_eq(p.n, 0);
	ck_assert_int_ne(p.searched_to, TIME_NONE);
	ck_assert_msg(after - before < 45000, "%lld rows", (long long)(after - before));
	/* on from where it ended */
	p = list(&w, (struct task_filter){ .label = STR_LIT("needle"), .has_before = true, .before = p.searched_before });
	ck_assert_uint_eq(p.n, 1);
	ck_assert_int_eq(p.searched_to, TIME_NONE);
	p = list(&w, (struct task_filter){ .label = STR_LIT("hay"), .per_page = 2 });
	ck_assert_uint_eq(p.n, 2);
	ck_assert(p.more);
	ck_assert_int_eq(p.searched_to, TIME_NONE);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("task_store");
	Suite *s = suite_create("task_store");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_queued_task_is_read_back_as_it_was_given);
	tcase_add_test(t, what_an_order_leaves_out_comes_from_the_code);
	tcase_add_test(t, the_trigger_ranks_by_the_law_of_the_model);
	tcase_add_test(t, another_projects_task_is_not_found);
	tcase_add_test(t, one_task_costs_one_round_trip);
	tcase_add_test(t, ten_thousand_at_once_are_one_transaction_and_little_memory);
	tcase_add_test(t, one_bad_task_of_many_queues_none);
	tcase_add_test(t, queueing_is_all_or_nothing_at_every_database_call);
	tcase_add_test(t, past_its_deadline_an_insert_does_nothing);
	tcase_add_test(t, progress_is_kept_in_any_state_and_makes_no_event);
	tcase_add_test(t, cancel_ends_what_waits_and_asks_for_what_runs);
	tcase_add_test(t, lists_are_newest_first_by_page_and_by_key_in_both_directions);
	tcase_add_test(t, what_is_queued_for_later_does_not_wait_yet);
	tcase_add_test(t, the_oldest_that_waits_is_found_behind_a_thousand_for_later);
	tcase_add_test(t, lists_by_state_code_label_cluster_and_time);
	tcase_add_test(t, a_search_without_an_index_looks_at_a_bounded_number_and_says_how_far);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
