#include "store/outbox_store.h"

#include "base/clock.h"
#include "tests/support/store_fixture.h"

#include <check.h>

static struct store_fixture f;

static void set_up(void)
{
	store_fixture_open(&f);
	run_in(&f, f.db, "DELETE FROM outbox");
}

static void tear_down(void)
{
	store_fixture_close(&f);
}

#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

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

	fine(outbox_store_take(f.db, &f.cx, 10, 60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert(id_equal(&rows[0].task_id, &task));
	ck_assert(id_equal(&rows[0].project_id, &project));
	ck_assert(str_is(rows[0].url, "http://127.0.0.1:1/hook"));
	ck_assert(str_is(rows[0].state, "cancelled"));
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
	fine(outbox_store_take(f.db, &f.cx, 10, 60, &rows, &n));
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
	fine(outbox_store_take(f.db, &f.cx, 10, 60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	fine(outbox_store_take(f.db, &f.cx, 10, 60, &rows, &n));
	ck_assert_uint_eq(n, 0);
	fine(db_set_clock(f.db, &f.cx, clock_wall_us() + 61000000));
	fine(outbox_store_take(f.db, &f.cx, 10, 60, &rows, &n));
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
	ck_assert_int_eq(number_in(&other, other.db, "SELECT id FROM outbox WHERE next_at <= NOW(6) ORDER BY next_at LIMIT 1"
	                           " FOR UPDATE"), first);
	fine(outbox_store_take(f.db, &f.cx, 10, 60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_int_ne(rows[0].id, first);
	run_in(&other, other.db, "ROLLBACK");
	fine(outbox_store_take(f.db, &f.cx, 10, 60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(rows[0].id, first);
	store_fixture_close(&other);
}
END_TEST

START_TEST(taking_reads_by_the_index_and_sorts_nothing)
{
	static const struct sql EXPLAIN = {
		"EXPLAIN SELECT o.id FROM outbox o FORCE INDEX (next_at) WHERE o.next_at <= NOW(6) ORDER BY o.next_at, o.id LIMIT 32"
		" FOR UPDATE SKIP LOCKED", "" };
	struct rows r;

	fine(db_query(f.db, &f.cx, &EXPLAIN, NULL, 0, &r));
	ck_assert(str_is(val_str(&row(&r, 0)[5]), "next_at"));
	ck_assert_uint_eq(str_find(val_str(&row(&r, 0)[9]), "filesort"), (size_t)-1);
}
END_TEST

START_TEST(a_delivered_row_never_comes_back)
{
	struct id project = given_project(&f);
	struct outbox_row *rows;
	int64_t id;
	size_t n;

	given_ended_task(&project);
	fine(outbox_store_take(f.db, &f.cx, 10, 1, &rows, &n));
	id = rows[0].id;
	fine(outbox_store_delivered(f.db, &f.cx, id, 204, 12));
	fine(outbox_store_failed(f.db, &f.cx, id, 500, STR_LIT("too late to say"), 0)); /* a doubled verdict changes nothing */
	fine(db_set_clock(f.db, &f.cx, clock_wall_us() + 3600000000LL));
	fine(outbox_store_take(f.db, &f.cx, 10, 1, &rows, &n));
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT last_status FROM outbox WHERE state = 'delivered' AND tries = 1"), 204);
}
END_TEST

START_TEST(a_failed_row_is_tried_again_later_and_given_up_at_last)
{
	struct id project = given_project(&f);
	struct outbox_row *rows;
	size_t n;

	given_ended_task(&project);
	fine(outbox_store_take(f.db, &f.cx, 10, 60, &rows, &n));
	fine(outbox_store_failed(f.db, &f.cx, rows[0].id, 0, STR_LIT("connection \xff refused"), 300));
	fine(db_set_clock(f.db, &f.cx, clock_wall_us() + 200000000));
	fine(outbox_store_take(f.db, &f.cx, 10, 60, &rows, &n));
	ck_assert_uint_eq(n, 0);
	fine(db_set_clock(f.db, &f.cx, clock_wall_us() + 310000000));
	fine(outbox_store_take(f.db, &f.cx, 10, 60, &rows, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(rows[0].tries, 1);
	fine(outbox_store_failed(f.db, &f.cx, rows[0].id, 500, STR_LIT("no"), -1));
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM outbox WHERE state = 'exhausted' AND next_at IS NULL"
	                           " AND tries = 2 AND last_status = 500"), 1);
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
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
