#include "fcgi/page/words.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"

enum { SECOND = 1000000 };
static const int64_t MINUTE = 60ll * SECOND, HOUR = 3600ll * SECOND, DAY = 86400ll * SECOND;

char *words_number(struct arena *a, int64_t n)
{
	char digits[24], out[40];
	size_t len, o = 0;

	snprintf(digits, sizeof digits, "%lld", (long long)n);
	len = strlen(digits);
	for (size_t i = 0; i < len; i++) {
		if (i && digits[i - 1] != '-' && (len - i) % 3 == 0)
			out[o++] = ',';
		out[o++] = digits[i];
	}
	return arena_copy(a, out, o);
}

char *words_count(struct arena *a, int64_t n, int64_t ceiling)
{
	return n >= ceiling ? arena_printf(a, "%s+", words_number(a, ceiling)) : words_number(a, n);
}

char *words_duration(struct arena *a, int64_t us)
{
	if (us < 0)
		us = 0;
	if (us < SECOND / 10)
		return arena_printf(a, "%lld ms", (long long)(us / 1000));
	if (us < MINUTE)
		return arena_printf(a, "%lld.%lld s", (long long)(us / SECOND), (long long)(us % SECOND / (SECOND / 10)));
	if (us < HOUR)
		return arena_printf(a, "%lld min %lld s", (long long)(us / MINUTE), (long long)(us % MINUTE / SECOND));
	if (us < DAY)
		return arena_printf(a, "%lld h %02lld min", (long long)(us / HOUR), (long long)(us % HOUR / MINUTE));
	return arena_printf(a, "%lld d %lld h", (long long)(us / DAY), (long long)(us % DAY / HOUR));
}

char *words_ago(struct arena *a, int64_t us, int64_t now_us)
{
	int64_t gap = us > now_us ? us - now_us : now_us - us;
	const char *unit = gap < MINUTE ? "s" : gap < HOUR ? "min" : gap < 2 * DAY ? "h" : "d";
	int64_t n = gap / (gap < MINUTE ? SECOND : gap < HOUR ? MINUTE : gap < 2 * DAY ? HOUR : DAY);

	if (us > now_us + SECOND)
		return arena_printf(a, "in %lld %s", (long long)n, unit);
	if (gap < 2 * SECOND)
		return arena_text(a, "just now");
	return arena_printf(a, "%lld %s ago", (long long)n, unit);
}

char *words_bytes(struct arena *a, int64_t bytes)
{
	static const char *const UNITS[] = { "KiB", "MiB", "GiB", "TiB" };
	double n = (double)bytes / 1024;
	size_t u = 0;

	if (bytes < 1024)
		return arena_printf(a, "%lld B", (long long)bytes);
	for (; n >= 1024 && u < 3; u++)
		n /= 1024;
	return arena_printf(a, n < 100 ? "%.1f %s" : "%.0f %s", n, UNITS[u]);
}

/* A time cut into its civil parts, UTC. */
struct civil {
	int64_t day;
	int year, month, mday, hour, minute, second, ms;
};

static struct civil civil_of(int64_t us)
{
	struct civil c = { .day = time_day(us) };
	int64_t rest = us - c.day * DAY;

	time_civil(c.day, &c.year, &c.month, &c.mday);
	c.hour = (int)(rest / HOUR);
	c.minute = (int)(rest % HOUR / MINUTE);
	c.second = (int)(rest % MINUTE / SECOND);
	c.ms = (int)(rest % SECOND / 1000);
	return c;
}

/* Of a day since 1970, which began on a Thursday. */
static const char *weekday(int64_t day)
{
	static const char *const WEEKDAYS[] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" };

	return WEEKDAYS[(day % 7 + 7) % 7];
}

char *words_day(struct arena *a, int64_t day)
{
	struct civil t = civil_of(day * 86400 * 1000000);

	return arena_printf(a, "%s %04d-%02d-%02d", weekday(day), t.year, t.month, t.mday);
}

char *words_time(struct arena *a, int64_t us, int64_t now_us)
{
	static const char *const MONTHS[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct civil t = civil_of(us), now = civil_of(now_us);

	if (us == TIME_NONE)
		return arena_text(a, "–");
	if (t.day == now.day)
		return arena_printf(a, "%02d:%02d:%02d", t.hour, t.minute, t.second);
	if (t.year == now.year)
		return arena_printf(a, "%s %d %s %02d:%02d", weekday(t.day), t.mday,
		                    MONTHS[t.month - 1], t.hour, t.minute);
	return arena_printf(a, "%04d-%02d-%02d %02d:%02d", t.year, t.month, t.mday, t.hour, t.minute);
}

char *words_time_exact(struct arena *a, int64_t us)
{
	struct civil t = civil_of(us);

	return arena_printf(a, "%04d-%02d-%02d %02d:%02d:%02d.%03d UTC", t.year, t.month, t.mday,
	                    t.hour, t.minute, t.second, t.ms);
}

char *words_clock(struct arena *a, int64_t us)
{
	struct civil t = civil_of(us);

	return arena_printf(a, "%02d:%02d:%02d.%03d", t.hour, t.minute, t.second, t.ms);
}

char *words_id(struct arena *a, const struct id *id)
{
	struct id_text t = id_format(id);

	return arena_printf(a, "%.6s…%s", t.s, t.s + 18);
}

char *words_signal(struct arena *a, int64_t signal)
{
	const char *name = signal > 0 && signal < 65 ? sigabbrev_np((int)signal) : NULL;

	return name ? arena_printf(a, "SIG%s", name) : arena_printf(a, "signal %lld", (long long)signal);
}
