#include "model/schedule_json.h"

#include <inttypes.h>

#include "base/json.h"
#include "base/text.h"
#include "model/code.h"
#include "model/task.h"

static const char *const STATES[] = { "scheduled", "complete", "cancelled" };
enum { STATE_COUNT = sizeof STATES / sizeof *STATES };
static const int64_t SECONDS_MOST = INT64_C(100) * 365 * 86400;

const char *schedule_state_name(enum schedule_state s)
{
	return STATES[s];
}

bool schedule_state_parse(struct str text, enum schedule_state *out)
{
	for (int i = 0; i < STATE_COUNT; i++)
		if (str_is(text, STATES[i])) {
			*out = (enum schedule_state)i;
			return true;
		}
	return false;
}

/* --- out --------------------------------------------------------------------------------------- */
static void set_id(json_t *j, const char *key, const struct id *id)
{
	struct id_text text = id_format(id);

	json_object_set_new(j, key, json_string(text.s));
}

static void set_int(json_t *j, const char *key, int64_t i)
{
	json_object_set_new(j, key, json_integer(i));
}

/* All of them, always: rule 15. */
static void set_times(json_t *j, const struct schedule *s)
{
	json_object_set_new(j, "created_at", json_time(s->created_at));
	json_object_set_new(j, "updated_at", json_time(s->updated_at));
	json_object_set_new(j, "start_at", json_time(s->start_at));
	json_object_set_new(j, "end_at", json_time(s->end_at));
	json_object_set_new(j, "next_start", json_time(s->next_at));
	json_object_set_new(j, "last_run_time", json_time(s->last_at));
}

json_t *schedule_to_json(const struct schedule *s)
{
	json_t *j = json_object();

	set_id(j, "id", &s->id);
	set_id(j, "project_id", &s->project_id);
	set_id(j, "code_id", &s->code_id);
	json_object_set_new(j, "code_name", json_text(s->code_name));
	json_object_set_new(j, "status", json_string(schedule_state_name(s->state)));
	set_times(j, s);
	set_int(j, "run_every", s->run_every_s);
	set_int(j, "run_times", s->run_times);
	set_int(j, "run_count", s->run_count);
	set_int(j, "priority", s->priority < 0 ? 0 : s->priority);
	set_int(j, "timeout", s->timeout_s > 0 ? s->timeout_s : TASK_TIMEOUT_DEFAULT_S);
	set_int(j, "delay", s->task_delay_s);
	json_object_set_new(j, "cluster", json_text(s->cluster_name.n ? s->cluster_name : STR_LIT("default")));
	json_object_set_new(j, "label", json_text(s->label));
	if (s->payload.p)
		json_object_set_new(j, "payload", json_text(s->payload));
	else
		set_int(j, "payload_size", s->payload_bytes);
	if (s->msg.n)
		json_object_set_new(j, "msg", json_text(s->msg));
	return j;
}

/* --- in ---------------------------------------------------------------------------------------- */
static enum err read_text(struct ctx *cx, const json_t *j, const char *key, size_t most, bool *has, struct str *out)
{
	TRY(json_get_text(cx, j, key, out));
	*has = out->p != NULL;
	if (out->n > most)
		return err_set(cx, out->n > CODE_CONFIG_BYTES ? ERR_TOO_LARGE : ERR_INPUT,
		               "field %s: is longer than %zu bytes", key, most);
	return OK;
}

static enum err read_line(struct ctx *cx, const json_t *j, const char *key, size_t most, bool *has, struct str *out)
{
	TRY(read_text(cx, j, key, most, has, out));
	if (text_has_controls(*out))
		return err_set(cx, ERR_INPUT, "field %s: must not have control characters", key);
	return OK;
}

static enum err read_seconds(struct ctx *cx, const json_t *j, const char *key, bool *has, int64_t *out)
{
	TRY(json_get_amount(cx, j, key, out));
	*has = *out != 0 || json_is_number(json_object_get(j, key));
	if (*out < 0 || *out > SECONDS_MOST)
		return err_set(cx, ERR_INPUT, "field %s: must be 0 to %" PRId64, key, SECONDS_MOST);
	return OK;
}

static enum err read_time(struct ctx *cx, const json_t *j, const char *key, bool *has, int64_t *out)
{
	struct str text = { 0 };

	*has = false;
	TRY(json_get_text(cx, j, key, &text));
	if (!text.n)
		return OK;
	if (!time_parse(text, out))
		return err_set(cx, ERR_INPUT, "field %s: must be a time such as 2031-04-05T06:07:08Z", key);
	*has = *out >= 0;
	if (!*has)
		*out = TIME_NONE;
	return OK;
}

static enum err read_when(struct ctx *cx, const struct settings *set, const json_t *j, struct schedule_order *o)
{
	bool has_delay;

	TRY(read_time(cx, j, "start_at", &o->has_start_at, &o->start_at));
	TRY(read_time(cx, j, "end_at", &o->has_end_at, &o->end_at));
	if (o->has_start_at && o->has_end_at && o->end_at < o->start_at)
		return err_set(cx, ERR_INPUT, "field end_at: is before start_at");
	TRY(read_seconds(cx, j, "delay", &has_delay, &o->delay_s));
	TRY(read_seconds(cx, j, "run_every", &o->has_run_every, &o->run_every_s));
	if (o->run_every_s > 0 && o->run_every_s < set->limits.run_every_min)
		return err_set(cx, ERR_INPUT, "field run_every: must be at least %" PRId64, set->limits.run_every_min);
	return read_seconds(cx, j, "run_times", &o->has_run_times, &o->run_times);
}

static enum err read_task_options(struct ctx *cx, const struct settings *set, const json_t *j, struct schedule_order *o)
{
	TRY(json_get_int(cx, j, "priority", &o->priority));
	o->has_priority = o->priority >= 0 && o->priority <= 2;
	if (!o->has_priority)
		o->priority = TASK_PRIORITY_UNSET;
	TRY(read_seconds(cx, j, "timeout", &o->has_timeout, &o->timeout_s));
	if (o->timeout_s > set->limits.timeout_s)
		o->timeout_s = set->limits.timeout_s;
	return read_seconds(cx, j, "task_delay", &o->has_task_delay, &o->task_delay_s);
}

enum err schedule_order_from_json(struct ctx *cx, const struct settings *set, const json_t *j, struct schedule_order *out)
{
	struct schedule_order o = { .priority = TASK_PRIORITY_UNSET, .start_at = TIME_NONE, .end_at = TIME_NONE };

	if (!json_is_object(j))
		return err_set(cx, ERR_INPUT, "must be an object");
	TRY(read_line(cx, j, "code_name", CODE_NAME_BYTES, &o.has_code_name, &o.code_name));
	o.has_code_name = o.code_name.n > 0;
	TRY(read_line(cx, j, "cluster", 255, &o.has_cluster, &o.cluster_name));
	TRY(read_line(cx, j, "label", TASK_LABEL_BYTES, &o.has_label, &o.label));
	TRY(read_text(cx, j, "payload", (size_t)set->limits.payload_bytes, &o.has_payload, &o.payload));
	TRY(read_when(cx, set, j, &o));
	TRY(read_task_options(cx, set, j, &o));
	*out = o;
	return OK;
}

enum err schedule_orders_from_json(struct ctx *cx, const struct settings *set, const json_t *body,
                                   struct schedule_order **out, size_t *n)
{
	json_t *array = NULL;
	size_t count;
	struct id *ids;

	TRY(json_get_array(cx, body, "schedules", &array));
	count = json_array_size(array);
	if (!count)
		return err_set(cx, ERR_REQUIRED, "field schedules: must be an array of at least one schedule");
	if (count > (size_t)set->limits.tasks_per_request)
		return err_set(cx, ERR_INPUT, "field schedules: has %zu; at most %" PRId64 " are taken at once", count,
		               set->limits.tasks_per_request);
	*out = arena_array(&cx->arena, count, sizeof **out);
	ids = arena_array(&cx->arena, count, sizeof *ids);
	id_make_many(clock_wall_us(), ids, count);
	for (size_t i = 0; i < count; i++) {
		if (schedule_order_from_json(cx, set, json_array_get(array, i), &(*out)[i]))
			return err_wrap(cx, "schedules[%zu]", i);
		if (!(*out)[i].has_code_name)
			return err_set(cx, ERR_REQUIRED, "schedules[%zu]: field code_name: is missing", i);
		(*out)[i].id = ids[i];
	}
	*n = count;
	return OK;
}
