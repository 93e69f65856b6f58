#include "model/cron.h"

#include "base/buf.h"

/* An expression in words. What is of no usual form is shown as it was written. */

static const char *const WEEKDAYS[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };
static const char *const MONTHS[] = { "", "January", "February", "March", "April", "May", "June", "July", "August",
	                              "September", "October", "November", "December" };
static const char *const NTH[] = { "", "first", "second", "third", "fourth", "fifth" };
enum { LIST_MOST = 6 };

static int lowest(uint64_t bits)
{
	return __builtin_ctzll(bits);
}

static int count(uint64_t bits)
{
	return __builtin_popcountll(bits);
}

static bool is_run(uint64_t bits)
{
	uint64_t shifted = bits >> lowest(bits);

	return (shifted & (shifted + 1)) == 0;
}

/* n if the bits are 0, n, 2n … below `end`, and n divides it; else 0. */
static int step_of(uint64_t bits, int end)
{
	int step = count(bits) ? end / count(bits) : 0;
	uint64_t even = 0;

	if (!step || end % step)
		return 0;
	for (int i = 0; i < end; i += step)
		even |= UINT64_C(1) << i;
	return bits == even ? step : 0;
}

static const char *between(int done, int all)
{
	return done == 0 ? "" : done == all - 1 ? " and " : ", ";
}

/* "at 09:00 and 17:30": every hour with every minute, if there are few. */
static bool add_clock_times(struct buf *b, const struct cron *c)
{
	int all = count(c->hours) * count(c->minutes), done = 0;

	if (all > LIST_MOST || count(c->seconds) != 1)
		return false;
	buf_text(b, "at ");
	for (int h = 0; h < 24; h++)
		for (int m = 0; m < 60; m++) {
			if (!(c->hours >> h & 1) || !(c->minutes >> m & 1))
				continue;
			buf_printf(b, "%s%02d:%02d", between(done++, all), h, m);
			if (lowest(c->seconds))
				buf_printf(b, ":%02d", lowest(c->seconds));
		}
	return true;
}

static void add_every(struct buf *b, int n, const char *unit)
{
	if (n == 1)
		buf_printf(b, "every %s", unit);
	else
		buf_printf(b, "every %d %ss", n, unit);
}

static bool add_within_hour(struct buf *b, const struct cron *c)
{
	int seconds = step_of(c->seconds, 60), minutes = step_of(c->minutes, 60);

	if (seconds && count(c->seconds) > 1 && minutes == 1)
		add_every(b, seconds, "second");
	else if (count(c->seconds) != 1 || lowest(c->seconds))
		return false;
	else if (minutes && minutes < 60)
		add_every(b, minutes, "minute");
	else if (count(c->minutes) == 1 && lowest(c->minutes) == 0)
		buf_text(b, "every hour");
	else if (count(c->minutes) == 1)
		buf_printf(b, "at minute %d of every hour", lowest(c->minutes));
	else
		return false;
	return true;
}

static bool add_times(struct buf *b, const struct cron *c)
{
	int hours = step_of(c->hours, 24), last = 63 - __builtin_clzll(c->hours);

	if (add_clock_times(b, c))
		return true;
	if (hours > 1 && count(c->minutes) == 1 && c->seconds == 1) {
		buf_printf(b, "every %d hours", hours);
		if (lowest(c->minutes))
			buf_printf(b, " at minute %d", lowest(c->minutes));
		return true;
	}
	if (!add_within_hour(b, c))
		return false;
	if (hours == 1)
		return true;
	if (!is_run(c->hours))
		return false;
	buf_printf(b, " from %02d:00 to %02d:59", lowest(c->hours), last);
	return true;
}

static bool add_list(struct buf *b, uint64_t bits, const char *const *names)
{
	int all = count(bits), done = 0;

	if (all > 2 && is_run(bits)) {
		int last = 63 - __builtin_clzll(bits);

		if (names)
			buf_printf(b, "%s to %s", names[lowest(bits)], names[last]);
		else
			buf_printf(b, "%d to %d", lowest(bits), last);
		return true;
	}
	if (all > LIST_MOST)
		return false;
	for (; bits; bits &= bits - 1) {
		buf_text(b, between(done++, all));
		if (names)
			buf_text(b, names[lowest(bits)]);
		else
			buf_printf(b, "%d", lowest(bits));
	}
	return true;
}

/* " on the second Friday, the last day": what depends on the month's shape. */
static int add_places(struct buf *b, const struct cron *c)
{
	int n = 0;

	for (int w = 0; w < 7; w++) {
		for (int k = 1; k <= 5; k++)
			if (c->nth[w] >> k & 1)
				buf_printf(b, "%sthe %s %s", n++ ? ", " : " on ", NTH[k], WEEKDAYS[w]);
		if (c->last_of >> w & 1)
			buf_printf(b, "%sthe last %s", n++ ? ", " : " on ", WEEKDAYS[w]);
	}
	if (c->last_weekday)
		buf_printf(b, "%sthe last weekday", n++ ? ", " : " on ");
	for (int i = 0; i < 31; i++)
		if (c->before_last >> i & 1) {
			buf_text(b, n++ ? ", " : " on ");
			if (i)
				buf_printf(b, "the day %d before the last", i);
			else
				buf_text(b, "the last day");
		}
	for (int day = 1; day <= 31; day++)
		if (c->nearest >> day & 1)
			buf_printf(b, "%sthe weekday next to day %d", n++ ? ", " : " on ", day);
	return n;
}

static bool add_days(struct buf *b, const struct cron *c)
{
	bool by_day = c->days && count(c->days) < 31, by_weekday = c->weekdays && count(c->weekdays) < 7;
	bool fine = true;
	int places = add_places(b, c);

	if (places)
		buf_text(b, " of the month");
	if (by_day) {
		buf_text(b, places ? " or on day " : " on day ");
		fine = add_list(b, c->days, NULL);
		buf_text(b, " of the month");
	}
	if (by_weekday) {
		buf_text(b, !places && !by_day ? " on " : c->any_day || c->any_weekday ? " that is a " : " or on ");
		fine = fine && add_list(b, c->weekdays, WEEKDAYS);
	}
	if (!places && !by_day && !by_weekday && str_starts(buf_view(b), "at ") && !strstr(b->p, "every"))
		buf_text(b, " every day");
	return fine;
}

const char *cron_words(struct arena *a, const struct cron *c, struct str text)
{
	auto_buf b = { 0 };
	bool fine = add_times(&b, c) && add_days(&b, c);

	if (fine && count(c->months) < 12) {
		buf_text(&b, " in ");
		fine = add_list(&b, c->months, MONTHS);
	}
	return fine ? arena_copy(a, b.p, b.n) : arena_copy(a, text.p, text.n);
}
