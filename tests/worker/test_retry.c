#include "worker/courier/retry.h"

#include <check.h>
#include <stdlib.h>

static struct retry_plan plan_of(const char *text)
{
	auto_ctx cx = { 0 };
	struct retry_plan p;

	ck_assert_int_eq(retry_plan_parse(&cx, text, &p), OK);
	return p;
}

START_TEST(pauses_grow_by_the_plan_each_within_a_fifth)
{
	struct retry_plan p = plan_of("5, 300,1800");

	ck_assert_uint_eq(p.n, 3);
	for (uint32_t random = 0; random < 2000; random += 7)
		for (int i = 0; i < 3; i++) {
			int64_t s = retry_next(&p, i, 500, 0, random);

			ck_assert_int_ge(s, p.pause_s[i] - p.pause_s[i] / 5);
			ck_assert_int_le(s, p.pause_s[i] + p.pause_s[i] / 5);
		}
}
END_TEST

START_TEST(it_gives_up_at_the_end_of_the_plan_and_on_410)
{
	struct retry_plan p = plan_of("5,300");

	ck_assert_int_eq(retry_next(&p, 2, 500, 0, 0), -1);
	ck_assert_int_eq(retry_next(&p, 0, 410, 0, 0), -1);
	ck_assert_int_gt(retry_next(&p, 0, 404, 0, 0), 0);
	ck_assert_int_gt(retry_next(&p, 0, 302, 0, 0), 0);
	ck_assert_int_gt(retry_next(&p, 0, 0, 0, 0), 0);
}
END_TEST

START_TEST(retry_after_is_obeyed_when_it_is_longer)
{
	struct retry_plan p = plan_of("5");

	ck_assert_int_eq(retry_next(&p, 0, 503, 60, 0), 60);
	ck_assert_int_le(retry_next(&p, 0, 503, 1, 0), 6);
	ck_assert_int_ge(retry_next(&p, 0, 503, 1, 0), 4);
}
END_TEST

START_TEST(only_2xx_is_success)
{
	ck_assert(retry_is_success(200) && retry_is_success(299));
	ck_assert(!retry_is_success(199) && !retry_is_success(300) && !retry_is_success(0));
}
END_TEST

START_TEST(a_broken_plan_is_refused_with_its_reason)
{
	static const char *const BAD[] = { "5,x", "0", "-1", "5,,6", "99999999999" };
	struct retry_plan p;

	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
		auto_ctx cx = { 0 };

		ck_assert_int_eq(retry_plan_parse(&cx, BAD[i], &p), ERR_INPUT);
		ck_assert_ptr_nonnull(strstr(cx.message, "courier.retry_s"));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("retry");
	TCase *t = tcase_create("retry");
	SRunner *r;
	int failed;

	tcase_add_test(t, pauses_grow_by_the_plan_each_within_a_fifth);
	tcase_add_test(t, it_gives_up_at_the_end_of_the_plan_and_on_410);
	tcase_add_test(t, retry_after_is_obeyed_when_it_is_longer);
	tcase_add_test(t, only_2xx_is_success);
	tcase_add_test(t, a_broken_plan_is_refused_with_its_reason);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
