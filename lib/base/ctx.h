#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* One piece of work (a request, a tick, a command): its memory, what went wrong, its trace id.
 * Zero-initialised is ready to use. */
struct ctx {
	struct arena arena;
	enum err err;       /* kind of the newest sentence */
	char message[600];  /* the sentence */
	char trace[40];     /* id that ties log lines together; "" if none */
	int retry_after_s;  /* for ERR_BUSY and ERR_LIMIT; 0 = the default */
};

#define auto_ctx __attribute__((cleanup(ctx_release))) struct ctx

/* Sets kind and sentence, cleaned of control bytes and cut at a character; returns `kind`. */
enum err err_set(struct ctx *cx, enum err kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Puts "what: " in front of the sentence there is; returns its kind. */
enum err err_wrap(struct ctx *cx, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* err_set(ERR_INTERNAL) with ": strerror(errno)" behind. */
enum err err_errno(struct ctx *cx, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ready for the next piece of work: arena reset, no error. */
void ctx_reset(struct ctx *cx);
void ctx_release(struct ctx *cx);
