#include "base/clock.h"
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
	tcase_add_test(t, the_hours_of_a_week_are_what_the_next_times_add_up_to);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
