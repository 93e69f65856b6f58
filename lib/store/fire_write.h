#pragma once
#include "store/schedule_row.h"

/* Inside lib/store: what was decided of one schedule, and its way into the tables: ledger, tasks, the
 * schedule itself. Always inside the transaction that has its row locked. */
struct fire_job {
	struct schedule schedule;  /* payload only up to FIRE_PAYLOAD_INLINE bytes, unless is_whole */
	struct timetable timetable;
	bool is_whole;             /* the payload is there, whatever its size */
	struct fire *fires;
	size_t n;
	struct nominal next;
	bool has_next;
	int64_t accounted_to;      /* after these fires */
	const char *put_off;       /* why nothing is decided now: its zone is gone, its code is paused; NULL = it is */
	bool keeps_place;          /* the schedule's row stays: by hand, or the end of a wait (all jobs of a call alike) */
	/* filled by fire_jobs_write */
	int64_t runs;
	struct id last_task_id;
};

enum { FIRE_PAYLOAD_INLINE = 4096 };

/* Decides what is due of job->schedule (its row is locked): at most `most` rows; moves accounted_to and next.
 * What cannot be decided is said in `put_off`. */
enum err fire_job_decide(struct db *db, struct ctx *cx, struct timetables *t, struct fire_job *job, int64_t now, size_t most);
/* Follows the chain of retries of the last fire: is one of it not over? *last = its newest task. */
enum err fire_is_running(struct db *db, struct ctx *cx, const struct schedule *s, bool *yes, struct id *last);
/* Writes all of them. A fire that says FIRED, CAUGHT_UP, RUN_NOW or BACKFILLED gets its task, or becomes
 * REFUSED with the reason. *tasks = how many were queued. */
enum err fire_jobs_write(struct db *db, struct ctx *cx, struct fire_job *jobs, size_t n, int64_t now, size_t *tasks);
