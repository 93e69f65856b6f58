#pragma once
#include "base/ctx.h"
#include "model/settings.h"

/* The role runner: claims tasks, has them launched, follows their output, settles them. One epoll
 * loop that never waits for MariaDB; store threads and the lease's threads do (store_thread.h,
 * lease.h). Signals: worker/main.c. */
enum err runner_play(struct ctx *cx, const struct settings *set, int launcher);
