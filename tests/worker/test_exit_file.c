/* The files between monitor and runner: what is written is what is read, and nothing else is taken. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "worker/monitor/exit_file.h"
#include "worker/monitor/spool.h"

START_TEST(what_is_written_is_read)
{
	struct exit_file f = { .verdict = (enum exit_verdict)_i, .started_us = UINT64_MAX, .ended_us = 1,
		               .code = -1, .signal = 9, .oom_kills = 2, .pids_hits = 3, .max_rss = 4,
		               .cpu_us = 5, .bytes = 6, .lines = 7, .head = 8, .missing = 9,
		               .message = "a = b" };
	struct exit_file back;
	char text[EXIT_FILE_MAX];
	size_t n = exit_file_format(&f, text, sizeof text);

	ck_assert(exit_file_parse(text, n, &back));
	ck_assert_int_eq(back.verdict, f.verdict);
	ck_assert_uint_eq(back.started_us, UINT64_MAX);
	ck_assert_int_eq(back.code, -1);
	ck_assert_int_eq(back.signal, 9);
	ck_assert_uint_eq(back.oom_kills, 2);
	ck_assert_uint_eq(back.missing, 9);
	ck_assert_str_eq(back.message, "a = b");
}
END_TEST

START_TEST(a_message_is_one_line_and_the_longest_file_fits)
{
	struct exit_file f = { .verdict = EXIT_LAUNCH_FAILED, .started_us = UINT64_MAX, .ended_us = UINT64_MAX,
		               .code = 255, .signal = 64, .oom_kills = UINT64_MAX, .pids_hits = UINT64_MAX,
		               .max_rss = UINT64_MAX, .cpu_us = UINT64_MAX, .bytes = UINT64_MAX,
		               .lines = UINT64_MAX, .head = UINT64_MAX, .missing = UINT64_MAX, .node_fault = UINT64_MAX };
	struct exit_file back;
	char text[EXIT_FILE_MAX];
	size_t n;

	memset(f.message, '\n', sizeof f.message - 1);
	n = exit_file_format(&f, text, sizeof text);
	ck_assert_uint_gt(n, 0);
	ck_assert(exit_file_parse(text, n, &back));
	ck_assert_uint_eq(back.node_fault, UINT64_MAX);
	ck_assert_uint_eq(strspn(back.message, " "), sizeof f.message - 1);
	ck_assert_uint_eq(exit_file_format(&f, text, sizeof text - 1), 0);
}
END_TEST

START_TEST(half_a_file_and_nonsense_are_refused)
{
	static const char *const wrong[] = {
		"", "v=1\n", "v=1\nverdict=exited\n", "v=2\nverdict=exited\nmessage=\n",
		"v=1\nverdict=nonsense\nmessage=\n", "v=1\nverdict=exited\ncode=256\nmessage=\n",
		"v=1\nverdict=exited\ncode=-2\nmessage=\n", "v=1\nverdict=exited\nbytes=x\nmessage=\n",
		"v=1\nverdict=exited\nbytes=18446744073709551616\nmessage=\n", "v=1\nverdict=exited\nmessage=",
		"v=1\nverdict=exited\nno sign\nmessage=\n",
	};
	static const char later[] = "v=1\nverdict=exited\ncode=0\nnew_key=5\nmessage=\n";
	struct exit_file f = { .code = 77 };
	char text[EXIT_FILE_MAX];
	size_t n;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		ck_assert_msg(!exit_file_parse(wrong[i], strlen(wrong[i]), &f), "taken: %s", wrong[i]);
	ck_assert_int_eq(f.code, 77);
	ck_assert(exit_file_parse(later, sizeof later - 1, &f));
	n = exit_file_format(&f, text, sizeof text);
	for (size_t i = 0; i < n; i++) /* cut anywhere it is not whole */
		ck_assert(!exit_file_parse(text, i, &f));
}
END_TEST

START_TEST(a_frame_is_taken_only_whole)
{
	uint8_t bytes[SPOOL_FRAME_BYTES + 5] = { 5, 0, 0, 0, SPOOL_STREAM_ERR, 0, 0, 0, 1, 2 };
	struct spool_frame f;
	const uint8_t *data;

	memcpy(bytes + SPOOL_FRAME_BYTES, "hello", 5);
	for (size_t i = 0; i < sizeof bytes; i++)
		ck_assert(!spool_frame_parse(bytes, i, &f, &data));
	ck_assert(spool_frame_parse(bytes, sizeof bytes, &f, &data));
	ck_assert_uint_eq(f.len, 5);
	ck_assert_uint_eq(f.stream, SPOOL_STREAM_ERR);
	ck_assert_uint_eq(f.boottime_us, 0x201);
	ck_assert(memcmp(data, "hello", 5) == 0);
	bytes[3] = 1; /* longer than a frame can be */
	ck_assert(!spool_frame_parse(bytes, sizeof bytes, &f, &data));
	memset(bytes, 0, 4);
	ck_assert(!spool_frame_parse(bytes, sizeof bytes, &f, &data));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("exit_file");
	TCase *t = tcase_create("exit_file");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_loop_test(t, what_is_written_is_read, 0, EXIT_VERDICT_COUNT);
	tcase_add_test(t, a_message_is_one_line_and_the_longest_file_fits);
	tcase_add_test(t, half_a_file_and_nonsense_are_refused);
	tcase_add_test(t, a_frame_is_taken_only_whole);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
