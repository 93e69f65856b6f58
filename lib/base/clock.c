#include "base/clock.h"

#include "base/arena.h"

#include <time.h>

enum { US = 1000000 };
static const int64_t DAY_US = 86400LL * US;

static int64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * US + t.tv_nsec / 1000;
}

int64_t clock_boot_us(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_wall_us(void)
{
	return read_clock(CLOCK_REALTIME);
}

/* Howard Hinnant's civil calendar: eras of 400 years, years begin in March. */
int64_t time_days_from_civil(int year, int month, int mday)
{
	int64_t y = (int64_t)year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + mday - 1;
	int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

	return era * 146097 + doe - 719468;
}

void time_civil(int64_t day, int *year, int *month, int *mday)
{
	int64_t z = day + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*mday = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*year = (int)(yoe + era * 400 + (*month <= 2));
}

int64_t time_day(int64_t us)
{
	return us / DAY_US - (us % DAY_US < 0);
}

char *time_rfc3339(struct arena *a, int64_t us)
{
	int64_t day, ms;
	int year, month, mday;

	if (us == TIME_NONE)
		return arena_text(a, "0001-01-01T00:00:00Z");
	day = time_day(us);
	ms = (us % DAY_US + DAY_US) % DAY_US / 1000; /* the start of the first day of all has no number */
	time_civil(day, &year, &month, &mday);
	return arena_printf(a, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, mday,
	                    (int)(ms / 3600000), (int)(ms / 60000 % 60), (int)(ms / 1000 % 60),
	                    (int)(ms % 1000));
}

/* `digits` decimal digits at the front of *s, cut off. */
static bool take_number(struct str *s, size_t digits, int *out)
{
	int value = 0;

	if (s->n < digits)
		return false;
	for (size_t i = 0; i < digits; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		value = value * 10 + (s->p[i] - '0');
	}
	s->p += digits;
	s->n -= digits;
	*out = value;
	return true;
}

static bool take_char(struct str *s, const char *any)
{
	if (!s->n || !s->p[0] || !strchr(any, s->p[0]))
		return false;
	s->p++;
	s->n--;
	return true;
}

static bool take_fraction(struct str *s, int64_t *us)
{
	int64_t unit = 100000;

	*us = 0;
	if (!take_char(s, ".,"))
		return true;
	if (!s->n || s->p[0] < '0' || s->p[0] > '9')
		return false;
	for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; s->p++, s->n--, unit /= 10)
		*us += (s->p[0] - '0') * unit;
	return true;
}

static bool take_offset(struct str *s, int64_t *us)
{
	bool minus;
	int hours, minutes;

	*us = 0;
	if (!s->n || take_char(s, "Zz"))
		return s->n == 0;
	minus = s->p[0] == '-';
	if (!take_char(s, "+-") || !take_number(s, 2, &hours))
		return false;
	take_char(s, ":");
	if (!take_number(s, 2, &minutes) || s->n || hours > 23 || minutes > 59)
		return false;
	*us = ((int64_t)hours * 3600 + (int64_t)minutes * 60) * US * (minus ? -1 : 1);
	return true;
}

bool time_parse(struct str s, int64_t *us)
{
	static const int LENGTH[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year, month, mday, hour, minute, second;
	int64_t fraction, offset, at;

	if (!take_number(&s, 4, &year) || !take_char(&s, "-") || !take_number(&s, 2, &month) ||
	    !take_char(&s, "-") || !take_number(&s, 2, &mday) || !take_char(&s, "Tt ") ||
	    !take_number(&s, 2, &hour) || !take_char(&s, ":") || !take_number(&s, 2, &minute) ||
	    !take_char(&s, ":") || !take_number(&s, 2, &second) || !take_fraction(&s, &fraction) ||
	    !take_offset(&s, &offset))
		return false;
	if (month < 1 || month > 12 || mday < 1 || mday > LENGTH[month - 1] || hour > 23 ||
	    minute > 59 || second > 60)
		return false;
	if (month == 2 && mday == 29 && (year % 4 || (year % 100 == 0 && year % 400)))
		return false;
	at = time_days_from_civil(year, month, mday) * DAY_US +
	     ((int64_t)hour * 3600 + (int64_t)minute * 60 + second) * US + fraction - offset;
	if (at < time_days_from_civil(0, 1, 1) * DAY_US || at >= time_days_from_civil(10000, 1, 1) * DAY_US)
		return false; /* an offset or a leap second has led out of what four digits can say */
	*us = at;
	return true;
}
