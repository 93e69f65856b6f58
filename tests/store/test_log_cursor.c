#include "store/log_cursor_store.h"

#include "base/clock.h"
#include "store/log_destination_store.h"
#include "tests/support/store_fixture.h"

#include <check.h>
#include <stdio.h>

/* What waits for a destination is what has a cursor, in whatever order it was committed. */
static struct store_fixture f;
static const struct id HOLDER = { { 7 } }, OTHER = { { 8 } };

static void set_up(void)
{
	store_fixture_open(&f);
}

static void tear_down(void)
{
	store_fixture_close(&f);
}

#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

static struct id given_destination(const struct id *project)
{
	struct log_destination d = { .id = id_make(clock_wall_us()), .project_id = *project, .name = STR_LIT("logs"),
		                     .address = STR_LIT("http://127.0.0.1/"), .tenant = STR_LIT("") };
	struct seal_key key = { { 1 } };

	fine(log_destination_store_add(f.logs, &f.cx, &d, &key, STR_LIT("secret")));
	return d.id;
}

static int64_t today(void)
{
	return time_day(clock_wall_us());
}

static void begin(const struct id *project, const struct id *task)
{
	fine(log_store_begin(f.logs, &f.cx, project, task, 1, today()));
}

static void append(struct db *db, const struct id *task, int64_t number)
{
	static const struct log_piece PIECE = { 1, 5, 1795414023123456 };
	struct log_chunk c = { .number = number, .first_byte = number * 5, .first_line = number, .line_count = 1,
		               .first_at = 1795414023123456, .pieces = &PIECE, .piece_count = 1, .plain = STR_LIT("line\n") };
	struct log_head head;

	fine(log_store_append(db, &f.cx, task, 1, today(), &c, &head));
}

static struct log_cursor *due(const struct id *destination, size_t wanted)
{
	struct log_cursor *all;
	size_t n;

	fine(log_cursor_store_due(f.logs, &f.cx, destination, 100, &all, &n));
	ck_assert_uint_eq(n, wanted);
	return all;
}

static enum err sent(const struct id *destination, const struct id *holder, const struct log_cursor *c, size_t n)
{
	struct log_sent s = { .destination = *destination, .holder = *holder, .cursors = c, .n = n, .lines = (int64_t)n,
		              .error = STR_LIT("") };

	return log_cursor_store_sent(f.logs, &f.cx, &s);
}

/* All that is due, as a courier that reached it does it. */
static void send_all(const struct id *destination, size_t wanted)
{
	struct log_cursor *c = due(destination, wanted);

	fine(log_destination_store_hold(f.logs, &f.cx, &HOLDER, destination, 30));
	for (size_t i = 0; i < wanted; i++) {
		c[i].at.byte[0] = c[i].at.byte[1] = c[i].head.bytes;
		c[i].at.chunk = c[i].seen = c[i].head.next;
		c[i].is_done = c[i].head.closed;
	}
	fine(sent(destination, &HOLDER, c, wanted));
	due(destination, 0);
}

START_TEST(what_is_committed_late_is_not_skipped)
{
	struct id project = given_project(&f), destination = given_destination(&project), early, late;
	struct db *slow = db_new(&f.set, DB_LOGS, 5);

	early = id_make(clock_wall_us());
	late = id_make(clock_wall_us() + 5000);
	/* the older task's log begins first, but its transaction stays open */
	run_in(&f, slow, "SET autocommit = 0");
	fine(log_store_begin(slow, &f.cx, &project, &early, 1, today()));
	append(slow, &early, 0);
	begin(&project, &late);
	append(f.logs, &late, 0);
	ck_assert(id_equal(&due(&destination, 1)->task, &late));
	send_all(&destination, 1);
	fine(log_store_close(f.logs, &f.cx, &late, 1));
	send_all(&destination, 1); /* the newer one is over and forgotten */
	run_in(&f, slow, "COMMIT");
	ck_assert(id_equal(&due(&destination, 1)->task, &early));
	/* and a chunk that is committed while later logs were sent */
	append(slow, &early, 1);
	late = id_make(clock_wall_us());
	begin(&project, &late);
	append(f.logs, &late, 0);
	send_all(&destination, 2);
	run_in(&f, slow, "COMMIT");
	ck_assert(id_equal(&due(&destination, 1)->task, &early));
	ck_assert_int_eq(due(&destination, 1)->head.next, 2);
	db_free(slow);
}
END_TEST

START_TEST(a_project_without_destinations_has_no_cursors)
{
	struct id project = given_project(&f), other = given_project(&f), task = id_make(clock_wall_us());
	struct id destination = given_destination(&other);
	int64_t before = number_in(&f, f.logs, "SELECT COUNT(*) FROM log_cursor");

	begin(&project, &task);
	append(f.logs, &task, 0);
	due(&destination, 0);
	ck_assert_int_eq(number_in(&f, f.logs, "SELECT COUNT(*) FROM log_cursor"), before);
}
END_TEST

START_TEST(each_destination_goes_its_own_way_and_begins_with_the_logs_after_it)
{
	struct id project = given_project(&f), one = given_destination(&project), two, task = id_make(clock_wall_us());
	struct log_lag lag;

	begin(&project, &task);
	begin(&project, &task); /* harmless to repeat */
	append(f.logs, &task, 0);
	two = given_destination(&project);
	due(&two, 0);
	task = id_make(clock_wall_us());
	begin(&project, &task);
	append(f.logs, &task, 0);
	send_all(&two, 1);
	due(&one, 2);
	fine(log_destination_store_lag(f.logs, &f.cx, &one, &lag));
	ck_assert_int_eq(lag.logs, 2);
	ck_assert_int_eq(lag.bytes, 10);
	ck_assert_int_eq(lag.since, 1795414023123456);
	fine(log_destination_store_lag(f.logs, &f.cx, &two, &lag));
	ck_assert_int_eq(lag.logs, 0);
	ck_assert_int_eq(lag.since, TIME_NONE);
}
END_TEST

START_TEST(one_courier_at_a_time_sends_and_a_late_one_changes_nothing)
{
	struct id project = given_project(&f), destination = given_destination(&project), task = id_make(clock_wall_us());
	struct log_destination *all;
	struct log_cursor *c;
	size_t n;

	begin(&project, &task);
	append(f.logs, &task, 0);
	fine(log_destination_store_hold(f.logs, &f.cx, &HOLDER, &destination, 30));
	ck_assert_int_eq(log_destination_store_hold(f.logs, &f.cx, &OTHER, &destination, 30), ERR_CONFLICT);
	fine(log_destination_store_due(f.logs, &f.cx, &OTHER, &all, &n));
	for (size_t i = 0; i < n; i++)
		ck_assert(!id_equal(&all[i].id, &destination));
	c = due(&destination, 1);
	c->is_done = true;
	ck_assert_int_eq(sent(&destination, &OTHER, c, 1), ERR_CONFLICT);
	due(&destination, 1);
	run_in(&f, f.logs, "UPDATE log_destination SET held_until = NOW(6) - INTERVAL 1 SECOND");
	fine(log_destination_store_hold(f.logs, &f.cx, &OTHER, &destination, 30));
	ck_assert_int_eq(sent(&destination, &HOLDER, c, 1), ERR_CONFLICT); /* its time was up */
	ck_assert_int_eq(log_destination_store_failed(f.logs, &f.cx, &HOLDER, &destination, STR_LIT("late"), 1), ERR_CONFLICT);
	fine(log_destination_store_failed(f.logs, &f.cx, &OTHER, &destination, STR_LIT("refused"), 60));
	due(&destination, 1); /* kept, but it is not to be called now */
	fine(log_destination_store_due(f.logs, &f.cx, &OTHER, &all, &n));
	for (size_t i = 0; i < n; i++)
		ck_assert(!id_equal(&all[i].id, &destination));
}
END_TEST

START_TEST(a_batch_whose_commit_got_no_answer_is_sent_again_or_was_stored)
{
	for (int after = 0; after < 2; after++)
		for (int at = 1; at < 8; at++) {
			struct id project = given_project(&f), destination = given_destination(&project), task = id_make(clock_wall_us());
			struct log_cursor *c;
			enum err e;

			begin(&project, &task);
			append(f.logs, &task, 0);
			fine(log_destination_store_hold(f.logs, &f.cx, &HOLDER, &destination, 30));
			c = due(&destination, 1);
			c->seen = c->head.next;
			db_fail_at(f.logs, at, after);
			e = sent(&destination, &HOLDER, c, 1);
			db_fail_at(f.logs, 0, false);
			ck_assert(e == OK || e == ERR_CONFLICT);
			due(&destination, 0);
			ck_assert_int_eq(log_destination_store_hold(f.logs, &f.cx, &OTHER, &destination, 30), OK);
		}
}
END_TEST

START_TEST(what_grew_too_old_is_counted_and_what_is_left_of_deleted_ones_goes)
{
	struct id project = given_project(&f), destination = given_destination(&project), gone = given_destination(&project);
	struct id sent_whole = id_make(clock_wall_us()), task = id_make(clock_wall_us() + 5000);
	struct log_destination d;
	int64_t lost, now;

	begin(&project, &sent_whole);
	append(f.logs, &sent_whole, 0);
	send_all(&destination, 1);
	begin(&project, &task);
	append(f.logs, &task, 0);
	append(f.logs, &task, 1);
	fine(log_destination_store_delete(f.logs, &f.cx, &project, &gone));
	fine(log_cursor_store_forget(f.logs, &f.cx, 3, &lost));
	ck_assert_int_eq(lost, 0);
	due(&gone, 0);
	due(&destination, 1);
	fine(db_now(f.logs, &f.cx, &now));
	fine(db_set_clock(f.logs, &f.cx, now + 4 * 86400000000LL));
	fine(log_cursor_store_forget(f.logs, &f.cx, 3, &lost));
	ck_assert_int_ge(lost, 1); /* other tests' logs are in it */
	fine(log_destination_store_get(f.logs, &f.cx, &project, &destination, &d));
	ck_assert_int_eq(d.lost_logs, 1);
	ck_assert_int_eq(d.lost_bytes, 10);
	ck_assert_int_ne(d.lost_at, TIME_NONE);
	ck_assert_int_eq(number_in(&f, f.logs, "SELECT COUNT(*) FROM log_cursor"), 0);
}
END_TEST

START_TEST(secrets_are_sealed_and_of_their_destination_alone)
{
	struct id project = given_project(&f), id = given_destination(&project), other = given_destination(&project);
	struct log_destination d, e;
	struct seal_key key = { { 1 } };
	struct str secret;

	fine(log_destination_store_get(f.logs, &f.cx, &project, &id, &d));
	ck_assert(str_find(d.sealed, "secret") == (size_t)-1);
	fine(log_destination_store_secret(&f.cx, &key, &d, &secret));
	ck_assert(str_is(secret, "secret"));
	fine(log_destination_store_get(f.logs, &f.cx, &project, &other, &e));
	e.sealed = d.sealed;
	ck_assert_int_eq(log_destination_store_secret(&f.cx, &key, &e, &secret), ERR_INTERNAL);
	ck_assert_int_eq(log_destination_store_get(f.logs, &f.cx, &other, &id, &d), ERR_NOT_FOUND); /* another project */
}
END_TEST

START_TEST(there_are_twenty_a_project_at_most)
{
	struct id project = given_project(&f);
	struct log_destination d = { .id = id_make(clock_wall_us()), .project_id = project };

	for (int i = 0; i < LOG_DESTINATIONS_MOST; i++)
		given_destination(&project);
	ck_assert_int_eq(log_destination_store_add(f.logs, &f.cx, &d, NULL, STR_LIT("")), ERR_LIMIT);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("log_cursor");
	Suite *s = suite_create("log_cursor");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, what_is_committed_late_is_not_skipped);
	tcase_add_test(t, a_project_without_destinations_has_no_cursors);
	tcase_add_test(t, each_destination_goes_its_own_way_and_begins_with_the_logs_after_it);
	tcase_add_test(t, one_courier_at_a_time_sends_and_a_late_one_changes_nothing);
	tcase_add_test(t, a_batch_whose_commit_got_no_answer_is_sent_again_or_was_stored);
	tcase_add_test(t, secrets_are_sealed_and_of_their_destination_alone);
	tcase_add_test(t, there_are_twenty_a_project_at_most);
	tcase_add_test(t, what_grew_too_old_is_counted_and_what_is_left_of_deleted_ones_goes);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
