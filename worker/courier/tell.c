/* What became of calls, many in one transaction. */
#include "worker/courier/inside.h"

#include "base/clock.h"
#include "base/log.h"

enum { TELL_MOST = 500, TELL_BYTES_MOST = 4 << 20, AGAIN_US = 500000 };

struct tell {
	struct store_work w;
	struct outbox_outcome *outcomes;
	struct delivery **of;
	size_t n;
	struct outbox_health *lanes;
	size_t lanes_n;
};

static enum err run(struct store_work *w, struct db *db, struct db *logs)
{
	struct tell *t = (struct tell *)w;

	(void)logs;
	return outbox_store_tell(db, &w->cx, t->outcomes, t->n, t->lanes, t->lanes_n);
}

static void put(struct courier *c, struct delivery *d)
{
	d->next = NULL;
	*c->told_last = d;
	c->told_last = &d->next;
	c->told_n++;
}

static void on_again(void *arg)
{
	courier_tell_now(arg);
}

static void done(void *arg, struct store_work *w)
{
	struct courier *c = arg;
	struct tell *t = (struct tell *)w;

	c->telling = false;
	for (size_t i = 0; i < t->n; i++) {
		if (w->err != OK) {
			put(c, t->of[i]);
			continue;
		}
		t->of[i]->lane->untold--;
		fetch_release(t->of[i]);
	}
	if (w->err != OK) {
		log_warn("outcomes_not_stored", "n=%zu why=\"%s\"", t->n, w->cx.message);
		for (size_t i = 0; i < t->lanes_n; i++)
			lanes_get(c->lanes, t->lanes[i].lane)->changed = true;
		loop_start(c->loop, &c->tell_again, AGAIN_US, on_again, c);
	} else {
		courier_tell_now(c);
	}
	store_work_free(w);
	courier_look_at_end(c);
}

static void add_health(struct courier *c, struct tell *t, struct lane *lane)
{
	if (!lane->changed)
		return;
	lane->changed = false;
	t->lanes[t->lanes_n++] = (struct outbox_health){ lane->key, lane->failures, lane_pause_s(lane, clock_boot_us()) };
	(void)c;
}

void courier_tell_now(struct courier *c)
{
	size_t most = c->told_n < TELL_MOST ? c->told_n : TELL_MOST, bytes = 0;
	struct tell *t;

	if (c->telling || !most || loop_is_waiting(&c->tell_again))
		return;
	t = store_work_new(sizeof *t);
	t->w.run = run;
	t->w.done = done;
	t->outcomes = arena_array(&t->w.cx.arena, most, sizeof *t->outcomes);
	t->of = arena_array(&t->w.cx.arena, most, sizeof *t->of);
	t->lanes = arena_array(&t->w.cx.arena, most, sizeof *t->lanes);
	for (; t->n < most && bytes < TELL_BYTES_MOST; t->n++) { /* of requests that are kept: a packet has a size */
		struct delivery *d = c->told;

		bytes += d->body.n < OUTBOX_BODY_BYTES ? d->body.n : OUTBOX_BODY_BYTES;
		c->told = d->next;
		t->of[t->n] = d;
		t->outcomes[t->n] = d->out;
		add_health(c, t, d->lane);
	}
	if (!c->told)
		c->told_last = &c->told;
	c->told_n -= t->n;
	c->telling = true;
	store_pool_add(c->store, STORE_MOVE, 0, &t->w);
}

void courier_tell(struct courier *c, struct delivery *d)
{
	c->held--;
	c->held_bytes -= d->body.n;
	d->lane->untold++;
	put(c, d);
	courier_tell_now(c);
}
