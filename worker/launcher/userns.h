#pragma once
#include "base/ctx.h"

/* `count` ids from `inside` on, seen outside from `outside` on. */
struct id_range {
	uint32_t inside, outside, count;
};

/* A user namespace with one range of users and one of groups, as an open file: what an idmapped mount
 * is mapped by. It lives as long as somebody has it open; the caller closes it. */
enum err userns_open(struct ctx *cx, const struct id_range *users, const struct id_range *groups, int *fd);
