#pragma once
#include "base/ctx.h"

/* A URL that is told of a task's changes. */
enum { CALLBACK_URL_BYTES = 2048 };

/* OK for "" (none) and for an absolute http or https URL without user info, blanks and control
 * bytes; ERR_INPUT "field callback: …" otherwise. Which addresses may be called is the courier's
 * to decide, at the time of the call. */
enum err callback_check(struct ctx *cx, struct str url);
