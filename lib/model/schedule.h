#pragma once
#include "base/clock.h"
#include "base/id.h"
#include "model/cron.h"

/* Queues a task of one code at its times (ironworker-api.md 6, and what we have besides). Texts are
 * views into the arena of the ctx that read it. Times are microseconds since 1970, TIME_NONE = none. */
enum schedule_state { SCHEDULE_SCHEDULED, SCHEDULE_COMPLETE, SCHEDULE_CANCELLED };
const char *schedule_state_name(enum schedule_state s);
bool schedule_state_parse(struct str text, enum schedule_state *out);

/* What becomes of times that nobody fired in time: the newest of them runs; none; up to a limit, within a
 * window. */
enum misfire { MISFIRE_ONE, MISFIRE_SKIP, MISFIRE_ALL };
/* What becomes of a time while the run before is not over. */
enum overlap { OVERLAP_ALLOW, OVERLAP_SKIP, OVERLAP_QUEUE_ONE, OVERLAP_QUEUE_ALL, OVERLAP_REPLACE };

/* Words of the enums above and in cron.h, in SQL and JSON; ended by NULL. */
extern const char *const MISFIRE_NAMES[], *const OVERLAP_NAMES[], *const DST_GAP_NAMES[], *const DST_REPEAT_NAMES[];
/* The place of a word in such a list; 0, the default, for one that is not in it. */
int64_t schedule_word(const char *const *names, struct str word);

struct schedule {
	struct id id, project_id, code_id;
	struct str code_name;
	enum schedule_state state;
	int64_t created_at, updated_at;
	int64_t start_at, end_at;     /* nothing is queued after the end */
	int64_t next_at, last_at;     /* next_at: after the last run it keeps that run's time */
	int64_t accounted_to;         /* every nominal time up to here is in the ledger; TIME_NONE = none yet */
	int64_t run_every_s;          /* 0 = once */
	int64_t run_times, run_count; /* run_times 0 = no limit */
	struct str cron, time_zone;   /* "" = run_every_s; "" = UTC */
	int64_t dst_gap, dst_repeat;  /* enum dst_… */
	int64_t misfire;              /* enum misfire */
	int64_t misfire_limit, misfire_window_s, misfire_after_s;
	int64_t overlap;              /* enum overlap */
	int64_t jitter_s;
	struct str exclude_dates, exclude_calendars; /* a date, a name a line */
	int64_t priority, timeout_s, task_delay_s; /* of its tasks; priority -1, timeout 0 = the code's */
	int64_t retries, retries_delay_s;          /* -1 = the code's */
	bool payload_times;           /* placeholders in the payload are filled in */
	struct str cluster_name, label, payload, msg;
	int64_t payload_bytes;        /* of the whole one, where a list left it out */
	struct id last_task_id;       /* of the last fire; zero = none */
	int64_t waiting, waiting_from; /* fires that wait for its end, the oldest of them */
	int64_t paused_at, pauses;    /* now; ever */
	struct str paused_by, pause_reason;
	int64_t resumed_at;           /* the end of its last pause; TIME_NONE = it was never resumed, or is paused again */
	struct str resumed_by, resume_reason;
	bool is_held;                 /* its code is paused: it waits; where the reader asked for it */
};

/* What a client says when it makes or changes one: the value, and which of its fields were sent; the
 * others stay, or are the default. */
struct schedule_order {
	struct schedule value; /* its id: made by the API before the INSERT */
	uint64_t sent;         /* bits of enum schedule_field */
	int64_t delay_us;      /* without start_at: the first run is so long from now */
	const char *unowed;    /* set when it is saved: which times since a start in the past are not owed; "" = none */
	const char *ignored;   /* a key that nobody knows and that was passed over; NULL = none */
};

/* Fields that a client may send; the table in schedule_json.c says how each is read and shown. */
enum schedule_field {
	FIELD_CODE_NAME, FIELD_CLUSTER, FIELD_LABEL, FIELD_PAYLOAD, FIELD_START_AT, FIELD_END_AT, FIELD_RUN_EVERY,
	FIELD_RUN_TIMES, FIELD_PRIORITY, FIELD_TIMEOUT, FIELD_TASK_DELAY, FIELD_CRON, FIELD_TIME_ZONE, FIELD_DST_GAP,
	FIELD_DST_REPEAT, FIELD_MISFIRE, FIELD_MISFIRE_LIMIT, FIELD_MISFIRE_WINDOW, FIELD_MISFIRE_AFTER, FIELD_OVERLAP,
	FIELD_JITTER, FIELD_EXCLUDE_DATES, FIELD_EXCLUDE_CALENDARS, FIELD_RETRIES, FIELD_RETRIES_DELAY,
	FIELD_PAYLOAD_TIMES, SCHEDULE_FIELDS
};
static inline bool schedule_is_sent(const struct schedule_order *o, enum schedule_field f)
{
	return o->sent >> f & 1;
}
/* How many runs are still to come by run_times; those that wait are counted. */
static inline int64_t schedule_runs_left(const struct schedule *s)
{
	return s->run_times ? s->run_times - s->run_count - s->waiting : INT64_MAX;
}
/* Does nothing run for now: is it paused, or its code? */
static inline bool schedule_is_stopped(const struct schedule *s)
{
	return s->paused_at != TIME_NONE || s->is_held;
}
/* For people: its state, or "paused" and "code paused" of one that would go on. */
const char *schedule_state_words(const struct schedule *s);
/* Does the order change when it runs? */
static inline bool schedule_is_retimed(const struct schedule_order *o)
{
	return schedule_is_sent(o, FIELD_START_AT) || schedule_is_sent(o, FIELD_RUN_EVERY) || schedule_is_sent(o, FIELD_CRON) ||
	       schedule_is_sent(o, FIELD_TIME_ZONE) || schedule_is_sent(o, FIELD_DST_GAP) || schedule_is_sent(o, FIELD_DST_REPEAT);
}
/* Puts what was sent over `s`. A cron expression takes the place of the interval, and the other way round. */
void schedule_apply(const struct schedule_order *o, struct schedule *s);
/* A new one's fields before any order: once, now, of the code's own options. */
struct schedule schedule_default(void);
