/* Taking: rows by the room of their lanes, and all that a call needs, in a store thread. */
#include "worker/courier/inside.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/json.h"
#include "base/log.h"
#include "model/task_json.h"
#include "model/payload_mask.h"
#include "store/callback_store.h"
#include "store/project_store.h"
#include "store/task_store.h"

#include <stdlib.h>

enum { TAKE_MOST = 500, OVER_BUDGET_S = 1, PAUSED_S = 60 };

/* --- in the thread ----------------------------------------------------------------------------------------- */

/* What rows of one piece share: asked for once. */
struct owner {
	struct id id;
	struct callback callback;
	bool is_there;
	struct signature_keys keys;
	bool has_words;
	struct str words;    /* of its project: payload keys whose values are not sent */
};
struct owners {
	struct owner *all;
	size_t n;
};

/* Registered: the callback's own key; else that of its project. */
static enum err owner_of(struct fetch *f, struct db *db, struct owners *o, const struct outbox_row *r, struct owner **out)
{
	bool registered = !id_is_zero(&r->callback_id);
	const struct id *id = registered ? &r->callback_id : &r->project_id;
	struct ctx *cx = &f->w.cx;
	struct owner *new;

	for (size_t i = 0; i < o->n; i++)
		if (id_equal(&o->all[i].id, id)) {
			*out = &o->all[i];
			return OK;
		}
	new = &o->all[o->n];
	*new = (struct owner){ .id = *id, .is_there = true };
	if (registered)
		TRY(callback_store_find(db, cx, &r->project_id, id, &new->callback, &new->is_there));
	if (f->key)
		TRY(callback_store_keys(db, cx, f->key, id, &new->keys));
	o->n++;
	*out = new;
	return OK;
}

static void settle(struct delivery *d, enum outbox_end end, int64_t next_s, const char *why)
{
	d->settled = true;
	d->out.end = end;
	d->out.next_s = next_s;
	d->out.error = str_of(why);
}

/* callback_store_pause ends that. */
static void wait_for_resume(struct delivery *d)
{
	settle(d, OUTBOX_RELEASED, PAUSED_S, "");
	d->out.waits = OUTBOX_WAITS_PAUSED;
}

static struct str body_of(struct arena *a, const struct delivery *d, const struct owner *o, const struct task *task)
{
	bool is_test = str_is(d->out.row.kind, "test");
	auto_json *j = json_object(), *callback = NULL;
	const char *type = is_test ? "callback.test" : arena_printf(a, "task." STR_FMT, STR_ARG(d->out.row.kind));

	json_object_set_new(j, "type", json_string(type));
	json_object_set_new(j, "time", json_time(d->out.row.at));
	if (!is_test) {
		json_object_set_new(j, "task", task_to_json(task));
		return json_write(a, j);
	}
	callback = json_object();
	json_object_set_new(callback, "id", json_string(id_format(&o->id).s));
	json_object_set_new(callback, "name", json_text(o->callback.name));
	json_object_set(j, "callback", callback);
	return json_write(a, j);
}

/* A payload is read on its own, and no more of them than fit. */
static enum err read_payload(struct fetch *f, struct db *db, struct owner *o, struct delivery *d, struct task *task)
{
	struct project project;
	struct str code;

	if (!(d->out.row.flags & CALLBACK_WITH_PAYLOAD))
		return OK;
	if (f->body_bytes > f->body_most) {
		settle(d, OUTBOX_RELEASED, OVER_BUDGET_S, "");
		return OK;
	}
	TRY(task_store_get(db, &f->w.cx, &d->out.row.project_id, &d->out.row.task_id, task));
	if (callback_code(d->out.row.url, &code))
		return OK; /* a code of the same project takes what its own tasks may have */
	if (!o->has_words) {
		TRY(project_store_get(db, &f->w.cx, &d->out.row.project_id, &project));
		o->words = project.payload_keys;
		o->has_words = true;
	}
	task->payload = payload_masked(&f->w.cx.arena, task->payload, o->words);
	return OK;
}

static const struct task *task_of(const struct delivery *d, const struct task *tasks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (id_equal(&tasks[i].id, &d->out.row.task_id))
			return &tasks[i];
	return NULL;
}

static enum err queue_instead(struct fetch *f, struct db *db, struct delivery *d, struct str code)
{
	enum err e = outbox_store_queue(db, &f->w.cx, &d->out.row, code, d->body, str_of(d->traceparent));

	if (e == OK)
		settle(d, OUTBOX_DELIVERED, 0, ""); /* it is stored: telling it once more changes nothing */
	else if (e == ERR_BUSY || e == ERR_INTERNAL || e == ERR_UNSURE)
		return e;
	else {
		/* a code may be registered later; a chain that is too long stays so */
		settle(d, e == ERR_LIMIT ? OUTBOX_GIVEN_UP : OUTBOX_AGAIN, 0, arena_text(&f->w.cx.arena, f->w.cx.message));
		d->out.tried = true;
	}
	return OK;
}

static enum err prepare(struct fetch *f, struct db *db, struct owners *owners, struct delivery *d,
                        const struct task *tasks, size_t n)
{
	const struct task *found = task_of(d, tasks, n);
	bool registered = !id_is_zero(&d->out.row.callback_id), is_test = str_is(d->out.row.kind, "test");
	struct task task = { 0 };
	struct owner *owner;
	struct str code;

	TRY(owner_of(f, db, owners, &d->out.row, &owner));
	d->keys = owner->keys;
	if (!owner->is_there)
		settle(d, OUTBOX_GIVEN_UP, 0, "the callback was deleted");
	else if (!is_test && registered && owner->callback.disabled_at != TIME_NONE)
		settle(d, OUTBOX_GIVEN_UP, 0, "the callback is disabled: its receiver answered 410");
	else if (!is_test && registered && owner->callback.paused_at != TIME_NONE)
		wait_for_resume(d);
	else if (d->out.row.gone == OUTBOX_GONE_FOR_TASK)
		settle(d, OUTBOX_GIVEN_UP, 0, "its receiver answered 410 to another of this task");
	else if (d->out.row.gone == OUTBOX_GONE_FOR_CODE)
		settle(d, OUTBOX_GIVEN_UP, 0, "the code's callback is disabled: its receiver answered 410");
	else if (!is_test && !found)
		settle(d, OUTBOX_GIVEN_UP, 0, "the task is not there any more");
	if (d->settled)
		return OK;
	if (found)
		task = *found;
	TRY(read_payload(f, db, owner, d, &task));
	if (d->settled)
		return OK;
	if (!is_test)
		callback_task_then(&task, d->out.row.kind, d->out.row.at, d->out.row.attempt);
	d->traceparent = str_c(&f->w.cx.arena, task.traceparent);
	d->body = body_of(&f->w.cx.arena, d, owner, &task);
	f->body_bytes += d->body.n;
	return callback_code(d->out.row.url, &code) ? queue_instead(f, db, d, code) : OK;
}

/* The tasks of the rows of one project after the other: couriers serve few at a time. */
static enum err read_tasks(struct fetch *f, struct db *db, struct task *tasks, size_t *n)
{
	struct ctx *cx = &f->w.cx;
	struct id *ids = arena_array(&cx->arena, f->n, sizeof *ids);
	bool *asked = arena_array(&cx->arena, f->n, sizeof *asked);

	*n = 0;
	for (size_t i = 0; i < f->n; i++) {
		const struct id *project = &f->taken.rows[i].project_id;
		size_t of = 0, found;

		for (size_t k = i; k < f->n; k++)
			if (!asked[k] && id_equal(&f->taken.rows[k].project_id, project)) {
				asked[k] = true;
				ids[of++] = f->taken.rows[k].task_id;
			}
		TRY(task_store_read(db, cx, project, ids, of, tasks + *n, &found));
		*n += found;
	}
	return OK;
}

static enum err prepare_all(struct fetch *f, struct db *db)
{
	struct ctx *cx = &f->w.cx;
	struct owners owners = { .all = arena_array(&cx->arena, f->n, sizeof *owners.all) };
	struct task *tasks = arena_array(&cx->arena, f->n, sizeof *tasks);
	size_t n;

	TRY(read_tasks(f, db, tasks, &n));
	for (size_t i = 0; i < f->n; i++)
		TRY(prepare(f, db, &owners, &f->deliveries[i], tasks, n));
	return OK;
}

/* Rows that were taken and could not be prepared come back by themselves. */
static enum err run(struct store_work *w, struct db *db, struct db *logs)
{
	struct fetch *f = (struct fetch *)w;
	struct ctx *cx = &w->cx;

	(void)logs;
	TRY(outbox_store_take(db, cx, &f->want, &f->taken));
	f->n = f->taken.n;
	f->deliveries = arena_array(&cx->arena, f->n, sizeof *f->deliveries);
	for (size_t i = 0; i < f->n; i++)
		f->deliveries[i] = (struct delivery){ .courier = f->courier, .fetch = f, .traceparent = "",
			                              .out = { .row = f->taken.rows[i] } };
	return f->n ? prepare_all(f, db) : OK;
}

/* --- in the loop --------------------------------------------------------------------------------------------- */

struct wanting {
	struct courier *c;
	struct fetch *f;
	int64_t now;
};

static bool want_lane(void *arg, struct lane *lane)
{
	struct wanting *w = arg;
	size_t room = lane_room(w->c->lanes, lane, w->now);

	/* a lane that fares well is asked for when it has run half empty: in pieces, not row by row */
	bool ask = lane->more && room > (lane->proven ? LANE_AHEAD / 2 : 0);

	w->f->want.lanes[w->f->want.n++] = (struct outbox_lane){ .lane = lane->key, .room = room,
		.wait_s = lane_pause_s(lane, w->now), .probes = lane_probes(lane, w->now), .more = ask };
	if (ask)
		lane->more = false; /* what is left is said with the answer */
	return true;
}

static int by_lane(const void *a, const void *b)
{
	const struct outbox_lane *x = a, *y = b;

	return x->lane < y->lane ? -1 : x->lane > y->lane;
}

static void done(void *arg, struct store_work *w)
{
	struct courier *c = arg;
	struct fetch *f = (struct fetch *)w;

	c->fetching = false;
	if (w->err != OK && c->last == OK)
		log_warn("poll_failed", "why=\"%s\"", w->cx.message);
	c->last = w->err;
	courier_take(c, f);
}

void courier_fetch(struct courier *c)
{
	struct fetch *f = store_work_new(sizeof *f);
	struct wanting w = { c, f, clock_boot_us() };
	size_t most = HELD_MOST - c->held;

	f->w.run = run;
	f->w.done = done;
	f->courier = c;
	f->key = c->has_key ? &c->key : NULL;
	f->began_us = w.now;
	f->body_most = HELD_BYTES_MOST - c->held_bytes;
	f->want = (struct outbox_want){ .most = most < TAKE_MOST ? most : TAKE_MOST, .room_of_unknown = LANE_AHEAD_UNKNOWN,
		                        .hold_s = c->set->courier.timeout_s + HOLD_EXTRA_S };
	f->want.lanes = arena_array(&f->w.cx.arena, lanes_count(c->lanes), sizeof *f->want.lanes);
	lanes_each(c->lanes, want_lane, &w);
	qsort(f->want.lanes, f->want.n, sizeof *f->want.lanes, by_lane);
	c->fetching = true;
	store_pool_add(c->store, STORE_CLAIM, 0, &f->w);
}

static void place(struct courier *c, struct delivery *d)
{
	uint32_t random;

	d->lane = lanes_get(c->lanes, d->out.row.lane);
	if (d->out.row.lane_failures > d->lane->failures && !d->lane->proven)
		d->lane->failures = d->out.row.lane_failures; /* as another courier, or the one before, met it */
	c->held++;
	c->held_bytes += d->body.n;
	if (!d->settled) {
		if (d->out.row.by_hand > 1)
			lane_lift(d->lane);
		courier_wait(d);
		courier_lane_ready(c, d->lane);
	} else {
		if (d->out.end == OUTBOX_AGAIN) {
			d->out.waits = OUTBOX_WAITS_RETRY;
			crypt_random(&random, sizeof random);
			d->out.next_s = retry_next(&c->plan, d->out.row.tries - d->out.row.plan_from, 0, 0, random);
		}
		if (d->out.next_s < 0)
			d->out.end = OUTBOX_GIVEN_UP;
		courier_tell(c, d);
	}
}

void courier_take(struct courier *c, struct fetch *f)
{
	size_t n = f->w.err == OK ? f->n : 0;

	for (size_t i = 0; i < f->taken.full_n; i++)
		lanes_get(c->lanes, f->taken.full[i])->more = true;
	if (f->w.err != OK) /* nobody said what is left in those that were asked for */
		for (size_t i = 0; i < f->want.n; i++)
			if (f->want.lanes[i].more)
				lanes_get(c->lanes, f->want.lanes[i].lane)->more = true;
	f->left = n;
	for (size_t i = 0; i < n; i++)
		place(c, &f->deliveries[i]);
	if (!n)
		store_work_free(&f->w);
	courier_run_lanes(c);
	c->pause_us = n ? 0 : c->pause_us;
	courier_poll_soon(c, -1);
}

void fetch_release(struct delivery *d)
{
	struct fetch *f = d->fetch;

	if (--f->left == 0)
		store_work_free(&f->w);
}
