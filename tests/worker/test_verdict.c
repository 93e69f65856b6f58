#include "worker/runner/verdict.h"

#include "base/arena.h"

#include <check.h>
#include <stdlib.h>

static const struct verdict_facts FACTS = { .memory_mb = 64, .pids = 20, .timeout_s = 3,
	                                    .last_line = { "last words", 10 } };

/* One row an end: what the monitor wrote, what it must mean. */
static const struct {
	struct exit_file end;
	enum task_state state;
	enum cause cause;
	const char *note;
} ROWS[] = {
	{ { .verdict = EXIT_EXITED }, TASK_COMPLETE, CAUSE_EXIT, "" },
	{ { .verdict = EXIT_EXITED, .code = 1 }, TASK_ERROR, CAUSE_EXIT, "exit status 1: last words" },
	{ { .verdict = EXIT_EXITED, .code = 137 }, TASK_KILLED, CAUSE_EXIT, "exit status 137: last words" },
	{ { .verdict = EXIT_EXITED, .code = 137, .oom_kills = 1 }, TASK_KILLED, CAUSE_OUT_OF_MEMORY,
	  "out of memory: killed at its limit of 64 MiB" },
	{ { .verdict = EXIT_EXITED, .code = 127, .message = "cannot run nope: not found" },
	  TASK_ERROR, CAUSE_NOT_FOUND, "exit status 127: cannot run nope: not found" },
	{ { .verdict = EXIT_EXITED, .code = 126, .message = "cannot run /etc: denied" },
	  TASK_ERROR, CAUSE_NOT_EXECUTABLE, "exit status 126: cannot run /etc: denied" },
	{ { .verdict = EXIT_EXITED, .code = 127 }, TASK_ERROR, CAUSE_EXIT, "exit status 127: last words" },
	{ { .verdict = EXIT_EXITED, .oom_kills = 2 }, TASK_COMPLETE, CAUSE_EXIT,
	  "2 of its processes killed at the memory limit of 64 MiB" },
	{ { .verdict = EXIT_SIGNALED, .code = -1, .signal = 11 }, TASK_ERROR, CAUSE_SIGNAL,
	  "killed by SIGSEGV: last words" },
	{ { .verdict = EXIT_SIGNALED, .code = -1, .signal = 9 }, TASK_KILLED, CAUSE_SIGNAL,
	  "killed by SIGKILL: last words" },
	{ { .verdict = EXIT_SIGNALED, .code = -1, .signal = 9, .oom_kills = 1 }, TASK_KILLED,
	  CAUSE_OUT_OF_MEMORY, "out of memory: killed at its limit of 64 MiB" },
	{ { .verdict = EXIT_SIGNALED, .code = -1, .signal = 15, .oom_kills = 1 }, TASK_ERROR, CAUSE_SIGNAL,
	  "killed by SIGTERM: last words; 1 of its processes killed at the memory limit of 64 MiB" },
	{ { .verdict = EXIT_TIMEOUT, .code = -1, .signal = 15 }, TASK_TIMEOUT, CAUSE_TIMEOUT, "timed out after 3 s" },
	{ { .verdict = EXIT_CANCELLED, .code = 0 }, TASK_CANCELLED, CAUSE_CANCELLED, "cancelled" },
	{ { .verdict = EXIT_STOPPED, .code = -1 }, TASK_QUEUED, CAUSE_NODE_STOPPED, "node stopped" },
	{ { .verdict = EXIT_FENCED, .code = -1, .signal = 9 }, TASK_QUEUED, CAUSE_NODE_LOST,
	  "its node could not renew its lease and ended it" },
	{ { .verdict = EXIT_LAUNCH_FAILED, .code = -1, .message = "no such runtime" }, TASK_ERROR, CAUSE_LAUNCH,
	  "could not be started: no such runtime" },
	{ { .verdict = EXIT_LAUNCH_FAILED, .code = -1, .node_fault = 1, .message = "mount the stage: Cannot allocate memory" },
	  TASK_QUEUED, CAUSE_NODE_LOST, "its node could not start it: mount the stage: Cannot allocate memory" },
	{ { .verdict = EXIT_LOST, .code = -1 }, TASK_KILLED, CAUSE_MONITOR_LOST,
	  "its monitor was killed, so its end is not known" },
	{ { .verdict = EXIT_EXITED, .pids_hits = 7 }, TASK_COMPLETE, CAUSE_EXIT,
	  "refused to fork 7 times at the limit of 20 processes" },
};
enum { ROW_COUNT = sizeof ROWS / sizeof *ROWS };

START_TEST(each_end_has_its_own_true_cause)
{
	struct verdict v = verdict_of(&ROWS[_i].end, &FACTS);

	ck_assert_int_eq(v.state, ROWS[_i].state);
	ck_assert_int_eq(v.cause, ROWS[_i].cause);
	ck_assert_str_eq(v.note, ROWS[_i].note);
	ck_assert_int_eq(v.exit_code, ROWS[_i].end.verdict == EXIT_SIGNALED ? 128 + ROWS[_i].end.signal : ROWS[_i].end.code);
	ck_assert_int_eq(v.signal, ROWS[_i].end.signal);
	ck_assert(task_state_can_move(TASK_RUNNING, v.state));
}
END_TEST

START_TEST(a_job_lost_with_its_node_gets_its_next_attempt)
{
	struct verdict_facts facts = FACTS;
	struct exit_file end = { .verdict = EXIT_LOST, .code = -1 };
	struct verdict v;

	facts.adopted_dead = true;
	v = verdict_of(&end, &facts);
	ck_assert_int_eq(v.state, TASK_QUEUED);
	ck_assert_int_eq(v.cause, CAUSE_NODE_LOST);
}
END_TEST

START_TEST(the_time_it_ran_is_end_less_start)
{
	struct exit_file end = { .verdict = EXIT_EXITED, .started_us = 1000, .ended_us = 4500 };
	struct exit_file never = { .verdict = EXIT_LAUNCH_FAILED, .ended_us = 4500 };

	ck_assert_int_eq(verdict_of(&end, &FACTS).ran_us, 3500);
	ck_assert_int_eq(verdict_of(&never, &FACTS).ran_us, 0);
}
END_TEST

static void last_line_is(const char *output, size_t n, const char *want)
{
	struct arena a = { 0 };
	struct str got = verdict_last_line(&a, str_bytes(output, n));

	ck_assert_uint_eq(got.n, strlen(want));
	ck_assert(memcmp(got.p, want, got.n) == 0);
	arena_release(&a);
}

START_TEST(the_last_line_is_cleaned_and_never_cuts_a_character)
{
	struct arena a = { 0 };
	char many[402];

	last_line_is("", 0, "");
	last_line_is("a\nb\n\n  \n", 8, "b");
	last_line_is("only", 4, "only");
	last_line_is("x\xff" "y\n", 4, "x\xef\xbf\xbdy");
	last_line_is("a\0b\n", 4, "a\xe2\x90\x80" "b");
	for (size_t i = 0; i < sizeof many; i += 3)
		memcpy(many + i, "\xe2\x82\xac", 3);
	ck_assert_uint_eq(verdict_last_line(&a, str_bytes(many, sizeof many)).n, 198);
	arena_release(&a);
}
END_TEST

START_TEST(a_long_note_is_cut_at_a_character)
{
	char text[1200];
	struct verdict v;

	for (size_t i = 0; i < sizeof text; i += 3)
		memcpy(text + i, "\xe2\x82\xac", 3);
	v = verdict_make(TASK_ERROR, CAUSE_IMAGE, str_bytes(text, sizeof text));
	ck_assert_uint_eq(strlen(v.note), 498);
	ck_assert_int_eq(v.exit_code, -1);
}
END_TEST

START_TEST(what_it_printed_last_is_kept_in_whole_lines)
{
	char text[VERDICT_OUTPUT_BYTES];
	struct verdict v = { 0 };

	verdict_keep_output(&v, STR_LIT("one\ntwo\n"), false);
	ck_assert_str_eq(v.output, "one\ntwo\n");
	verdict_keep_output(&v, STR_LIT("ne\ntwo\n"), true);
	ck_assert_str_eq(v.output, "two\n");
	verdict_keep_output(&v, STR_LIT("no end of a line"), true);
	ck_assert_str_eq(v.output, "no end of a line");
	verdict_keep_output(&v, STR_LIT("a\0b\xff"), false);
	ck_assert_str_eq(v.output, "a b\xef\xbf\xbd");
	memset(text, 0xff, sizeof text);
	verdict_keep_output(&v, str_bytes(text, sizeof text - 1), true);
	ck_assert_uint_lt(strlen(v.output), sizeof v.output);
	verdict_keep_output(&v, STR_LIT(""), false);
	ck_assert_str_eq(v.output, "");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("verdict");
	TCase *t = tcase_create("verdict");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, each_end_has_its_own_true_cause, 0, ROW_COUNT);
	tcase_add_test(t, a_job_lost_with_its_node_gets_its_next_attempt);
	tcase_add_test(t, the_time_it_ran_is_end_less_start);
	tcase_add_test(t, the_last_line_is_cleaned_and_never_cuts_a_character);
	tcase_add_test(t, what_it_printed_last_is_kept_in_whole_lines);
	tcase_add_test(t, a_long_note_is_cut_at_a_character);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
