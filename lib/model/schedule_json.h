#pragma once
#include <jansson.h>

#include "base/ctx.h"
#include "model/schedule.h"
#include "model/settings.h"

/* As IronWorker's clients read it (ironworker-api.md 6.2). A new reference. */
json_t *schedule_to_json(const struct schedule *s);
/* What a client said when it made it, as it would say it again; what is the default is left out. A new reference. */
json_t *schedule_definition_to_json(const struct schedule *s);
/* One schedule, or what a PUT changes of it: nothing is required here. Unknown keys: schedule_keys.h; times
 * before 1970 (the zero time of those who fill in every field), run_times 0, timeout 0 and "" are
 * unset. Texts are views into `j`, or in the arena. `id`: of the schedule, since H follows from it; NULL = it has none
 * yet. ERR_INPUT names the field. */
enum err schedule_order_from_json(struct ctx *cx, const struct settings *set, const json_t *j, const struct id *id,
                                  struct schedule_order *out);
/* The array "schedules" of a request, all or nothing, each with code_name; ids are given, ascending. */
enum err schedule_orders_from_json(struct ctx *cx, const struct settings *set, const json_t *body,
                                   struct schedule_order **out, size_t *n);
