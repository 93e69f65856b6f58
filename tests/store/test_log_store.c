#include "store/log_follow.h"
#include "store/log_live.h"

#include "base/clock.h"
#include "model/log_notice.h"
#include "tests/support/store_fixture.h"

#include <check.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct store_fixture f;
static const struct id PROJECT = { { 1 } };

static void set_up(void)
{
	store_fixture_open(&f);
}

static void tear_down(void)
{
	store_fixture_close(&f);
}

#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

static const struct log_piece ONE_PIECE[] = { { 1, 6, 1795414023123456 } };

static struct log_chunk chunk(int64_t number, int64_t first_byte, const char *text)
{
	struct log_chunk c = { .number = number, .first_byte = first_byte, .first_at = 1795414023123456,
		               .pieces = ONE_PIECE, .piece_count = 1, .plain = str_of(text) };

	for (const char *p = text; *p; p++)
		c.line_count += *p == '\n';
	return c;
}

static enum err append(const struct id *task, int64_t attempt, struct log_chunk c, struct log_head *head)
{
	return log_store_append(f.logs, &f.cx, task, attempt, time_day(clock_wall_us()), &c, head);
}

static struct id given_log(int64_t attempt)
{
	struct id task = id_make(clock_wall_us());

	fine(log_store_begin(f.logs, &f.cx, &PROJECT, &task, attempt, time_day(clock_wall_us())));
	return task;
}

START_TEST(chunks_come_back_as_they_were_with_their_pieces)
{
	static const struct log_piece PIECES[] = { { 1, 3, 1795414023123456 }, { 2, 300, 1795414023123455 }, { 1, 0, 1795414029123455 } };
	struct id task = given_log(1);
	char text[303];
	struct log_chunk *got, c = chunk(0, 0, ""), second = chunk(1, 303, "end\n");
	struct log_head head;
	size_t n;

	memset(text, 0, sizeof text); /* NULs are ordinary */
	c.plain = str_bytes(text, sizeof text);
	c.pieces = PIECES;
	c.piece_count = 3;
	fine(append(&task, 1, c, &head));
	fine(append(&task, 1, second, &head));
	fine(log_store_head(f.logs, &f.cx, &task, 1, &head));
	ck_assert_int_eq(head.next, 2);
	ck_assert_int_eq(head.bytes, 307);
	ck_assert_int_eq(head.kept, 307);
	ck_assert_int_eq(head.lines, 1);
	fine(log_store_read(f.logs, &f.cx, &task, &head, 0, 10, &got, &n));
	ck_assert_uint_eq(n, 2);
	ck_assert(str_equal(got[0].plain, c.plain));
	ck_assert_uint_eq(got[0].piece_count, 3);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(got[0].pieces[i].stream, PIECES[i].stream);
		ck_assert_uint_eq(got[0].pieces[i].bytes, PIECES[i].bytes);
		ck_assert_int_eq(got[0].pieces[i].at, PIECES[i].at);
	}
	ck_assert(str_is(got[1].plain, "end\n"));
	ck_assert_int_eq(got[1].first_byte, 303);
}
END_TEST

START_TEST(doubled_and_skipped_chunks_are_refused_and_the_head_says_where_it_stands)
{
	struct id task = given_log(1);
	struct log_head head = { 0 };

	fine(append(&task, 1, chunk(0, 0, "hello\n"), &head));
	ck_assert_int_eq(append(&task, 1, chunk(0, 0, "hello\n"), &head), ERR_CONFLICT);
	ck_assert_int_eq(head.next, 1);
	ck_assert_int_eq(append(&task, 1, chunk(2, 6, "later\n"), &head), ERR_CONFLICT);
	ck_assert_int_eq(head.next, 1);
	ck_assert_int_eq(append(&task, 1, chunk(1, 3, "overlaps\n"), &head), ERR_CONFLICT);
	fine(append(&task, 1, chunk(1, 6, "next\n"), &head));
}
END_TEST

START_TEST(a_closed_log_takes_nothing_more)
{
	struct id task = given_log(1);
	struct log_head head = { 0 };

	fine(append(&task, 1, chunk(0, 0, "hello\n"), &head));
	fine(log_store_close(f.logs, &f.cx, &task, 1));
	ck_assert_int_eq(append(&task, 1, chunk(1, 6, "late\n"), &head), ERR_CONFLICT);
	ck_assert(head.closed);
	ck_assert_int_eq(head.next, 1);
}
END_TEST

START_TEST(a_late_chunk_of_an_old_attempt_finds_it_closed)
{
	struct id task = given_log(1);
	int64_t day = time_day(clock_wall_us());
	struct log_head head = { 0 };

	fine(append(&task, 1, chunk(0, 0, "first\n"), &head));
	fine(log_store_begin(f.logs, &f.cx, &PROJECT, &task, 2, day));
	ck_assert_int_eq(append(&task, 1, chunk(1, 6, "late\n"), &head), ERR_CONFLICT);
	ck_assert(head.closed);
	fine(append(&task, 2, chunk(0, 0, "second\n"), &head));
	fine(log_store_begin(f.logs, &f.cx, &PROJECT, &task, 2, day)); /* harmless to repeat */
	fine(append(&task, 2, chunk(1, 7, "more\n"), &head));
}
END_TEST

START_TEST(an_old_attempt_that_begins_late_is_closed_at_once)
{
	struct id task = given_log(2);
	struct log_head head = { 0 };

	fine(log_store_begin(f.logs, &f.cx, &PROJECT, &task, 1, time_day(clock_wall_us())));
	ck_assert_int_eq(append(&task, 1, chunk(0, 0, "late\n"), &head), ERR_CONFLICT);
	ck_assert(head.closed);
	fine(append(&task, 2, chunk(0, 0, "on time\n"), &head));
}
END_TEST

START_TEST(a_log_that_never_began_takes_nothing)
{
	struct id task = id_make(clock_wall_us());
	struct log_head head;

	ck_assert_int_eq(append(&task, 1, chunk(0, 0, "hello\n"), &head), ERR_NOT_FOUND);
	ck_assert_int_eq(log_store_head(f.logs, &f.cx, &task, 1, &head), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_chunk_whose_answer_was_lost_is_found_stored)
{
	struct id task = given_log(1);
	struct log_head head = { 0 };

	db_fail_at(f.logs, 1, true); /* done, but nobody heard */
	ck_assert_int_eq(append(&task, 1, chunk(0, 0, "hello\n"), &head), ERR_BUSY);
	ck_assert_int_eq(append(&task, 1, chunk(0, 0, "hello\n"), &head), ERR_CONFLICT);
	ck_assert_int_eq(head.next, 1);
	ck_assert_int_eq(head.bytes, 6);
}
END_TEST

START_TEST(any_byte_and_line_is_found_by_halving)
{
	struct id task = given_log(1);
	struct log_head head = { 0 };
	int64_t number, before;

	for (int i = 0; i < 50; i++) {
		struct log_chunk c = chunk(i, i * 10, "123\n56789\n");

		c.first_line = i * 2;
		fine(append(&task, 1, c, &head));
	}
	fine(log_store_head(f.logs, &f.cx, &task, 1, &head));
	for (int at = 0; at < 500; at += 7) {
		fine(log_store_seek(f.logs, &f.cx, &task, &head, at, &number));
		ck_assert_int_eq(number, at / 10);
	}
	before = db_statements(f.logs);
	fine(log_store_seek(f.logs, &f.cx, &task, &head, 499, &number));
	ck_assert_int_eq(number, 49);
	ck_assert_int_le(db_statements(f.logs) - before, 8); /* log2 of 50, and one */
	fine(log_store_seek(f.logs, &f.cx, &task, &head, 500, &number));
	ck_assert_int_eq(number, 50);
	for (int line = 1; line < 100; line++) {
		fine(log_store_seek_line(f.logs, &f.cx, &task, &head, line, &number));
		ck_assert_int_eq(number, (line - 1) / 2); /* the chunk with the newline before it */
	}
	fine(log_store_seek_line(f.logs, &f.cx, &task, &head, 101, &number));
	ck_assert_int_eq(number, 50);
}
END_TEST

START_TEST(a_byte_that_was_left_out_leads_to_the_chunk_behind_it)
{
	struct id task = given_log(1);
	struct log_head head = { 0 };
	int64_t number;

	fine(append(&task, 1, chunk(0, 0, "head\n"), &head));
	fine(append(&task, 1, chunk(1, 1000, "tail\n"), &head));
	fine(log_store_head(f.logs, &f.cx, &task, 1, &head));
	fine(log_store_seek(f.logs, &f.cx, &task, &head, 500, &number));
	ck_assert_int_eq(number, 1);
}
END_TEST

START_TEST(the_size_counts_all_attempts_and_what_the_notices_add)
{
	struct id task = given_log(1);
	struct log_head head = { 0 };
	int64_t size, notice = (int64_t)log_notice(&f.cx.arena, 5, 4120336).n;

	ck_assert_int_gt(notice, 20);
	fine(log_store_size(f.logs, &f.cx, &task, &size));
	ck_assert_int_eq(size, 0);
	fine(append(&task, 1, chunk(0, 0, "head\n"), &head));
	fine(append(&task, 1, chunk(1, 4120336, "tail\n"), &head));
	fine(log_store_begin(f.logs, &f.cx, &PROJECT, &task, 2, time_day(clock_wall_us())));
	fine(append(&task, 2, chunk(0, 0, "again\n"), &head));
	fine(log_store_size(f.logs, &f.cx, &task, &size));
	ck_assert_int_eq(size, 5 + notice + 5 + 6);
}
END_TEST

START_TEST(a_large_log_comes_in_rounds_of_about_four_mebibytes)
{
	enum { MIB = 1 << 20 };
	struct id task = given_log(1);
	struct log_head head = { 0 };
	struct log_chunk *got;
	char *text = arena_take(&f.cx.arena, MIB + 1);
	size_t n;

	memset(text, 'x', MIB);
	for (int i = 0; i < 6; i++)
		fine(append(&task, 1, chunk(i, (int64_t)i * MIB, text), &head));
	fine(log_store_head(f.logs, &f.cx, &task, 1, &head));
	fine(log_store_read(f.logs, &f.cx, &task, &head, 0, 100, &got, &n));
	ck_assert_uint_eq(n, 4);
	fine(log_store_read(f.logs, &f.cx, &task, &head, 4, 100, &got, &n));
	ck_assert_uint_eq(n, 2);
	fine(log_store_read(f.logs, &f.cx, &task, &head, 6, 100, &got, &n));
	ck_assert_uint_eq(n, 0);
}
END_TEST

/* The names of the partitions that a query reads. */
static struct str partitions_of(int64_t day)
{
	char text[200];
	struct sql sql = { text, "" };
	struct rows r;

	snprintf(text, sizeof text, "EXPLAIN PARTITIONS SELECT body FROM log_chunk WHERE day = %lld AND task_id = 'x' AND attempt = 1"
	         " AND number >= 0", (long long)day);
	fine(db_query(f.logs, &f.cx, &sql, NULL, 0, &r));
	return val_str(&row(&r, 0)[3]);
}

static const char COUNT_PARTITIONS[] =
	"SELECT COUNT(*) FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'log_chunk'";

START_TEST(partitions_are_made_a_week_ahead_and_reading_asks_one_alone)
{
	int64_t now, today;
	char name[32];

	fine(log_store_partitions(f.logs, &f.cx, 30));
	fine(db_now(f.logs, &f.cx, &now));
	today = time_day(now);
	ck_assert_int_eq(number_in(&f, f.logs, COUNT_PARTITIONS), 9); /* today, seven ahead, the rest */
	for (int64_t day = today; day <= today + 7; day++) {
		snprintf(name, sizeof name, "p%lld", (long long)day);
		ck_assert(str_is(partitions_of(day), name));
	}
	fine(log_store_partitions(f.logs, &f.cx, 30));
	ck_assert_int_eq(number_in(&f, f.logs, COUNT_PARTITIONS), 9);
}
END_TEST

START_TEST(old_days_go_with_their_heads_and_younger_ones_stay)
{
	struct id old = id_make(clock_wall_us()), young = given_log(1);
	int64_t now, today;
	struct log_head head = { 0 };
	struct log_chunk c = chunk(0, 0, "old\n");

	fine(log_store_partitions(f.logs, &f.cx, 3));
	fine(db_now(f.logs, &f.cx, &now));
	today = time_day(now);
	fine(log_store_begin(f.logs, &f.cx, &PROJECT, &old, 1, today));
	fine(log_store_append(f.logs, &f.cx, &old, 1, today, &c, &head));
	fine(db_set_clock(f.logs, &f.cx, now + 3 * 86400000000LL)); /* three days later it is still there */
	fine(log_store_partitions(f.logs, &f.cx, 3));
	fine(log_store_head(f.logs, &f.cx, &old, 1, &head));
	fine(db_set_clock(f.logs, &f.cx, now + 4 * 86400000000LL));
	fine(log_store_begin(f.logs, &f.cx, &PROJECT, &young, 2, today + 4));
	fine(log_store_append(f.logs, &f.cx, &young, 2, today + 4, &c, &head));
	fine(log_store_partitions(f.logs, &f.cx, 3));
	ck_assert_int_eq(log_store_head(f.logs, &f.cx, &old, 1, &head), ERR_NOT_FOUND);
	fine(log_store_head(f.logs, &f.cx, &young, 2, &head));
	ck_assert_int_eq(head.next, 1);
	ck_assert_int_eq(number_in(&f, f.logs, "SELECT COUNT(*) FROM log_chunk"), 1);
}
END_TEST

static int partition_in_a_child(void)
{
	struct store_fixture own;
	int64_t now;
	enum err e;

	store_fixture_open(&own);
	e = db_now(own.logs, &own.cx, &now);
	if (e == OK)
		e = log_store_partitions(own.logs, &own.cx, 3);
	if (e != OK)
		fprintf(stderr, "%s\n", own.cx.message);
	store_fixture_close(&own);
	return e == OK || e == ERR_BUSY ? 0 : 1; /* busy: the other one held the lock, and will be asked again */
}

START_TEST(several_schedulers_partition_at_once_without_harm)
{
	for (int round = 0; round < 5; round++) {
		pid_t child[3];
		int status;

		run_in(&f, f.logs, "ALTER TABLE log_chunk REMOVE PARTITIONING");
		run_in(&f, f.logs, "ALTER TABLE log_chunk PARTITION BY RANGE COLUMNS (day) (PARTITION p3 VALUES LESS THAN (4),"
		       " PARTITION pmax VALUES LESS THAN (MAXVALUE))");
		for (int i = 0; i < 3; i++)
			if ((child[i] = fork()) == 0)
				_exit(partition_in_a_child());
		for (int i = 0; i < 3; i++) {
			ck_assert_int_eq(waitpid(child[i], &status, 0), child[i]);
			ck_assert_int_eq(status, 0);
		}
		fine(log_store_partitions(f.logs, &f.cx, 3));
		ck_assert_int_eq(number_in(&f, f.logs, COUNT_PARTITIONS), 2 + 1 + 7 + 1); /* two days back (the first holds what is older), today, ahead, the rest */
	}
}
END_TEST

/* --- the newest output ----------------------------------------------------------------------------- */
static enum err add_live(const struct id *task, int64_t first_byte, const char *text, struct log_head *head)
{
	struct log_chunk c = chunk(0, first_byte, text);

	return log_live_append(f.logs, &f.cx, task, 1, time_day(clock_wall_us()), &c, head);
}

static void expect_live(const struct id *task, int64_t from, const char *first, size_t count)
{
	struct log_head head;
	struct log_chunk *got;
	size_t n;

	fine(log_store_head(f.logs, &f.cx, task, 1, &head));
	fine(log_live_read(f.logs, &f.cx, task, &head, from, 10, &got, &n));
	ck_assert_uint_eq(n, count);
	if (n)
		ck_assert(str_is(got[0].plain, first));
}

START_TEST(newest_output_is_found_by_its_bytes_and_the_log_takes_no_notice_of_it)
{
	struct id task = given_log(1);
	struct log_head head = { 0 };
	int64_t size;

	fine(append(&task, 1, chunk(0, 0, "kept\n"), &head));
	fine(add_live(&task, 5, "five\n", &head));
	fine(add_live(&task, 10, "ten\n", &head));
	fine(add_live(&task, 100, "hundred\n", &head));
	ck_assert_int_eq(add_live(&task, 100, "hundred\n", &head), ERR_CONFLICT);
	ck_assert_int_eq(head.live, 108);
	ck_assert_int_eq(add_live(&task, 104, "in it", &head), ERR_CONFLICT);
	expect_live(&task, 0, "five\n", 3);
	expect_live(&task, 9, "five\n", 3);
	expect_live(&task, 12, "ten\n", 2);
	expect_live(&task, 50, "ten\n", 2); /* behind it: the one before, and what follows */
	fine(log_live_forget(f.logs, &f.cx, &task, 1, 10));
	expect_live(&task, 0, "ten\n", 2);
	fine(log_store_head(f.logs, &f.cx, &task, 1, &head));
	ck_assert(head.next == 1 && head.bytes == 5 && head.kept == 5 && head.live == 108);
	fine(log_store_size(f.logs, &f.cx, &task, &size));
	ck_assert_int_eq(size, 5);
	fine(append(&task, 1, chunk(1, 90, "what is kept of its end, and more\n"), &head));
	expect_live(&task, 0, "", 0); /* the kept one reaches further */
	ck_assert_int_eq(add_live(&task, 123, "not behind", &head), ERR_CONFLICT);
	fine(log_store_close(f.logs, &f.cx, &task, 1));
	ck_assert_int_eq(add_live(&task, 1000, "late", &head), ERR_CONFLICT);
	ck_assert(head.closed);
}
END_TEST

START_TEST(followers_read_chunks_and_newest_output_at_once)
{
	struct id a = given_log(1), b = given_log(1);
	struct log_head head = { 0 };
	struct log_place at[3] = { { .task = a, .attempt = 1, .day = time_day(clock_wall_us()) },
		                   { .task = b, .attempt = 1, .is_live = true, .byte = 7 },
		                   { .task = a, .attempt = 1, .is_live = true, .byte = 3 } };

	fine(append(&a, 1, chunk(0, 0, "abc"), &head));
	fine(add_live(&a, 3, "def", &head));
	fine(add_live(&b, 0, "0123456", &head));
	fine(add_live(&b, 7, "789", &head));
	fine(log_follow_read(f.logs, &f.cx, at, 3));
	ck_assert(at[0].n == 1 && str_is(at[0].chunks[0].plain, "abc"));
	ck_assert(at[1].n == 1 && str_is(at[1].chunks[0].plain, "789"));
	ck_assert(at[2].n == 1 && str_is(at[2].chunks[0].plain, "def"));
	fine(log_follow_read(f.logs, &f.cx, &at[1], 1));
	ck_assert(at[1].n == 1 && at[1].chunks[0].first_byte == 7);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("log_store");
	Suite *s = suite_create("log_store");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, chunks_come_back_as_they_were_with_their_pieces);
	tcase_add_test(t, doubled_and_skipped_chunks_are_refused_and_the_head_says_where_it_stands);
	tcase_add_test(t, a_closed_log_takes_nothing_more);
	tcase_add_test(t, a_late_chunk_of_an_old_attempt_finds_it_closed);
	tcase_add_test(t, an_old_attempt_that_begins_late_is_closed_at_once);
	tcase_add_test(t, a_log_that_never_began_takes_nothing);
	tcase_add_test(t, a_chunk_whose_answer_was_lost_is_found_stored);
	tcase_add_test(t, any_byte_and_line_is_found_by_halving);
	tcase_add_test(t, a_byte_that_was_left_out_leads_to_the_chunk_behind_it);
	tcase_add_test(t, the_size_counts_all_attempts_and_what_the_notices_add);
	tcase_add_test(t, a_large_log_comes_in_rounds_of_about_four_mebibytes);
	tcase_add_test(t, partitions_are_made_a_week_ahead_and_reading_asks_one_alone);
	tcase_add_test(t, several_schedulers_partition_at_once_without_harm);
	tcase_add_test(t, old_days_go_with_their_heads_and_younger_ones_stay);
	tcase_add_test(t, newest_output_is_found_by_its_bytes_and_the_log_takes_no_notice_of_it);
	tcase_add_test(t, followers_read_chunks_and_newest_output_at_once);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
