#include "model/event.h"

#include "base/json.h"

#include <stdio.h>

static void set_text(json_t *j, const char *key, struct str value)
{
	if (value.n)
		json_object_set_new(j, key, json_text(value));
}

static json_t *data_json(const struct event *e)
{
	json_t *j = json_pack("{s:s, s:s, s:s, s:I, s:I}", "task_id", id_format(&e->task_id).s, "state",
	                      task_state_name(e->state), "status", task_state_wire(e->state), "attempt",
	                      (json_int_t)e->attempt, "number", (json_int_t)e->number);

	set_text(j, "code_name", e->code_name);
	set_text(j, "label", e->label);
	set_text(j, "cause", e->cause);
	set_text(j, "note", e->note);
	return j;
}

json_t *event_to_json(const struct event *e)
{
	struct id_text task = id_format(&e->task_id);
	const char *state = e->state == TASK_COMPLETE ? "completed" : task_state_name(e->state);
	char id[48], type[40], source[64], sequence[24];

	snprintf(id, sizeof id, "%s-%lld", task.s, (long long)e->number);
	snprintf(type, sizeof type, "io.stoker.task.%s", state);
	snprintf(source, sizeof source, "/2/projects/%s", id_format(&e->project_id).s);
	snprintf(sequence, sizeof sequence, "%020lld", (long long)e->place);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:o}", "specversion", "1.0", "id", id, "source", source,
	                 "type", type, "subject", task.s, "time", json_time(e->at), "datacontenttype", "application/json",
	                 "sequence", sequence, "data", data_json(e));
}
