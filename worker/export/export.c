#include "worker/export/inside.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	STORE_THREADS = 2,
	POLL_US = 500000, REST_US = 2000000, AGAIN_US = 500000,
	BUSY_MOST = 128, SUSPECTS_MOST = 96, /* places that those that do not fare well may take */
	STORE_TRIES_MOST = 60,
	IDLE_US = 10000000, FORGET_US = 600000000,
};

static void begin(struct export *x, struct receiver *r, const struct log_destination *d);

/* --- receivers ------------------------------------------------------------------------------------------------- */

static void receiver_close(struct receiver *r)
{
	http_pool_free(r->http);
	syslog_tls_free(r->tls);
	free(r->ca);
	r->http = NULL;
	r->tls = NULL;
	r->ca = NULL;
}

/* What it was opened with may have been changed. */
static void receiver_renew(struct receiver *r, const struct log_destination *d)
{
	if (r->updated_at == d->updated_at)
		return;
	receiver_close(r);
	r->updated_at = d->updated_at;
	r->lines_most = BATCH_LINES;
	r->refusals = 0;
	r->ca = d->ca.n ? strndup(d->ca.p, d->ca.n) : NULL;
	r->health = (struct lane){ .failures = d->failures, .proven = d->failures == 0 && d->sent_at != TIME_NONE };
}

static struct receiver *receiver_of(struct export *x, const struct log_destination *d)
{
	struct receiver *r;

	for (r = x->receivers; r; r = r->next)
		if (id_equal(&r->id, &d->id))
			return r;
	r = calloc(1, sizeof *r);
	if (!r)
		abort();
	*r = (struct receiver){ .next = x->receivers, .id = d->id, .updated_at = TIME_NONE };
	x->receivers = r;
	return r;
}

static void forget_unused(struct export *x, int64_t since_us)
{
	for (struct receiver **at = &x->receivers; *at;) {
		struct receiver *r = *at;

		if (r->is_busy || r->used_us > since_us) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		receiver_close(r);
		free(r);
	}
}

/* A pool of connections is much for a destination that hears little, or was deleted: it opens another. */
static void close_idle(struct export *x, int64_t since_us)
{
	for (struct receiver *r = x->receivers; r; r = r->next) {
		if (r->is_busy || r->used_us > since_us)
			continue;
		http_pool_free(r->http);
		r->http = NULL;
	}
}

/* --- a batch, step by step ---------------------------------------------------------------------------------------- */

static void batch_free(struct batch *b)
{
	if (b->secret.n)
		explicit_bzero((void *)(uintptr_t)b->secret.p, b->secret.n);
	store_work_free(&b->w);
}

static void look_at_end(struct export *x)
{
	if (x->is_ending && export_is_at_rest(x) && x->o.on_rest)
		x->o.on_rest(x->o.arg);
}

static void over(struct batch *b, bool go_on)
{
	struct export *x = b->x;
	struct receiver *r = b->r;
	struct log_destination d = { .id = b->id, .project_id = b->project, .updated_at = r->updated_at };

	x->busy--;
	x->suspects -= b->is_suspect;
	r->is_busy = false;
	r->used_us = clock_boot_us();
	batch_free(b);
	if (go_on && !x->is_ending && x->busy < BUSY_MOST / 2) /* else in its turn, by the next look */
		begin(x, r, &d);
	look_at_end(x);
}

static void tell(struct export *x, enum err e, const char *why)
{
	if (e != OK && !x->is_failing)
		log_warn("export_failed", "why=\"%s\"", why);
	x->is_failing = e != OK;
}

/* All of one destination in one thread. */
static void add(struct batch *b)
{
	store_pool_add(b->x->store, STORE_ANY, b->id.b[ID_BYTES - 1], &b->w);
}

static void on_again(void *arg)
{
	add(arg);
}

/* What became of it must be stored, or it is sent once more: tried until others may hold the destination. */
static void on_stored(void *arg, struct store_work *w)
{
	struct batch *b = (struct batch *)w;

	(void)arg;
	tell(b->x, w->err == ERR_CONFLICT ? OK : w->err, w->cx.message);
	if (w->err != OK && w->err != ERR_CONFLICT && !b->x->is_ending && ++b->tries < STORE_TRIES_MOST) {
		loop_start(b->x->loop, &b->again, AGAIN_US, on_again, b);
		return;
	}
	over(b, w->err == OK && ((b->is_sent && b->has_more) || b->is_ping || (!b->is_sent && !b->pause_s)));
}

void batch_sent(struct batch *b)
{
	b->w.run = batch_store;
	b->w.done = on_stored;
	if (!b->is_sent)
		log_info("log_destination_failed", "id=%s failures=%lld next_s=%lld why=\"%s\"", id_format(&b->id).s,
		         (long long)b->r->health.failures, (long long)b->pause_s, b->error);
	add(b);
}

static void on_read(void *arg, struct store_work *w)
{
	struct batch *b = (struct batch *)w;

	(void)arg;
	tell(b->x, w->err, w->cx.message);
	if (w->err != OK || b->is_nothing || (!b->n && !b->is_ping && !*b->error)) {
		over(b, false); /* what was held is free again when its time is up, or by the next batch of ours */
		return;
	}
	receiver_renew(b->r, &b->to);
	if (*b->error) {
		b->pause_s = LANE_PAUSE_LEAST_S;
		batch_sent(b);
	} else if (b->lines.n) {
		batch_send(b);
	} else { /* no line is finished yet: how far it was read is stored */
		b->is_sent = true;
		batch_sent(b);
	}
}

static void begin(struct export *x, struct receiver *r, const struct log_destination *d)
{
	struct batch *b;

	if (r->is_busy || x->busy >= BUSY_MOST || (!r->health.proven && x->suspects >= SUSPECTS_MOST))
		return;
	b = store_work_new(sizeof *b);
	b->w.run = batch_read;
	b->w.done = on_read;
	b->x = x;
	b->r = r;
	b->id = d->id;
	b->project = d->project_id;
	b->is_suspect = !r->health.proven;
	b->lines.lines_most = r->lines_most;
	if (b->is_suspect && b->lines.lines_most > SUSPECT_LINES)
		b->lines.lines_most = SUSPECT_LINES;
	x->busy++;
	x->suspects += b->is_suspect;
	r->is_busy = true;
	add(b);
}

/* --- looking ---------------------------------------------------------------------------------------------------- */

struct look {
	struct store_work w;
	struct id holder;
	struct log_destination *all;
	size_t n;
};

static void on_poll(void *arg);

static enum err look_run(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct look *l = (struct look *)w;

	(void)tasks;
	return log_destination_store_due(logs, &w->cx, &l->holder, &l->all, &l->n);
}

static void on_looked(void *arg, struct store_work *w)
{
	struct export *x = arg;
	struct look *l = (struct look *)w;

	x->is_looking = false;
	tell(x, w->err, w->cx.message);
	x->turn++; /* so that it is not always the same ones that find no place */
	for (size_t i = 0; i < l->n && w->err == OK && !x->is_ending; i++) {
		const struct log_destination *d = &l->all[(i + x->turn) % l->n];
		struct receiver *r = receiver_of(x, d);

		if (r->is_busy)
			continue;
		receiver_renew(r, d);
		begin(x, r, d);
	}
	store_work_free(w);
	close_idle(x, clock_boot_us() - IDLE_US);
	forget_unused(x, clock_boot_us() - FORGET_US);
	if (!x->is_ending)
		loop_start(x->loop, &x->poll, x->receivers ? POLL_US : REST_US, on_poll, x);
	look_at_end(x);
}

static void on_poll(void *arg)
{
	struct export *x = arg;
	struct look *l = store_work_new(sizeof *l);

	l->w.run = look_run;
	l->w.done = on_looked;
	l->holder = x->holder;
	x->is_looking = true;
	store_pool_add(x->store, STORE_ANY, 0, &l->w);
}

/* --- life ------------------------------------------------------------------------------------------------------- */

struct export *export_new(struct loop *l, const struct export_options *options)
{
	struct export *x = calloc(1, sizeof *x);

	if (!x)
		abort();
	*x = (struct export){ .o = *options, .loop = l, .holder = id_make(clock_wall_us()) };
	gethostname(x->host, sizeof x->host - 1);
	x->store = store_pool_new(l, options->set, STORE_THREADS, x);
	if (!x->store) {
		free(x);
		return NULL;
	}
	loop_start(l, &x->poll, 0, on_poll, x);
	return x;
}

void export_end(struct export *x)
{
	x->is_ending = true;
	loop_stop(x->loop, &x->poll);
}

bool export_is_at_rest(const struct export *x)
{
	return !x->busy && !x->is_looking;
}

bool export_free(struct export *x)
{
	if (!x)
		return true;
	if (!export_is_at_rest(x) || store_pool_open(x->store))
		return false;
	forget_unused(x, INT64_MAX);
	store_pool_free(x->store);
	free(x);
	return true;
}
