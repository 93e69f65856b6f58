#pragma once
#include <jansson.h>

#include "model/task.h"

/* One change of a task, as the stream of its project tells it. */
struct event {
	int64_t place;           /* in the stream: rises, with gaps */
	struct id project_id, task_id;
	int64_t number, attempt; /* the task's n-th change, from 1 */
	enum task_state state;
	int64_t at;
	struct str code_name, label, cause, note; /* "" if none */
};

/* As CloudEvents 1.0 in JSON. id = "TASK-NUMBER", the same whenever it is told; the extension `sequence`
 * is the place, with leading zeros. A new reference. */
json_t *event_to_json(const struct event *e);
