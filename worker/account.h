#pragma once
#include <sys/types.h>

#include "base/ctx.h"

/* Who a process is to be: a numeric uid (its gid is the same number, unless the system knows that
 * account) or a name. */
struct account {
	uid_t uid;
	gid_t gid;
};
/* ERR_INPUT if there is no such account. */
enum err account_find(struct ctx *cx, const char *text, struct account *out);
/* Gives up every right of root for good, and with it core dumps and the look of others into this
 * process; ERR_INTERNAL if a way back is left. */
enum err account_become(struct ctx *cx, const struct account *who);
