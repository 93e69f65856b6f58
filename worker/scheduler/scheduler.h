#pragma once
#include "base/ctx.h"
#include "model/settings.h"

/* The role scheduler: each round (scheduler.poll_ms) it writes the service beat, takes back the tasks
 * of dead nodes, promotes delayed tasks that are due, once an hour makes and drops log
 * partitions, and every ten minutes sweeps zip packages that nothing names. Any number may run: none is a
 * leader. One thread, which waits for the database, and one that fires schedules (firing.h). */
enum err scheduler_play(struct ctx *cx, const struct settings *set, int launcher);
