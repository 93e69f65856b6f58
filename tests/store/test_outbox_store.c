#include "store/delivery_store.h"
#include "store/outbox_store.h"

#include "base/clock.h"
#include "tests/support/store_fixture.h"

#include <check.h>

static struct store_fixture f;

static void set_up(void)
{
	store_fixture_open(&f);
	run_in(&f, f.db, "DELETE FROM outbox");
	run_in(&f, f.db, "DELETE FROM receiver");
	run_in(&f, f.db, "DELETE FROM delivery");
	run_in(&f, f.db, "DELETE FROM url_hold");
}

static void tear_down(void)
{
	store_fixture_close(&f);
}

#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

static enum err take_in(struct store_fixture *in, size_t room, int64_t hold_s, struct outbox_row **rows, size_t *n)
{
	struct outbox_want want = { .room_of_unknown = room, .most = 100, .hold_s = hold_s };
	struct outbox_taken taken;
	enum err e = outbox_store_take(in->db, &in->cx, &want, &taken);

	*rows = taken.rows;
	*n = taken.n;
	return e;
}

static enum err take(int64_t hold_s, struct outbox_row **rows, size_t *n)
{
	return take_in(&f, 10, hold_s, rows, n);
}

static enum err tell(const struct outbox_row *row, enum outbox_end end, int64_t status, const char *error, int64_t next_s)
{
	struct outbox_outcome o = { .row = *row, .end = end, .tried = true, .status = status, .took_ms = 12, .next_s = next_s,
		                    .error = str_of(error), .address = STR_LIT("127.0.0.1"), .answer = STR_LIT("ok\xff") };

	return outbox_store_tell(f.db, &f.cx, &o, 1, NULL, 0);
}

/* The clock of the database, as this session sees it. */
static void pass(int64_t seconds)
{
	fine(db_set_clock(f.db, &f.cx, clock_wall_us() + seconds * 1000000));
}

/* A task that was cancelled: its callback is due. */
static struct id given_ended_task(const struct id *project)
{
	static const struct sql CANCEL = {
		"UPDATE task SET state = 'cancelled', cause = 'cancelled', ended_at = NOW(6) WHERE id = ?", "s" };
	struct id id;

	given_code(&f, project, "told");
	id = given_task(&f, project, "told", "http://127.0.0.1:1/hook");
	fine(db_exec(f.db, &f.cx, &CANCEL, VALS(v_id(&id))));
	return id;
}

START_TEST(an_ended_task_is_taken_with_what_a_courier_must_know)
{
	struct id project = given_project(&f), task = given_ended_task(&project);
	struct outbox_row *rows;
	size_t n;

	fine(take(60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert(id_equal(&rows[0].task_id, &task));
	ck_assert(id_equal(&rows[0].project_id, &project));
	ck_assert(str_is(rows[0].url, "http://127.0.0.1:1/hook"));
	ck_assert(str_is(rows[0].kind, "cancelled"));
	ck_assert_int_eq(rows[0].tries, 0);
	ck_assert_int_eq(rows[0].number, 2);
	ck_assert_int_ne(rows[0].at, TIME_NONE);
}
END_TEST

START_TEST(a_task_without_a_callback_makes_no_row)
{
	struct id project = given_project(&f), id;
	struct outbox_row *rows;
	size_t n;

	given_code(&f, &project, "quiet");
	id = given_task(&f, &project, "quiet", "");
	run_in(&f, f.db, "UPDATE task SET state = 'cancelled', cause = 'cancelled', ended_at = NOW(6) WHERE state = 'queued'");
	fine(take(60, &rows, &n));
	for (size_t i = 0; i < n; i++)
		ck_assert(!id_equal(&rows[i].task_id, &id));
}
END_TEST

START_TEST(what_is_taken_comes_back_only_when_its_holder_is_late)
{
	struct id project = given_project(&f);
	struct outbox_row *rows;
	size_t n;

	given_ended_task(&project);
	fine(take(60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	fine(take(60, &rows, &n));
	ck_assert_uint_eq(n, 0);
	pass(61);
	fine(take(60, &rows, &n));
	ck_assert_uint_eq(n, 1);
}
END_TEST

START_TEST(two_couriers_never_take_the_same_row_and_do_not_wait_for_each_other)
{
	struct id project = given_project(&f);
	struct store_fixture other;
	struct outbox_row *rows;
	int64_t first;
	size_t n;

	given_ended_task(&project);
	first = number_in(&f, f.db, "SELECT MAX(id) FROM outbox");
	given_ended_task(&project);
	store_fixture_open(&other);
	run_in(&other, other.db, "START TRANSACTION");
	ck_assert_int_eq(number_in(&other, other.db, "SELECT id FROM outbox FORCE INDEX (lane) WHERE lane = 0 AND next_at <= NOW(6)"
	                           " ORDER BY next_at LIMIT 1 FOR UPDATE"), first);
	fine(take(60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_int_ne(rows[0].id, first);
	run_in(&other, other.db, "ROLLBACK");
	fine(take(60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(rows[0].id, first);
	store_fixture_close(&other);
}
END_TEST

/* The statements of the store, with values that exist. */
START_TEST(taking_reads_by_the_index_and_sorts_nothing)
{
	static const char *const STATEMENTS[][2] = {
		{ "EXPLAIN SELECT o.id, o.flags & 1 AND EXISTS (SELECT 1 FROM outbox e WHERE e.task_id = o.task_id AND"
		  " e.callback_id = o.callback_id AND e.id < o.id AND e.state = 'waiting') FROM outbox o FORCE INDEX (lane)"
		  " WHERE o.lane = 0 AND o.next_at <= NOW(6) ORDER BY o.next_at, o.id LIMIT 500 FOR UPDATE SKIP LOCKED", "lane" },
		{ "EXPLAIN SELECT lane, failures FROM receiver FORCE INDEX (next_at) WHERE next_at <= NOW(6)"
		  " ORDER BY next_at, lane LIMIT 64 FOR UPDATE SKIP LOCKED", "next_at" },
		{ "EXPLAIN SELECT 1 FROM outbox FORCE INDEX (lane) WHERE lane = 0 AND next_at <= NOW(6)", "lane" },
	};
	struct id project = given_project(&f);

	for (int i = 0; i < 3; i++)
		given_ended_task(&project);
	for (size_t i = 0; i < sizeof STATEMENTS / sizeof *STATEMENTS; i++) {
		const struct sql explain = { STATEMENTS[i][0], "" };
		struct rows r;

		fine(db_query(f.db, &f.cx, &explain, NULL, 0, &r));
		ck_assert(str_is(val_str(&row(&r, 0)[5]), STATEMENTS[i][1]));
		ck_assert_uint_eq(str_find(val_str(&row(&r, 0)[9]), "filesort"), (size_t)-1);
	}
}
END_TEST

START_TEST(a_delivered_row_never_comes_back)
{
	struct id project = given_project(&f);
	struct outbox_row *rows, row;
	size_t n;

	given_ended_task(&project);
	fine(take(1, &rows, &n));
	row = rows[0];
	fine(tell(&row, OUTBOX_DELIVERED, 204, "", 0));
	fine(tell(&row, OUTBOX_AGAIN, 500, "too late to say", 0)); /* a doubled verdict changes nothing */
	pass(3600);
	fine(take(1, &rows, &n));
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT last_status FROM outbox WHERE state = 'delivered' AND tries = 1"), 204);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM delivery WHERE number = 1 AND status = 204"), 1);
}
END_TEST

START_TEST(a_failed_row_is_tried_again_later_and_given_up_at_last)
{
	struct id project = given_project(&f);
	struct outbox_row *rows;
	size_t n;

	given_ended_task(&project);
	fine(take(60, &rows, &n));
	fine(tell(&rows[0], OUTBOX_AGAIN, 0, "connection \xff refused", 300));
	pass(200);
	fine(take(60, &rows, &n));
	ck_assert_uint_eq(n, 0);
	pass(310);
	fine(take(60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(rows[0].tries, 1);
	fine(tell(&rows[0], OUTBOX_GIVEN_UP, 500, "no", -1));
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM outbox WHERE state = 'exhausted' AND next_at IS NULL"
	                           " AND tries = 2 AND last_status = 500"), 1);
}
END_TEST

/* `n` callbacks of one task to `url`, all due. */
static void given_due(const struct id *task, const struct id *project, const char *url, int n)
{
	static const struct sql ADD = {
		"INSERT INTO outbox (task_id, number, task_state, project_id, url, at, next_at)"
		" SELECT ?, s.seq, 'complete', ?, ?, NOW(6), NOW(6) FROM seq_1_to_20000 s WHERE s.seq BETWEEN ? AND ?", "sssii" };
	static int number = 10;

	fine(db_exec(f.db, &f.cx, &ADD, VALS(v_id(task), v_id(project), v_z(url), v_i(number), v_i(number + n - 1))));
	number += n;
}

START_TEST(old_deliveries_that_are_over_go_page_by_page_with_their_tries)
{
	struct id project = given_project(&f), task = given_ended_task(&project);
	int64_t after = 0, pages = 1;
	bool more;

	run_in(&f, f.db, "DELETE FROM outbox");
	given_due(&task, &project, "http://x.example/", 2500);
	run_in(&f, f.db, "UPDATE outbox SET at = NOW(6) - INTERVAL 31 DAY, state = IF(id % 10 = 0, 'waiting', 'delivered')");
	run_in(&f, f.db, "INSERT INTO delivery (outbox_id, number, at) SELECT id, 1, at FROM outbox");
	given_due(&task, &project, "http://x.example/", 100);
	run_in(&f, f.db, "UPDATE outbox SET state = 'exhausted' WHERE at > NOW(6) - INTERVAL 1 DAY");
	run_in(&f, f.db, "UPDATE outbox SET delivered_at = NOW(6) WHERE id % 10 = 1 AND state = 'delivered'"); /* lately, at last */
	fine(delivery_store_forget(f.db, &f.cx, 30, &after, &more));
	ck_assert(more);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM outbox"), 2600 - 800); /* of a thousand */
	while (more) {
		fine(delivery_store_forget(f.db, &f.cx, 30, &after, &more));
		pages++;
	}
	ck_assert_int_le(pages, 4);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM outbox"), 250 + 250 + 100);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM delivery"), 250 + 250);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM outbox WHERE state = 'waiting'"), 250);
	after = 0;
	fine(delivery_store_forget(f.db, &f.cx, 0, &after, &more)); /* never less than a day */
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM outbox"), 600);
}
END_TEST

START_TEST(a_receiver_with_ten_thousand_rows_keeps_no_other_waiting)
{
	struct id project = given_project(&f), task = given_ended_task(&project);
	struct outbox_row *rows;
	size_t n;
	bool met = false;

	run_in(&f, f.db, "DELETE FROM outbox");
	given_due(&task, &project, "http://dead.example/x", 10000);
	for (int i = 0; i < 25; i++) { /* they are put into their lane once */
		fine(take_in(&f, 2, 60, &rows, &n));
		ck_assert_uint_le(n, 2);
	}
	given_due(&task, &project, "http://Healthy.example/x", 1);
	fine(take_in(&f, 2, 60, &rows, &n));
	for (size_t i = 0; i < n; i++)
		met |= str_is(rows[i].url, "http://Healthy.example/x");
	ck_assert(met);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM receiver"), 2);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM receiver WHERE origin = 'http://healthy.example'"), 1);
}
END_TEST

START_TEST(rows_without_room_are_taken_when_their_lane_has_some_and_by_others_later)
{
	struct id project = given_project(&f), task = given_ended_task(&project);
	struct outbox_lane lane;
	struct outbox_want want = { .lanes = &lane, .n = 1, .most = 100, .hold_s = 60 };
	struct outbox_taken taken;
	struct outbox_row *rows;
	size_t n;

	run_in(&f, f.db, "DELETE FROM outbox");
	given_due(&task, &project, "http://one.example/x", 5);
	fine(take_in(&f, 2, 60, &rows, &n));
	ck_assert_uint_eq(n, 2);
	lane = (struct outbox_lane){ .lane = rows[0].lane, .room = 2, .more = true };
	fine(outbox_store_take(f.db, &f.cx, &want, &taken));
	ck_assert_uint_eq(taken.n, 2);
	ck_assert_uint_eq(taken.full_n, 1);
	pass(11);
	fine(take_in(&f, 2, 60, &rows, &n)); /* another courier, that knows nothing of it */
	ck_assert_uint_eq(n, 1);
}
END_TEST

static void asked_to_wait(const struct outbox_row *row, int64_t s)
{
	struct outbox_outcome o = { .row = *row, .end = OUTBOX_AGAIN, .tried = true, .status = 429, .next_s = s, .asked_s = s,
		                    .waits = OUTBOX_WAITS_RETRY_AFTER, .error = STR_LIT("answered with status 429"),
		                    .address = STR_LIT(""), .answer = STR_LIT("") };

	fine(outbox_store_tell(f.db, &f.cx, &o, 1, NULL, 0));
}

static void waits_for(const struct id *project, int64_t id, const char *why)
{
	struct delivery_entry entry;
	struct delivery_try *tries;
	size_t n;

	fine(delivery_store_get(f.db, &f.cx, project, id, &entry, &tries, &n));
	ck_assert_msg(str_is(entry.waiting_for, why), "waits for " STR_FMT ", not %s", STR_ARG(entry.waiting_for), why);
	ck_assert(str_is(entry.waiting_for, "") || (entry.waiting_until == TIME_NONE) == str_is(entry.waiting_for, "turn"));
}

START_TEST(retry_after_holds_its_url_alone_until_somebody_redelivers)
{
	struct id project = given_project(&f), task = given_ended_task(&project), others = given_project(&f);
	struct outbox_row *rows, first;
	int64_t changed;
	size_t n;

	run_in(&f, f.db, "DELETE FROM outbox");
	given_due(&task, &project, "http://one.example/asks", 1);
	fine(take_in(&f, 1, 60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	first = rows[0];
	waits_for(&project, first.id, "call");
	given_due(&task, &project, "http://one.example/asks", 50);
	run_in(&f, f.db, arena_printf(&f.cx.arena, "UPDATE outbox SET lane = %lld", (long long)first.lane));
	asked_to_wait(&first, 86400);
	waits_for(&project, first.id, "retry_after");
	given_due(&task, &project, "http://one.example/asks", 1); /* new, after that */
	given_due(&task, &project, "http://one.example/other", 1);
	given_due(&task, &others, "http://one.example/asks", 1);
	fine(take_in(&f, 10, 60, &rows, &n)); /* by any courier */
	ck_assert_uint_eq(n, 2);
	ck_assert(str_is(rows[0].url, "http://one.example/other"));
	ck_assert(id_equal(&rows[1].project_id, &others));
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM outbox WHERE waits = 'retry_after'"), 52);
	pass(3540); /* an hour at most, for those that were not told so */
	fine(take_in(&f, 100, 3600, &rows, &n));
	for (size_t i = 0; i < n; i++)
		ck_assert(!str_is(rows[i].url, "http://one.example/asks") || id_equal(&rows[i].project_id, &others));
	fine(delivery_store_again(f.db, &f.cx, &project, &first.id, 1, &changed));
	ck_assert_int_eq(changed, 1);
	waits_for(&project, first.id, "turn");
	fine(take_in(&f, 100, 60, &rows, &n)); /* with all that waited for the same */
	ck_assert_uint_eq(n, 52);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM url_hold"), 0);
}
END_TEST

START_TEST(what_waited_for_retry_after_comes_when_its_time_is_up)
{
	struct id project = given_project(&f), task = given_ended_task(&project);
	struct outbox_row *rows;
	size_t n;

	run_in(&f, f.db, "DELETE FROM outbox");
	given_due(&task, &project, "http://two.example/asks", 3);
	fine(take_in(&f, 1, 60, &rows, &n));
	asked_to_wait(&rows[0], 30);
	pass(20);
	fine(take_in(&f, 10, 60, &rows, &n));
	ck_assert_uint_eq(n, 0);
	pass(35);
	fine(take_in(&f, 10, 60, &rows, &n));
	ck_assert_uint_eq(n, 3);
}
END_TEST

START_TEST(a_row_by_hand_is_taken_for_a_receiver_that_rests)
{
	struct id project = given_project(&f), task = given_ended_task(&project);
	struct outbox_lane lane = { .wait_s = 200, .probes = 1 };
	struct outbox_want want = { .lanes = &lane, .n = 1, .room_of_unknown = 2, .most = 100, .hold_s = 60 };
	struct outbox_health health = { .failures = 7, .open_s = 200 };
	struct outbox_taken taken;
	struct outbox_row *rows;
	int64_t changed;
	size_t n;

	run_in(&f, f.db, "DELETE FROM outbox");
	given_due(&task, &project, "http://rests.example/x", 3);
	fine(take_in(&f, 1, 60, &rows, &n));
	health.lane = lane.lane = rows[0].lane;
	fine(outbox_store_tell(f.db, &f.cx, NULL, 0, &health, 1));
	waits_for(&project, rows[0].id + 1, "receiver");
	fine(outbox_store_take(f.db, &f.cx, &want, &taken));
	ck_assert_uint_eq(taken.n, 0);
	fine(delivery_store_again(f.db, &f.cx, &project, &(int64_t){ rows[0].id + 1 }, 1, &changed));
	want.lanes = &lane;
	want.n = 1;
	fine(outbox_store_take(f.db, &f.cx, &want, &taken));
	ck_assert_uint_eq(taken.n, 1);
	ck_assert_int_eq(taken.rows[0].id, rows[0].id + 1);
	ck_assert_uint_eq(taken.rows[0].by_hand, 2);
}
END_TEST

START_TEST(ordered_rows_wait_for_the_one_before)
{
	struct id project = given_project(&f), task = given_ended_task(&project);
	struct outbox_row *rows, first;
	size_t n;

	run_in(&f, f.db, "DELETE FROM outbox");
	given_due(&task, &project, "http://one.example/x", 3);
	run_in(&f, f.db, "UPDATE outbox SET flags = 1");
	fine(take_in(&f, 10, 60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	first = rows[0];
	fine(tell(&first, OUTBOX_AGAIN, 500, "no", 5));
	pass(40);
	fine(take_in(&f, 10, 60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(rows[0].id, first.id);
	fine(tell(&rows[0], OUTBOX_DELIVERED, 200, "", 0));
	fine(take_in(&f, 10, 60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_int_gt(rows[0].id, first.id);
}
END_TEST

START_TEST(a_code_callback_queues_its_task_exactly_once)
{
	struct id project = given_project(&f), task = given_ended_task(&project);
	struct outbox_row *rows;
	size_t n;

	run_in(&f, f.db, "DELETE FROM outbox");
	given_code(&f, &project, "next");
	given_due(&task, &project, "code:next", 1);
	fine(take_in(&f, 10, 60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	for (int call = 1; call <= 20; call++) { /* every database call fails once, before and after it was done */
		db_fail_at(f.db, call, call % 2);
		if (outbox_store_queue(f.db, &f.cx, &rows[0], STR_LIT("next"), STR_LIT("{}"), STR_LIT("")) == ERR_CONFLICT)
			continue;
	}
	db_fail_at(f.db, 0, false);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM task t JOIN outbox o ON o.queued_task_id = t.id"
	                           " WHERE o.state = 'delivered' AND t.hops = 1"), 1);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM task t JOIN code c ON c.id = t.code_id JOIN outbox o"
	                           " ON o.project_id = t.project_id WHERE c.name = 'next'"), 1);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("outbox_store");
	Suite *s = suite_create("outbox_store");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, an_ended_task_is_taken_with_what_a_courier_must_know);
	tcase_add_test(t, a_task_without_a_callback_makes_no_row);
	tcase_add_test(t, what_is_taken_comes_back_only_when_its_holder_is_late);
	tcase_add_test(t, two_couriers_never_take_the_same_row_and_do_not_wait_for_each_other);
	tcase_add_test(t, taking_reads_by_the_index_and_sorts_nothing);
	tcase_add_test(t, a_delivered_row_never_comes_back);
	tcase_add_test(t, a_failed_row_is_tried_again_later_and_given_up_at_last);
	tcase_add_test(t, old_deliveries_that_are_over_go_page_by_page_with_their_tries);
	tcase_add_test(t, a_receiver_with_ten_thousand_rows_keeps_no_other_waiting);
	tcase_add_test(t, rows_without_room_are_taken_when_their_lane_has_some_and_by_others_later);
	tcase_add_test(t, retry_after_holds_its_url_alone_until_somebody_redelivers);
	tcase_add_test(t, what_waited_for_retry_after_comes_when_its_time_is_up);
	tcase_add_test(t, a_row_by_hand_is_taken_for_a_receiver_that_rests);
	tcase_add_test(t, ordered_rows_wait_for_the_one_before);
	tcase_add_test(t, a_code_callback_queues_its_task_exactly_once);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
