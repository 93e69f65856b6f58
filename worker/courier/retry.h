#pragma once
#include "base/ctx.h"

/* When a callback is tried again: a growing list of pauses, each plus or minus a fifth. Pure. */
enum { RETRY_TRIES_MOST = 32 };
struct retry_plan {
	int64_t pause_s[RETRY_TRIES_MOST];
	size_t n;
};
/* Reads "5,300,1800"; ERR_INPUT says what is wrong. */
enum err retry_plan_parse(struct ctx *cx, const char *text, struct retry_plan *out);
/* Was it taken? Only 2xx: a redirect that was not followed is no success. */
bool retry_is_success(long status);
/* Seconds until the next try of one that failed as it was tried for the `tries` + 1st time; -1 = given
 * up. `status` 0 = no answer; 410 gives up at once. `asked_s`: its Retry-After (0 = none), obeyed when
 * longer. `random` decides the jitter. */
int64_t retry_next(const struct retry_plan *plan, int64_t tries, long status, int64_t asked_s, uint32_t random);
