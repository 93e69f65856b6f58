#include "base/ctx.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* What came from outside may stand in a sentence; a sentence may stand in a header or a log line. */
static void clean(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
}

__attribute__((format(printf, 3, 0)))
static enum err set(struct ctx *cx, enum err kind, const char *format, va_list ap)
{
	vsnprintf(cx->message, sizeof cx->message, format, ap);
	clean(cx->message);
	cx->err = kind;
	return kind;
}

enum err err_set(struct ctx *cx, enum err kind, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	set(cx, kind, format, ap);
	va_end(ap);
	return kind;
}

enum err err_wrap(struct ctx *cx, const char *format, ...)
{
	char was[sizeof cx->message];
	va_list ap;
	size_t n;

	memcpy(was, cx->message, sizeof was);
	va_start(ap, format);
	set(cx, cx->err, format, ap);
	va_end(ap);
	n = strlen(cx->message);
	snprintf(cx->message + n, sizeof cx->message - n, ": %s", was);
	return cx->err;
}

enum err err_errno(struct ctx *cx, const char *format, ...)
{
	int saved = errno;
	va_list ap;
	size_t n;

	va_start(ap, format);
	set(cx, ERR_INTERNAL, format, ap);
	va_end(ap);
	n = strlen(cx->message);
	snprintf(cx->message + n, sizeof cx->message - n, ": %s", strerror(saved));
	return ERR_INTERNAL;
}

void ctx_reset(struct ctx *cx)
{
	arena_reset(&cx->arena);
	cx->err = OK;
	cx->message[0] = 0;
	cx->trace[0] = 0;
	cx->retry_after_s = 0;
}

void ctx_release(struct ctx *cx)
{
	arena_release(&cx->arena);
}
