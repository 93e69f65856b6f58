#include "model/command.h"

#include <check.h>
#include <stdlib.h>

static const struct {
	const char *command;
	const char *words; /* joined by | */
} ROWS[] = {
	{ "", "" },
	{ "  \t ", "" },
	{ "hello", "hello" },
	{ "  a  b\tc ", "a|b|c" },
	{ "/bin/run -n 3 --x /y_z.sh", "/bin/run|-n|3|--x|/y_z.sh" },
	{ "echo $HOME", "sh|-c|echo $HOME" },
	{ "a; b", "sh|-c|a; b" },
	{ "a \"b c\"", "sh|-c|a \"b c\"" },
	{ "X=1 run", "sh|-c|X=1 run" },
	{ "a\nb", "sh|-c|a\nb" },
	{ "printf 100%", "printf|100%" },
};

START_TEST(a_command_runs_in_a_shell_only_if_it_means_something_to_one)
{
	auto_ctx cx = { 0 };
	struct str *w;
	size_t n;
	char joined[200] = "";

	ck_assert_int_eq(command_words(&cx, str_of(ROWS[_i].command), &w, &n), OK);
	for (size_t i = 0; i < n; i++) {
		if (i)
			strncat(joined, "|", sizeof joined - strlen(joined) - 1);
		strncat(joined, w[i].p, w[i].n);
	}
	ck_assert_str_eq(joined, ROWS[_i].words);
}
END_TEST

START_TEST(the_entry_point_stays_and_the_command_replaces_the_words_of_the_image)
{
	auto_ctx cx = { 0 };
	struct str entry[] = { STR_LIT("/init") }, cmd[] = { STR_LIT("serve"), STR_LIT("-v") };
	struct str *argv;
	size_t argc;

	ck_assert_int_eq(command_argv(&cx, entry, 1, cmd, 2, STR_LIT(""), &argv, &argc), OK);
	ck_assert_uint_eq(argc, 3);
	ck_assert(str_is(argv[0], "/init") && str_is(argv[2], "-v"));
	ck_assert_int_eq(command_argv(&cx, entry, 1, cmd, 2, STR_LIT("job x"), &argv, &argc), OK);
	ck_assert_uint_eq(argc, 3);
	ck_assert(str_is(argv[1], "job") && str_is(argv[2], "x"));
	ck_assert_int_eq(command_argv(&cx, NULL, 0, NULL, 0, STR_LIT(" "), &argv, &argc), ERR_INPUT);
}
END_TEST

START_TEST(a_nul_and_too_many_words_are_refused)
{
	auto_ctx cx = { 0 };
	char many[2 * COMMAND_WORDS_MOST + 2];
	struct str *w;
	size_t n;

	memset(many, ' ', sizeof many);
	for (size_t i = 0; i < sizeof many; i += 2)
		many[i] = 'a';
	ck_assert_int_eq(command_words(&cx, str_bytes(many, sizeof many), &w, &n), ERR_INPUT);
	ck_assert_int_eq(command_words(&cx, str_bytes("a\0b", 3), &w, &n), ERR_INPUT);
}
END_TEST

START_TEST(a_quote_that_is_never_closed_is_refused_and_named)
{
	static const char *const WRONG[] = { "sh -c 'unterminated", "echo \"a", "echo 'a\\'b'", "echo it's", "a \"b\\\"" };
	static const char *const RIGHT[] = { "", "run -n 3", "sh -c 'echo \"a'", "echo \"it's\"", "echo it\\'s", "a # it's\nb",
		"echo \"$(echo ')')\"", "cat <<E\nit's\nE", "echo ${x#'}", "echo 'a'\\''b'", "echo \"\\\"\"", "a;# it's", "x='#'" };
	auto_ctx cx = { 0 };

	for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
		ck_assert_msg(command_check(&cx, str_of(WRONG[i])) == ERR_INPUT, "taken: %s", WRONG[i]);
		ck_assert_ptr_nonnull(strstr(cx.message, "field command"));
	}
	for (size_t i = 0; i < sizeof RIGHT / sizeof *RIGHT; i++)
		ck_assert_msg(command_check(&cx, str_of(RIGHT[i])) == OK, "refused: %s", RIGHT[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("command");
	TCase *t = tcase_create("command");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, a_command_runs_in_a_shell_only_if_it_means_something_to_one, 0,
	                    sizeof ROWS / sizeof *ROWS);
	tcase_add_test(t, the_entry_point_stays_and_the_command_replaces_the_words_of_the_image);
	tcase_add_test(t, a_nul_and_too_many_words_are_refused);
	tcase_add_test(t, a_quote_that_is_never_closed_is_refused_and_named);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
