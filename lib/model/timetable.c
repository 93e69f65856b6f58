#include "model/timetable.h"

#include <stdio.h>

enum { US = 1000000, DAY_S = 86400, CHECKED_TIMES = 5000, YEAR_DIGITS = 4 };

/* --- dates ------------------------------------------------------------------------------------- */

static bool is_month_and_day(struct str s)
{
	int64_t month, day;

	return s.n == 5 && s.p[2] == '-' && str_int(str_bytes(s.p, 2), &month) && str_int(str_bytes(s.p + 3, 2), &day) &&
	       month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static bool is_date(struct str s)
{
	int64_t year, us;
	char whole[32];

	if (is_month_and_day(s))
		return true;
	if (s.n != 10 || s.p[4] != '-' || !str_int(str_bytes(s.p, YEAR_DIGITS), &year) || year < 1970)
		return false;
	snprintf(whole, sizeof whole, STR_FMT "T00:00:00Z", STR_ARG(s));
	return time_parse(str_of(whole), &us);
}

enum err timetable_check_dates(struct ctx *cx, struct str dates)
{
	struct str line;

	while (str_cut(&dates, '\n', &line))
		if (line.n && !is_date(line))
			return err_set(cx, ERR_INPUT, "\"" STR_FMT "\" is no date such as 2031-12-25, or 12-25 for each year",
			               STR_ARG(line));
	return OK;
}

static bool is_excluded(const struct timetable *t, int64_t at)
{
	int64_t s = at / US, local = s + zone_span_at(t->zone, s).offset;
	struct str dates = t->exclude, line;
	int year, month, mday;
	char date[16];

	if (!dates.n)
		return false;
	time_civil(time_day(local * US), &year, &month, &mday);
	snprintf(date, sizeof date, "%04d-%02u-%02u", year % 10000, (unsigned)month % 100, (unsigned)mday % 100);
	while (str_cut(&dates, '\n', &line))
		if (str_is(line, date) || str_is(line, date + YEAR_DIGITS + 1))
			return true;
	return false;
}

/* --- times ------------------------------------------------------------------------------------- */

enum err timetable_init(struct ctx *cx, const struct schedule *s, const struct zone *zone, struct str dates,
                        struct timetable *out)
{
	struct timetable t = { .id = s->id, .start_at = s->start_at, .end_at = s->end_at, .run_every_s = s->run_every_s,
		               .jitter_s = s->jitter_s, .has_cron = s->cron.n > 0, .gap = (enum dst_gap)s->dst_gap,
		               .repeat = (enum dst_repeat)s->dst_repeat, .zone = zone };

	if (t.has_cron && cron_parse(cx, s->cron, &s->id, &t.cron))
		return err_wrap(cx, "field cron");
	if (t.has_cron && s->run_every_s)
		return err_set(cx, ERR_INPUT, "field cron: run_every is there too; a schedule has one of them");
	t.exclude = str_of(arena_printf(&cx->arena, STR_FMT "\n" STR_FMT, STR_ARG(s->exclude_dates), STR_ARG(dates)));
	if (t.exclude.n == 1)
		t.exclude = STR_LIT("");
	*out = t;
	return OK;
}

/* The n-th (from 0) is start_at + n × run_every: the first of them after `after`. */
static bool next_of_interval(const struct timetable *t, int64_t after, int64_t *at)
{
	int64_t every = t->run_every_s * US;

	if (after < t->start_at) {
		*at = t->start_at;
		return true;
	}
	if (!every)
		return false;
	*at = t->start_at + ((after - t->start_at) / every + 1) * every;
	return true;
}

static bool next_of_cron(const struct timetable *t, int64_t after, struct nominal *out)
{
	if (after < t->start_at - 1)
		after = t->start_at - 1;
	after = after >= 0 ? after / US : -((-after + US - 1) / US); /* whole seconds: nothing lies between */
	if (!cron_next(&t->cron, t->zone, t->gap, t->repeat, after, &out->how))
		return false;
	out->at = out->how.at * US;
	return true;
}

static bool next_time(const struct timetable *t, int64_t after, struct nominal *out)
{
	*out = (struct nominal){ 0 };
	if (t->has_cron ? !next_of_cron(t, after, out) : !next_of_interval(t, after, &out->at))
		return false;
	return t->end_at == TIME_NONE || out->at <= t->end_at;
}

/* Always the same for the same schedule and time, spread evenly over [0, within). */
static int64_t jitter(const struct timetable *t, int64_t at, int64_t within)
{
	uint64_t h = (uint64_t)at * 0x9e3779b97f4a7c15u;

	for (int i = 0; i < ID_BYTES; i++)
		h = (h ^ t->id.b[i]) * 1099511628211u;
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdu;
	return (int64_t)((h ^ h >> 33) % (uint64_t)within);
}

bool timetable_next(const struct timetable *t, int64_t after, struct nominal *out)
{
	struct nominal later;
	int64_t within = t->jitter_s * US;

	if (!next_time(t, after, out))
		return false;
	out->due = out->at;
	if (within) {
		if (next_time(t, out->at, &later) && later.at - out->at < within)
			within = later.at - out->at; /* so that times fall due in their order */
		out->due += jitter(t, out->at, within);
	}
	out->is_excluded = is_excluded(t, out->at);
	return true;
}

int64_t timetable_begin(const struct timetable *t, int64_t now)
{
	int64_t every = t->run_every_s * US;

	if (t->has_cron)
		return now > t->start_at ? now : t->start_at - 1;
	if (now < t->start_at || !every)
		return t->start_at - 1;
	return t->start_at + (now - t->start_at) / every * every - 1;
}

/* Does it have more than so many times in (after, to]? */
static bool has_more(const struct timetable *t, int64_t after, int64_t to, int64_t most)
{
	struct nominal n = { .at = after };

	for (int64_t seen = 0; timetable_next(t, n.at, &n) && n.at <= to;)
		if (++seen > most)
			return true;
	return false;
}

int64_t timetable_owed_from(const struct timetable *t, const struct schedule *s, int64_t now)
{
	int64_t begin = timetable_begin(t, now), window = s->misfire_window_s * US, low = t->start_at - 1, high = now;

	if (s->misfire != MISFIRE_ALL || now <= t->start_at)
		return begin;
	if (now - window > low)
		low = now - window;
	if (has_more(t, low, now, s->misfire_limit)) { /* then the newest so many: halved, since a year may have 31 million */
		while (high - low > 1) {
			int64_t middle = low + (high - low) / 2;

			if (has_more(t, middle, now, s->misfire_limit))
				low = middle;
			else
				high = middle;
		}
		low = high;
	}
	return low < begin ? low : begin;
}

const char *timetable_unowed(struct arena *a, const struct timetable *t, int64_t decided_to, int64_t accounted_to)
{
	struct nominal first, owed;

	if (!timetable_next(t, decided_to, &first) || first.at > accounted_to || !timetable_next(t, accounted_to, &owed))
		return "";
	return arena_printf(a, "start_at lies in the past: its times from %s on, before %s, are not owed; a backfill queues tasks for them",
	                    time_rfc3339(a, first.at), time_rfc3339(a, owed.at));
}

/* Before the first moment after `at` that may have another date, or another offset: nothing of an excluded date need be
 * asked for by the second. */
static int64_t end_of_date(const struct timetable *t, int64_t at)
{
	int64_t s = at / US;
	struct zone_span span = zone_span_at(t->zone, s);
	int64_t end = s + DAY_S - (s + span.offset) % DAY_S;

	return (end < span.to ? end : span.to) * US - 1;
}

enum err timetable_check(struct ctx *cx, const struct timetable *t, int64_t accounted_to)
{
	struct nominal next = { .at = accounted_to };

	for (int i = 0; i < CHECKED_TIMES; i++) {
		if (!timetable_next(t, next.at, &next))
			return err_set(cx, ERR_INPUT, i ? "never fires: every time before its end is excluded or skipped"
			                                : "never fires: no time lies between its start and its end");
		if (nominal_runs(&next))
			return OK;
		if (next.is_excluded)
			next.at = end_of_date(t, next.at);
	}
	return err_set(cx, ERR_INPUT, "never fires: its next %d dates are all excluded or skipped", CHECKED_TIMES);
}
