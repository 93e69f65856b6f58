#pragma once
#include "base/ctx.h"

/* A user namespace in which 0 .. 65535 are `base` and up, as an open file: what an idmapped mount is
 * mapped by. It lives as long as somebody has it open; the caller closes it. */
enum err userns_open(struct ctx *cx, uint32_t base, int *fd);
