#include "model/callback.h"

#include <check.h>
#include <stdlib.h>

static struct ctx cx;

static void tear_down(void)
{
	ctx_release(&cx);
}

START_TEST(a_message_has_one_id_whoever_asks_and_no_other_has_it)
{
	const struct id task = { "abcdefghijk" }, other = { "abcdefghijl" }, nobody = { { 0 } };
	struct arena *a = &cx.arena;
	const char *ids[] = {
		callback_message_id(a, &task, 1, STR_LIT("queued"), &nobody), callback_message_id(a, &other, 1, STR_LIT("queued"), &nobody),
		callback_message_id(a, &task, 11, STR_LIT("queued"), &nobody), callback_message_id(a, &task, 1, STR_LIT("running"), &nobody),
		callback_message_id(a, &task, 1, STR_LIT("queued"), &other),
	};
	const size_t n = sizeof ids / sizeof *ids;

	ck_assert_str_eq(ids[0], callback_message_id(a, &task, 1, STR_LIT("queued"), &nobody));
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_eq(strlen(ids[i]), 4 + 32);
		ck_assert_int_eq(strncmp(ids[i], "msg_", 4), 0);
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(ids[i], ids[k]);
	}
}
END_TEST

static struct task ended_task(void)
{
	return (struct task){ .state = TASK_ERROR, .attempt = 2, .created_at = 100, .started_at = 500, .ended_at = 900, .updated_at = 900,
		              .exit_code = 3, .percent = 80, .cause = STR_LIT("exit"), .note = STR_LIT("exit status 3"), .msg = STR_LIT("oh"),
		              .retry_task_id = { "abcdefghijk" }, .cancel_asked = true };
}

START_TEST(a_task_is_told_as_it_was)
{
	struct task t = ended_task();

	callback_task_then(&t, STR_LIT("queued"), 100, 0);
	ck_assert(t.state == TASK_QUEUED && t.attempt == 0 && t.started_at == TIME_NONE && t.ended_at == TIME_NONE);
	ck_assert(t.updated_at == 100 && t.exit_code == -1 && t.percent == 0 && !t.cause.n && !t.note.n && !t.msg.n);
	ck_assert(id_is_zero(&t.retry_task_id) && !t.cancel_asked && t.created_at == 100);
	t = ended_task();
	callback_task_then(&t, STR_LIT("running"), 501, 2);
	ck_assert(t.state == TASK_RUNNING && t.attempt == 2 && t.started_at == 500 && t.ended_at == TIME_NONE && t.exit_code == -1);
	t = ended_task();
	callback_task_then(&t, STR_LIT("running"), 300, 1); /* its first attempt, whose node was lost */
	ck_assert(t.attempt == 1 && t.started_at == 300 && t.updated_at == 300);
	t = ended_task();
	callback_task_then(&t, STR_LIT("running"), 300, -1);
	ck_assert(t.attempt == 2 && t.started_at == 500);
}
END_TEST

START_TEST(an_end_is_told_as_it_is)
{
	static const char *const KINDS[] = { "error", "retried", "dead" };

	for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
		struct task t = ended_task();

		callback_task_then(&t, str_of(KINDS[i]), 900, 2);
		ck_assert(t.state == TASK_ERROR && t.exit_code == 3 && t.ended_at == 900 && str_is(t.note, "exit status 3"));
		ck_assert(!id_is_zero(&t.retry_task_id));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("callback");
	TCase *t = tcase_create("callback");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, NULL, tear_down);
	tcase_add_test(t, a_message_has_one_id_whoever_asks_and_no_other_has_it);
	tcase_add_test(t, a_task_is_told_as_it_was);
	tcase_add_test(t, an_end_is_told_as_it_is);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
