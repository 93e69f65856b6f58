#pragma once
#include "model/timetable.h"

/* How often a schedule runs in each hour of a week. */
enum { WEEK_HOURS = 7 * 24 };

/* Adds to hours[] the times after `after` within the week from `from` on that run (none excluded, none skipped), at most
 * `most` of them. Takes what it looked at from *looks, and ends there: false = there is more than was looked at. */
bool week_count(const struct timetable *t, int64_t after, int64_t from, int64_t most, int64_t *looks,
                int64_t hours[WEEK_HOURS]);
