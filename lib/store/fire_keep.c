#include "store/fire_store.h"

#include "store/fire_write.h"
#include "store/task_store.h"
#include "store/txn.h"

/* What is kept up beside firing: fires that wait, zones whose file was exchanged, old rows. */

/* --- fires that wait --------------------------------------------------------------------------- */

static const struct sql ANY_WAIT = {
	"SELECT EXISTS (SELECT 1 FROM schedule FORCE INDEX (waiting) WHERE waiting > 0)", "" };
static const struct sql ENDED = {
	"SELECT s.id FROM schedule s FORCE INDEX (waiting) LEFT JOIN task t ON t.id = s.last_task_id"
	" WHERE s.waiting > 0 AND (t.id IS NULL OR t.ended_at IS NOT NULL) LIMIT ?", "i" };
static const struct sql REPLACED = {
	"SELECT s.project_id, s.last_task_id FROM schedule s FORCE INDEX (waiting) JOIN task t ON t.id = s.last_task_id"
	" LEFT JOIN running r ON r.node_id = t.node_id AND r.task_id = t.id"
	" WHERE s.waiting > 0 AND s.overlap = 'replace' AND t.ended_at IS NULL AND r.stop IS NULL LIMIT ?", "i" };
static const struct sql LOCK = {
	"SELECT " SCHEDULE_COLUMNS("''", "0", "IF(OCTET_LENGTH(s.payload) <= 4096 OR s.payload_times, s.payload, NULL)")
	" FROM schedule s WHERE s.id = ? AND s.waiting > 0 FOR UPDATE SKIP LOCKED", "s" };
static const struct sql OLDEST = {
	"SELECT nominal, due FROM fire WHERE schedule_id = ? AND nominal >= ? AND outcome = 'waiting' ORDER BY nominal LIMIT 1",
	"st" };
static const struct sql BEGUN = {
	"UPDATE schedule SET waiting = waiting - ?, waiting_from = ?, run_count = run_count + ?, last_at = NOW(6), last_task_id = ?"
	" WHERE id = ?", "itiss" };

struct releasing {
	const char *zones;
	struct id id;
	size_t tasks;
};

/* The oldest of them; what it followed is over. */
static enum err begin_oldest(struct db *db, struct ctx *cx, struct releasing *a, struct fire_job *job)
{
	struct schedule *s = &job->schedule;
	struct fire *f = arena_take(&cx->arena, sizeof *f);
	struct rows r;

	*f = (struct fire){ .schedule_id = s->id, .outcome = FIRE_FIRED, .note = "waited for the end of the run before" };
	TRY(db_query(db, cx, &OLDEST, VALS(v_id(&s->id), v_t(s->waiting_from == TIME_NONE ? 0 : s->waiting_from)), &r));
	if (!r.n) /* deleted with old rows */
		return db_exec(db, cx, &BEGUN, VALS(v_i(s->waiting), v_null(), v_i(0), v_id_or_null(&s->last_task_id), v_id(&s->id)));
	f->nominal = val_time(&row(&r, 0)[0]);
	f->due = val_time(&row(&r, 0)[1]);
	TRY(schedule_now(db, cx, &f->at));
	job->fires = f;
	job->n = 1;
	job->keeps_place = true;
	TRY(fire_jobs_write(db, cx, job, 1, f->at, &a->tasks));
	return db_exec(db, cx, &BEGUN, VALS(v_i(1), s->waiting > 1 ? v_t(f->nominal + 1) : v_null(), v_i(job->runs),
	                                    v_id_or_null(id_is_zero(&job->last_task_id) ? &s->last_task_id : &job->last_task_id),
	                                    v_id(&s->id)));
}

static enum err release_work(struct db *db, struct ctx *cx, void *arg)
{
	struct releasing *a = arg;
	struct timetables ts = { .folder = a->zones };
	struct fire_job job = { 0 };
	struct id last;
	bool is_running;
	struct rows r;

	a->tasks = 0;
	TRY(db_query(db, cx, &LOCK, VALS(v_id(&a->id)), &r));
	if (!r.n)
		return OK; /* another scheduler has it, or it was cancelled */
	job.schedule = schedule_from_row(row(&r, 0));
	TRY(timetables_make(&ts, db, cx, &job.schedule, &job.timetable));
	TRY(fire_is_running(db, cx, &job.schedule, &is_running, &last));
	if (is_running) /* a retry of it: what is asked for from now on */
		return db_exec(db, cx, &BEGUN, VALS(v_i(0), v_t(job.schedule.waiting_from), v_i(0), v_id(&last), v_id(&a->id)));
	job.schedule.last_task_id = last;
	return begin_oldest(db, cx, a, &job);
}

static enum err end_replaced(struct db *db, struct ctx *cx)
{
	enum task_state state;
	struct str doorbell;
	struct rows r;

	TRY(db_query(db, cx, &REPLACED, VALS(v_i(FIRE_ROWS_MOST)), &r));
	for (size_t i = 0; i < r.n; i++) {
		struct id project = val_id(&row(&r, i)[0]), task = val_id(&row(&r, i)[1]);

		TRY(task_store_cancel(db, cx, &project, &task, STR_LIT("its schedule: the next run takes its place"), &state, &doorbell));
	}
	return OK;
}

enum err fire_store_release(struct db *db, struct ctx *cx, const char *zones, size_t *n)
{
	static const struct txn RELEASING = { "release", release_work, NULL }; /* what began does not wait any more */
	struct rows r;

	*n = 0;
	TRY(db_query(db, cx, &ANY_WAIT, NULL, 0, &r));
	if (!val_int(&row(&r, 0)[0]))
		return OK;
	TRY(end_replaced(db, cx));
	TRY(db_query(db, cx, &ENDED, VALS(v_i(FIRE_ROWS_MOST)), &r));
	for (size_t i = 0; i < r.n; i++) {
		struct releasing a = { .zones = zones, .id = val_id(&row(&r, i)[0]) };

		TRY(txn_run(db, cx, &RELEASING, &a));
		*n += a.tasks;
	}
	return OK;
}

/* --- zones ------------------------------------------------------------------------------------- */

static const struct sql EDITIONS = {
	"SELECT DISTINCT time_zone, zone_digest FROM schedule FORCE INDEX (zone)"
	" WHERE state = 'scheduled' AND time_zone > ''", "" };
static const struct sql LOCK_OLD = {
	"SELECT " SCHEDULE_COLUMNS("''", "0", "NULL") " FROM schedule s FORCE INDEX (zone)"
	" WHERE s.state = 'scheduled' AND s.time_zone = ? AND s.zone_digest = ? LIMIT ? FOR UPDATE SKIP LOCKED", "ssi" };
static const struct sql REZONE = { "UPDATE schedule SET next_at = ?, zone_digest = ? WHERE id = ?", "tss" };

struct rezoning {
	const char *zones;
	struct str zone, digest;
	size_t moved;
};

static enum err rezone_one(struct db *db, struct ctx *cx, struct timetables *ts, const struct schedule *s)
{
	struct timetable t;
	struct nominal next;
	enum err e = timetables_make(ts, db, cx, s, &t);

	if (e == ERR_INPUT)
		return OK; /* firing says so */
	TRY(e);
	if (!timetable_next(&t, s->accounted_to == TIME_NONE ? timetable_begin(&t, s->created_at) : s->accounted_to, &next))
		next.due = s->next_at;
	return db_exec(db, cx, &REZONE, VALS(v_t(next.due), v_s(str_bytes(zone_digest(t.zone), ZONE_DIGEST_BYTES)), v_id(&s->id)));
}

static enum err rezone_work(struct db *db, struct ctx *cx, void *arg)
{
	struct rezoning *a = arg;
	struct timetables ts = { .folder = a->zones };
	struct rows r;

	TRY(db_query(db, cx, &LOCK_OLD, VALS(v_s(a->zone), v_s(a->digest), v_i(FIRE_ROWS_MOST)), &r));
	a->moved = r.n;
	for (size_t i = 0; i < r.n; i++) {
		struct schedule s = schedule_from_row(row(&r, i));

		TRY(rezone_one(db, cx, &ts, &s));
	}
	return OK;
}

enum err fire_store_rezone(struct db *db, struct ctx *cx, const char *zones, size_t *moved)
{
	static const struct txn REZONING = { "rezone", rezone_work, NULL }; /* harmless to repeat */
	struct timetables ts = { .folder = zones };
	struct rows r;

	*moved = 0;
	TRY(db_query(db, cx, &EDITIONS, NULL, 0, &r));
	for (size_t i = 0; i < r.n && *moved < FIRE_ROWS_MOST; i++) {
		struct rezoning a = { zones, val_str(&row(&r, i)[0]), val_str(&row(&r, i)[1]), 0 };
		const struct zone *z;

		if (timetables_zone(&ts, cx, a.zone, &z) || !a.digest.n ||
		    str_equal(str_bytes(zone_digest(z), ZONE_DIGEST_BYTES), a.digest))
			continue;
		TRY(txn_run(db, cx, &REZONING, &a));
		*moved += a.moved;
	}
	return OK;
}

/* --- old rows ---------------------------------------------------------------------------------- */

enum { FORGET_MOST = 1000 };
static const struct sql FORGET = {
	"DELETE FROM fire WHERE at < NOW(6) - INTERVAL ? DAY AND outcome <> 'waiting' ORDER BY at LIMIT ?", "ii" };

enum err fire_store_forget(struct db *db, struct ctx *cx, int64_t days, bool *more)
{
	TRY(db_exec(db, cx, &FORGET, VALS(v_i(days), v_i(FORGET_MOST))));
	*more = db_changed(db) == FORGET_MOST;
	return OK;
}
