#pragma once
#include <jansson.h>

#include "base/ctx.h"
#include "model/settings.h"
#include "model/task.h"

/* What a client says when it queues, out of JSON (ironworker-api.md 5.1). Unknown keys are ignored;
 * what clients send for "unset" (priority -3, timeout 0, cluster null) is taken as unset (rule 20). */

/* One task; texts are views into `j`. A timeout may be as long as it likes: what the
 * project may have is asked of the database (fcgi/timeout.h). The id stays zero.
 * ERR_INPUT and ERR_REQUIRED name the field. */
enum err order_from_json(struct ctx *cx, const struct settings *set, const json_t *j, struct task_order *out);
/* The array "tasks" of a request, all or nothing; ids are given, ascending in the request's order. */
enum err orders_from_json(struct ctx *cx, const struct settings *set, const json_t *body,
                          struct task_order **out, size_t *n);
/* Checks and completes an order that did not come as JSON (the webhook's query). */
enum err order_check(struct ctx *cx, const struct settings *set, struct task_order *order);
