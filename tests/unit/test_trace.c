#include "model/trace.h"

#include <check.h>
#include <stdlib.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

START_TEST(a_traceparent_is_what_w3c_says)
{
	ck_assert(trace_is_parent(STR_LIT("00-" TRACE "-" PARENT "-01")));
	ck_assert(trace_is_parent(STR_LIT("00-" TRACE "-" PARENT "-00")));
	ck_assert(trace_is_parent(STR_LIT("fe-" TRACE "-" PARENT "-ff")));
	ck_assert(trace_is_parent(STR_LIT("00-00000000000000000000000000000001-0000000000000001-00")));
}
END_TEST

START_TEST(what_w3c_calls_invalid_is_none)
{
	const char *const invalid[] = { "", "00", "00-" TRACE "-" PARENT "-0", "00-" TRACE "-" PARENT "-01-", "00-" TRACE "-" PARENT "_01",
		                        "00-00000000000000000000000000000000-" PARENT "-01", "00-" TRACE "-0000000000000000-01",
		                        "ff-" TRACE "-" PARENT "-01", "00-4BF92F3577b34da6a3ce929d0e0e4736-" PARENT "-01",
		                        "00-" TRACE "-00f067aa0ba902bg-01", "00-" TRACE PARENT "00-01--" };

	for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
		ck_assert_msg(!trace_is_parent(str_of(invalid[i])), "%s", invalid[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("trace");
	TCase *t = tcase_create("traceparent");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, a_traceparent_is_what_w3c_says);
	tcase_add_test(t, what_w3c_calls_invalid_is_none);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
