#include "store/fire_store.h"

#include "store/fire_write.h"
#include "store/task_store.h"
#include "store/txn.h"

/* --- what is due ------------------------------------------------------------------------------- */

#define DUE(from)                                                                                              \
	"SELECT " SCHEDULE_COLUMNS("''", "EXISTS (SELECT 1 FROM code c WHERE c.id = s.code_id AND c.paused_at IS NOT NULL)", \
	                           "IF(OCTET_LENGTH(s.payload) <= 4096 OR s.payload_times, s.payload, NULL)")           \
	" FROM schedule s FORCE INDEX (due) WHERE s.state = 'scheduled' AND " from                             \
	" ORDER BY s.next_at LIMIT ? FOR UPDATE SKIP LOCKED"
const struct sql FIRE_LOCK_ON_TIME = {
	DUE("s.next_at > NOW(6) - INTERVAL ? SECOND AND s.next_at <= NOW(6)"), "ii" };
const struct sql FIRE_LOCK_LATE = { DUE("s.next_at <= NOW(6) - INTERVAL ? SECOND"), "ii" };

struct due {
	const char *folder;
	enum fire_pass pass;
	struct fired *out;
};

static enum err due_work(struct db *db, struct ctx *cx, void *arg)
{
	const struct due *d = arg;
	size_t most = d->pass == FIRE_ON_TIME ? FIRE_ROWS_MOST : FIRE_LATE_SCHEDULES;
	struct timetables timetables = { .folder = d->folder };
	struct fire_job *jobs;
	struct rows r;
	int64_t now;

	*d->out = (struct fired){ 0 };
	TRY(db_query(db, cx, d->pass == FIRE_ON_TIME ? &FIRE_LOCK_ON_TIME : &FIRE_LOCK_LATE, VALS(v_i(FIRE_LATE_S), v_i((int64_t)most)), &r));
	if (!r.n)
		return OK;
	TRY(schedule_now(db, cx, &now));
	jobs = arena_array(&cx->arena, r.n, sizeof *jobs);
	for (size_t i = 0; i < r.n; i++) {
		jobs[i].schedule = schedule_from_row(row(&r, i));
		if (jobs[i].schedule.is_held)
			jobs[i].put_off = FIRE_HELD;
		else
			TRY(fire_job_decide(db, cx, &timetables, &jobs[i], now,
			                    d->pass == FIRE_ON_TIME ? 1 : FIRE_ROWS_MOST / r.n));
		d->out->rows += jobs[i].n;
	}
	d->out->schedules = r.n;
	d->out->more = r.n == most;
	return fire_jobs_write(db, cx, jobs, r.n, now, &d->out->tasks);
}

enum err fire_store_due(struct db *db, struct ctx *cx, const char *zones, enum fire_pass pass, struct fired *out)
{
	static const struct txn FIRING = { "fire", due_work, NULL }; /* what was committed is not due any more */
	struct due d = { zones, pass, out };

	return txn_run(db, cx, &FIRING, &d);
}

const struct sql FIRE_NEXT = {
	"SELECT TIMESTAMPDIFF(MICROSECOND, NOW(6), MIN(next_at)) FROM schedule FORCE INDEX (due) WHERE state = 'scheduled'", "" };

enum err fire_store_wait(struct db *db, struct ctx *cx, int64_t *wait_us)
{
	struct rows r;

	TRY(db_query(db, cx, &FIRE_NEXT, NULL, 0, &r));
	*wait_us = INT64_MAX;
	if (row(&r, 0)[0].type != VAL_NULL)
		*wait_us = val_int(&row(&r, 0)[0]) > 0 ? val_int(&row(&r, 0)[0]) : 0;
	return OK;
}
