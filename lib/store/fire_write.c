#include "store/fire_write.h"

#include "base/text.h"
#include "store/task_insert.h"

enum { CHAIN_MOST = 100, PAGE_BYTES = 8 << 20, NOTE_BYTES = 255 };

/* --- decide ------------------------------------------------------------------------------------ */

static const struct sql LAST_TASK = { "SELECT ended_at IS NULL, retry_task_id FROM task WHERE id = ?", "s" };

enum err fire_is_running(struct db *db, struct ctx *cx, const struct schedule *s, bool *yes, struct id *last)
{
	struct rows r;

	*last = s->last_task_id;
	*yes = false;
	for (int i = 0; i < CHAIN_MOST && !id_is_zero(last); i++) {
		TRY(db_query(db, cx, &LAST_TASK, VALS(v_id(last)), &r));
		if (!r.n)
			return OK;
		*yes = val_int(&row(&r, 0)[0]) != 0;
		if (*yes || row(&r, 0)[1].type == VAL_NULL)
			return OK;
		*last = val_id(&row(&r, 0)[1]);
	}
	return OK;
}

/* Those that a later one replaces within the same page. */
static void replace_earlier(struct fire_job *job)
{
	bool is_replaced = false;

	if (job->schedule.overlap != OVERLAP_REPLACE)
		return;
	for (size_t i = job->n; i-- > 0;) {
		if (job->fires[i].outcome != FIRE_WAITING)
			continue;
		if (is_replaced) {
			job->fires[i].outcome = FIRE_OVERLAP;
			job->fires[i].note = "a newer time took its place";
		}
		is_replaced = true;
	}
}

static enum err decide(struct db *db, struct ctx *cx, struct fire_job *job, int64_t now, size_t most)
{
	struct schedule *s = &job->schedule;
	struct fire_plan plan = { .schedule = s, .timetable = &job->timetable, .accounted_to = s->accounted_to, .now = now };
	struct pause *pauses = NULL;

	if (plan.accounted_to == TIME_NONE)
		plan.accounted_to = timetable_begin(&job->timetable, s->created_at);
	if (s->pauses)
		TRY(schedule_pauses_read(db, cx, &s->id, plan.accounted_to, &pauses, &plan.pause_count));
	plan.pauses = pauses;
	if (s->overlap != OVERLAP_ALLOW)
		TRY(fire_is_running(db, cx, s, &plan.is_running, &s->last_task_id));
	job->fires = arena_array(&cx->arena, most, sizeof *job->fires);
	job->n = fire_decide(&cx->arena, &plan, job->fires, most, &job->next, &job->has_next);
	job->accounted_to = job->n ? job->fires[job->n - 1].nominal : plan.accounted_to;
	replace_earlier(job);
	return OK;
}

enum err fire_job_decide(struct db *db, struct ctx *cx, struct timetables *t, struct fire_job *job, int64_t now, size_t most)
{
	enum err e = timetables_make(t, db, cx, &job->schedule, &job->timetable);

	if (e == ERR_INPUT) {
		job->put_off = arena_text(&cx->arena, cx->message);
		return OK;
	}
	TRY(e);
	return decide(db, cx, job, now, most);
}

/* --- tasks ------------------------------------------------------------------------------------- */

#define TARGET(cluster)                                                                                      \
	"SELECT c.revision, c.default_priority, c.timeout_s, c.callback, k.id, k.head_start_s, l.id, c.hooks," \
	" (SELECT p.timeout_most_s FROM project p WHERE p.id = c.project_id) FROM code c" \
	" JOIN cluster k ON k." cluster " JOIN lane l ON l.code_id = c.id AND l.cluster_id = k.id"               \
	" WHERE c.id = ? AND c.project_id = ? AND k.deleted_at IS NULL"
static const struct sql TARGET_NAMED = { TARGET("name = ?"), "sss" };
static const struct sql TARGET_OWN = { TARGET("id = c.cluster_id"), "ss" };
/* Within the server: a hundred large payloads would not fit into the scheduler. */
static const struct sql COPY_PAYLOAD = {
	"INSERT INTO payload (task_id, body) SELECT ?, payload FROM schedule WHERE id = ?", "ss" };

struct writing {
	struct fire_job *jobs;
	size_t n;
	int64_t now;
	struct code_target *targets; /* of each job; code_id zero = none */
	struct val *tasks;           /* rows for TASK_INSERT */
	size_t task_count;
};

static bool wants_task(const struct fire *f)
{
	return f->outcome == FIRE_FIRED || f->outcome == FIRE_CAUGHT_UP || f->outcome == FIRE_RUN_NOW ||
	       f->outcome == FIRE_BACKFILLED;
}

static bool has_same_target(const struct schedule *a, const struct schedule *b)
{
	return id_equal(&a->code_id, &b->code_id) && id_equal(&a->project_id, &b->project_id) &&
	       str_equal(a->cluster_name, b->cluster_name);
}

/* Asked for once a code and cluster. */
static enum err find_target(struct db *db, struct ctx *cx, struct writing *w, size_t i)
{
	const struct schedule *s = &w->jobs[i].schedule;
	struct code_target *t = &w->targets[i];
	struct rows r;

	for (size_t k = 0; k < i; k++)
		if (has_same_target(&w->jobs[k].schedule, s) && !id_is_zero(&w->targets[k].code_id)) {
			*t = w->targets[k];
			return OK;
		}
	if (s->cluster_name.n)
		TRY(db_query(db, cx, &TARGET_NAMED, VALS(v_s(s->cluster_name), v_id(&s->code_id), v_id(&s->project_id)), &r));
	else
		TRY(db_query(db, cx, &TARGET_OWN, VALS(v_id(&s->code_id), v_id(&s->project_id)), &r));
	if (!r.n)
		return OK;
	*t = (struct code_target){ .code_id = s->code_id, .revision = val_int(&row(&r, 0)[0]),
		                   .default_priority = val_int(&row(&r, 0)[1]), .timeout_s = val_int(&row(&r, 0)[2]),
		                   .callback = val_str(&row(&r, 0)[3]), .cluster_id = val_int(&row(&r, 0)[4]),
		                   .head_start_s = val_int(&row(&r, 0)[5]), .lane_id = val_int(&row(&r, 0)[6]),
		                   .hooks = val_int(&row(&r, 0)[7]), .timeout_most_s = val_int(&row(&r, 0)[8]) };
	return OK;
}

static bool is_copied(const struct fire_job *job)
{
	return !job->is_whole && !job->schedule.payload.p && job->schedule.payload_bytes > 0;
}

static struct task_order order_of(struct ctx *cx, const struct fire_job *job, const struct fire *f)
{
	const struct schedule *s = &job->schedule;
	struct task_order o = { .id = f->task_id, .priority = s->priority, .timeout_s = s->timeout_s, .delay_s = s->task_delay_s,
		                .label = s->label, .schedule_id = s->id, .has_retries = s->retries >= 0,
		                .has_retries_delay = s->retries_delay_s >= 0, .retries = s->retries,
		                .retries_delay_s = s->retries_delay_s };

	if (!is_copied(job))
		o.payload = s->payload_times ? fire_payload(&cx->arena, s->payload, &s->id, f->nominal) : s->payload;
	return o;
}

static void add_tasks(struct ctx *cx, struct writing *w, size_t i, const struct id *ids)
{
	struct fire_job *job = &w->jobs[i];

	for (size_t k = 0; k < job->n; k++) {
		struct fire *f = &job->fires[k];
		struct task_order *o; /* the row keeps views into it */

		if (!wants_task(f))
			continue;
		if (id_is_zero(&w->targets[i].code_id)) {
			f->outcome = FIRE_REFUSED;
			f->note = "its code is not there, or was never given to that cluster";
			continue;
		}
		f->task_id = ids[w->task_count];
		o = arena_take(&cx->arena, sizeof *o);
		*o = order_of(cx, job, f);
		task_insert_row(w->tasks + w->task_count++ * TASK_INSERT_COLUMNS, &job->schedule.project_id, o, &w->targets[i],
		                NULL, TIME_NONE);
		job->runs++;
		job->last_task_id = f->task_id;
	}
}

/* The server takes packets of a limited size. */
static enum err insert_tasks(struct db *db, struct ctx *cx, const struct writing *w)
{
	enum { COLUMN_PAYLOAD = 12 };
	size_t at = 0, n = 0, bytes = 0;

	while (at < w->task_count) {
		size_t more = at + n < w->task_count ? w->tasks[(at + n) * TASK_INSERT_COLUMNS + COLUMN_PAYLOAD].s.n : 0;

		if (at + n < w->task_count && (n == 0 || bytes + more <= PAGE_BYTES)) {
			bytes += more;
			n++;
			continue;
		}
		TRY(db_exec_array(db, cx, &TASK_INSERT, w->tasks + at * TASK_INSERT_COLUMNS, n));
		at += n;
		n = bytes = 0;
	}
	return OK;
}

static enum err copy_payloads(struct db *db, struct ctx *cx, const struct writing *w)
{
	for (size_t i = 0; i < w->n; i++)
		for (size_t k = 0; is_copied(&w->jobs[i]) && k < w->jobs[i].n; k++)
			if (wants_task(&w->jobs[i].fires[k]))
				TRY(db_exec(db, cx, &COPY_PAYLOAD, VALS(v_id(&w->jobs[i].fires[k].task_id), v_id(&w->jobs[i].schedule.id))));
	return OK;
}

static enum err write_tasks(struct db *db, struct ctx *cx, struct writing *w)
{
	size_t wanted = 0;
	struct id *ids;

	for (size_t i = 0; i < w->n; i++)
		for (size_t k = 0; k < w->jobs[i].n; k++)
			wanted += wants_task(&w->jobs[i].fires[k]);
	if (!wanted)
		return OK;
	ids = arena_array(&cx->arena, wanted, sizeof *ids);
	id_make_many(w->now, ids, wanted);
	w->tasks = arena_array(&cx->arena, wanted * TASK_INSERT_COLUMNS, sizeof *w->tasks);
	for (size_t i = 0; i < w->n; i++) {
		TRY(find_target(db, cx, w, i));
		add_tasks(cx, w, i, ids);
	}
	TRY(insert_tasks(db, cx, w));
	return copy_payloads(db, cx, w);
}

/* --- ledger and schedule ----------------------------------------------------------------------- */

enum { FIRE_COLUMNS = 7, MOVE_COLUMNS = 12 };
static const struct sql ADD = {
	"INSERT INTO fire (schedule_id, nominal, outcome, due, at, task_id, note) VALUES (?, ?, ?, ?, ?, ?, ?)", "ststtss" };
/* By hand, or the end of a wait: the time may have a row already, of what did not run. Looked at before, with the
 * schedule locked. */
static const struct sql PUT = {
	"INSERT INTO fire (schedule_id, nominal, outcome, due, at, task_id, note) VALUES (?, ?, ?, ?, ?, ?, ?)"
	" ON DUPLICATE KEY UPDATE outcome = VALUES(outcome), at = VALUES(at), task_id = VALUES(task_id), note = VALUES(note)",
	"ststtss" };
static const struct sql REPLACE_WAITING = {
	"UPDATE fire SET outcome = 'overlap', at = ?, note = 'a newer time took its place'"
	" WHERE schedule_id = ? AND nominal >= ? AND nominal < ? AND outcome = 'waiting'", "tstt" };
static const struct sql MOVE = {
	"UPDATE schedule SET accounted_to = ?, next_at = ?, last_at = IFNULL(?, last_at), run_count = run_count + ?,"
	" state = ?, msg = ?, zone_digest = ?, last_task_id = IFNULL(?, last_task_id), waiting = ?, waiting_from = ?"
	" WHERE id = ? AND state = ?", "tttissssitss" };
static const struct sql PUT_OFF = {
	"UPDATE schedule SET next_at = NOW(6) + INTERVAL ? SECOND, msg = ? WHERE id = ?", "iss" };

static enum err add_rows(struct db *db, struct ctx *cx, const struct writing *w)
{
	size_t n = 0, at = 0;
	struct val *v;

	for (size_t i = 0; i < w->n; i++)
		n += w->jobs[i].n;
	if (!n)
		return OK;
	v = arena_array(&cx->arena, n * FIRE_COLUMNS, sizeof *v);
	for (size_t i = 0; i < w->n; i++)
		for (size_t k = 0; k < w->jobs[i].n; k++) {
			const struct fire *f = &w->jobs[i].fires[k];
			const struct val fire_row[FIRE_COLUMNS] = {
				v_id(&f->schedule_id), v_t(f->nominal), v_z(fire_outcome_name(f->outcome)), v_t(f->due),
				v_t(f->at), v_id_or_null(&f->task_id), v_s(text_cut(str_of(f->note), NOTE_BYTES)) };

			memcpy(v + at++ * FIRE_COLUMNS, fire_row, sizeof fire_row);
		}
	return db_exec_array(db, cx, w->jobs[0].keeps_place ? &PUT : &ADD, v, n);
}

/* What waits now, and since when: the new ones besides those from before, or in their place. */
static enum err count_waiting(struct db *db, struct ctx *cx, struct fire_job *job, int64_t now)
{
	struct schedule *s = &job->schedule;

	for (size_t k = 0; k < job->n; k++) {
		if (job->fires[k].outcome != FIRE_WAITING)
			continue;
		if (s->overlap == OVERLAP_REPLACE && s->waiting) {
			TRY(db_exec(db, cx, &REPLACE_WAITING, VALS(v_t(now), v_id(&s->id), v_t(s->waiting_from),
			                                           v_t(job->fires[k].nominal))));
			s->waiting = 0;
		}
		if (!s->waiting)
			s->waiting_from = job->fires[k].nominal;
		s->waiting++;
	}
	return OK;
}

static void move_row(struct val *out, const struct fire_job *job, int64_t now)
{
	const struct schedule *s = &job->schedule;
	bool is_at_times = s->run_times && s->run_count + job->runs + s->waiting >= s->run_times;
	int64_t last = job->n ? job->fires[job->n - 1].due : s->next_at;
	const unsigned char *digest = zone_digest(job->timetable.zone);
	const struct val v[MOVE_COLUMNS] = {
		v_t(job->accounted_to), v_t(job->has_next ? job->next.due : last), job->runs ? v_t(now) : v_null(),
		v_i(job->runs), v_z(schedule_state_name(job->has_next ? s->state : SCHEDULE_COMPLETE)),
		v_z(is_at_times ? "Ran max times." : ""),
		s->time_zone.n ? v_s(str_bytes(digest, ZONE_DIGEST_BYTES)) : v_null(),
		v_id_or_null(&s->last_task_id), v_i(s->waiting), v_t(s->waiting ? s->waiting_from : TIME_NONE), v_id(&s->id),
		v_z(schedule_state_name(s->state)) };

	memcpy(out, v, sizeof v);
}

static enum err move_schedules(struct db *db, struct ctx *cx, const struct writing *w)
{
	struct val *v = arena_array(&cx->arena, w->n * MOVE_COLUMNS, sizeof *v);
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++) {
		struct fire_job *job = &w->jobs[i];

		if (!id_is_zero(&job->last_task_id))
			job->schedule.last_task_id = job->last_task_id;
		if (job->put_off) {
			TRY(db_exec(db, cx, &PUT_OFF, VALS(v_i(FIRE_AGAIN_S), v_z(job->put_off), v_id(&job->schedule.id))));
		} else if (!job->keeps_place) {
			TRY(count_waiting(db, cx, job, w->now));
			move_row(v + n++ * MOVE_COLUMNS, job, w->now);
		}
	}
	return n ? db_exec_array(db, cx, &MOVE, v, n) : OK;
}

enum err fire_jobs_write(struct db *db, struct ctx *cx, struct fire_job *jobs, size_t n, int64_t now, size_t *tasks)
{
	struct writing w = { .jobs = jobs, .n = n, .now = now, .targets = arena_array(&cx->arena, n + 1, sizeof *w.targets) };

	*tasks = 0;
	if (!n)
		return OK;
	TRY(write_tasks(db, cx, &w));
	TRY(add_rows(db, cx, &w));
	TRY(move_schedules(db, cx, &w));
	*tasks = w.task_count;
	return OK;
}
