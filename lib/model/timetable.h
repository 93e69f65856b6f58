#pragma once
#include "model/schedule.h"
#include "model/zone.h"

/* The nominal times of a schedule: start_at + n × run_every, the one start_at, or those of its cron
 * expression in its zone. They follow from the definition alone and never drift. */
struct timetable {
	struct id id;            /* jitter and H follow from it */
	int64_t start_at, end_at, run_every_s, jitter_s;
	bool has_cron;
	struct cron cron;
	enum dst_gap gap;
	enum dst_repeat repeat;
	const struct zone *zone;
	struct str exclude;      /* a date a line: 2031-12-25, or 12-25 of each year */
};

/* One of them; microseconds since 1970. */
struct nominal {
	int64_t at;
	int64_t due;          /* at + jitter, which is always less than the time to the next one */
	struct cron_time how; /* zeroes without cron */
	bool is_excluded;     /* by its date in the zone */
};

/* Neither excluded nor skipped. */
static inline bool nominal_runs(const struct nominal *n)
{
	return !n->is_excluded && !n->how.is_skipped;
}

/* `zone` is the schedule's; `dates` the dates of the calendars that it names. ERR_INPUT names the field. */
enum err timetable_init(struct ctx *cx, const struct schedule *s, const struct zone *zone, struct str dates,
                        struct timetable *out);
/* The first after `after` (TIME_NONE = from the beginning on); false when none follows. */
bool timetable_next(const struct timetable *t, int64_t after, struct nominal *out);
/* What counts as accounted for when it is made (or retimed) at `now`: what lay before is not owed. Of an
 * interval, or a single run, the last time before is: a start in the past is a run at once. */
int64_t timetable_begin(const struct timetable *t, int64_t now);
/* The same for one that is made at `now`, or gets another start: by misfire `all` what lies between its start and
 * now is owed as if it had been missed, as far as that rule would let it run (s->misfire_window_s, s->misfire_limit). */
int64_t timetable_owed_from(const struct timetable *t, const struct schedule *s, int64_t now);
/* Says that its times in (decided_to, accounted_to] are not owed; "" = there are none. In the arena. */
const char *timetable_unowed(struct arena *a, const struct timetable *t, int64_t decided_to, int64_t accounted_to);
/* ERR_INPUT "never fires …" when nothing of it would ever run after `accounted_to`. */
enum err timetable_check(struct ctx *cx, const struct timetable *t, int64_t accounted_to);
/* Reads dates, a line each, into the same form; ERR_INPUT names the one that is none. */
enum err timetable_check_dates(struct ctx *cx, struct str dates);
