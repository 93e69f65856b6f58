#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char *name = "stoker"; /* set once at start */

void log_name(const char *program)
{
	name = program;
}

static int stamp(char *out, size_t room, int priority)
{
	int64_t us = clock_wall_us();
	time_t s = (time_t)(us / 1000000);
	struct tm t;
	size_t n;

	if (getenv("JOURNAL_STREAM"))
		return snprintf(out, room, "<%d>", priority);
	gmtime_r(&s, &t);
	n = strftime(out, room, "%Y-%m-%dT%H:%M:%S", &t);
	return (int)n + snprintf(out + n, room - n, ".%03dZ ", (int)(us / 1000 % 1000));
}

__attribute__((format(printf, 3, 0)))
static void line(int priority, const char *event, const char *format, va_list ap)
{
	char text[2000], out[4096];
	size_t n;

	vsnprintf(text, sizeof text, format, ap);
	n = (size_t)stamp(out, sizeof out, priority);
	n += (size_t)snprintf(out + n, sizeof out - n, "%s[%d] %s ", name, (int)getpid(), event);
	for (const unsigned char *p = (unsigned char *)text; *p && n < sizeof out - 8; p++)
		if (*p < 0x20 || *p > 0x7e)
			n += (size_t)snprintf(out + n, sizeof out - n, "\\x%02x", *p);
		else
			out[n++] = (char)*p;
	out[n++] = '\n';
	if (write(STDERR_FILENO, out, n) < 0)
		return; /* nowhere left to say it */
}

#define LEVEL(function, priority)                          \
	void function(const char *event, const char *format, ...) \
	{                                                  \
		va_list ap;                                \
		va_start(ap, format);                      \
		line(priority, event, format, ap);         \
		va_end(ap);                                \
	}
LEVEL(log_info, 6)
LEVEL(log_warn, 4)
LEVEL(log_error, 3)
