#include "base/arena.h"
#include "model/log_notice.h"

#include <check.h>

START_TEST(nothing_missing_says_nothing)
{
	struct arena a = { 0 };

	ck_assert_uint_eq(log_notice(&a, 0, 0).n, 0);
	ck_assert_uint_eq(log_notice(&a, 500, 500).n, 0);
	ck_assert_uint_eq(log_notice(&a, 500, 400).n, 0);
	arena_release(&a);
}
END_TEST

START_TEST(the_number_is_readable_and_the_sentence_a_line_of_its_own)
{
	struct arena a = { 0 };
	struct str s = log_notice(&a, 5242880, 9363211);

	ck_assert_uint_ne(str_find(s, " 4,120,331 bytes "), (size_t)-1);
	ck_assert_int_eq(s.p[0], '\n');
	ck_assert_int_eq(s.p[s.n - 1], '\n');
	ck_assert_uint_ne(str_find(log_notice(&a, 0, 7), " 7 bytes "), (size_t)-1);
	ck_assert_uint_ne(str_find(log_notice(&a, 0, 999), " 999 bytes "), (size_t)-1);
	ck_assert_uint_ne(str_find(log_notice(&a, 0, 1000), " 1,000 bytes "), (size_t)-1);
	ck_assert_uint_ne(str_find(log_notice(&a, 0, INT64_MAX), " 9,223,372,036,854,775,807 bytes "), (size_t)-1);
	arena_release(&a);
}
END_TEST

START_TEST(it_depends_on_what_is_missing_alone)
{
	struct arena a = { 0 };

	ck_assert(str_equal(log_notice(&a, 0, 12345), log_notice(&a, 100000, 112345)));
	arena_release(&a);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("log_notice");
	Suite *s = suite_create("log_notice");
	SRunner *r;
	int failed;

	tcase_add_test(t, nothing_missing_says_nothing);
	tcase_add_test(t, the_number_is_readable_and_the_sentence_a_line_of_its_own);
	tcase_add_test(t, it_depends_on_what_is_missing_alone);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
