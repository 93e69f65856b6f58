#include "model/week.h"

static const int64_t HOUR_US = INT64_C(3600) * 1000000;

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Times of an interval in [from, to), by arithmetic: one of each second would be six hundred thousand looks. */
static int64_t count_interval(const struct timetable *t, int64_t after, int64_t from, int64_t to)
{
	int64_t every = t->run_every_s * 1000000, begin = from > after ? from : after + 1;
	int64_t first = begin <= t->start_at ? 0 : (begin - t->start_at + every - 1) / every, end;

	if (t->end_at != TIME_NONE)
		to = least(to, t->end_at + 1);
	end = to <= t->start_at ? 0 : (to - t->start_at + every - 1) / every;
	return end > first ? end - first : 0;
}

bool week_count(const struct timetable *t, int64_t after, int64_t from, int64_t most, int64_t *looks,
                int64_t hours[WEEK_HOURS])
{
	struct nominal n = { .at = after >= from ? after : from - 1 };

	if (!t->has_cron && t->run_every_s && !t->exclude.n) {
		for (int h = 0; h < WEEK_HOURS; h++) {
			int64_t fires = least(most, count_interval(t, after, from + h * HOUR_US, from + (h + 1) * HOUR_US));

			hours[h] += fires;
			most -= fires;
		}
		return true;
	}
	while (most > 0 && timetable_next(t, n.at, &n) && n.at < from + WEEK_HOURS * HOUR_US) {
		if ((*looks)-- <= 0)
			return false;
		if (n.is_excluded || n.how.is_skipped)
			continue;
		hours[(n.at - from) / HOUR_US]++;
		most--;
	}
	return true;
}
