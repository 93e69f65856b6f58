#include "worker/runner/spool_read.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A job folder as a monitor writes it, in a temporary folder. */
static char top[] = "/tmp/stoker-spool-XXXXXX", folder[64];

static void set_up(void)
{
	snprintf(top, sizeof top, "/tmp/stoker-spool-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(folder, sizeof folder, "%s/j", top);
	ck_assert_int_eq(mkdir(folder, 0700), 0);
}

static void tear_down(void)
{
	static const char *const FILES[] = { "head", "tail.0", "tail.1" };
	char path[128];

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, FILES[i]);
		unlink(path);
	}
	rmdir(folder);
	rmdir(top);
}

static void add(const char *file, const void *p, size_t n)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, file);
	f = fopen(path, "ab");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(p, 1, n, f), n);
	fclose(f);
}

static void frame(const char *file, int stream, const char *data, size_t n, uint64_t at)
{
	struct spool_frame f = { .len = (uint32_t)n, .stream = (uint8_t)stream, .boottime_us = at };

	add(file, &f, sizeof f);
	add(file, data, n);
}

static void tail(const char *file, uint64_t byte, uint64_t line)
{
	struct spool_tail t = { .first_byte = byte, .first_line = line };

	add(file, &t, sizeof t);
}

static void expect(struct spool_reader *r, const char *plain, int64_t byte, int64_t line)
{
	auto_ctx cx = { 0 };
	struct spool_batch b = { 0 };

	ck_assert_int_eq(spool_read(r, &cx, &b), OK);
	ck_assert_uint_eq(b.plain.n, strlen(plain));
	if (b.plain.n) {
		ck_assert(memcmp(b.plain.p, plain, b.plain.n) == 0);
		ck_assert_int_eq(b.first_byte, byte);
		ck_assert_int_eq(b.first_line, line);
	}
	spool_batch_free(&b);
}

START_TEST(it_reads_what_is_whole_and_comes_back_for_the_rest)
{
	struct spool_reader r;
	struct spool_frame half = { .len = 5, .stream = 1 };

	spool_reader_init(&r, folder);
	expect(&r, "", 0, 0);
	frame("head", 1, "one\n", 4, 100);
	frame("head", 2, "two\n", 4, 200);
	add("head", &half, sizeof half);
	add("head", "thr", 3);
	expect(&r, "one\ntwo\n", 0, 0);
	expect(&r, "", 0, 0);
	add("head", "ee", 2);
	expect(&r, "three", 8, 2);
	spool_reader_close(&r);
}
END_TEST

START_TEST(streams_and_times_are_told_apart)
{
	auto_ctx cx = { 0 };
	struct spool_batch b = { 0 };
	struct spool_reader r;

	frame("head", 1, "a", 1, 100);
	frame("head", 1, "b", 1, 200);       /* so soon: the same piece */
	frame("head", 2, "c", 1, 300);
	frame("head", 2, "d", 1, 90000);
	spool_reader_init(&r, folder);
	ck_assert_int_eq(spool_read(&r, &cx, &b), OK);
	ck_assert_uint_eq(b.piece_count, 3);
	ck_assert_uint_eq(b.pieces[0].bytes, 2);
	ck_assert_int_eq(b.pieces[1].stream, 2);
	ck_assert_int_eq(b.pieces[2].at, 90000);
	ck_assert_int_eq(b.first_at, 100);
	spool_batch_free(&b);
	spool_reader_close(&r);
}
END_TEST

START_TEST(a_chunk_ends_at_64_kib_and_no_byte_is_lost_or_doubled)
{
	auto_ctx cx = { 0 };
	static char data[50000];
	struct spool_reader r;
	int64_t total = 0, lines = 0;

	memset(data, 'x', sizeof data);
	data[49999] = '\n';
	for (int i = 0; i < 5; i++)
		frame("head", 1, data, sizeof data, 100);
	spool_reader_init(&r, folder);
	for (int i = 0; i < 4; i++) {
		struct spool_batch b = { 0 };

		ck_assert_int_eq(spool_read(&r, &cx, &b), OK);
		ck_assert_uint_le(b.plain.n, SPOOL_CHUNK_BYTES);
		ck_assert_int_eq(b.first_byte, total);
		ck_assert_int_eq(b.first_line, lines);
		total += (int64_t)b.plain.n;
		lines += b.line_count;
		spool_batch_free(&b);
	}
	ck_assert_int_eq(total, 250000);
	ck_assert_int_eq(lines, 5);
	spool_reader_close(&r);
}
END_TEST

START_TEST(a_new_runner_goes_on_at_the_exact_byte)
{
	struct spool_reader r;

	frame("head", 1, "one\ntwo\nthree\n", 14, 100);
	frame("head", 1, "four\n", 5, 200);
	spool_reader_init(&r, folder);
	spool_reader_skip(&r, 6);
	expect(&r, "o\nthree\nfour\n", 6, 1);
	ck_assert_uint_eq(r.last_n, 19);
	spool_reader_close(&r);
}
END_TEST

START_TEST(the_tail_follows_with_its_own_first_byte_and_line)
{
	struct exit_file end = { .head = 4, .bytes = 30, .missing = 11 };
	struct spool_reader r;

	frame("head", 1, "one\n", 4, 100);
	tail("tail.1", 10, 3); /* the older; of it the last 5 bytes count */
	frame("tail.1", 1, "abcd\nfghij", 10, 300);
	tail("tail.0", 20, 4);
	frame("tail.0", 2, "klmno\nrst\n", 10, 400);
	spool_reader_init(&r, folder);
	expect(&r, "one\n", 0, 0);
	expect(&r, "", 0, 0);
	spool_reader_end(&r, &end);
	expect(&r, "fghij", 15, 4);
	expect(&r, "klmno\nrst\n", 20, 4);
	expect(&r, "", 0, 0);
	ck_assert_int_eq(r.byte, 30);
	spool_reader_close(&r);
}
END_TEST

/* The end may be known before the head was read: of a flood that takes less time than a look does. */
START_TEST(of_the_head_nothing_is_left_out_for_the_gap_behind_it)
{
	struct exit_file end = { .head = 8, .bytes = 30, .missing = 12 };
	struct spool_reader r;

	frame("head", 1, "one\ntwo\n", 8, 100);
	tail("tail.1", 8, 2);
	frame("tail.1", 1, "abcdefghijkl", 12, 300);
	tail("tail.0", 20, 2);
	frame("tail.0", 2, "klmno\nrst\n", 10, 400);
	spool_reader_init(&r, folder);
	spool_reader_end(&r, &end);
	expect(&r, "one\ntwo\n", 0, 0);
	expect(&r, "klmno\nrst\n", 20, 2);
	expect(&r, "", 0, 0);
	spool_reader_close(&r);
}
END_TEST

/* --- secret values ---------------------------------------------------------------------------------- */
static struct output_mask *mask_of(const char *value)
{
	struct str v = str_of(value);

	return output_mask_new(&v, 1);
}

START_TEST(a_value_is_masked_across_frames_files_and_streams)
{
	struct output_mask *m = mask_of("hunter2hunter2");
	struct exit_file end = { .head = 24, .bytes = 36 };
	struct spool_reader r;

	spool_reader_init(&r, folder);
	spool_reader_mask(&r, m);
	frame("head", 1, "say hunt", 8, 100);
	expect(&r, "say ", 0, 0);
	expect(&r, "", 0, 0);
	frame("head", 2, "err\n", 4, 200);
	expect(&r, "", 0, 0);
	frame("head", 1, "er2hunter2\n", 11, 300);
	expect(&r, "****err\n**********\n", 4, 0);
	frame("head", 1, "h", 1, 400);
	tail("tail.0", 24, 2);
	frame("tail.0", 1, "unter2hunter2\nbye", 12, 500); /* 12 bytes of it */
	spool_reader_end(&r, &end);
	expect(&r, "*************", 23, 2); /* cut off by the end, and still not shown */
	ck_assert_int_eq(r.byte, 36);
	spool_reader_close(&r);
	output_mask_free(m);
}
END_TEST

START_TEST(a_new_runner_masks_what_the_one_before_would_have)
{
	struct output_mask *m = mask_of("hunter2hunter2");
	struct spool_reader r;

	frame("head", 1, "one hunter2hunter2 two\n", 23, 100);
	for (int64_t from = 0; from < 23; from++) {
		const char *all = "one ************** two\n";

		spool_reader_init(&r, folder);
		spool_reader_mask(&r, m);
		spool_reader_skip(&r, from);
		expect(&r, all + from, from, 0);
		ck_assert(r.last_n == 23 && memcmp(r.last, all, 23) == 0); /* what the verdict tells */
		spool_reader_close(&r);
	}
	output_mask_free(m);
}
END_TEST

START_TEST(at_a_gap_nothing_is_held_and_no_part_is_shown)
{
	struct output_mask *m = mask_of("hunter2hunter2");
	struct exit_file end = { .head = 8, .bytes = 40, .missing = 20 };
	struct spool_reader r;

	frame("head", 1, "a hunter", 8, 100);
	tail("tail.0", 20, 0);
	frame("tail.0", 1, "..hunter2hunter2 bye", 20, 500);
	spool_reader_init(&r, folder);
	spool_reader_mask(&r, m);
	expect(&r, "a ", 0, 0);
	spool_reader_end(&r, &end);
	expect(&r, "******", 2, 0);
	expect(&r, "******** bye", 28, 0);
	spool_reader_close(&r);
	output_mask_free(m);
}
END_TEST

START_TEST(of_a_value_that_the_gap_cuts_off_the_rest_is_not_shown)
{
	struct output_mask *m = mask_of("hunter2hunter2");
	struct exit_file end = { .head = 8, .bytes = 47, .missing = 12 };
	struct spool_reader r;

	frame("head", 1, "a word.\n", 8, 100);
	tail("tail.0", 20, 1);
	frame("tail.0", 1, "r2hunter2 bye, hunter2 again", 27, 500);
	spool_reader_init(&r, folder);
	spool_reader_mask(&r, m);
	spool_reader_end(&r, &end);
	expect(&r, "a word.\n", 0, 0);
	expect(&r, "********* bye, hunter2 agai", 20, 1);
	spool_reader_close(&r);
	output_mask_free(m);
}
END_TEST

START_TEST(a_tail_right_behind_the_head_is_no_gap)
{
	struct exit_file end = { .head = 4, .bytes = 9 };
	struct spool_reader r;

	frame("head", 1, "one\n", 4, 100);
	tail("tail.0", 4, 1);
	frame("tail.0", 1, "two\n!", 5, 300);
	spool_reader_init(&r, folder);
	spool_reader_skip(&r, 6);
	spool_reader_end(&r, &end);
	expect(&r, "o\n!", 6, 1);
	spool_reader_close(&r);
}
END_TEST

START_TEST(an_attempt_without_output_has_nothing)
{
	struct exit_file end = { .head = 0 };
	struct spool_reader r;

	spool_reader_init(&r, folder);
	spool_reader_end(&r, &end);
	expect(&r, "", 0, 0);
	spool_reader_close(&r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("spool_read");
	TCase *t = tcase_create("spool_read");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, it_reads_what_is_whole_and_comes_back_for_the_rest);
	tcase_add_test(t, streams_and_times_are_told_apart);
	tcase_add_test(t, a_chunk_ends_at_64_kib_and_no_byte_is_lost_or_doubled);
	tcase_add_test(t, a_new_runner_goes_on_at_the_exact_byte);
	tcase_add_test(t, the_tail_follows_with_its_own_first_byte_and_line);
	tcase_add_test(t, of_the_head_nothing_is_left_out_for_the_gap_behind_it);
	tcase_add_test(t, a_value_is_masked_across_frames_files_and_streams);
	tcase_add_test(t, a_new_runner_masks_what_the_one_before_would_have);
	tcase_add_test(t, at_a_gap_nothing_is_held_and_no_part_is_shown);
	tcase_add_test(t, of_a_value_that_the_gap_cuts_off_the_rest_is_not_shown);
	tcase_add_test(t, a_tail_right_behind_the_head_is_no_gap);
	tcase_add_test(t, an_attempt_without_output_has_nothing);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
