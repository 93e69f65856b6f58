#include "store/schedule_store.h"

#include "base/text.h"
#include "store/fire_store.h"
#include "store/fire_write.h"
#include "store/large_payload.h"
#include "store/txn.h"

/* --- reading ----------------------------------------------------------------------------------- */

#define COLUMNS(payload) "SELECT " SCHEDULE_COLUMNS("c.name", "c.paused_at IS NOT NULL", payload) \
	" FROM schedule s LEFT JOIN code c ON c.id = s.code_id "

static const struct sql GET = { COLUMNS("s.payload") "WHERE s.id = ? AND s.project_id = ?", "ss" };
static const struct sql LIST = {
	COLUMNS(PAYLOAD_SMALL("s.payload"))
	"WHERE s.project_id = ? ORDER BY s.id DESC LIMIT ? OFFSET ?", "sii" };
static const struct sql LOCK = {
	"SELECT " SCHEDULE_COLUMNS("''", "0", "s.payload") " FROM schedule s WHERE s.id = ? AND s.project_id = ? FOR UPDATE", "ss" };

static enum err not_found(struct ctx *cx)
{
	return err_set(cx, ERR_NOT_FOUND, "there is no such schedule in this project");
}

/* Who paused it, or resumed it last, and why. */
static enum err read_pause(struct db *db, struct ctx *cx, struct schedule *s)
{
	struct pause *last;
	size_t n;

	if (!s->pauses)
		return OK;
	TRY(schedule_pauses_newest(db, cx, &s->id, 1, &last, &n));
	if (!n)
		return OK;
	s->paused_by = last->paused_by;
	s->pause_reason = last->reason;
	s->resumed_at = last->to;
	s->resumed_by = last->resumed_by;
	s->resume_reason = last->resume_reason;
	return OK;
}

enum err schedule_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, struct schedule *out)
{
	struct rows r;

	TRY(db_query(db, cx, &GET, VALS(v_id(id), v_id(project)), &r));
	if (!r.n)
		return not_found(cx);
	*out = schedule_from_row(row(&r, 0));
	return read_pause(db, cx, out);
}

enum err schedule_store_list(struct db *db, struct ctx *cx, const struct id *project, int64_t page, int64_t per_page,
                             struct schedule **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &LIST, VALS(v_id(project), v_i(per_page), v_i(page * per_page)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		(*out)[i] = schedule_from_row(row(&r, i));
	return OK;
}

static const struct sql LARGE = { "SELECT payload FROM schedule WHERE id = ?", "s" };

enum err schedule_store_add_payloads(struct db *db, struct ctx *cx, struct schedule *schedules, size_t n)
{
	int64_t left = PAYLOADS_LARGE_BYTES;

	for (size_t i = 0; i < n; i++)
		TRY(large_payload_read(db, cx, &LARGE, &schedules[i].id, schedules[i].payload_bytes, &left, &schedules[i].payload));
	return OK;
}

/* --- making ------------------------------------------------------------------------------------ */

/* What a definition is, in the order of both statements. */
enum { DEFINITION_COLUMNS = 29, ADD_COLUMNS = DEFINITION_COLUMNS + 2 };
#define DEFINITION_TYPES "sttsttiiiiissssssssiiisissiii"
static const struct sql ADD = {
	"INSERT INTO schedule (id, project_id, code_id, accounted_to, next_at, zone_digest, start_at, end_at, run_every_s,"
	" run_times, priority, timeout_s, task_delay_s, cluster_name, label, payload, cron, time_zone, dst_gap, dst_repeat,"
	" misfire, misfire_limit, misfire_window_s, misfire_after_s, overlap, jitter_s, exclude_dates, exclude_calendars,"
	" retries, retries_delay_s, payload_times)"
	" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	"ss" DEFINITION_TYPES };
static const struct sql CHANGE = {
	"UPDATE schedule SET code_id = ?, accounted_to = ?, next_at = ?, zone_digest = ?, start_at = ?, end_at = ?,"
	" run_every_s = ?, run_times = ?, priority = ?, timeout_s = ?, task_delay_s = ?, cluster_name = ?, label = ?,"
	" payload = ?, cron = ?, time_zone = ?, dst_gap = ?, dst_repeat = ?, misfire = ?, misfire_limit = ?,"
	" misfire_window_s = ?, misfire_after_s = ?, overlap = ?, jitter_s = ?, exclude_dates = ?, exclude_calendars = ?,"
	" retries = ?, retries_delay_s = ?, payload_times = ?, updated_at = NOW(6), msg = '' WHERE id = ?",
	DEFINITION_TYPES "s" };
static const struct sql COUNT = {
	"SELECT COUNT(*) FROM (SELECT 1 FROM schedule FORCE INDEX (list) WHERE project_id = ? AND state = 'scheduled'"
	" LIMIT ?) x", "si" };
static const struct sql IS_THERE = { "SELECT 1 FROM schedule WHERE id = ?", "s" };

static struct val text(struct str s)
{
	return v_s(s.n ? s : STR_LIT(""));
}

static void definition_row(struct val *out, const struct schedule *s, const struct timetable *t)
{
	const struct val v[DEFINITION_COLUMNS] = {
		v_id(&s->code_id), v_t(s->accounted_to), v_t(s->next_at),
		s->time_zone.n ? v_s(str_bytes(zone_digest(t->zone), ZONE_DIGEST_BYTES)) : v_null(),
		v_t(s->start_at), v_t(s->end_at), v_i(s->run_every_s), v_i(s->run_times), v_i(s->priority), v_i(s->timeout_s),
		v_i(s->task_delay_s), text(s->cluster_name), text(s->label), text(s->payload), text(s->cron),
		text(s->time_zone), v_z(DST_GAP_NAMES[s->dst_gap]), v_z(DST_REPEAT_NAMES[s->dst_repeat]),
		v_z(MISFIRE_NAMES[s->misfire]), v_i(s->misfire_limit), v_i(s->misfire_window_s), v_i(s->misfire_after_s),
		v_z(OVERLAP_NAMES[s->overlap]), v_i(s->jitter_s), text(s->exclude_dates), text(s->exclude_calendars),
		v_i(s->retries), v_i(s->retries_delay_s), v_i(s->payload_times),
	};

	memcpy(out, v, sizeof v);
}

/* Its times by a definition that is new from `now` on, and the first of them. */
static enum err set_times(struct db *db, struct ctx *cx, struct timetables *ts, struct schedule *s, int64_t accounted_to,
                          struct timetable *t)
{
	enum { TEMPLATE_BYTES = 65536 };
	struct nominal first;

	if (s->payload_times && s->payload.n > TEMPLATE_BYTES)
		return err_set(cx, ERR_INPUT, "field payload: with payload_times it may have %d bytes", TEMPLATE_BYTES);
	TRY(timetables_make(ts, db, cx, s, t));
	s->accounted_to = accounted_to;
	TRY(timetable_check(cx, t, accounted_to));
	timetable_next(t, accounted_to, &first);
	s->next_at = first.due;
	return OK;
}

struct adding {
	const struct id *project;
	const char *zones;
	struct schedule_order *orders;
	const struct code_target *targets;
	size_t n;
	int64_t most, left; /* left: how many more the project may have when these are there, or are refused */
	struct idempotency_guard *guard;
};

static enum err new_schedule(struct db *db, struct ctx *cx, struct timetables *ts, const struct adding *a, size_t i,
                             int64_t now, struct val *out)
{
	struct schedule_order *o = &a->orders[i];
	struct schedule s = schedule_default();
	struct timetable t;

	schedule_apply(o, &s);
	s.id = o->value.id;
	s.project_id = *a->project;
	s.code_id = a->targets[i].code_id;
	if (s.start_at == TIME_NONE)
		s.start_at = now + o->delay_us;
	TRY(timetables_make(ts, db, cx, &s, &t));
	TRY(set_times(db, cx, ts, &s, timetable_owed_from(&t, &s, now), &t));
	o->unowed = timetable_unowed(&cx->arena, &t, s.start_at - 1, s.accounted_to);
	out[0] = v_s(str_bytes(arena_copy(&cx->arena, s.id.b, ID_BYTES), ID_BYTES));
	out[1] = v_id(a->project);
	definition_row(out + 2, &s, &t);
	out[2] = v_id(&a->targets[i].code_id);
	return OK;
}

static enum err add_work(struct db *db, struct ctx *cx, void *arg)
{
	enum { PAGE = 500 };
	struct adding *a = arg;
	struct timetables ts = { .folder = a->zones };
	struct val *v = arena_array(&cx->arena, (a->n < PAGE ? a->n : PAGE) * ADD_COLUMNS, sizeof *v);
	struct rows r;
	int64_t now;

	TRY(schedule_now(db, cx, &now));
	TRY(db_query(db, cx, &COUNT, VALS(v_id(a->project), v_i(a->most + 1)), &r));
	a->left = a->most - val_int(&row(&r, 0)[0]);
	if (a->left < 0) /* the limit has been lowered */
		a->left = 0;
	if ((int64_t)a->n > a->left)
		return err_set(cx, ERR_FORBIDDEN, "a project may have %lld schedules that are not over",
		               (long long)a->most);
	for (size_t at = 0; at < a->n; at += PAGE) {
		size_t n = a->n - at < PAGE ? a->n - at : PAGE;

		for (size_t i = 0; i < n; i++)
			if (new_schedule(db, cx, &ts, a, at + i, now, v + i * ADD_COLUMNS))
				return cx->err < ERR_INTERNAL ? err_wrap(cx, "schedules[%zu]", at + i) : cx->err;
		TRY(db_exec_array(db, cx, &ADD, v, n));
	}
	a->left -= (int64_t)a->n;
	return idempotency_store_guard(db, cx, a->project, a->guard, &a->orders[0].value.id);
}

static enum err add_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	const struct adding *a = arg;
	struct rows r;

	TRY(db_query(db, cx, &IS_THERE, VALS(v_id(&a->orders[0].value.id)), &r));
	*yes = r.n > 0;
	return OK;
}

enum err schedule_store_add(struct db *db, struct ctx *cx, const struct id *project, const char *zones,
                            struct schedule_order *orders, const struct code_target *targets, size_t n, int64_t most,
                            struct idempotency_guard *guard, int64_t *left)
{
	static const struct txn ADDING = { "add_schedule", add_work, add_done };
	struct adding a = { project, zones, orders, targets, n, most, -1, guard };
	enum err e = n ? txn_run(db, cx, &ADDING, &a) : OK;

	if (left)
		*left = a.left;
	return e;
}

/* --- changing ---------------------------------------------------------------------------------- */

static const struct sql CANCEL = {
	"UPDATE schedule SET state = 'cancelled', waiting = 0, waiting_from = NULL, updated_at = NOW(6)"
	" WHERE id = ? AND project_id = ? AND state <> 'cancelled' AND (state = 'scheduled' OR waiting > 0)", "ss" };
static const struct sql END_WAITING = {
	"UPDATE fire SET outcome = 'missed', at = NOW(6), note = 'its schedule was cancelled'"
	" WHERE schedule_id = ? AND nominal >= ? AND outcome = 'waiting'", "st" };

struct changing {
	const struct id *project, *id, *code;
	const char *zones;
	struct schedule_order *order;
};

static enum err lock(struct db *db, struct ctx *cx, const struct changing *c, struct schedule *out)
{
	struct rows r;

	TRY(db_query(db, cx, &LOCK, VALS(v_id(c->id), v_id(c->project)), &r));
	if (!r.n)
		return not_found(cx);
	*out = schedule_from_row(row(&r, 0));
	return OK;
}

/* What is due until now belongs to the definition as it was. */
static enum err settle_old(struct db *db, struct ctx *cx, struct timetables *ts, struct schedule *s, int64_t now)
{
	struct fire_job job = { .schedule = *s, .is_whole = true };
	size_t tasks;

	TRY(fire_job_decide(db, cx, ts, &job, now, FIRE_ROWS_MOST));
	if (job.put_off)
		return OK; /* a change may be what mends it */
	if (job.n == FIRE_ROWS_MOST && job.has_next && job.next.due <= now)
		return err_set(cx, ERR_BUSY, "the schedule is catching up with its times: try again in a moment");
	if (!job.n)
		return OK;
	TRY(fire_jobs_write(db, cx, &job, 1, now, &tasks));
	s->accounted_to = job.accounted_to;
	s->run_count += job.runs;
	s->state = job.has_next ? s->state : SCHEDULE_COMPLETE;
	return OK;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static enum err change_work(struct db *db, struct ctx *cx, void *arg)
{
	enum { MS = 1000 }; /* the wire's times are cut to it: a start that was read and sent back is the same */
	const struct changing *c = arg;
	struct timetables ts = { .folder = c->zones };
	struct val v[DEFINITION_COLUMNS + 1];
	struct timetable t;
	struct schedule s;
	int64_t now, started, from;

	TRY(lock(db, cx, c, &s));
	TRY(schedule_now(db, cx, &now));
	if (s.state == SCHEDULE_SCHEDULED)
		TRY(settle_old(db, cx, &ts, &s, now));
	if (s.state != SCHEDULE_SCHEDULED)
		return err_set(cx, ERR_CONFLICT, "the schedule is %s", schedule_state_name(s.state));
	started = s.start_at / MS;
	schedule_apply(c->order, &s);
	if (c->code)
		s.code_id = *c->code;
	TRY(timetables_make(&ts, db, cx, &s, &t));
	from = s.accounted_to == TIME_NONE ? timetable_begin(&t, s.created_at) : s.accounted_to;
	if (schedule_is_sent(c->order, FIELD_START_AT))
		from = later(from, timetable_owed_from(&t, &s, now));
	else if (schedule_is_retimed(c->order))
		from = later(from, now);
	TRY(set_times(db, cx, &ts, &s, from, &t));
	c->order->unowed = s.start_at / MS == started ? "" : timetable_unowed(&cx->arena, &t, s.start_at - 1, from);
	definition_row(v, &s, &t);
	v[DEFINITION_COLUMNS] = v_id(c->id);
	return db_exec(db, cx, &CHANGE, v, DEFINITION_COLUMNS + 1);
}

enum err schedule_store_change(struct db *db, struct ctx *cx, const struct id *project, const char *zones,
                               const struct id *id, struct schedule_order *order, const struct id *code)
{
	static const struct txn CHANGING = { "change_schedule", change_work, NULL }; /* harmless to repeat */
	struct changing c = { project, id, code, zones, order };

	return txn_run(db, cx, &CHANGING, &c);
}

static enum err cancel_work(struct db *db, struct ctx *cx, void *arg)
{
	const struct changing *c = arg;
	struct schedule s;

	TRY(lock(db, cx, c, &s));
	if (s.waiting)
		TRY(db_exec(db, cx, &END_WAITING, VALS(v_id(c->id), v_t(s.waiting_from))));
	return db_exec(db, cx, &CANCEL, VALS(v_id(c->id), v_id(c->project)));
}

enum err schedule_store_cancel(struct db *db, struct ctx *cx, const struct id *project, const struct id *id)
{
	static const struct txn CANCELLING = { "cancel_schedule", cancel_work, NULL }; /* harmless to repeat */
	struct changing c = { .project = project, .id = id };

	return txn_run(db, cx, &CANCELLING, &c);
}

/* --- pauses ------------------------------------------------------------------------------------ */

enum { WHO_BYTES = 255, WHY_BYTES = 500 };
static const struct sql BEGIN_PAUSE = {
	"INSERT INTO schedule_pause (schedule_id, from_at, paused_by, reason) VALUES (?, ?, ?, ?)", "stss" };
static const struct sql END_PAUSE = {
	"UPDATE schedule_pause SET to_at = ?, resumed_by = ?, resume_reason = ? WHERE schedule_id = ? AND from_at = ?", "tssst" };
static const struct sql SET_PAUSED = {
	"UPDATE schedule SET paused_at = ?, pauses = pauses + ?, updated_at = NOW(6) WHERE id = ?", "tis" };

struct pausing {
	struct changing of;
	bool paused, changed;
	struct str who, why;
};

static enum err pause_work(struct db *db, struct ctx *cx, void *arg)
{
	struct pausing *p = arg;
	struct schedule s;
	int64_t now;

	TRY(lock(db, cx, &p->of, &s));
	if (s.state != SCHEDULE_SCHEDULED)
		return err_set(cx, ERR_CONFLICT, "the schedule is %s", schedule_state_name(s.state));
	p->changed = p->paused != (s.paused_at != TIME_NONE);
	if (!p->changed)
		return OK;
	TRY(schedule_now(db, cx, &now));
	if (p->paused)
		TRY(db_exec(db, cx, &BEGIN_PAUSE, VALS(v_id(p->of.id), v_t(now), text(p->who), text(p->why))));
	else
		TRY(db_exec(db, cx, &END_PAUSE, VALS(v_t(now), text(p->who), text(p->why), v_id(p->of.id), v_t(s.paused_at))));
	return db_exec(db, cx, &SET_PAUSED, VALS(v_t(p->paused ? now : TIME_NONE), v_i(p->paused), v_id(p->of.id)));
}

enum err schedule_store_pause(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, bool paused,
                              struct str who, struct str why, bool *changed)
{
	static const struct txn PAUSING = { "pause_schedule", pause_work, NULL }; /* harmless to repeat */
	struct pausing p = { .of = { .project = project, .id = id }, .paused = paused, .who = text_cut(who, WHO_BYTES),
		             .why = text_cut(why, WHY_BYTES) };

	TRY(txn_run(db, cx, &PAUSING, &p));
	*changed = p.changed;
	return OK;
}

enum err schedule_store_pauses(struct db *db, struct ctx *cx, const struct id *id, int64_t most, struct pause **out, size_t *n)
{
	return schedule_pauses_newest(db, cx, id, most, out, n);
}

/* --- preview ----------------------------------------------------------------------------------- */

static const struct sql SCHEDULED = {
	COLUMNS("NULL") "WHERE s.project_id = ? AND s.state = 'scheduled' AND s.paused_at IS NULL AND c.paused_at IS NULL"
	" ORDER BY s.id DESC LIMIT ? ROWS EXAMINED 40000", "si" };

enum err schedule_store_coming(struct db *db, struct ctx *cx, const struct id *project, const char *zones, int64_t most,
                               struct schedule_coming **out, size_t *n)
{
	struct timetables ts = { .folder = zones };
	struct rows r;

	TRY(db_query(db, cx, &SCHEDULED, VALS(v_id(project), v_i(most)), &r));
	*out = arena_array(&cx->arena, r.n + 1, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++) {
		struct schedule_coming *c = &(*out)[i];
		enum err e;

		c->schedule = schedule_from_row(row(&r, i));
		e = timetables_make(&ts, db, cx, &c->schedule, &c->timetable);
		c->is_broken = e == ERR_INPUT;
		if (e != OK && e != ERR_INPUT)
			return e;
		c->after = c->is_broken || c->schedule.accounted_to != TIME_NONE
		           ? c->schedule.accounted_to
		           : timetable_begin(&c->timetable, c->schedule.created_at);
	}
	return OK;
}

enum err schedule_store_preview(struct db *db, struct ctx *cx, const struct id *project, const char *zones,
                                const struct id *id, const struct schedule_order *order, size_t most,
                                struct schedule_preview *out)
{
	struct timetables ts = { .folder = zones };
	struct schedule_preview p = { .schedule = schedule_default(), .times = arena_array(&cx->arena, most, sizeof *p.times) };
	struct schedule *s = &p.schedule;
	int64_t now, from, left;

	TRY(schedule_now(db, cx, &now));
	if (id)
		TRY(schedule_store_get(db, cx, project, id, s));
	if (order)
		schedule_apply(order, s);
	s->project_id = *project;
	if (s->start_at == TIME_NONE)
		s->start_at = now + (order ? order->delay_us : 0);
	TRY(timetables_make(&ts, db, cx, s, &p.timetable));
	from = id && s->accounted_to != TIME_NONE ? later(s->accounted_to, order && schedule_is_retimed(order) ? now : s->accounted_to)
	                                          : timetable_owed_from(&p.timetable, s, now);
	p.unowed = id ? "" : timetable_unowed(&cx->arena, &p.timetable, s->start_at - 1, from);
	if (order)
		TRY(timetable_check(cx, &p.timetable, from));
	left = s->state == SCHEDULE_SCHEDULED ? schedule_runs_left(s) : 0;
	while (p.n < most && left > 0 && timetable_next(&p.timetable, from, &p.times[p.n])) {
		from = p.times[p.n].at;
		left -= nominal_runs(&p.times[p.n++]);
	}
	*out = p;
	return OK;
}
