#include "fcgi/tail/event_feed.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "fcgi/tail/event.h"
#include "fcgi/tail/tail.h"
#include "store/event_store.h"

struct event_feed {
	struct loop *loop;
	struct process *process;
	struct stream *first;
	struct loop_timer timer;
	struct ctx cx;         /* of one round */
	int64_t asked_us;      /* when it was said that somebody reads, CLOCK_BOOTTIME */
	bool is_failing;
};

static const int64_t AGAIN_US = 1000000, ASK_US = 10000000;

static void on_poll(void *arg);

struct event_feed *event_feed_new(struct loop *loop, struct process *process)
{
	struct event_feed *f = calloc(1, sizeof *f);

	if (!f)
		abort();
	f->loop = loop;
	f->process = process;
	return f;
}

void event_feed_free(struct event_feed *f)
{
	if (!f)
		return;
	loop_stop(f->loop, &f->timer);
	ctx_release(&f->cx);
	free(f);
}

void event_feed_add(struct event_feed *f, struct stream *s)
{
	s->next = f->first;
	s->back = &f->first;
	if (s->next)
		s->next->back = &s->next;
	f->first = s;
	if (!loop_is_waiting(&f->timer))
		loop_start(f->loop, &f->timer, 0, on_poll, f);
}

void event_feed_remove(struct event_feed *f, struct stream *s)
{
	if (!s->back)
		return;
	*s->back = s->next;
	if (s->next)
		s->next->back = s->back;
	s->back = NULL;
	if (!f->first)
		loop_stop(f->loop, &f->timer);
}

/* --- a round --------------------------------------------------------------------------------------- */
static bool is_at(const struct stream *s, const struct event_place *p)
{
	return s->at.place == p->place && id_equal(&s->at.project, &p->project);
}

/* At most EVENT_PLACES different places of those that have not heard all up to `end`. */
static size_t places(const struct event_feed *f, int64_t end, struct event_place *out)
{
	size_t n = 0, i;

	for (const struct stream *s = f->first; s && n < EVENT_PLACES; s = s->next) {
		if (s->at.place >= end || !stream_has_room(s))
			continue;
		for (i = 0; i < n && !is_at(s, &out[i]); i++)
			;
		if (i == n)
			out[n++] = (struct event_place){ .project = s->at.project, .place = s->at.place };
	}
	return n;
}

/* To all that stand there; the text is made once. */
static void hand_out(struct event_feed *f, const struct event_place *p, int64_t end)
{
	int64_t next = p->n ? p->events[p->n - 1].place : p->place;
	auto_buf events = { 0 };

	for (size_t i = 0; i < p->n; i++)
		event_put_change(&events, &p->events[i]);
	if (p->n < EVENT_PIECE && next < end)
		next = end;
	for (struct stream *s = f->first; s; s = s->next) {
		if (!is_at(s, p) || !stream_has_room(s))
			continue;
		if (events.n)
			stream_put(s, buf_view(&events));
		s->at.place = next;
	}
}

/* `end` is read first: what lies up to there is seen by the statements that follow. */
static enum err read_round(struct event_feed *f)
{
	struct event_place at[EVENT_PLACES];
	struct process *p = f->process;
	int64_t end;
	size_t n;

	if (clock_boot_us() - f->asked_us > ASK_US) {
		TRY(event_store_ask(p->db, &f->cx));
		f->asked_us = clock_boot_us();
	}
	TRY(event_store_end(p->db, &f->cx, &end));
	while ((n = places(f, end, at))) {
		auto_ctx cx = { 0 };

		if (event_store_follow(p->db, &cx, at, n))
			return err_set(&f->cx, cx.err, "%s", cx.message);
		for (size_t i = 0; i < n; i++)
			hand_out(f, &at[i], end);
	}
	return OK;
}

static void send_all(struct event_feed *f)
{
	struct stream *next;

	for (struct stream *s = f->first; s; s = next) {
		next = s->next;
		stream_send(s);
	}
}

static void on_poll(void *arg)
{
	struct event_feed *f = arg;
	struct breaker *breaker = &f->process->breaker;
	int64_t begun = clock_boot_us();
	enum err e = ERR_BUSY;

	if (breaker_allows(breaker, begun, 0)) {
		e = read_round(f);
		breaker_note(breaker, begun, clock_boot_us(), e == ERR_BUSY || e == ERR_UNSURE);
		if (e != OK && !f->is_failing)
			log_warn("event_feed", "error=\"%s\"", f->cx.message);
		f->is_failing = e != OK;
	}
	ctx_reset(&f->cx);
	send_all(f);
	if (f->first)
		loop_start(f->loop, &f->timer, e == OK ? f->process->set->tail.poll_ms * 1000 : AGAIN_US, on_poll, f);
}
