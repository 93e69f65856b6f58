#include "base/arena.h"
#include "base/clock.h"

#include <check.h>
#include <stdlib.h>

static void parses_to(const char *text, const char *want)
{
	struct arena a = { 0 };
	int64_t us;

	ck_assert_msg(time_parse(str_of(text), &us), "%s", text);
	ck_assert_str_eq(time_rfc3339(&a, us), want);
	arena_release(&a);
}

START_TEST(times_of_every_client_are_read)
{
	parses_to("2031-04-05T06:07:08Z", "2031-04-05T06:07:08.000Z");
	parses_to("2031-04-05T06:07:08.654Z", "2031-04-05T06:07:08.654Z");
	parses_to("2031-04-05T06:07:08+00:00", "2031-04-05T06:07:08.000Z");
	parses_to("2031-04-05T06:07:08.309097+00:00", "2031-04-05T06:07:08.309Z");
	parses_to("2031-04-05T06:07:08-04:00", "2031-04-05T10:07:08.000Z");
	parses_to("2031-04-05T06:07:08.1234567+02:00", "2031-04-05T04:07:08.123Z");
	parses_to("2031-04-05T06:07:08.1234567", "2031-04-05T06:07:08.123Z");
	parses_to("2028-02-29 23:59:59", "2028-02-29T23:59:59.000Z");
	parses_to("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z");
	parses_to("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z");
}
END_TEST

START_TEST(what_is_no_time_is_refused)
{
	static const char *const BAD[] = { "", "2031", "2031-13-01T00:00:00Z", "2031-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z", "2031-01-01T24:00:00Z", "2031-01-01T00:60:00Z",
		"2031-01-01T00:00:00.Z", "2031-01-01T00:00:00Zx", "2031-01-01T00:00:00+25:00",
		"1795414023", "2031-01-01", "2031-00-10T00:00:00Z" };
	int64_t us = 7;

	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
		ck_assert_msg(!time_parse(str_of(BAD[i]), &us), "%s", BAD[i]);
	ck_assert_int_eq(us, 7);
}
END_TEST

START_TEST(an_unset_time_is_the_zero_time)
{
	struct arena a = { 0 };

	ck_assert_str_eq(time_rfc3339(&a, TIME_NONE), "0001-01-01T00:00:00Z");
	arena_release(&a);
}
END_TEST

/* Found by fuzz_times. */
START_TEST(an_offset_leads_to_no_year_of_five_digits_or_below_0)
{
	static const char *const BAD[] = { "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "9999-12-31T23:59:60Z" };
	int64_t us = 7;

	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
		ck_assert_msg(!time_parse(str_of(BAD[i]), &us), "%s", BAD[i]);
	ck_assert_int_eq(us, 7);
	ck_assert(time_parse(STR_LIT("9999-12-31T23:59:59Z"), &us) && time_parse(STR_LIT("0000-01-01T00:00:00Z"), &us));
}
END_TEST

/* Found by fuzz_times: the first and last days of 64 bits overflowed. */
START_TEST(every_number_is_a_time_that_can_be_shown)
{
	struct arena a = { 0 };

	ck_assert_str_eq(time_rfc3339(&a, INT64_MAX), "294247-01-10T04:00:54.775Z");
	ck_assert_str_eq(time_rfc3339(&a, INT64_MIN + 1), "-290308-12-21T19:59:05.224Z");
	ck_assert_str_eq(time_rfc3339(&a, -1), "1969-12-31T23:59:59.999Z");
	ck_assert_int_eq(time_day(INT64_MIN + 1), -106751992);
	arena_release(&a);
}
END_TEST

START_TEST(days_and_dates_agree_over_four_centuries)
{
	for (int64_t day = -80000; day < 80000; day++) {
		int year, month, mday;

		time_civil(day, &year, &month, &mday);
		ck_assert_int_eq(time_days_from_civil(year, month, mday), day);
	}
	ck_assert_int_eq(time_days_from_civil(1970, 1, 1), 0);
	ck_assert_int_eq(time_day(-1), -1);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("clock");
	Suite *s = suite_create("clock");
	SRunner *r;
	int failed;

	tcase_add_test(t, times_of_every_client_are_read);
	tcase_add_test(t, what_is_no_time_is_refused);
	tcase_add_test(t, an_unset_time_is_the_zero_time);
	tcase_add_test(t, an_offset_leads_to_no_year_of_five_digits_or_below_0);
	tcase_add_test(t, every_number_is_a_time_that_can_be_shown);
	tcase_add_test(t, days_and_dates_agree_over_four_centuries);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
