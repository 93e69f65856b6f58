#pragma once
#include "model/timetable.h"

/* The ledger: what became of each nominal time of a schedule, exactly one thing. */
enum fire_outcome {
	FIRE_FIRED,      /* its task was queued in time */
	FIRE_CAUGHT_UP,  /* queued late, by the misfire rule */
	FIRE_MISSED,     /* nobody was there in time, and the rule says no */
	FIRE_OVERLAP,    /* the run before was not over */
	FIRE_DST,        /* a local time that does not exist */
	FIRE_EXCLUDED,   /* its date */
	FIRE_PAUSED,
	FIRE_REFUSED,    /* its task could not be queued */
	FIRE_WAITING,    /* for the end of the run before; becomes one of the others */
	FIRE_RUN_NOW,    /* somebody asked; no time of the timetable */
	FIRE_BACKFILLED, /* somebody asked for a time that was past */
	FIRE_OUTCOMES
};
const char *fire_outcome_name(enum fire_outcome o);
bool fire_outcome_parse(struct str text, enum fire_outcome *out);
/* "the run before was not over": for people. */
const char *fire_outcome_words(enum fire_outcome o);

/* A row of it. */
struct fire {
	struct id schedule_id;
	int64_t nominal, due; /* microseconds since 1970 */
	enum fire_outcome outcome;
	const char *note;     /* what there is to add (by whom, why), at most 255 bytes; "" = nothing */
	struct id task_id;    /* zero = none */
	int64_t at;           /* when it was decided */
	struct str task_state; /* "" = no task; where the reader asked for it */
	int64_t ran_us;       /* of the task; -1 = not yet */
};

/* Said of a schedule whose code is paused: nothing of it is decided until the code goes on, or this many seconds
 * are over and it is looked at again. */
#define FIRE_HELD "its code is paused: it waits until the code is resumed"
enum { FIRE_AGAIN_S = 60 };

struct pause {
	int64_t from, to; /* [from, to); TIME_NONE = still */
	struct str paused_by, reason, resumed_by, resume_reason;
};

/* "by ana: db migration", of who paused; in the arena. */
const char *pause_words(struct arena *a, const struct pause *p);

/* What is decided now: due times after `accounted_to`, as far as they are due at `now`. */
struct fire_plan {
	const struct schedule *schedule; /* rules, run_count, waiting */
	const struct timetable *timetable;
	const struct pause *pauses;
	size_t pause_count;
	int64_t accounted_to, now;
	bool is_running; /* the task of the fire before is not over (rules of overlap other than allow) */
};

/* Fills at most `most` rows, oldest first, each with its one outcome; those to be queued say FIRED or
 * CAUGHT_UP. *next = the first time that was not decided, false in *has_next if none follows (or run_times
 * is reached). Notes are in the arena or constant. */
size_t fire_decide(struct arena *a, const struct fire_plan *p, struct fire *out, size_t most, struct nominal *next,
                   bool *has_next);

/* The payload with {{nominal_time}} (RFC 3339, UTC), {{nominal_unix}} (seconds since 1970) and
 * {{schedule_id}} filled in; in the arena. */
struct str fire_payload(struct arena *a, struct str payload, const struct id *schedule, int64_t nominal);
