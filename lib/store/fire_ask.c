#include "store/fire_store.h"

#include "store/fire_write.h"
#include "store/txn.h"

/* What people ask of a schedule: run now, backfill, its ledger. */

static const struct sql LOCK = {
	"SELECT " SCHEDULE_COLUMNS("''", "0", "s.payload") " FROM schedule s WHERE s.id = ? AND s.project_id = ? FOR UPDATE", "ss" };

static enum err lock(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, struct fire_job *out)
{
	struct rows r;

	TRY(db_query(db, cx, &LOCK, VALS(v_id(id), v_id(project)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no such schedule in this project");
	*out = (struct fire_job){ .schedule = schedule_from_row(row(&r, 0)), .is_whole = true, .keeps_place = true };
	if (out->schedule.state == SCHEDULE_CANCELLED)
		return err_set(cx, ERR_CONFLICT, "the schedule is cancelled: it queues nothing more, by hand neither");
	return OK;
}

static enum err refuse(struct ctx *cx, const struct fire_job *job)
{
	for (size_t i = 0; i < job->n; i++)
		if (job->fires[i].outcome == FIRE_REFUSED)
			return err_set(cx, ERR_CONFLICT, "the task could not be queued: %s", job->fires[i].note);
	return OK;
}

/* --- run now ----------------------------------------------------------------------------------- */

static const struct sql IS_THERE = { "SELECT task_id FROM fire WHERE schedule_id = ? AND nominal = ?", "st" };

struct running_now {
	const char *zones;
	const struct id *project, *id;
	struct str who;
	struct idempotency_guard *guard;
	struct id task;
	int64_t at;
};

static enum err run_work(struct db *db, struct ctx *cx, void *arg)
{
	struct running_now *a = arg;
	struct timetables ts = { .folder = a->zones };
	struct fire_job job;
	struct fire f;
	size_t tasks;

	TRY(lock(db, cx, a->project, a->id, &job));
	TRY(schedule_now(db, cx, &a->at));
	TRY(timetables_make(&ts, db, cx, &job.schedule, &job.timetable));
	f = (struct fire){ .schedule_id = *a->id, .nominal = a->at, .due = a->at, .at = a->at, .outcome = FIRE_RUN_NOW,
		           .note = arena_printf(&cx->arena, "by " STR_FMT, STR_ARG(a->who)) };
	job.fires = &f;
	job.n = 1;
	TRY(fire_jobs_write(db, cx, &job, 1, a->at, &tasks));
	a->task = f.task_id;
	TRY(refuse(cx, &job));
	return idempotency_store_guard(db, cx, a->project, a->guard, &a->task);
}

static enum err run_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	const struct running_now *a = arg;
	struct rows r;

	TRY(db_query(db, cx, &IS_THERE, VALS(v_id(a->id), v_t(a->at)), &r));
	*yes = r.n > 0 && str_equal(val_str(&row(&r, 0)[0]), id_view(&a->task));
	return OK;
}

enum err fire_store_run_now(struct db *db, struct ctx *cx, const char *zones, const struct id *project, const struct id *id,
                            struct str who, struct idempotency_guard *guard, struct id *task)
{
	static const struct txn RUNNING = { "run_schedule", run_work, run_done };
	struct running_now a = { .zones = zones, .project = project, .id = id, .who = who, .guard = guard };

	TRY(txn_run(db, cx, &RUNNING, &a));
	*task = a.task;
	return OK;
}

/* --- backfill ---------------------------------------------------------------------------------- */

static const struct sql TAKEN = {
	"SELECT nominal FROM fire WHERE schedule_id = ? AND nominal BETWEEN ? AND ?"
	" AND (task_id IS NOT NULL OR outcome = 'waiting')", "stt" };

struct backfilling {
	const char *zones;
	const struct id *project, *id;
	struct str who;
	int64_t from, to;
	size_t seen, queued, left_alone;
	int64_t next; /* where the next page begins; TIME_NONE = it is done */
};

/* The same times, but from `from` on: an interval's multiples lie before its start, too. */
static void reach_back(struct timetable *t, int64_t from)
{
	int64_t every = t->run_every_s * 1000000;

	t->end_at = TIME_NONE;
	if (from >= t->start_at)
		return;
	if (t->has_cron)
		t->start_at = from;
	else if (every)
		t->start_at -= ((t->start_at - from) / every + 1) * every;
}

static bool is_taken(const struct rows *taken, int64_t at)
{
	for (size_t i = 0; i < taken->n; i++)
		if (val_time(&row(taken, i)[0]) == at)
			return true;
	return false;
}

/* Up to a page of times into job->fires. */
static enum err collect(struct db *db, struct ctx *cx, struct backfilling *b, struct fire_job *job, int64_t now)
{
	struct nominal n = { .at = b->from - 1 };
	struct rows taken;

	TRY(db_query(db, cx, &TAKEN, VALS(v_id(b->id), v_t(b->from), v_t(b->to)), &taken));
	job->fires = arena_array(&cx->arena, FIRE_ROWS_MOST, sizeof *job->fires);
	b->next = TIME_NONE;
	while (timetable_next(&job->timetable, n.at, &n) && n.at <= b->to) {
		if (b->seen++ == FIRE_BACKFILL_MOST)
			return err_set(cx, ERR_INPUT, "more than %d times lie between from and to", FIRE_BACKFILL_MOST);
		if (n.how.is_skipped || n.is_excluded || is_taken(&taken, n.at) || n.at > job->schedule.accounted_to) {
			b->left_alone++;
			continue;
		}
		if (job->n == FIRE_ROWS_MOST) {
			b->next = n.at;
			b->seen--;
			return OK;
		}
		job->fires[job->n++] = (struct fire){ .schedule_id = *b->id, .nominal = n.at, .due = n.due, .at = now,
			                              .outcome = FIRE_BACKFILLED,
			                              .note = arena_printf(&cx->arena, "by " STR_FMT, STR_ARG(b->who)) };
	}
	return OK;
}

static enum err backfill_work(struct db *db, struct ctx *cx, void *arg)
{
	struct backfilling *b = arg;
	struct backfilling page = *b; /* a second run begins anew */
	struct timetables ts = { .folder = b->zones };
	struct fire_job job;
	int64_t now;
	size_t tasks;

	TRY(lock(db, cx, b->project, b->id, &job));
	TRY(schedule_now(db, cx, &now));
	TRY(timetables_make(&ts, db, cx, &job.schedule, &job.timetable));
	if (page.to > now)
		return err_set(cx, ERR_INPUT, "field to: is in the future");
	reach_back(&job.timetable, b->from);
	TRY(collect(db, cx, &page, &job, now));
	TRY(fire_jobs_write(db, cx, &job, 1, now, &tasks));
	TRY(refuse(cx, &job));
	b->next = page.next; /* the rest is taken over by the caller, once it is committed */
	b->seen = page.seen;
	b->queued = tasks;
	b->left_alone = page.left_alone;
	return OK;
}

enum err fire_store_backfill(struct db *db, struct ctx *cx, const char *zones, const struct id *project,
                             const struct id *id, int64_t from, int64_t to, struct str who, size_t *queued, size_t *left_alone)
{
	static const struct txn BACKFILLING = { "backfill", backfill_work, NULL }; /* what has its task is left alone */
	struct backfilling b = { .zones = zones, .project = project, .id = id, .who = who, .from = from, .to = to };

	if (to < from)
		return err_set(cx, ERR_INPUT, "field to: is before from");
	*queued = *left_alone = 0;
	do {
		b.left_alone = 0;
		TRY(txn_run(db, cx, &BACKFILLING, &b));
		*queued += b.queued;
		*left_alone += b.left_alone;
		b.from = b.next;
	} while (b.next != TIME_NONE);
	return OK;
}

/* --- the ledger -------------------------------------------------------------------------------- */

#define FIRE_COLUMNS                                                      \
	"f.schedule_id, f.nominal, f.due, f.outcome, f.at, f.task_id, f.note, t.state," \
	" TIMESTAMPDIFF(MICROSECOND, t.started_at, t.ended_at)"
static const struct sql LIST = {
	"SELECT " FIRE_COLUMNS " FROM fire f LEFT JOIN task t ON t.id = f.task_id WHERE f.schedule_id = ? AND f.nominal < ?"
	" ORDER BY f.nominal DESC LIMIT ?", "sti" };

static void fires_from(struct ctx *cx, const struct rows *r, struct fire **out, size_t *n)
{
	*out = arena_array(&cx->arena, r->n + 1, sizeof **out);
	*n = r->n;
	for (size_t i = 0; i < r->n; i++) {
		const struct val *v = row(r, i);
		struct fire *f = &(*out)[i];

		*f = (struct fire){ .schedule_id = val_id(&v[0]), .nominal = val_time(&v[1]), .due = val_time(&v[2]),
			            .at = val_time(&v[4]), .task_id = val_id(&v[5]), .note = str_c(&cx->arena, val_str(&v[6])),
			            .task_state = val_str(&v[7]), .ran_us = v[8].type == VAL_NULL ? -1 : val_int(&v[8]) };
		fire_outcome_parse(val_str(&v[3]), &f->outcome);
	}
}

enum err fire_store_list(struct db *db, struct ctx *cx, const struct id *schedule, int64_t before, int64_t most,
                         struct fire **out, size_t *n)
{
	static const int64_t END_OF_TIME = INT64_C(253402300799) * 1000000; /* 9999-12-31 */
	struct rows r;

	TRY(db_query(db, cx, &LIST, VALS(v_id(schedule), v_t(before == TIME_NONE ? END_OF_TIME : before), v_i(most)), &r));
	fires_from(cx, &r, out, n);
	return OK;
}

/* Goes down the primary key, a step a fire: a window over the ledgers, or MAX() in a subquery, would read all of them. */
#define NEXT_OLDER(schedule, before) \
	"(SELECT f.nominal FROM fire f WHERE f.schedule_id = " schedule before " ORDER BY f.nominal DESC LIMIT 1)"
static const struct sql NEWEST = {
	"WITH RECURSIVE step (id, nominal, n) AS ("
	" SELECT s.id, " NEXT_OLDER("s.id", "") ", 1 FROM schedule s FORCE INDEX (list)"
	" WHERE s.project_id = ? AND s.id BETWEEN ? AND ?"
	" UNION ALL"
	" SELECT step.id, " NEXT_OLDER("step.id", " AND f.nominal < step.nominal") ", step.n + 1"
	" FROM step WHERE step.nominal IS NOT NULL AND step.n < ?)"
	" SELECT " FIRE_COLUMNS " FROM step JOIN fire f ON f.schedule_id = step.id AND f.nominal = step.nominal"
	" LEFT JOIN task t ON t.id = f.task_id ORDER BY step.id DESC, step.n", "sssi" };

enum err fire_store_newest(struct db *db, struct ctx *cx, const struct id *project, const struct id *first,
                           const struct id *last, int64_t most, struct fire **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &NEWEST, VALS(v_id(project), v_id(first), v_id(last), v_i(most)), &r));
	fires_from(cx, &r, out, n);
	return OK;
}
