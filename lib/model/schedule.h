#pragma once
#include "base/clock.h"
#include "base/id.h"

/* Queues a task of one code at its times (ironworker-api.md 6). Texts are views into the arena of the
 * ctx that read it. Times are microseconds since 1970, TIME_NONE = none. */
enum schedule_state { SCHEDULE_SCHEDULED, SCHEDULE_COMPLETE, SCHEDULE_CANCELLED };
const char *schedule_state_name(enum schedule_state s);
bool schedule_state_parse(struct str text, enum schedule_state *out);

struct schedule {
	struct id id, project_id, code_id;
	struct str code_name;
	enum schedule_state state;
	int64_t created_at, updated_at;
	int64_t start_at, end_at;     /* nothing is queued after the end */
	int64_t next_at, last_at;     /* next_at: after the last run it keeps that run's time */
	int64_t run_every_s;          /* 0 = once */
	int64_t run_times, run_count; /* run_times 0 = no limit */
	int64_t priority, timeout_s, task_delay_s; /* of its tasks; priority -1, timeout 0 = the code's */
	struct str cluster_name, label, payload, msg;
	int64_t payload_bytes; /* of the whole one, where a list left it out */
};

/* What a client says when it makes or changes one; what it does not say stays, or is the default. */
struct schedule_order {
	struct id id;       /* made by the API before the INSERT */
	struct str code_name, cluster_name, label, payload;
	bool has_code_name, has_cluster, has_label, has_payload, has_start_at, has_end_at, has_run_every, has_run_times,
		has_priority, has_timeout, has_task_delay;
	int64_t start_at, end_at;
	int64_t delay_s;    /* without start_at: the first run is so long from now */
	int64_t run_every_s, run_times, priority, timeout_s, task_delay_s;
};
