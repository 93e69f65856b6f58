#include "fcgi/brake.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct brake b;
static const int64_t S = 1000000;

static void set_up(void)
{
	b = (struct brake){ 0 };
}

START_TEST(the_sixth_try_within_a_minute_waits_for_the_minutes_end)
{
	for (int i = 0; i < BRAKE_FAILURES; i++) {
		ck_assert_int_eq(brake_wait_s(&b, STR_LIT("10.0.0.1"), (100 + i) * S), 0);
		brake_note(&b, STR_LIT("10.0.0.1"), (100 + i) * S);
	}
	ck_assert_int_eq(brake_wait_s(&b, STR_LIT("10.0.0.1"), 110 * S), 50);
	ck_assert_int_eq(brake_wait_s(&b, STR_LIT("10.0.0.1"), 160 * S - 1), 1);
	ck_assert_int_eq(brake_wait_s(&b, STR_LIT("10.0.0.1"), 160 * S), 0);
	brake_note(&b, STR_LIT("10.0.0.1"), 160 * S);
	ck_assert_int_eq(brake_wait_s(&b, STR_LIT("10.0.0.1"), 161 * S), 0);
}
END_TEST

START_TEST(others_do_not_wait_and_a_long_address_is_one_too)
{
	char longer[200];

	memset(longer, 'f', sizeof longer);
	for (int i = 0; i < BRAKE_FAILURES; i++)
		brake_note(&b, str_bytes(longer, sizeof longer), 100 * S);
	ck_assert_int_eq(brake_wait_s(&b, str_bytes(longer, sizeof longer), 100 * S), BRAKE_WINDOW_S);
	ck_assert_int_eq(brake_wait_s(&b, STR_LIT("10.0.0.1"), 100 * S), 0);
	ck_assert_int_eq(brake_wait_s(&b, STR_LIT(""), 100 * S), 0);
}
END_TEST

START_TEST(of_too_many_addresses_the_longest_known_is_forgotten)
{
	char who[20];

	for (int i = 0; i < BRAKE_FAILURES; i++) {
		brake_note(&b, STR_LIT("first"), 100 * S);
		brake_note(&b, STR_LIT("second"), 101 * S);
	}
	for (int i = 0; i < BRAKE_ROWS - 1; i++) {
		snprintf(who, sizeof who, "10.0.0.%d", i);
		brake_note(&b, str_of(who), 102 * S);
	}
	ck_assert_int_eq(brake_wait_s(&b, STR_LIT("first"), 102 * S), 0);
	ck_assert_int_gt(brake_wait_s(&b, STR_LIT("second"), 102 * S), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("brake");
	TCase *t = tcase_create("brake");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, set_up, NULL);
	tcase_add_test(t, the_sixth_try_within_a_minute_waits_for_the_minutes_end);
	tcase_add_test(t, others_do_not_wait_and_a_long_address_is_one_too);
	tcase_add_test(t, of_too_many_addresses_the_longest_known_is_forgotten);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
