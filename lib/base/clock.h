#pragma once
#include <stdint.h>

#include "base/str.h"

struct arena;

/* Durations on this machine: microseconds of CLOCK_BOOTTIME, which also counts while it sleeps.
 * What decides anything shared (leases of others, due times) is the database's clock, never this. */
int64_t clock_boot_us(void);
/* Wall clock of this machine, microseconds since 1970, UTC: for ids and log lines only. */
int64_t clock_wall_us(void);

/* Times in the programs are int64_t microseconds since 1970, UTC; TIME_NONE = has not come. */
#define TIME_NONE INT64_MIN

/* RFC 3339 with three decimals and Z; TIME_NONE gives 0001-01-01T00:00:00Z (IronWorker rules 14, 15). */
char *time_rfc3339(struct arena *a, int64_t us);
/* Reads RFC 3339 with any offset or none (= UTC) and any number of decimals, T or a blank between
 * date and time; false on anything else, and on what is no time of the years 0 to 9999 in UTC. */
bool time_parse(struct str text, int64_t *us);
/* Days since 1970 of a time, and back to "YYYY-MM-DD" (for partitions). */
int64_t time_day(int64_t us);
/* Civil date of a day number: writes year, month 1-12, day 1-31. */
void time_civil(int64_t day, int *year, int *month, int *mday);
/* Day number of a civil date (proleptic Gregorian). */
int64_t time_days_from_civil(int year, int month, int mday);
