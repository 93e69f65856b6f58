#pragma once
#include "base/clock.h"
#include "base/id.h"
#include "model/task_state.h"

/* One job. Texts are views into the arena of the ctx that read it. Times are microseconds since
 * 1970 by the database's clock, TIME_NONE = has not come. */
struct task {
	struct id id, project_id, code_id;
	int64_t revision;
	struct id revision_id; /* zero = unknown */
	int64_t lane_id, cluster_id; /* small internal numbers; they never leave the database */
	struct str code_name, cluster_name;
	enum task_state state;
	int64_t attempt;  /* number of the newest attempt, 0 before the first claim */
	int64_t changes;  /* = number of the last event */
	int64_t priority; /* 0 to 2; a higher one is a head start (model/rank) */
	int64_t timeout_s, delay_s;
	int64_t created_at, due_at, started_at, ended_at, updated_at;
	int64_t expires_at; /* not above 0 = never */
	int64_t exit_code;  /* -1 = none */
	struct str cause;   /* "" or one of model/cause */
	struct str note;    /* the cause as a sentence for people, or "" */
	struct str label;   /* "" if none */
	struct str msg;     /* set by progress; of a failed task what it printed last; "" if none */
	int64_t percent;
	struct str callback; /* URL or "" */
	unsigned notify;     /* what that is told of: bits 1 << callback_kind, and CALLBACK_NOTIFY_… */
	struct id schedule_id, original_task_id, retry_task_id; /* zero = none */
	int64_t retry;       /* 0 = the first task of its chain */
	struct str traceparent; /* W3C trace context of the request that queued it, or "" */
	bool cancel_asked;   /* running, and somebody asked for its end */
	struct str payload;  /* only where the reader asked for it; lists leave out some of those over 64 KiB */
	int64_t payload_bytes; /* of the whole one, also where it was left out; 0 = none, or not asked for */
};

/* What a client may say when it queues. */
struct task_order {
	struct id id;            /* made by the API before the INSERT */
	struct str code_name, cluster_name; /* cluster "" = the code's, else "default" */
	struct str payload;
	int64_t priority;        /* out of 0..2 = unset: the code's default */
	int64_t timeout_s;       /* 0 = the code's, else 3600 */
	int64_t delay_s;
	int64_t expires_in_s;    /* dropped if nothing has started it so many seconds after it was queued; 0 = never */
	struct str label;
	struct str callback;     /* "" = the code's */
	unsigned notify;         /* as in struct task; no kind = every end */
	struct str traceparent;  /* "" if none */
	struct id schedule_id;   /* of the schedule that queues it, or zero */
	bool has_retries, has_retries_delay; /* of its own; else the code's */
	int64_t retries, retries_delay_s;
};

enum { TASK_PRIORITY_UNSET = -1, TASK_TIMEOUT_DEFAULT_S = 3600, TASK_LABEL_BYTES = 255 };
/* 7,900 years: from any now of this century still a time that DATETIME knows. A longer delay is this one. */
#define TASK_DELAY_MOST_S (INT64_C(7900) * 31556952)
