#include "model/cron.h"

#include "base/clock.h"
#include "base/zoneinfo.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct ctx cx;
static const struct id ID = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 } };

static void tear_down(void)
{
	ctx_release(&cx);
	cx = (struct ctx){ 0 };
}

static struct cron parsed(const char *text)
{
	struct cron c;

	ck_assert_msg(cron_parse(&cx, str_of(text), &ID, &c) == OK, "%s: %s", text, cx.message);
	return c;
}

static const struct zone *zone(const char *name)
{
	const struct zone *z;
	struct str bytes;

	ck_assert(zoneinfo_read(&cx, "/usr/share/zoneinfo", str_of(name), ZONE_FILE_BYTES, &bytes) == OK);
	ck_assert_msg(zone_read(&cx, str_of(name), bytes, &z) == OK, "%s", cx.message);
	return z;
}

static int64_t at(const char *time)
{
	int64_t us;

	ck_assert(time_parse(str_of(time), &us));
	return us / 1000000;
}

/* The next n times after `from`, as "01-31 12:00:00,…" in UTC. */
static const char *times(const char *text, const char *zone_text, enum dst_gap gap, enum dst_repeat repeat, const char *from, int n)
{
	const struct zone *z = *zone_text ? zone(zone_text) : zone_utc();
	struct cron c = parsed(text);
	struct cron_time t = { .at = at(from) };
	char *out = arena_text(&cx.arena, "");

	for (int i = 0; i < n && cron_next(&c, z, gap, repeat, t.at, &t); i++) {
		char *time = time_rfc3339(&cx.arena, t.at * 1000000);

		time[19] = 0;
		out = arena_printf(&cx.arena, "%s%s%s%s", out, i ? "," : "", time + 5, t.is_skipped ? "!" : t.in_gap ? "^" : "");
	}
	return out;
}

static const struct {
	const char *text, *from, *want;
} LANGUAGE[] = {
	{ "* * * * *", "2031-01-01T00:00:00Z", "01-01T00:01:00,01-01T00:02:00" },
	{ "*/20 1,3 * * *", "2031-01-01T00:00:00Z", "01-01T01:00:00,01-01T01:20:00,01-01T01:40:00,01-01T03:00:00" },
	{ "5/20 0 * * *", "2031-01-01T00:00:00Z", "01-01T00:05:00,01-01T00:25:00,01-01T00:45:00,01-02T00:05:00" },
	{ "10-40/15 0 1 * *", "2031-01-01T00:00:00Z", "01-01T00:10:00,01-01T00:25:00,01-01T00:40:00,02-01T00:10:00" },
	{ "*/30 * * * * *", "2031-01-01T00:00:00Z", "01-01T00:00:30,01-01T00:01:00" },
	{ "0 0 L * *", "2032-01-31T00:00:00Z", "02-29T00:00:00,03-31T00:00:00,04-30T00:00:00" },
	{ "0 0 L-3 * *", "2031-01-31T00:00:00Z", "02-25T00:00:00,03-28T00:00:00" },
	{ "0 0 L-30 * *", "2031-01-31T00:00:00Z", "03-01T00:00:00,05-01T00:00:00" },
	{ "0 0 LW * *", "2031-01-01T00:00:00Z", "01-31T00:00:00,02-28T00:00:00,03-31T00:00:00,04-30T00:00:00,05-30T00:00:00" },
	{ "0 0 1W * *", "2031-01-31T00:00:00Z", "02-03T00:00:00,03-03T00:00:00,04-01T00:00:00" },
	{ "0 0 15W * *", "2031-01-31T00:00:00Z", "02-14T00:00:00,03-14T00:00:00,04-15T00:00:00" },
	{ "0 0 31W * *", "2031-01-31T00:00:00Z", "03-31T00:00:00,05-30T00:00:00" },
	{ "0 0 * * 5#2", "2031-01-01T00:00:00Z", "01-10T00:00:00,02-14T00:00:00" },
	{ "0 0 * * FRI#5", "2031-01-01T00:00:00Z", "01-31T00:00:00,05-30T00:00:00" },
	{ "0 0 * * 5L", "2031-01-01T00:00:00Z", "01-31T00:00:00,02-28T00:00:00" },
	{ "0 0 * * mon-fri", "2031-01-03T00:00:00Z", "01-06T00:00:00,01-07T00:00:00" },
	{ "0 0 * * 7", "2031-01-01T00:00:00Z", "01-05T00:00:00,01-12T00:00:00" },
	{ "0 0 * * FRI-SUN", "2031-01-01T00:00:00Z", "01-03T00:00:00,01-04T00:00:00,01-05T00:00:00,01-10T00:00:00" },
	{ "0 0 13 * 5", "2031-01-01T00:00:00Z", "01-03T00:00:00,01-10T00:00:00,01-13T00:00:00" }, /* either */
	{ "0 0 */2 * 5", "2031-01-01T00:00:00Z", "01-03T00:00:00,01-17T00:00:00" },               /* both */
	{ "0 0 ? * 5", "2031-01-01T00:00:00Z", "01-03T00:00:00,01-10T00:00:00" },
	{ "0 0 29 2 *", "2093-01-01T00:00:00Z", "02-29T00:00:00,02-29T00:00:00" },
	{ "@hourly", "2031-01-01T00:00:00Z", "01-01T01:00:00" },
	{ "@Daily", "2031-01-01T00:00:00Z", "01-02T00:00:00" },
	{ "@weekly", "2031-01-01T00:00:00Z", "01-05T00:00:00" },
	{ "@monthly", "2031-01-01T00:00:00Z", "02-01T00:00:00" },
	{ "@yearly", "2031-01-01T00:00:00Z", "01-01T00:00:00" },
	{ "  0   0\t1 JAN-mar,DEC * ", "2031-01-01T00:00:00Z", "02-01T00:00:00,03-01T00:00:00,12-01T00:00:00" },
};

START_TEST(the_language_means_what_its_header_says)
{
	int n = 1;

	for (const char *p = LANGUAGE[_i].want; *p; p++)
		n += *p == ',';
	ck_assert_str_eq(times(LANGUAGE[_i].text, "", DST_GAP_AUTO, DST_REPEAT_AUTO, LANGUAGE[_i].from, n), LANGUAGE[_i].want);
}
END_TEST

START_TEST(what_is_no_expression_is_refused_with_its_field)
{
	static const struct {
		const char *text, *why;
	} WRONG[] = {
		{ "", "must have 5 fields" }, { "* * * *", "must have 5 fields" }, { "* * * * * * *", "must have 5 fields" },
		{ "60 * * * *", "minute: 60" }, { "* 24 * * *", "hour: 24" }, { "* * 0 * *", "day of month: 0" },
		{ "* * 32 * *", "day of month: 32" }, { "* * * 13 *", "month: 13" }, { "* * * * 8", "day of week: 8" },
		{ "*/0 * * * *", "step of 1 to 60" }, { "*/61 * * * *", "step of 1 to 60" }, { "0-30/61 * * * *", "step" },
		{ "* */25 * * *", "step of 1 to 24" }, { "* * */32 * *", "step of 1 to 31" }, { "* * * */13 *", "step of 1 to 12" },
		{ "* * * * */8", "step of 1 to 7" }, { "5/61 * * * *", "step" }, { "5-1 * * * *", "goes down" }, { "1,,2 * * * *", "empty item" },
		{ "1, * * * *", "empty item" }, { "x * * * *", "minute: \"x\"" }, { "* * * * L", "needs a day" },
		{ "* * * * 5#6", "1 to 5" }, { "* * 32W * *", "1W to 31W" }, { "* * L-31 * *", "L-1 to L-30" },
		{ "0 0 30 2 *", "never fires" }, { "0 0 31 4,6,9,11 *", "never fires" }, { "0 0 31W 2 *", "never fires" },
		{ "@reboot", "is not one of" }, { "* * 1L * *", "not understood" }, { "1-2-3 * * * *", "not understood" },
		{ "H(5-1) * * * *", "H(1-15)" }, { "H/90 * * * *", "step of 1 to 60" }, { "H(0-9)/11 * * * *", "longer than its range" }, { "*5 * * * *", "not understood" },
		{ "99999999999 * * * *", "is not within" },
	};

	for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
		struct cron c;

		ck_assert_msg(cron_parse(&cx, str_of(WRONG[i].text), &ID, &c) == ERR_INPUT, "%s is taken", WRONG[i].text);
		ck_assert_msg(strstr(cx.message, WRONG[i].why) != NULL, "%s: %s", WRONG[i].text, cx.message);
	}
}
END_TEST

START_TEST(the_least_gap_is_that_between_its_closest_times)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} GAPS[] = {
		{ "* * * * * *", 1 }, { "*/7 * * * * *", 4 }, { "30 * * * * *", 60 }, { "* * * * *", 60 }, { "*/20 * * * *", 1200 },
		{ "*/25 * * * *", 600 }, { "59 * * * *", 3600 }, { "0 0,23 * * *", 3600 }, { "0 0,23 * * MON,WED", 82800 },
		{ "0 1,22 1,31 * *", 10800 }, { "0 1,22 1,30 * *", 10800 }, { "0 1,22 1,15 * *", 75600 },
		{ "0 0,23 1 * *", 82800 }, { "@daily", 86400 }, { "@yearly", 86400 },
	};

	for (size_t i = 0; i < sizeof GAPS / sizeof *GAPS; i++) {
		struct cron c = parsed(GAPS[i].text);

		ck_assert_msg(cron_least_gap(&c) == GAPS[i].seconds, "%s: %lld", GAPS[i].text, (long long)cron_least_gap(&c));
	}
}
END_TEST

/* Europe/Berlin 2031: forward on 30 March at 01:00Z (02:00 → 03:00), back on 26 October at 01:00Z (03:00 → 02:00). */
static const struct {
	const char *text;
	enum dst_gap gap;
	enum dst_repeat repeat;
	const char *from, *want;
} CHANGES[] = {
	{ "30 2 * * *", DST_GAP_AUTO, DST_REPEAT_AUTO, "2031-03-29T01:00:00Z", "03-29T01:30:00,03-30T01:00:00^,03-31T00:30:00" },
	{ "30 2 * * *", DST_GAP_END, DST_REPEAT_AUTO, "2031-03-29T01:00:00Z", "03-29T01:30:00,03-30T01:00:00^,03-31T00:30:00" },
	{ "30 2 * * *", DST_GAP_SKIP, DST_REPEAT_AUTO, "2031-03-29T01:00:00Z", "03-29T01:30:00,03-30T01:00:00!,03-31T00:30:00" },
	{ "*/20 2 * * *", DST_GAP_END, DST_REPEAT_AUTO, "2031-03-30T00:00:00Z", "03-30T01:00:00^,03-31T00:00:00" },
	{ "0 2,3 * * *", DST_GAP_SKIP, DST_REPEAT_AUTO, "2031-03-30T00:00:00Z", "03-30T01:00:00,03-31T00:00:00" },
	{ "15 * * * *", DST_GAP_AUTO, DST_REPEAT_AUTO, "2031-03-30T00:00:00Z", "03-30T00:15:00,03-30T01:15:00" },
	{ "15 * * * *", DST_GAP_END, DST_REPEAT_AUTO, "2031-03-30T00:00:00Z", "03-30T00:15:00,03-30T01:00:00^,03-30T01:15:00" },
	{ "30 2 * * *", DST_GAP_AUTO, DST_REPEAT_AUTO, "2031-10-25T12:00:00Z", "10-26T00:30:00,10-27T01:30:00" },
	{ "30 2 * * *", DST_GAP_AUTO, DST_REPEAT_FIRST, "2031-10-25T12:00:00Z", "10-26T00:30:00,10-27T01:30:00" },
	{ "30 2 * * *", DST_GAP_AUTO, DST_REPEAT_SECOND, "2031-10-25T12:00:00Z", "10-26T01:30:00,10-27T01:30:00" },
	{ "30 2 * * *", DST_GAP_AUTO, DST_REPEAT_BOTH, "2031-10-25T12:00:00Z", "10-26T00:30:00,10-26T01:30:00,10-27T01:30:00" },
	{ "0 * * * *", DST_GAP_AUTO, DST_REPEAT_AUTO, "2031-10-26T00:00:00Z", "10-26T01:00:00,10-26T02:00:00" },
	{ "0 * * * *", DST_GAP_AUTO, DST_REPEAT_FIRST, "2031-10-25T23:30:00Z", "10-26T00:00:00,10-26T02:00:00" },
	{ "59 59 2 * * *", DST_GAP_AUTO, DST_REPEAT_SECOND, "2031-10-25T12:00:00Z", "10-26T01:59:59" },
	{ "0 3 * * *", DST_GAP_AUTO, DST_REPEAT_AUTO, "2031-10-25T12:00:00Z", "10-26T02:00:00" },
};

START_TEST(where_the_clock_changes_the_rule_decides)
{
	int n = 1;

	for (const char *p = CHANGES[_i].want; *p; p++)
		n += *p == ',';
	ck_assert_str_eq(times(CHANGES[_i].text, "Europe/Berlin", CHANGES[_i].gap, CHANGES[_i].repeat, CHANGES[_i].from, n),
	                 CHANGES[_i].want);
}
END_TEST

START_TEST(h_is_the_same_for_an_id_and_spreads_over_ids)
{
	struct cron a = parsed("H H * * *"), b = parsed("H H * * *");
	int seen[60] = { 0 }, most = 0;

	ck_assert(a.minutes == b.minutes && a.hours == b.hours && a.is_spread);
	for (int i = 0; i < 6000; i++) {
		struct id id = { { 1, 2, 3, 4, 5, (unsigned char)(i >> 8), (unsigned char)i } };
		struct cron c;

		ck_assert(cron_parse(&cx, STR_LIT("H H/8 H * *"), &id, &c) == OK);
		seen[__builtin_ctzll(c.minutes)]++;
		ck_assert_int_eq(__builtin_popcount(c.hours), 3);
		ck_assert_int_le(__builtin_ctz(c.days), 28);
	}
	for (int m = 0; m < 60; m++)
		most = seen[m] > most ? seen[m] : most;
	ck_assert_int_lt(most, 160); /* 100 on average */
}
END_TEST

START_TEST(words_say_what_it_means)
{
	static const struct {
		const char *text, *words;
	} WORDS[] = {
		{ "0 9 * * 1-5", "at 09:00 on Monday to Friday" }, { "* * * * *", "every minute" }, { "*/15 * * * *", "every 15 minutes" },
		{ "0 * * * *", "every hour" }, { "7 * * * *", "at minute 7 of every hour" }, { "@daily", "at 00:00 every day" },
		{ "30 8,17 1,15 * *", "at 08:30 and 17:30 on day 1 and 15 of the month" }, { "*/10 * * * * *", "every 10 seconds" },
		{ "0 0 L * *", "at 00:00 on the last day of the month" }, { "0 6 * * 5#2", "at 06:00 on the second Friday of the month" },
		{ "0 0 1 1 *", "at 00:00 on day 1 of the month in January" }, { "*/5 9-17 * * *", "every 5 minutes from 09:00 to 17:59" },
		{ "0 */6 * * *", "at 00:00, 06:00, 12:00 and 18:00 every day" }, { "0 */2 * * *", "every 2 hours" },
		{ "1,2,5,9,33,40,41 3 * * *", "1,2,5,9,33,40,41 3 * * *" },
	};

	for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
		struct cron c = parsed(WORDS[i].text);

		ck_assert_str_eq(cron_words(&cx.arena, &c, str_of(WORDS[i].text)), WORDS[i].words);
	}
}
END_TEST

/* --- zones ------------------------------------------------------------------------------------- */

START_TEST(a_zone_knows_its_changes_and_goes_on_for_ever)
{
	static const struct {
		const char *zone, *at, *abbreviation;
		int32_t offset;
	} KNOWN[] = {
		{ "Europe/Berlin", "2031-01-01T00:00:00Z", "CET", 3600 }, { "Europe/Berlin", "2031-07-01T00:00:00Z", "CEST", 7200 },
		{ "Europe/Berlin", "2500-07-01T00:00:00Z", "CEST", 7200 }, { "Europe/Berlin", "1985-01-01T00:00:00Z", "CET", 3600 },
		{ "America/New_York", "2026-03-08T06:59:59Z", "EST", -18000 }, { "America/New_York", "2026-03-08T07:00:00Z", "EDT", -14400 },
		{ "Europe/Dublin", "2031-01-01T00:00:00Z", "GMT", 0 }, { "Europe/Dublin", "2031-07-01T00:00:00Z", "IST", 3600 },
		{ "Australia/Lord_Howe", "2031-01-01T00:00:00Z", "+11", 39600 }, { "Australia/Lord_Howe", "2031-07-01T00:00:00Z", "+1030", 37800 },
		{ "Asia/Kathmandu", "2031-07-01T00:00:00Z", "+0545", 20700 }, { "America/Caracas", "2010-01-01T00:00:00Z", "-0430", -16200 },
		{ "Pacific/Apia", "2011-12-30T09:59:59Z", "-10", -36000 }, { "Pacific/Apia", "2011-12-30T10:00:00Z", "+14", 50400 },
		{ "Etc/UTC", "2031-07-01T00:00:00Z", "UTC", 0 }, { "Etc/GMT+5", "2031-07-01T00:00:00Z", "-05", -18000 },
	};

	for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++) {
		const struct zone *z = zone(KNOWN[i].zone);
		struct str abbreviation = zone_abbreviation(z, at(KNOWN[i].at));

		ck_assert_msg(zone_span_at(z, at(KNOWN[i].at)).offset == KNOWN[i].offset, "%s %s: %d", KNOWN[i].zone, KNOWN[i].at,
		              zone_span_at(z, at(KNOWN[i].at)).offset);
		ck_assert_msg(str_is(abbreviation, KNOWN[i].abbreviation), "%s: " STR_FMT, KNOWN[i].zone, STR_ARG(abbreviation));
	}
}
END_TEST

START_TEST(spans_follow_each_other_without_a_hole_and_differ)
{
	static const char *const NAMES[] = { "Europe/Berlin", "Africa/Casablanca", "America/Sao_Paulo", "Asia/Tehran", "Europe/Dublin",
		                             "Australia/Lord_Howe", "Pacific/Apia", "Antarctica/Troll", "Asia/Tokyo" };

	for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
		const struct zone *z = zone(NAMES[i]);
		struct zone_span span = zone_span_at(z, at("1900-01-01T00:00:00Z"));

		while (span.to < at("2600-01-01T00:00:00Z")) {
			struct zone_span next = zone_span_at(z, span.to), before = zone_span_at(z, span.to - 1);

			ck_assert_msg(next.from == span.to && next.offset != span.offset, "%s", NAMES[i]);
			ck_assert(before.from == span.from && before.to == span.to && before.offset == span.offset);
			span = next;
		}
	}
}
END_TEST

START_TEST(a_footer_that_says_something_else_than_the_table_is_refused)
{
	const struct zone *z;
	struct str bytes;
	char *footer;

	ck_assert(zoneinfo_read(&cx, "/usr/share/zoneinfo", STR_LIT("Europe/Berlin"), ZONE_FILE_BYTES, &bytes) == OK);
	bytes.p = arena_copy(&cx.arena, bytes.p, bytes.n);
	footer = memmem(bytes.p, bytes.n, "\nCET-1CEST", 10);
	ck_assert(footer != NULL && zone_read(&cx, STR_LIT("as it is"), bytes, &z) == OK);
	footer[5] = '2';
	ck_assert_int_eq(zone_read(&cx, STR_LIT("changed"), bytes, &z), ERR_INPUT);
}
END_TEST

START_TEST(bytes_that_are_no_zone_are_refused_and_never_read_past_their_end)
{
	const struct zone *z;
	struct str bytes;

	ck_assert(zoneinfo_read(&cx, "/usr/share/zoneinfo", STR_LIT("Europe/Berlin"), ZONE_FILE_BYTES, &bytes) == OK);
	for (size_t n = 0; n < bytes.n; n++) {
		char *cut = malloc(n + 1); /* its own block: a sanitizer sees a read behind it */

		memcpy(cut, bytes.p, n);
		ck_assert_int_eq(zone_read(&cx, STR_LIT("cut"), str_bytes(cut, n), &z), ERR_INPUT);
		free(cut);
	}
	ck_assert(zoneinfo_read(&cx, "/usr/share/zoneinfo", STR_LIT("right/Europe/Berlin"), ZONE_FILE_BYTES, &bytes) != OK ||
	          zone_read(&cx, STR_LIT("right"), bytes, &z) == ERR_INPUT);
	ck_assert_int_eq(zoneinfo_read(&cx, "/usr/share/zoneinfo", STR_LIT("Europe"), ZONE_FILE_BYTES, &bytes), ERR_NOT_FOUND);
	ck_assert_int_eq(zoneinfo_read(&cx, "/usr/share/zoneinfo", STR_LIT("No/Zone"), ZONE_FILE_BYTES, &bytes), ERR_NOT_FOUND);
	ck_assert(!zone_name_is_valid(STR_LIT("../../etc/passwd")) && !zone_name_is_valid(STR_LIT("/etc/passwd")) &&
	          !zone_name_is_valid(STR_LIT("right/UTC")) && !zone_name_is_valid(STR_LIT("")) && zone_name_is_valid(STR_LIT("Etc/GMT+5")));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("cron");
	Suite *s = suite_create("cron");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, NULL, tear_down);
	tcase_add_loop_test(t, the_language_means_what_its_header_says, 0, sizeof LANGUAGE / sizeof *LANGUAGE);
	tcase_add_test(t, the_least_gap_is_that_between_its_closest_times);
	tcase_add_test(t, what_is_no_expression_is_refused_with_its_field);
	tcase_add_loop_test(t, where_the_clock_changes_the_rule_decides, 0, sizeof CHANGES / sizeof *CHANGES);
	tcase_add_test(t, h_is_the_same_for_an_id_and_spreads_over_ids);
	tcase_add_test(t, words_say_what_it_means);
	tcase_add_test(t, a_zone_knows_its_changes_and_goes_on_for_ever);
	tcase_add_test(t, spans_follow_each_other_without_a_hole_and_differ);
	tcase_add_test(t, a_footer_that_says_something_else_than_the_table_is_refused);
	tcase_add_test(t, bytes_that_are_no_zone_are_refused_and_never_read_past_their_end);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
