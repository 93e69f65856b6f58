#include "model/crontab.h"

#include <check.h>
#include <stdlib.h>

static const struct {
	const char *line;
	bool is_system;
	enum crontab_kind kind;
	const char *a, *b; /* name and value, expression and command, expression and a part of why */
} ROWS[] = {
	{ "", false, CRONTAB_NOTHING, "", "" },
	{ "  # 0 9 * * * no", false, CRONTAB_NOTHING, "", "" },
	{ "MAILTO=root", false, CRONTAB_SETS, "MAILTO", "root" },
	{ "GREETING = \" hello there \"", false, CRONTAB_SETS, "GREETING", " hello there " },
	{ "A_1='x\"", false, CRONTAB_SETS, "A_1", "'x\"" },
	{ "EMPTY=", false, CRONTAB_SETS, "EMPTY", "" },
	{ "0  9\t* * 1-5  echo  two  blanks", false, CRONTAB_JOB, "0 9 * * 1-5", "echo  two  blanks" },
	{ "0 5 * * * A=b run", false, CRONTAB_JOB, "0 5 * * *", "A=b run" },
	{ "@daily /usr/bin/run it", false, CRONTAB_JOB, "@daily", "/usr/bin/run it" },
	{ "@daily root run", true, CRONTAB_JOB, "@daily", "run" },
	{ "1 2 3 4 5 root run --this", true, CRONTAB_JOB, "1 2 3 4 5", "run --this" },
	{ "1 2 3 4 5 www-data run", true, CRONTAB_JOB, "1 2 3 4 5", "run" },
	{ "1 2 3 4 5 /usr/bin/run --this", true, CRONTAB_REFUSED, "1 2 3 4 5", "no user's name" },
	{ "1 2 3 4 5 [ -x run ] && run", true, CRONTAB_REFUSED, "1 2 3 4 5", "no user's name" },
	{ "* * * * * date +\\%F", false, CRONTAB_JOB, "* * * * *", "date +%F" },
	{ "* * * * * mail x%body", false, CRONTAB_REFUSED, "* * * * *", "input" },
	{ "* * * * * %", false, CRONTAB_REFUSED, "* * * * *", "input" },
	{ "* * * * *", false, CRONTAB_REFUSED, "* * * * *", "no command" },
	{ "* * *", false, CRONTAB_REFUSED, "* * *", "no command" },
	{ "* * * * * root", true, CRONTAB_REFUSED, "* * * * *", "no command" },
	{ "* * * * * echo \xff", false, CRONTAB_REFUSED, "", "UTF-8" },
	{ "* * * * * echo \x1b[m", false, CRONTAB_REFUSED, "", "control" },
};

START_TEST(each_line_is_what_crontab_5_says)
{
	auto_ctx cx = { 0 };
	struct crontab_line line = crontab_read(&cx.arena, str_of(ROWS[_i].line), ROWS[_i].is_system);

	ck_assert_int_eq(line.kind, ROWS[_i].kind);
	if (line.kind == CRONTAB_SETS) {
		ck_assert(str_is(line.name, ROWS[_i].a) && str_is(line.value, ROWS[_i].b));
		return;
	}
	ck_assert(str_is(line.expression, ROWS[_i].a));
	if (line.kind == CRONTAB_JOB)
		ck_assert(str_is(line.command, ROWS[_i].b));
	if (line.kind == CRONTAB_REFUSED)
		ck_assert(str_find(str_of(line.why), ROWS[_i].b) != (size_t)-1);
}
END_TEST

START_TEST(a_shell_is_given_the_command_as_it_was)
{
	auto_ctx cx = { 0 };

	ck_assert_str_eq(crontab_shell(&cx.arena, STR_LIT(""), STR_LIT("echo 'it''s' $A")), "/bin/sh -c 'echo '\\''it'\\'''\\''s'\\'' $A'");
	ck_assert_str_eq(crontab_shell(&cx.arena, STR_LIT("/bin/it's"), STR_LIT("a b")), "'/bin/it'\\''s' -c 'a b'");
	ck_assert(str_is(crontab_program(STR_LIT("/usr/bin/run it")), "run"));
	ck_assert(str_is(crontab_program(STR_LIT("run")), "run"));
}
END_TEST

START_TEST(the_user_is_kept_and_run_parts_is_seen)
{
	static const char *const RUNS[] = { "cd / && run-parts --report /etc/cron.hourly", "/bin/run-parts x", "run-parts",
		                            "test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )" };
	static const char *const RUNS_NOT[] = { "", "run-part", "my-run-parts x", "run-parts-of x", "rerun-parts" };
	auto_ctx cx = { 0 };
	struct crontab_line line = crontab_read(&cx.arena, STR_LIT("5 4 * * * www-data run it"), true);

	ck_assert(str_is(line.user, "www-data"));
	ck_assert(!crontab_read(&cx.arena, STR_LIT("5 4 * * * www-data run it"), false).user.n);
	for (size_t i = 0; i < sizeof RUNS / sizeof *RUNS; i++)
		ck_assert_msg(crontab_runs_parts(str_of(RUNS[i])), "%s", RUNS[i]);
	for (size_t i = 0; i < sizeof RUNS_NOT / sizeof *RUNS_NOT; i++)
		ck_assert_msg(!crontab_runs_parts(str_of(RUNS_NOT[i])), "%s", RUNS_NOT[i]);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("crontab");
	Suite *s = suite_create("crontab");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, each_line_is_what_crontab_5_says, 0, sizeof ROWS / sizeof *ROWS);
	tcase_add_test(t, the_user_is_kept_and_run_parts_is_seen);
	tcase_add_test(t, a_shell_is_given_the_command_as_it_was);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
