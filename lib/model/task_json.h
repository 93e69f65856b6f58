#pragma once
#include <jansson.h>

#include "model/task.h"

/* A task as IronWorker's clients read it (ironworker-api.md 5.3), with our own detail in the extra
 * keys state, cause, attempt, attempts. Never a key of rule 17 (start_at, end_at, next_start,
 * last_run_time, run_count, run_every): clients would take it for a schedule. A new reference.
 * `payload` is there when the reader asked the store for it (payload.p is not NULL); where it was too
 * long for a list, `payload_size` says how long it is. */
json_t *task_to_json(const struct task *t);
/* The key `msg` of the above: for what did not end well the reason, whatever progress set (section 5.3);
 * else what progress set, or "" (rule 19: clients print any msg as an error). */
struct str task_wire_msg(const struct task *t);
