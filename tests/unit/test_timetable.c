#include "base/clock.h"
#include "base/zoneinfo.h"
#include "model/fire.h"
#include "model/timetable.h"
#include "model/week.h"

#include <check.h>
#include <stdlib.h>

static struct ctx cx;
static const int64_t SECOND = 1000000, START = INT64_C(1924992000) * 1000000; /* 2031-01-01 */

static void tear_down(void)
{
	ctx_release(&cx);
}

static struct schedule given(unsigned char id, int64_t every_s, const char *cron, int64_t jitter_s)
{
	struct schedule s = { .id = { { id, 7 } }, .start_at = START, .end_at = TIME_NONE, .run_every_s = every_s,
		              .cron = str_of(cron), .jitter_s = jitter_s, .misfire_after_s = 10, .next_at = START };

	return s;
}

static struct timetable times_of(const struct schedule *s)
{
	struct timetable t;

	ck_assert_int_eq(timetable_init(&cx, s, zone_utc(), STR_LIT(""), &t), OK);
	return t;
}

/* --- jitter: of the due, not of the nominal time ------------------------------------------------ */

START_TEST(jitter_moves_what_is_due_and_never_the_nominal_time)
{
	static const struct {
		int64_t every_s;
		const char *cron;
		int64_t jitter_s, within_s;
	} ROWS[] = {
		{ 60, "", 30, 30 }, { 60, "", 60, 60 }, { 60, "", 3600, 60 }, { 1, "", 86400, 1 },
		{ 0, "*/5 * * * *", 120, 120 }, { 0, "0,1 * * * *", 3600, 3540 }, { 0, "* * * * * *", 10, 1 },
	};

	for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
		struct schedule s = given(1, ROWS[i].every_s, ROWS[i].cron, ROWS[i].jitter_s), plain = s;
		struct timetable with = times_of(&s), without = (plain.jitter_s = 0, times_of(&plain));
		struct nominal a = { .at = START - 1 }, b = { .at = START - 1 }, again;
		int64_t before = 0, least = INT64_MAX, most = 0;

		for (int n = 0; n < 2000; n++) {
			int64_t from = a.at;

			ck_assert(timetable_next(&with, a.at, &a) && timetable_next(&without, b.at, &b));
			ck_assert_int_eq(a.at, b.at);
			ck_assert_int_eq(b.due, b.at);
			ck_assert(a.due >= a.at && a.due - a.at < ROWS[i].within_s * SECOND);
			ck_assert_int_lt(before, a.due); /* they fall due in the order of their nominal times */
			ck_assert(timetable_next(&with, from, &again) && again.due == a.due); /* and always the same */
			before = a.due;
			least = a.due - a.at < least ? a.due - a.at : least;
			most = a.due - a.at > most ? a.due - a.at : most;
		}
		ck_assert_int_lt(least, ROWS[i].within_s * SECOND / 10); /* all of the room is used */
		ck_assert_int_gt(most, ROWS[i].within_s * SECOND / 10 * 9);
	}
}
END_TEST

START_TEST(jitter_spreads_schedules_of_the_same_time)
{
	int tenth[10] = { 0 };

	for (int id = 0; id < 200; id++) {
		struct schedule s = given((unsigned char)id, 60, "", 10);
		struct timetable t = times_of(&s);
		struct nominal n;

		ck_assert(timetable_next(&t, START - 1, &n));
		tenth[(n.due - n.at) / SECOND]++;
	}
	for (int i = 0; i < 10; i++)
		ck_assert_int_gt(tenth[i], 5);
}
END_TEST

/* A time whose due has not come is not decided although its nominal time is past; the ledger stays in order. */
START_TEST(the_ledger_goes_by_the_due_and_stays_in_order)
{
	struct schedule s = given(3, 10, "", 10);
	struct timetable t = times_of(&s);
	struct fire_plan plan = { .schedule = &s, .timetable = &t, .accounted_to = START - 1 };
	struct nominal next;
	struct fire fires[4];
	bool has_next;
	size_t rows = 0;

	for (plan.now = START; plan.now < START + 600 * SECOND; plan.now += SECOND / 4) {
		size_t n = fire_decide(&cx.arena, &plan, fires, 4, &next, &has_next);

		ck_assert(has_next && next.due > plan.now && n <= 1);
		if (!n)
			continue;
		ck_assert_int_eq(fires[0].nominal, START + (int64_t)rows++ * 10 * SECOND);
		ck_assert(fires[0].due >= fires[0].nominal && fires[0].due <= plan.now && fires[0].due > plan.now - SECOND / 4);
		ck_assert_int_eq(fires[0].outcome, FIRE_FIRED);
		plan.accounted_to = fires[0].nominal;
	}
	ck_assert_uint_ge(rows, 59);
}
END_TEST

/* --- what was missed ------------------------------------------------------------------------------- */

/* Decides a backlog page by page; how many of it run. */
static size_t catch_up(struct fire_plan *plan, size_t page, size_t *rows, struct fire *first, struct fire *last)
{
	struct fire *fires = arena_array(&cx.arena, page, sizeof *fires);
	struct nominal next;
	size_t n, runs = 0;
	bool has_next;

	*rows = 0;
	while ((n = fire_decide(&cx.arena, plan, fires, page, &next, &has_next)) > 0) {
		for (size_t i = 0; i < n; i++) {
			if (fires[i].outcome != FIRE_CAUGHT_UP && fires[i].outcome != FIRE_FIRED)
				continue;
			*first = runs++ ? *first : fires[i];
			*last = fires[i];
		}
		*rows += n;
		plan->accounted_to = fires[n - 1].nominal;
	}
	return runs;
}

/* Whatever the page, the newest so many of those that are late run, besides the eleven that are not: also behind a
 * pause that is longer than what was looked at. */
START_TEST(the_newest_so_many_are_caught_up_page_by_page)
{
	enum { IN_TIME = 11 };
	static const int64_t LIMITS[] = { 5, 20, 100, 490, 540 };
	struct schedule s = given(4, 1, "", 0);
	struct timetable t = times_of(&s);
	struct pause pause = { START + 50 * SECOND, START + 90000 * SECOND, { 0 }, { 0 }, { 0 }, { 0 } };
	struct fire_plan plan = { .schedule = &s, .timetable = &t, .now = START + 90500 * SECOND, .pauses = &pause, .pause_count = 1 };
	struct fire first, last;
	size_t rows;

	s.misfire = MISFIRE_ALL;
	s.misfire_window_s = 100000;
	for (size_t i = 0; i < sizeof LIMITS / sizeof *LIMITS; i++) {
		int64_t oldest = LIMITS[i] <= 490 ? 90490 - LIMITS[i] : 50 - (LIMITS[i] - 490); /* 490 came after the pause */

		s.misfire_limit = LIMITS[i];
		plan.accounted_to = START - 1;
		ck_assert_uint_eq(catch_up(&plan, 100, &rows, &first, &last), (size_t)s.misfire_limit + IN_TIME);
		ck_assert_uint_eq(rows, 90501);
		ck_assert_int_eq(first.nominal, START + oldest * SECOND);
		ck_assert_int_eq(last.nominal, START + 90500 * SECOND);
	}
	s.misfire = MISFIRE_ONE;
	plan.accounted_to = START - 1;
	ck_assert_uint_eq(catch_up(&plan, 100, &rows, &first, &last), IN_TIME);
	ck_assert_int_eq(first.nominal, START + 90490 * SECOND);
}
END_TEST

/* --- a start in the past ------------------------------------------------------------------------------ */

/* How many of its times lie in (after, to], and the first of them. */
static int64_t times_between(const struct timetable *t, int64_t after, int64_t to, int64_t *first)
{
	struct nominal n = { .at = after };
	int64_t count = 0;

	while (timetable_next(t, n.at, &n) && n.at <= to)
		*first = count++ ? *first : n.at;
	return count;
}

START_TEST(of_a_start_in_the_past_all_owes_what_it_would_run_and_the_others_what_they_did)
{
	static const struct {
		int64_t every_s;
		const char *cron;
		enum misfire misfire;
		int64_t window_s, limit, owed, first_s; /* the first of those owed, from START */
	} ROWS[] = {
		{ 60, "", MISFIRE_ONE, 86400, 100, 1, 86400 }, { 60, "", MISFIRE_SKIP, 86400, 100, 1, 86400 },
		{ 60, "", MISFIRE_ALL, 3600, 100, 60, 82860 }, { 60, "", MISFIRE_ALL, 864000, 100, 100, 80460 },
		{ 60, "", MISFIRE_ALL, 864000, 1000, 1000, 26460 }, { 3600, "", MISFIRE_ALL, 864000, 100, 25, 0 },
		{ 3600, "", MISFIRE_ALL, 0, 100, 1, 86400 }, { 0, "", MISFIRE_ALL, 864000, 100, 1, 0 },
		{ 0, "", MISFIRE_ONE, 864000, 100, 1, 0 }, { 0, "*/10 * * * *", MISFIRE_ONE, 86400, 100, 0, 0 },
		{ 0, "*/10 * * * *", MISFIRE_ALL, 3600, 100, 6, 83400 }, { 0, "* * * * * *", MISFIRE_ALL, 864000, 7, 7, 86424 },
	};
	const int64_t now = START + 86430 * SECOND;

	for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
		struct schedule s = given(6, ROWS[i].every_s, ROWS[i].cron, 0);
		struct timetable t = times_of(&s);
		int64_t from, first = START, before = 0, all = times_between(&t, START - 1, now, &before), owed;

		s.misfire = (int64_t)ROWS[i].misfire;
		s.misfire_window_s = ROWS[i].window_s;
		s.misfire_limit = ROWS[i].limit;
		from = timetable_owed_from(&t, &s, now);
		owed = times_between(&t, from, now, &first);
		ck_assert_msg(owed == ROWS[i].owed, "row %zu: %lld", i, (long long)owed);
		ck_assert_msg(first == START + ROWS[i].first_s * SECOND, "row %zu: %lld", i, (long long)(first - START) / SECOND);
		ck_assert((owed < all && ROWS[i].every_s + s.cron.n) == (*timetable_unowed(&cx.arena, &t, START - 1, from) != 0));
		ck_assert_str_eq(timetable_unowed(&cx.arena, &t, from, from), "");
		ck_assert_int_eq(timetable_owed_from(&t, &s, START), START - 1);
	}
}
END_TEST

/* A year may have millions of them, all in one half. */
START_TEST(what_is_owed_of_a_century_of_seconds_is_found_without_counting_them)
{
	struct schedule s = given(7, 0, "* * * * 1-6 *", 0);
	struct timetable t = times_of(&s);
	int64_t first = 0, now;

	ck_assert(time_parse(STR_LIT("2130-12-01T00:00:00Z"), &now));
	s.misfire = MISFIRE_ALL;
	s.misfire_limit = 1000;
	s.misfire_window_s = INT64_C(100) * 365 * 86400;
	ck_assert_int_eq(times_between(&t, timetable_owed_from(&t, &s, now), now, &first), 1000);
	ck_assert_str_eq(time_rfc3339(&cx.arena, first), "2130-06-30T23:43:20.000Z");
}
END_TEST

/* --- what never fires ------------------------------------------------------------------------------ */

static const char *every_date_but(int month, int day)
{
	const char *all = "";

	for (int m = 1; m <= 12; m++)
		for (int d = 1; d <= 31; d++)
			if (m != month || d != day)
				all = arena_printf(&cx.arena, "%s%02d-%02d\n", all, m, d);
	return all;
}

START_TEST(what_is_excluded_for_days_fires_after_them_however_often_it_comes)
{
	const struct {
		int64_t every_s, end_s;
		const char *cron, *exclude;
		enum err wanted;
	} ROWS[] = {
		{ 1, 0, "", "2031-01-01", OK }, { 0, 0, "* * * * * *", "2031-01-01\n01-02\n01-03", OK },
		{ 0, 0, "* * * * *", "01-01\n01-02\n01-03\n01-04\n01-05", OK }, { 1, 86399, "", "2031-01-01", ERR_INPUT },
		{ 1, 86400, "", "2031-01-01", OK }, { 1, 0, "", every_date_but(0, 0), ERR_INPUT },
		{ 1, 0, "", every_date_but(12, 31), OK }, { 0, 0, "59 59 23 * * *", every_date_but(2, 29), OK },
		{ 0, 0, "0 0 25 12 *", "12-25", ERR_INPUT },
	};

	for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
		struct schedule s = given(8, ROWS[i].every_s, ROWS[i].cron, 0);
		struct timetable t;

		s.exclude_dates = str_of(ROWS[i].exclude);
		s.end_at = ROWS[i].end_s ? START + ROWS[i].end_s * SECOND : TIME_NONE;
		t = times_of(&s);
		ck_assert_msg(timetable_check(&cx, &t, START - 1) == ROWS[i].wanted, "row %zu: %s", i, cx.message);
	}
}
END_TEST

/* The date ends where the zone says, on a day of 23 hours and on one of 25. */
START_TEST(an_excluded_date_ends_by_the_clock_of_its_zone)
{
	static const struct {
		const char *date, *end;
	} ROWS[] = { { "2031-03-30", "2031-03-30T22:00:00Z" }, { "2031-10-26", "2031-10-26T23:00:00Z" } };
	const struct zone *berlin;
	struct str bytes;

	ck_assert_int_eq(zoneinfo_read(&cx, "/usr/share/zoneinfo", STR_LIT("Europe/Berlin"), ZONE_FILE_BYTES, &bytes), OK);
	ck_assert_int_eq(zone_read(&cx, STR_LIT("Europe/Berlin"), bytes, &berlin), OK);
	for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
		struct schedule s = given(9, 1, "", 0);
		struct timetable t;
		int64_t end;

		ck_assert(time_parse(str_of(ROWS[i].end), &end));
		s.exclude_dates = str_of(ROWS[i].date);
		s.start_at = end - 20 * 3600 * SECOND;
		for (int past = 0; past < 2; past++) { /* the last second of its times is of that date, or the first of the next */
			s.end_at = end - SECOND + past * SECOND;
			ck_assert_int_eq(timetable_init(&cx, &s, berlin, STR_LIT(""), &t), OK);
			ck_assert_int_eq(timetable_check(&cx, &t, s.start_at - 1), past ? OK : ERR_INPUT);
		}
	}
}
END_TEST

/* --- weeks ----------------------------------------------------------------------------------------- */

START_TEST(the_hours_of_a_week_are_what_the_next_times_add_up_to)
{
	static const struct {
		int64_t every_s, end_s;
		const char *cron, *exclude;
	} ROWS[] = {
		{ 7, 0, "", "" }, { 86400, 0, "", "" }, { 3600, 100000, "", "" }, { 700, 0, "", "01-03" }, { 0, 0, "", "" },
		{ 0, 0, "*/7 1-5 * * *", "" }, { 0, 0, "0 0 * * MON", "" }, { 0, 0, "30 * * * *", "2031-01-04" },
	};
	const int64_t from = START + 3600 * SECOND, hour = 3600 * SECOND;

	for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
		struct schedule s = given(5, ROWS[i].every_s, ROWS[i].cron, 0);
		int64_t counted[WEEK_HOURS] = { 0 }, wanted[WEEK_HOURS] = { 0 }, looks = 100000, few = 3;
		struct nominal n = { .at = START + 5000 * SECOND };
		struct timetable t;

		s.start_at += 2500 * SECOND;
		s.end_at = ROWS[i].end_s ? START + ROWS[i].end_s * SECOND : TIME_NONE;
		s.exclude_dates = str_of(ROWS[i].exclude);
		t = times_of(&s);
		while (timetable_next(&t, n.at, &n) && n.at < from + WEEK_HOURS * hour)
			wanted[(n.at - from) / hour] += !n.is_excluded && n.at >= from;
		ck_assert(week_count(&t, START + 5000 * SECOND, from, INT64_MAX, &looks, counted));
		for (int h = 0; h < WEEK_HOURS; h++)
			ck_assert_msg(counted[h] == wanted[h], "row %zu, hour %d: %lld, not %lld", i, h, (long long)counted[h],
			              (long long)wanted[h]);
		if (ROWS[i].cron[0] == '*')
			ck_assert(!week_count(&t, START, from, INT64_MAX, &few, counted));
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("timetable");
	Suite *s = suite_create("timetable");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, NULL, tear_down);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, jitter_moves_what_is_due_and_never_the_nominal_time);
	tcase_add_test(t, jitter_spreads_schedules_of_the_same_time);
	tcase_add_test(t, the_ledger_goes_by_the_due_and_stays_in_order);
	tcase_add_test(t, the_newest_so_many_are_caught_up_page_by_page);
	tcase_add_test(t, of_a_start_in_the_past_all_owes_what_it_would_run_and_the_others_what_they_did);
	tcase_add_test(t, what_is_owed_of_a_century_of_seconds_is_found_without_counting_them);
	tcase_add_test(t, what_is_excluded_for_days_fires_after_them_however_often_it_comes);
	tcase_add_test(t, an_excluded_date_ends_by_the_clock_of_its_zone);
	tcase_add_test(t, the_hours_of_a_week_are_what_the_next_times_add_up_to);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
