#include "model/settings.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/stoker-test-settings-XXXXXX";

static void write_file(const char *text)
{
	int fd;

	memcpy(path, "/tmp/stoker-test-settings-XXXXXX", sizeof path);
	fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static enum err read_text(struct ctx *cx, const char *text, struct settings *s)
{
	enum err e;

	write_file(text);
	e = settings_read(cx, path, s);
	unlink(path);
	return e;
}

START_TEST(defaults_hold_without_a_file_and_logs_follow_the_database)
{
	auto_ctx cx = { 0 };
	struct settings s;

	ck_assert_int_eq(read_text(&cx, "[database]\nsocket = /x/y.sock\nuser = ana\n", &s), OK);
	ck_assert_str_eq(s.database.socket, "/x/y.sock");
	ck_assert_str_eq(s.logs.socket, "/x/y.sock");
	ck_assert_str_eq(s.logs.user, "ana");
	ck_assert_str_eq(s.logs.name, "stoker_logs");
	ck_assert_int_eq(s.limits.payload_bytes, 3145728);
	ck_assert(*s.node.name);
}
END_TEST

START_TEST(wrong_files_are_refused_with_file_line_and_key)
{
	static const struct {
		const char *text, *says;
	} BAD[] = {
		{ "[api]\nprocesses = many\n", ":2: api.processes must be a whole number" },
		{ "[api]\n\nprocesses = 0\n", ":3: api.processes" },
		{ "[api]\ncolour = red\n", ":2: unknown key api.colour" },
		{ "[courier]\nallow_private = perhaps\n", "courier.allow_private must be yes or no" },
		{ "[api]\nnonsense\n", ":2: not 'key = value'" },
		{ "[node]\nruntime = bogus\n", "node.runtime must be auto, crun or runc, not \"bogus\"" },
		{ "[runner]\nlease_s = 5\n", "runner.fence_s < runner.lease_s" },
	};

	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
		auto_ctx cx = { 0 };
		struct settings s;

		ck_assert_int_eq(read_text(&cx, BAD[i].text, &s), ERR_INPUT);
		ck_assert_msg(strstr(cx.message, BAD[i].says) != NULL, "%s", cx.message);
	}
}
END_TEST

START_TEST(the_environment_overrides_the_file)
{
	auto_ctx cx = { 0 };
	struct settings s;

	setenv("STOKER_API_PROCESSES", "7", 1);
	ck_assert_int_eq(read_text(&cx, "[api]\nprocesses = 3\n", &s), OK);
	ck_assert_int_eq(s.api.processes, 7);
	setenv("STOKER_API_PROCESSES", "x", 1);
	ck_assert_int_eq(read_text(&cx, "", &s), ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(cx.message, "STOKER_API_PROCESSES"));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("settings");
	Suite *s = suite_create("settings");
	SRunner *r;
	int failed;

	tcase_add_test(t, defaults_hold_without_a_file_and_logs_follow_the_database);
	tcase_add_test(t, wrong_files_are_refused_with_file_line_and_key);
	tcase_add_test(t, the_environment_overrides_the_file);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
