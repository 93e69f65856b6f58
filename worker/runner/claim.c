/* Taking tasks: an adaptive poll, woken by the doorbell and by slots that come free; one claim at a
 * time, for all free slots at once (design.md 6). */
#include "worker/runner/inside.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/log.h"
#include "store/node_store.h"

#include <stdlib.h>

enum { PAUSE_LEAST_US = 20000, PAUSE_BROKEN_US = 2000000, GATHER_US = 5000, LEASE_MARGIN_US = 1000000 };

struct claim_work {
	struct store_work w;
	struct node_claim who;
	unsigned char session[16];
	size_t most;
	bool peek; /* look first: at rest one SELECT is all it costs */
	bool in_doubt;      /* first: what is ours already? */
	uint64_t removals;  /* when it was handed over */
	struct claimed *got, *mine;
	size_t n, mine_n;
};

/* ± 20 %, so that runners do not fall into step. */
static int64_t jitter(int64_t us)
{
	uint32_t random;

	crypt_random(&random, sizeof random);
	return us - us / 5 + (int64_t)(random % (uint32_t)(us / 5 * 2 + 1));
}

static bool may_claim(const struct runner *r)
{
	return r->adopted && !r->ending && r->held.state == LEASE_HELD && !r->held.draining;
}

/* Our own deadline: what is launched past it is killed at once. The view is of the last change, so
 * ask anew. */
static bool lease_is_good(struct runner *r)
{
	struct lease_view now;

	lease_look(r->lease, &now);
	return now.deadline_us > clock_boot_us() + LEASE_MARGIN_US;
}

/* --- in the store thread ------------------------------------------------------------------------- */

static enum err claim_run(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct claim_work *c = (struct claim_work *)w;
	bool any = true;

	(void)logs;
	if (c->in_doubt)
		return ready_store_mine(tasks, &w->cx, &c->who, &c->mine, &c->mine_n);
	if (c->peek)
		TRY(ready_store_peek(tasks, &w->cx, c->who.cluster_id, &any));
	if (!any)
		return OK;
	return ready_store_claim(tasks, &w->cx, &c->who, c->most, &c->got, &c->n);
}

/* --- in the loop ----------------------------------------------------------------------------------- */

static void on_poll(void *arg);

static const struct engine_class *engine_for(const struct runner *r, struct str wanted)
{
	if (!wanted.n)
		return r->engine;
	return settings_has_engine(r->set, wanted) ? engine_find(wanted) : NULL;
}

bool claim_take(struct runner *r, const struct claimed *c)
{
	struct attempt_key key = { .task = c->task_id, .attempt = (uint32_t)c->attempt };
	struct job *j;
	uint32_t slot;

	if (job_find(r, &key))
		return false;
	if (!slot_find(r, &slot))
		slot = SLOT_NONE; /* of a runner before us, which had more than it could run */
	j = job_new(r, &key, slot);
	j->stage = JOB_CLAIMED;
	j->claim = *c;
#define KEEP(field) j->claim.field = str_bytes(arena_copy(&j->arena, c->field.p, c->field.n), c->field.n)
	KEEP(image);
	KEEP(command);
	KEEP(env);
	KEEP(config);
	KEEP(payload);
	KEEP(traceparent);
	KEEP(runtime);
	KEEP(stack);
	KEEP(file_name);
	KEEP(engine);
#undef KEEP
	j->has_package = c->package.n == sizeof j->package;
	if (j->has_package)
		memcpy(j->package, c->package.p, sizeof j->package);
	j->engine = engine_for(r, j->claim.engine);
	j->lane_id = c->lane_id;
	j->day = c->day;
	j->timeout_s = c->timeout_s;
	j->memory_mb = c->memory_mb ? c->memory_mb : r->set->node.memory_mb;
	return true;
}

/* How long until the next look: at once after a full claim, else ever longer up to poll_ms. */
static void next_poll(struct runner *r, const struct claim_work *c)
{
	int64_t most = r->set->runner.poll_ms * 1000;

	if (c->w.err != OK) {
		r->claim.pause_us = r->claim.pause_us < PAUSE_BROKEN_US / 2 ? r->claim.pause_us * 2 : PAUSE_BROKEN_US;
	} else if (c->n) {
		r->claim.pause_us = PAUSE_LEAST_US;
	} else {
		r->claim.pause_us = r->claim.pause_us * 2 < most ? r->claim.pause_us * 2 : most;
	}
	if (r->claim.pause_us < PAUSE_LEAST_US)
		r->claim.pause_us = PAUSE_LEAST_US;
	r->claim.hungry = c->w.err == OK && c->n && c->n == c->most;
	r->claim.rest_until_us = c->n ? 0 : clock_boot_us() + PAUSE_LEAST_US;
	loop_start(r->loop, &r->claim.timer, jitter(r->claim.pause_us), on_poll, r);
	if (r->claim.rung || (r->claim.hungry && slots_free(r)))
		claim_ring(r);
}

/* A claim that gave no answer may have been done; what it took is in the database. The list is of no
 * use if a job went since it was asked for: that one might stand in it. */
static void resolve_doubt(struct runner *r, const struct claim_work *c)
{
	if (c->w.err != OK) {
		r->claim.in_doubt = true;
		return;
	}
	if (!c->in_doubt || c->removals != r->removals)
		return;
	adopt_missed(r, c->mine, c->mine_n);
	r->claim.in_doubt = false;
	r->claim.rung = true;
}

static void claim_done(void *arg, struct store_work *w)
{
	struct runner *r = arg;
	struct claim_work *c = (struct claim_work *)w;

	r->claim.open = false;
	r->claim.most = 0;
	runner_tell(r, TROUBLE_CLAIM, w->err, w->cx.message);
	resolve_doubt(r, c);
	for (size_t i = 0; w->err == OK && i < c->n; i++)
		claim_take(r, &c->got[i]);
	next_poll(r, c);
	store_work_free(w);
	launch_next(r);
	runner_look_at_end(r);
}

/* So many tasks that wait for an image, or a daemon, are enough to hold back from other nodes: of their lanes no
 * more are claimed, so that those of others are. */
static void pass_over(struct runner *r, struct claim_work *c)
{
	int64_t *lanes;
	size_t n = 0;

	if (r->parked < (size_t)r->set->node.slots)
		return;
	lanes = arena_array(&c->w.cx.arena, r->parked, sizeof *lanes);
	for (const struct job *j = r->jobs; j; j = j->next) {
		size_t at = 0;

		while (at < n && lanes[at] != j->lane_id)
			at++;
		if (j->slot == SLOT_NONE && at == n)
			lanes[n++] = j->lane_id;
	}
	c->who.passed = lanes;
	c->who.passed_n = n;
}

static void look(struct runner *r, bool peek)
{
	struct claim_work *c;

	if (r->claim.open) {
		r->claim.rung = r->claim.rung || !peek;
		return;
	}
	r->claim.rung = false;
	if (!may_claim(r) || !slots_free(r) || !lease_is_good(r) || (r->fault.rests && !r->claim.in_doubt))
		return;
	loop_stop(r->loop, &r->claim.timer);
	c = store_work_new(sizeof *c);
	c->w.run = claim_run;
	c->w.done = claim_done;
	memcpy(c->session, r->held.session, sizeof c->session);
	c->who = r->held.who;
	c->who.session = str_bytes(c->session, sizeof c->session);
	pass_over(r, c);
	c->most = slots_free(r) < BATCH_MOST ? slots_free(r) : BATCH_MOST;
	if (r->fault.is && c->most > FAULT_CLAIMS)
		c->most = FAULT_CLAIMS;
	c->peek = peek;
	c->in_doubt = r->claim.in_doubt;
	c->removals = r->removals;
	r->claim.open = true;
	r->claim.most = c->most;
	store_pool_add(r->store, STORE_CLAIM, 0, &c->w);
}

static void on_poll(void *arg)
{
	struct runner *r = arg;

	/* kept going whatever happens: without free slots it only sets itself anew */
	loop_start(r->loop, &r->claim.timer, jitter(r->set->runner.poll_ms * 1000), on_poll, r);
	look(r, !r->claim.hungry);
}

/* A ring right after a claim that found nothing (everything that waits is paused or at its limit)
 * is answered a little later: a storm of them costs fifty claims a second, not one each. */
void claim_ring(struct runner *r)
{
	int64_t rest_us = r->claim.rest_until_us - clock_boot_us();

	if (rest_us <= 0) {
		look(r, false);
		return;
	}
	if (!r->claim.open && (!loop_is_waiting(&r->claim.timer) || r->claim.timer.due_us > r->claim.rest_until_us))
		loop_start(r->loop, &r->claim.timer, rest_us, on_poll, r);
}

void claim_slot_freed(struct runner *r)
{
	if (!r->claim.hungry || r->claim.open)
		return;
	/* a few slots together cost one turn */
	if (!loop_is_waiting(&r->claim.timer) || r->claim.timer.due_us > clock_boot_us() + GATHER_US)
		loop_start(r->loop, &r->claim.timer, GATHER_US, on_poll, r);
}

void claim_start(struct runner *r)
{
	r->claim.pause_us = PAUSE_LEAST_US;
	claim_ring(r);
	if (!r->claim.open)
		loop_start(r->loop, &r->claim.timer, jitter(r->claim.pause_us), on_poll, r);
}

void claim_stop(struct runner *r)
{
	loop_stop(r->loop, &r->claim.timer);
}

/* --- ends that somebody asked for ----------------------------------------------------------------- */

struct stops_work {
	struct store_work w;
	int64_t node_id;
	struct stop_request *got;
	size_t n;
};

static enum err stops_run(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct stops_work *s = (struct stops_work *)w;

	(void)logs;
	return node_store_stops(tasks, &w->cx, s->node_id, &s->got, &s->n);
}

static void stops_done(void *arg, struct store_work *w)
{
	struct runner *r = arg;
	struct stops_work *s = (struct stops_work *)w;

	r->claim.stops_open = false;
	for (size_t i = 0; w->err == OK && i < s->n; i++) {
		struct attempt_key key = { .task = s->got[i].task_id, .attempt = (uint32_t)s->got[i].attempt };
		struct job *j = job_find(r, &key);

		if (j)
			job_cancel(j);
	}
	store_work_free(w); /* an error says nothing new: the claims and the lease tell it */
	runner_look_at_end(r);
}

void claim_ask_stops(struct runner *r)
{
	struct stops_work *s;

	if (r->claim.stops_open || !r->jobs || r->held.state != LEASE_HELD)
		return;
	s = store_work_new(sizeof *s);
	s->w.run = stops_run;
	s->w.done = stops_done;
	s->node_id = r->held.who.node_id;
	r->claim.stops_open = true;
	store_pool_add(r->store, STORE_CLAIM, 0, &s->w);
}
