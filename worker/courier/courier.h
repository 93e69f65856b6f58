#pragma once
#include "base/ctx.h"
#include "model/settings.h"

/* The role courier: takes callbacks that are due from the outbox and POSTs them,
 *   {"type": "task.<state>", "time": …, "task": {…}}
 * with the headers webhook-id (the same for every try), webhook-timestamp and User-Agent; many at
 * once, each tried again by the plan courier.retry_s until a 2xx, a 410 or the plan's end. At least
 * once: a courier that dies after the answer and before it is stored leaves the row to the next. */
enum err courier_play(struct ctx *cx, const struct settings *set, int launcher);
