#include "model/task_json.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"

struct str task_wire_msg(const struct task *t)
{
	switch (t->state) {
	case TASK_TIMEOUT:
		return STR_LIT("Job timed out.");
	case TASK_CANCELLED:
		return STR_LIT("Cancelled via API.");
	case TASK_EXPIRED:
		return STR_LIT("Expired before it could start.");
	case TASK_ERROR:
	case TASK_KILLED:
		return t->msg.n ? t->msg : t->note;
	default:
		return t->msg;
	}
}

static json_t *id_json(const struct id *id)
{
	struct id_text text = id_format(id);

	return json_string(text.s);
}

static void set_id(json_t *j, const char *key, const struct id *id)
{
	if (!id_is_zero(id))
		json_object_set_new(j, key, id_json(id));
}

static void set_int(json_t *j, const char *key, int64_t i)
{
	json_object_set_new(j, key, json_integer(i));
}

static void set_text(json_t *j, const char *key, struct str s)
{
	json_object_set_new(j, key, json_text(s));
}

static void set_time(json_t *j, const char *key, int64_t us)
{
	json_object_set_new(j, key, json_time(us));
}

/* Whole milliseconds of run time; 0 until it ended, and for what never started. */
static int64_t duration_ms(const struct task *t)
{
	if (t->started_at == TIME_NONE || t->ended_at == TIME_NONE || t->ended_at < t->started_at)
		return 0;
	return (t->ended_at - t->started_at) / 1000;
}

static void set_code(json_t *j, const struct task *t)
{
	char rev[24];

	snprintf(rev, sizeof rev, "%" PRId64, t->revision);
	json_object_set_new(j, "code_id", id_json(&t->code_id));
	set_text(j, "code_name", t->code_name);
	json_object_set_new(j, "code_rev", json_string(rev)); /* a text: rule 16 */
	set_id(j, "code_history_id", &t->revision_id);
}

static void set_times(json_t *j, const struct task *t)
{
	set_time(j, "created_at", t->created_at);
	set_time(j, "updated_at", t->updated_at);
	set_time(j, "start_time", t->started_at);
	set_time(j, "end_time", t->ended_at);
	set_int(j, "duration", duration_ms(t));
	if (t->started_at != TIME_NONE)
		set_int(j, "time_in_queue", t->started_at > t->created_at ? (t->started_at - t->created_at) / 1000000 : 0);
}

static void set_options(json_t *j, const struct task *t)
{
	set_int(j, "timeout", t->timeout_s > 0 ? t->timeout_s : TASK_TIMEOUT_DEFAULT_S);
	set_int(j, "delay", t->delay_s);
	set_int(j, "priority", t->priority);
	set_int(j, "percent", t->percent);
	set_text(j, "label", t->label);
	set_text(j, "cluster", t->cluster_name);
	if (t->payload.p)
		set_text(j, "payload", t->payload);
	else if (t->payload_bytes)
		set_int(j, "payload_size", t->payload_bytes);
	if (t->callback.n)
		set_text(j, "callback", t->callback);
}

static void set_chain(json_t *j, const struct task *t)
{
	set_id(j, "schedule_id", &t->schedule_id);
	set_id(j, "original_task_id", &t->original_task_id);
	set_id(j, "retry_task_id", &t->retry_task_id);
	if (t->retry > 0) {
		char count[24];

		snprintf(count, sizeof count, "%" PRId64, t->retry);
		set_int(j, "retry", t->retry);
		json_object_set_new(j, "retry_count", json_string(count)); /* a text, as the docs have it */
	}
}

static void set_end(json_t *j, const struct task *t)
{
	struct str msg = task_wire_msg(t);
	char class[40];

	if (msg.n)
		set_text(j, "msg", msg);
	if (t->exit_code >= 0 && task_state_is_settled(t->state))
		set_int(j, "exit_code", t->exit_code);
	if (t->state == TASK_ERROR && t->exit_code > 0) {
		snprintf(class, sizeof class, "Process Exit %" PRId64, t->exit_code);
		json_object_set_new(j, "error_class", json_string(class));
	}
}

/* What IronWorker has no word for. */
static void set_own(json_t *j, const struct task *t)
{
	json_object_set_new(j, "state", json_string(task_state_name(t->state)));
	set_text(j, "cause", t->cause);
	set_text(j, "note", t->note);
	if (t->expires_at > 0)
		set_time(j, "expires_at", t->expires_at);
	set_int(j, "attempt", t->attempt);
	set_int(j, "attempts", t->attempt); /* numbers are given without gaps */
	if (t->traceparent.n)
		set_text(j, "traceparent", t->traceparent);
	if (t->cancel_asked)
		json_object_set_new(j, "cancel_asked", json_true());
}

json_t *task_to_json(const struct task *t)
{
	json_t *j = json_object();

	json_object_set_new(j, "id", id_json(&t->id));
	json_object_set_new(j, "project_id", id_json(&t->project_id));
	set_code(j, t);
	json_object_set_new(j, "status", json_string(task_state_wire(t->state)));
	set_times(j, t);
	set_options(j, t);
	set_int(j, "run_times", t->started_at != TIME_NONE ? 1 : 0);
	set_chain(j, t);
	set_end(j, t);
	set_own(j, t);
	return j;
}
