#include "model/runtime.h"

#include <check.h>

static struct settings set = { .runtimes.images = " sh=busybox,python=reg.example:5000/python:3.11 , python-2.7=python:2.7,, empty= ,bare" };

static const char *image_of(struct arena *a, const char *runtime, const char *stack)
{
	struct str image;

	return runtime_image(&set, str_of(runtime), str_of(stack), &image) ? str_c(a, image) : "none";
}

START_TEST(a_stack_says_more_than_a_runtime)
{
	auto_ctx cx = { 0 };

	ck_assert_str_eq(image_of(&cx.arena, "sh", ""), "busybox");
	ck_assert_str_eq(image_of(&cx.arena, "python", ""), "reg.example:5000/python:3.11");
	ck_assert_str_eq(image_of(&cx.arena, "python", "python-2.7"), "python:2.7");
	ck_assert_str_eq(image_of(&cx.arena, "", "python-2.7"), "python:2.7");
}
END_TEST

START_TEST(what_the_configuration_does_not_know_has_no_image)
{
	auto_ctx cx = { 0 };

	ck_assert_str_eq(image_of(&cx.arena, "", ""), "none");
	ck_assert_str_eq(image_of(&cx.arena, "ruby", ""), "none");
	ck_assert_str_eq(image_of(&cx.arena, "sh", "ruby-2.1"), "none");
	ck_assert_str_eq(image_of(&cx.arena, "empty", ""), "none");
	ck_assert_str_eq(image_of(&cx.arena, "bare", ""), "none");
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("runtime");
	Suite *s = suite_create("runtime");
	SRunner *r;
	int failed;

	tcase_add_test(t, a_stack_says_more_than_a_runtime);
	tcase_add_test(t, what_the_configuration_does_not_know_has_no_image);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
