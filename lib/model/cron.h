#pragma once
#include "base/ctx.h"
#include "base/id.h"
#include "model/zone.h"

/* Cron expressions. Everything is passed in: the text, the moment, the zone, what H spreads by.
 *
 *   expression = macro | [second] minute hour day month weekday      fields are parted by blanks
 *   macro      = @yearly @annually @monthly @weekly @daily @midnight @hourly
 *   field      = item { "," item }
 *   item       = range [ "/" step ] | special
 *   range      = "*" | value | value "-" value | "H" | "H(" value "-" value ")"
 *   special    = day:      "L" | "L-" number | value "W" | "LW" | "?"
 *                weekday:  value "#" 1..5 | value "L" | "?"
 *
 * second, minute 0-59 · hour 0-23 · day 1-31 · month 1-12 or JAN-DEC · weekday 0-7 or SUN-SAT, 0 and 7
 * are Sunday; names in any case. Without a second field it is second 0. `a/n` is `a` to the end by n; no step
 * is longer than the field. A range goes up; one of weekdays may end in SUN. "?" is "*".
 *   L      the last day of the month; L-3 three days before it; 5L the last Friday
 *   15W    the weekday (Monday to Friday) next to the 15th, in the same month; a month without that day has
 *          none; LW the last weekday of the month
 *   5#2    the second Friday
 *   H      one value that follows from the id, the same for ever: fields in which many say the same spread
 *          evenly. In the day field 1 to 28. H/15 is every 15, beginning at such a value below 15.
 * Day and weekday as in crontab(5): when both are restricted (neither begins with "*" or "?") a day that
 * meets either will do, else it must meet both. */
struct cron {
	uint64_t seconds, minutes;  /* bit i = value i */
	uint32_t hours, days;
	uint16_t months;
	uint8_t weekdays;           /* bit 0 = Sunday */
	uint32_t before_last;       /* bit i = L-i */
	uint32_t nearest;           /* bit i = iW */
	bool last_weekday;          /* LW */
	uint8_t nth[7], last_of;    /* nth[w] bit k = w#k; last_of bit w = wL */
	bool any_day, any_weekday;  /* the field begins with "*" or "?" */
	bool every_hour;            /* the hours begin with "*" or are all 24 */
	bool has_seconds;           /* six fields */
	bool is_spread;             /* an H is in it */
};

/* What becomes of local times that do not exist since the clock goes forward (gap), and of those that come
 * twice since it goes back (repeat). AUTO is what crontab(5) does: times of every hour follow real time (they
 * pass over a gap and run in both passes), the others run at the gap's end and in the first pass. */
enum dst_gap { DST_GAP_AUTO, DST_GAP_END, DST_GAP_SKIP };
enum dst_repeat { DST_REPEAT_AUTO, DST_REPEAT_FIRST, DST_REPEAT_SECOND, DST_REPEAT_BOTH };

enum { CRON_BYTES = 255 };

/* ERR_INPUT says which field is wrong and why; also when it can never match (30 February). */
enum err cron_parse(struct ctx *cx, struct str text, const struct id *spread_by, struct cron *out);

/* A moment at which it matches. All local times of a gap that match are one moment, the gap's end. */
struct cron_time {
	int64_t at;        /* seconds since 1970 */
	bool in_gap;       /* stands for a local time that does not exist: `missing`, as if it were UTC */
	bool is_skipped;   /* … and by DST_GAP_SKIP it does not run */
	bool is_repeated;  /* its local time comes twice */
	int64_t missing;
};

/* The first moment after `after`. False if there is none within 400 years: the calendar repeats. */
bool cron_next(const struct cron *c, const struct zone *z, enum dst_gap gap, enum dst_repeat repeat, int64_t after,
               struct cron_time *out);
/* The same in local time alone: the first that matches at or after `local`, both as if they were UTC. */
bool cron_next_local(const struct cron *c, int64_t local, int64_t *out);
/* The least seconds from one time to the next in local time, at most a day: where the clock changes two may be closer. */
int64_t cron_least_gap(const struct cron *c);
/* "at 09:00 on Monday to Friday": the expression in words, where it is of a usual form, else `text`. In the
 * arena. */
const char *cron_words(struct arena *a, const struct cron *c, struct str text);
