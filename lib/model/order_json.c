#include "model/order_json.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "model/callback_json.h"
#include "model/code.h"

static const int64_t EXPIRES_S_MOST = INT64_C(100) * 365 * 86400;

static enum err check_seconds(struct ctx *cx, struct task_order *o)
{
	if (o->timeout_s < 0)
		return err_set(cx, ERR_INPUT, "field timeout: must not be negative");
	if (o->delay_s < 0)
		return err_set(cx, ERR_INPUT, "field delay: must not be negative");
	if (o->delay_s > TASK_DELAY_MOST_S)
		o->delay_s = TASK_DELAY_MOST_S;
	if (o->expires_in_s < 0 || o->expires_in_s > EXPIRES_S_MOST)
		return err_set(cx, ERR_INPUT, "field expires_in: must be 0 (never) to 100 years");
	if (o->expires_in_s && o->expires_in_s <= o->delay_s)
		return err_set(cx, ERR_INPUT, "field expires_in: is over before the delay is");
	return OK;
}

static enum err check_line(struct ctx *cx, const char *field, struct str text)
{
	if (text_has_controls(text))
		return err_set(cx, ERR_INPUT, "field %s: must not have control characters", field);
	return OK;
}

enum err order_check(struct ctx *cx, const struct settings *set, struct task_order *o)
{
	if (!o->code_name.n)
		return err_set(cx, ERR_REQUIRED, "field code_name: is missing");
	if (o->code_name.n > CODE_NAME_BYTES)
		return err_set(cx, ERR_INPUT, "field code_name: is longer than %d bytes", CODE_NAME_BYTES);
	TRY(check_line(cx, "code_name", o->code_name));
	TRY(check_line(cx, "cluster", o->cluster_name));
	TRY(check_line(cx, "label", o->label));
	if (o->payload.n > (size_t)set->limits.payload_bytes)
		return err_set(cx, ERR_TOO_LARGE, "field payload: is longer than %" PRId64 " bytes",
		               set->limits.payload_bytes);
	if (o->label.n > TASK_LABEL_BYTES)
		return err_set(cx, ERR_INPUT, "field label: is longer than %d bytes", TASK_LABEL_BYTES);
	if (o->priority < 0 || o->priority > 2)
		o->priority = TASK_PRIORITY_UNSET;
	TRY(check_seconds(cx, o));
	return callback_check(cx, o->callback);
}

static enum err read_notify(struct ctx *cx, const json_t *j, struct task_order *o)
{
	bool has = false, ordered = false, payload = false;

	TRY(callback_states_from_json(cx, j, "callback_states", &has, &o->notify));
	TRY(json_get_bool(cx, j, "callback_ordered", &ordered));
	TRY(json_get_bool(cx, j, "callback_payload", &payload));
	o->notify |= (unsigned)(ordered * CALLBACK_ORDERED + payload * CALLBACK_WITH_PAYLOAD) << CALLBACK_NOTIFY_SHIFT;
	return OK;
}

enum err order_from_json(struct ctx *cx, const struct settings *set, const json_t *j, struct task_order *out)
{
	struct task_order o = { .priority = TASK_PRIORITY_UNSET };

	if (!json_is_object(j))
		return err_set(cx, ERR_INPUT, "must be an object");
	TRY(json_get_text(cx, j, "code_name", &o.code_name));
	TRY(json_get_text(cx, j, "cluster", &o.cluster_name));
	TRY(json_get_text(cx, j, "payload", &o.payload));
	TRY(json_get_text(cx, j, "label", &o.label));
	TRY(json_get_text(cx, j, "callback", &o.callback));
	TRY(read_notify(cx, j, &o));
	TRY(json_get_int(cx, j, "priority", &o.priority));
	TRY(json_get_amount(cx, j, "timeout", &o.timeout_s));
	TRY(json_get_amount(cx, j, "delay", &o.delay_s));
	TRY(json_get_amount(cx, j, "expires_in", &o.expires_in_s));
	TRY(order_check(cx, set, &o));
	*out = o;
	return OK;
}

static void give_ids(struct ctx *cx, struct task_order *orders, size_t n)
{
	struct id *ids = arena_array(&cx->arena, n, sizeof *ids);

	id_make_many(clock_wall_us(), ids, n);
	for (size_t i = 0; i < n; i++)
		orders[i].id = ids[i];
}

enum err orders_from_json(struct ctx *cx, const struct settings *set, const json_t *body,
                          struct task_order **out, size_t *n)
{
	struct task_order *orders;
	json_t *array = NULL;
	size_t count;

	TRY(json_get_array(cx, body, "tasks", &array));
	count = json_array_size(array);
	if (!count)
		return err_set(cx, ERR_REQUIRED, "field tasks: must be an array of at least one task");
	if (count > (size_t)set->limits.tasks_per_request)
		return err_set(cx, ERR_INPUT, "field tasks: has %zu tasks; at most %" PRId64 " are taken at once",
		               count, set->limits.tasks_per_request);
	orders = arena_array(&cx->arena, count, sizeof *orders);
	for (size_t i = 0; i < count; i++)
		if (order_from_json(cx, set, json_array_get(array, i), &orders[i]))
			return err_wrap(cx, "tasks[%zu]", i);
	give_ids(cx, orders, count);
	*out = orders;
	*n = count;
	return OK;
}
