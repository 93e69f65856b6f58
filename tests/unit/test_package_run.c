/* What is run of a zip package, and the arguments it gets (IronWorker 9.2, 9.4). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/package_run.h"

static struct ctx cx;

/* The words, "|" around each. */
static const char *words_of(const struct package_run *with)
{
	static const struct str ENTRY[] = { { "wrap", 4 } }, CMD[] = { { "own", 3 }, { "words", 5 } };
	static char text[1000];
	struct package_run run = *with;
	struct str *argv;
	size_t argc, n = 0;

	run.entrypoint = ENTRY;
	run.entrypoint_n = 1;
	run.cmd = CMD;
	run.cmd_n = 2;
	run.dir = "/task/";
	run.payload_file = "/task/p";
	run.task_id = "0123";
	if (package_run_argv(&cx, &run, &argv, &argc))
		return cx.message;
	for (size_t i = 0; i < argc; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s" STR_FMT, i ? "|" : "", STR_ARG(argv[i]));
	return text;
}

START_TEST(each_runtime_has_its_interpreter)
{
	static const struct {
		const char *runtime, *file, *words;
	} rows[] = {
		{ "sh", "__runner__.sh", "sh|__runner__.sh" },
		{ "ruby", "a/b.rb", "ruby|a/b.rb" },
		{ "python", "w.py", "python|-u|w.py" },
		{ "php", "runner.php", "php|runner.php" },
		{ "node", "w.js", "node|w.js" },
		{ "javascript", "w.js", "node|w.js" },
		{ "perl", "w.pl", "perl|w.pl" },
		{ "java", "w.jar", "java|-jar|w.jar" },
		{ "mono", "w.exe", "mono|w.exe" },
		{ "go", "w.go", "go|run|w.go" },
		{ "binary", "bin/w", "./bin/w" },
		{ "", "w", "./w" },
		{ "binary", "/bin/true", "/bin/true" },
		{ "sh", "-c", "sh|./-c" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct package_run run = { .runtime = str_of(rows[i].runtime), .file_name = str_of(rows[i].file) };
		char expected[200];

		snprintf(expected, sizeof expected, "%s|-d|/task/|-payload|/task/p|-id|0123|-e|production", rows[i].words);
		ck_assert_str_eq(words_of(&run), expected);
	}
}
END_TEST

START_TEST(a_command_comes_before_the_file_and_behind_an_entry_point_of_its_own_image)
{
	struct package_run run = { .runtime = STR_LIT("sh"), .file_name = STR_LIT("x"), .command = STR_LIT(" ruby w.rb ") };

	ck_assert_str_eq(words_of(&run), "sh|-c|ruby w.rb \"$@\"|sh|-d|/task/|-payload|/task/p|-id|0123|-e|production");
	run.image_is_own = true;
	ck_assert_str_eq(words_of(&run), "wrap|sh|-c|ruby w.rb \"$@\"|sh|-d|/task/|-payload|/task/p|-id|0123|-e|production");
	run.command = STR_LIT("FOO='a b' ./w $HOME *.txt");
	ck_assert_str_eq(words_of(&run),
	                 "wrap|sh|-c|FOO='a b' ./w $HOME *.txt \"$@\"|sh|-d|/task/|-payload|/task/p|-id|0123|-e|production");
}
END_TEST

START_TEST(what_is_more_than_one_program_gets_its_arguments_as_parameters)
{
	static const char *const commands[] = { "cd sub && ./w", "./w;", "./w | wc", "if true; then ./w; fi", "(./w)",
		                                "./w # why", "`which w`", "./w &", "{ ./w; }", "! ./w", "a\nb", "./w >\\" };
	char expected[200];

	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		const struct package_run run = { .command = str_of(commands[i]) };

		snprintf(expected, sizeof expected, "sh|-c|%s|sh|-d|/task/|-payload|/task/p|-id|0123|-e|production", commands[i]);
		ck_assert_str_eq(words_of(&run), expected);
	}
}
END_TEST

START_TEST(config_and_schedule_are_told_where_there_are_some)
{
	const struct package_run run = { .file_name = STR_LIT("w"), .config_file = "/task/c", .schedule_id = "4567" };

	ck_assert_str_eq(words_of(&run), "./w|-d|/task/|-payload|/task/p|-id|0123|-e|production|-config|/task/c|-schedule_id|4567");
}
END_TEST

START_TEST(without_a_file_the_image_says_what_runs)
{
	const struct package_run run = { .runtime = STR_LIT("sh"), .image_is_own = true };

	ck_assert_str_eq(words_of(&run), "wrap|own|words|-d|/task/|-payload|/task/p|-id|0123|-e|production");
}
END_TEST

START_TEST(what_cannot_be_run_is_said)
{
	const struct package_run unknown = { .runtime = STR_LIT("cobol"), .file_name = STR_LIT("w") };
	struct package_run nothing = { .runtime = STR_LIT("sh"), .dir = "/task/", .payload_file = "", .task_id = "" };
	struct str *argv;
	size_t argc;

	ck_assert_ptr_nonnull(strstr(words_of(&unknown), "cobol"));
	ck_assert_int_eq(package_run_argv(&cx, &nothing, &argv, &argc), ERR_INPUT);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("package_run");
	TCase *t = tcase_create("package_run");
	SRunner *r;
	int failed;

	tcase_add_test(t, each_runtime_has_its_interpreter);
	tcase_add_test(t, a_command_comes_before_the_file_and_behind_an_entry_point_of_its_own_image);
	tcase_add_test(t, what_is_more_than_one_program_gets_its_arguments_as_parameters);
	tcase_add_test(t, config_and_schedule_are_told_where_there_are_some);
	tcase_add_test(t, without_a_file_the_image_says_what_runs);
	tcase_add_test(t, what_cannot_be_run_is_said);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	ctx_release(&cx);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
