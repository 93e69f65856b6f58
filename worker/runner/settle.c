/* Starts and ends, many at once in one transaction: what came within 5 ms, or 50. Then the removal
 * of what is left, after which the slot is free. */
#include "worker/runner/inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/attempt_store.h"

#include <stdlib.h>

enum { GATHER_US = 5000, RETRY_US = 500000, REMOVE_AGAIN_US = 100000, REMOVE_FAILED_US = 5000000 };

struct move_work {
	struct store_work w;
	struct node_claim who;
	unsigned char session[16];
	size_t n;
	struct job *jobs[BATCH_MOST];
	bool lost[BATCH_MOST];
	union {
		struct attempt_start starts[BATCH_MOST];
		struct attempt_end ends[BATCH_MOST];
	};
};

/* --- batches ---------------------------------------------------------------------------------------- */

static void push(struct batch *b, struct job *j)
{
	j->next_waiting = NULL;
	*b->last = j;
	b->last = &j->next_waiting;
	b->n++;
}

static struct job *pop(struct batch *b)
{
	struct job *j = b->first;

	b->first = j->next_waiting;
	if (!b->first)
		b->last = &b->first;
	b->n--;
	return j;
}

void settle_init(struct runner *r)
{
	r->starts.last = &r->starts.first;
	r->ends.last = &r->ends.first;
}

static void fill(struct runner *r, struct move_work *m, struct batch *b)
{
	size_t most = b->single ? 1 : BATCH_MOST;

	memcpy(m->session, r->held.session, sizeof m->session);
	m->who = r->held.who;
	m->who.session = str_bytes(m->session, sizeof m->session);
	while (b->first && m->n < most)
		m->jobs[m->n++] = pop(b);
}

/* Not stored: they wait again, behind what came meanwhile. */
static void put_back(struct runner *r, struct batch *b, struct move_work *m, loop_on_time *again)
{
	for (size_t i = 0; i < m->n; i++)
		push(b, m->jobs[i]);
	b->single = m->w.err != ERR_BUSY;
	loop_start(r->loop, &b->timer, RETRY_US, again, r);
}

static bool may_send(const struct runner *r, const struct batch *b)
{
	return !b->open && b->first && r->held.state != LEASE_NONE && r->ending != END_HAND_OVER;
}

static void gather(struct runner *r, struct batch *b, loop_on_time *send)
{
	if (b->open)
		return;
	if (b->n >= BATCH_MOST)
		send(r);
	else if (!loop_is_waiting(&b->timer))
		loop_start(r->loop, &b->timer, GATHER_US, send, r);
}

/* --- starts ------------------------------------------------------------------------------------------- */

static enum err starts_run(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct move_work *m = (struct move_work *)w;

	(void)logs;
	for (size_t i = 0; i < m->n; i++) {
		struct attempt_start *s = &m->starts[i];

		/* told as an age: what decides is the database's clock */
		s->started_us_ago = clock_boot_us() - m->jobs[i]->started_us;
	}
	return attempt_store_start(tasks, &w->cx, &m->who, m->starts, m->n, m->lost);
}

static void send_starts(void *arg);
static void send_ends(void *arg);

static void start_stored(struct job *j, bool lost)
{
	j->start = START_STORED;
	if (lost && !j->is_lost) {
		log_warn("start_refused", "attempt=%s", j->name);
		job_lose(j);
	}
	if (j->is_lost)
		settle_remove(j);
	else if (j->stage == JOB_SETTLING) {
		push(&j->runner->ends, j);
		gather(j->runner, &j->runner->ends, send_ends);
	}
}

static void starts_done(void *arg, struct store_work *w)
{
	struct runner *r = arg;
	struct move_work *m = (struct move_work *)w;

	r->starts.open = false;
	runner_tell(r, TROUBLE_STARTS, w->err, w->cx.message);
	if (w->err == OK) {
		r->starts.single = r->starts.single && r->starts.first;
		for (size_t i = 0; i < m->n; i++)
			start_stored(m->jobs[i], m->lost[i]);
		if (r->starts.first)
			gather(r, &r->starts, send_starts);
	} else {
		put_back(r, &r->starts, m, send_starts);
	}
	store_work_free(w);
	runner_look_at_end(r);
}

static void send_starts(void *arg)
{
	struct runner *r = arg;
	struct move_work *m;

	if (!may_send(r, &r->starts))
		return;
	loop_stop(r->loop, &r->starts.timer);
	m = store_work_new(sizeof *m);
	m->w.run = starts_run;
	m->w.done = starts_done;
	fill(r, m, &r->starts);
	for (size_t i = 0; i < m->n; i++)
		m->starts[i] = (struct attempt_start){ .task_id = m->jobs[i]->key.task, .attempt = m->jobs[i]->key.attempt,
			                               .digest = str_bytes(m->jobs[i]->digest, SHA256_BYTES) };
	r->starts.open = true;
	store_pool_add(r->store, STORE_MOVE, 0, &m->w);
}

void settle_start(struct job *j)
{
	j->start = START_WAITS;
	push(&j->runner->starts, j);
	gather(j->runner, &j->runner->starts, send_starts);
}

/* --- ends --------------------------------------------------------------------------------------------- */

static enum err ends_run(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct move_work *m = (struct move_work *)w;

	(void)logs;
	/* told as an age, after an outage too: what decides is the database's clock */
	for (size_t i = 0; i < m->n; i++)
		m->ends[i].ended_us_ago = clock_boot_us() - m->jobs[i]->ended_us;
	return attempt_store_settle(tasks, &w->cx, &m->who, m->ends, m->n, m->lost);
}

static void send_ends(void *arg);

static void end_stored(struct job *j, bool lost)
{
	if (lost)
		log_warn("settlement_refused", "attempt=%s why=\"it is another's, or was settled before\"", j->name);
	else
		log_info("settled", "attempt=%s state=%s cause=%s", j->name, task_state_name(j->verdict.state),
		         cause_name(j->verdict.cause));
	settle_drop(j);
}

static void ends_done(void *arg, struct store_work *w)
{
	struct runner *r = arg;
	struct move_work *m = (struct move_work *)w;

	r->ends.open = false;
	runner_tell(r, TROUBLE_ENDS, w->err, w->cx.message);
	if (w->err == OK) {
		r->ends.single = r->ends.single && r->ends.first;
		for (size_t i = 0; i < m->n; i++)
			end_stored(m->jobs[i], m->lost[i]);
		if (r->ends.first)
			gather(r, &r->ends, send_ends);
	} else {
		put_back(r, &r->ends, m, send_ends);
	}
	store_work_free(w);
	runner_look_at_end(r);
}

static void send_ends(void *arg)
{
	struct runner *r = arg;
	struct move_work *m;

	if (!may_send(r, &r->ends))
		return;
	loop_stop(r->loop, &r->ends.timer);
	m = store_work_new(sizeof *m);
	m->w.run = ends_run;
	m->w.done = ends_done;
	fill(r, m, &r->ends);
	for (size_t i = 0; i < m->n; i++)
		m->ends[i] = (struct attempt_end){ .task_id = m->jobs[i]->key.task, .attempt = m->jobs[i]->key.attempt,
			                           .lane_id = m->jobs[i]->lane_id, .verdict = m->jobs[i]->verdict };
	r->ends.open = true;
	store_pool_add(r->store, STORE_MOVE, 0, &m->w);
}

void settle_end(struct job *j, const struct verdict *verdict)
{
	j->verdict = *verdict;
	j->ended_us = j->has_end && j->end.ended_us ? (int64_t)j->end.ended_us : clock_boot_us();
	j->stage = JOB_SETTLING;
	if (j->start == START_WAITS)
		return; /* it follows when the start is stored: no state is skipped */
	push(&j->runner->ends, j);
	gather(j->runner, &j->runner->ends, send_ends);
}

/* --- removal ------------------------------------------------------------------------------------------ */

void settle_drop(struct job *j)
{
	j->stage = JOB_SETTLED;
	settle_remove(j);
}

static void on_remove(void *arg)
{
	settle_remove(arg);
}

void settle_remove(struct job *j)
{
	if (j->is_lost && (j->stage == JOB_FOLLOWED || j->stage == JOB_ENDED || j->stage == JOB_FOUND))
		j->stage = JOB_SETTLED;
	if (j->stage != JOB_SETTLED || !j->monitor_gone || j->log || j->start == START_WAITS)
		return;
	j->stage = JOB_REMOVING;
	j->runner->engine->remove(j->runner->host, &j->key);
}

void settle_removed(struct job *j, enum engine_result how, const char *why)
{
	struct runner *r = j->runner;

	if (how == ENGINE_DONE) {
		job_free(j);
		launch_next(r);
		claim_slot_freed(r);
		runner_look_at_end(r);
		return;
	}
	j->stage = JOB_SETTLED;
	if (how != ENGINE_BUSY)
		log_error("remove_failed", "attempt=%s why=\"%s\"", j->name, why);
	loop_start(r->loop, &j->again, how == ENGINE_BUSY ? REMOVE_AGAIN_US : REMOVE_FAILED_US, on_remove, j);
}
