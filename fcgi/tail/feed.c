#include "fcgi/tail/feed.h"

#include <stdlib.h>

#include "base/log.h"
#include "fcgi/tail/event.h"
#include "fcgi/tail/tail.h"
#include "store/log_follow.h"

struct feed {
	struct process *process;
	struct watch *watch;
	struct stream *first;
	struct ctx cx; /* of one round */
	bool is_failing;
};

/* After a round that failed; and when there is more to be read at once. */
static const int64_t AGAIN_US = 1000000, SOON_US = 1000;

static int64_t on_polled(void *arg, int64_t pause);

struct feed *feed_new(struct process *process, struct watch *watch)
{
	struct feed *f = calloc(1, sizeof *f);

	if (!f)
		abort();
	f->process = process;
	f->watch = watch;
	watch_then(watch, on_polled, f);
	return f;
}

void feed_free(struct feed *f)
{
	if (!f)
		return;
	ctx_release(&f->cx);
	free(f);
}

static void on_change(void *arg)
{
	(void)arg; /* a round follows each poll */
}

void feed_add(struct feed *f, struct stream *s)
{
	s->next = f->first;
	s->back = &f->first;
	if (s->next)
		s->next->back = &s->next;
	f->first = s;
	s->task = (struct task_standing){ s->at.task, TASK_QUEUED, 0 };
	s->watcher = (struct watcher){ .tasks = &s->task, .n = 1, .on_change = on_change, .arg = s };
	watch_add(f->watch, &s->watcher);
}

void feed_remove(struct feed *f, struct stream *s)
{
	if (!s->back)
		return;
	*s->back = s->next;
	if (s->next)
		s->next->back = s->back;
	s->back = NULL;
	watch_remove(f->watch, &s->watcher);
}

/* --- how long are they ------------------------------------------------------------------------------ */
static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id)); /* both begin with one */
}
_Static_assert(offsetof(struct log_standing, task) == 0, "so that by_id can look for one in them");

/* The tasks of all that can take something, each once. */
static struct id *followed(struct feed *f, size_t *n)
{
	size_t room = 0, all = 0;
	struct id *ids;

	for (const struct stream *s = f->first; s; s = s->next)
		room++;
	ids = arena_array(&f->cx.arena, room, sizeof *ids);
	for (const struct stream *s = f->first; s; s = s->next)
		if (stream_has_room(s))
			ids[all++] = s->at.task;
	qsort(ids, all, sizeof *ids, by_id);
	*n = 0;
	for (size_t i = 0; i < all; i++)
		if (!*n || !id_equal(&ids[*n - 1], &ids[i]))
			ids[(*n)++] = ids[i];
	return ids;
}

/* The heads of one task. */
static const struct log_standing *heads_of(const struct id *task, const struct log_standing *all, size_t *n)
{
	const struct log_standing *any = bsearch(task, all, *n, sizeof *all, by_id), *end = all + *n;
	size_t count = 0;

	*n = 0;
	if (!any)
		return NULL;
	while (any > all && id_equal(&any[-1].task, task))
		any--;
	while (any + count < end && id_equal(&any[count].task, task))
		count++;
	*n = count;
	return any;
}

/* Behind its last chunk a log may have newer output, which is not kept of it; 0 = it has none. */
static int64_t live_of(const struct log_head *head)
{
	return head->live > head->bytes ? head->live : 0;
}

static bool has_more(const struct stream *s, const struct log_head *head)
{
	return s->at.chunk < head->next || s->at.byte < live_of(head);
}

/* The next attempt's log, when there is nothing more to come of this one. */
static const struct log_head *next_attempt(const struct stream *s, const struct log_standing *heads, size_t n)
{
	bool is_open = false;

	for (size_t i = 0; i < n; i++) {
		if (heads[i].head.attempt > s->at.attempt)
			return is_open ? NULL : &heads[i].head;
		is_open = heads[i].head.attempt == s->at.attempt && (!heads[i].head.closed || has_more(s, &heads[i].head));
	}
	return NULL;
}

static bool is_over(const struct stream *s)
{
	return s->watcher.is_gone || task_state_is_settled(s->task.state);
}

static bool is_behind(const struct stream *s)
{
	return s->at.chunk < s->until || s->at.byte < s->live;
}

/* The attempt that is being read. */
static void look_at(struct stream *s, const struct log_head *head)
{
	s->day = head->day;
	s->until = head->next;
	s->live = live_of(head);
	if (s->at.kind != STREAM_NEWS || !is_behind(s))
		return;
	s->at.chunk = s->until;
	s->at.byte = s->live ? s->live : head->bytes;
	stream_put_news(s);
}

/* Where the reader stands in what there is now; true: it has been told the end. */
static bool look(struct stream *s, const struct log_standing *all, size_t n)
{
	const struct log_standing *heads = heads_of(&s->at.task, all, &n);
	const struct log_head *next;

	while ((next = next_attempt(s, heads, n)))
		s->at = (struct stream_place){ .task = s->at.task, .attempt = next->attempt, .kind = s->at.kind };
	s->until = s->live = 0;
	for (size_t i = 0; i < n; i++)
		if (heads[i].head.attempt == s->at.attempt)
			look_at(s, &heads[i].head);
	s->wants = is_behind(s);
	if (s->wants || !is_over(s))
		return false;
	stream_put_end(s, s->watcher.is_gone ? NULL : task_state_wire(s->task.state));
	return true;
}

/* --- what is new ------------------------------------------------------------------------------------ */
/* The place that it wants to read from: its next chunk, and when there is none the byte in what is newer. */
static struct log_place place_of(const struct stream *s)
{
	struct log_place p = { .task = s->at.task, .attempt = s->at.attempt, .day = s->day, .number = s->at.chunk };

	p.is_live = s->at.chunk >= s->until;
	p.byte = p.is_live ? s->at.byte : 0;
	return p;
}

static bool is_place(const struct log_place *a, const struct log_place *b)
{
	return a->number == b->number && a->byte == b->byte && a->is_live == b->is_live && a->attempt == b->attempt &&
	       id_equal(&a->task, &b->task);
}

/* At most LOG_FOLLOW_PLACES different places that readers want; who wants another one waits for the next reading. */
static size_t places(struct feed *f, struct log_place *out)
{
	size_t n = 0, i;

	for (struct stream *s = f->first; s; s = s->next) {
		struct log_place p = place_of(s);

		s->place = LOG_FOLLOW_PLACES;
		if (!s->wants)
			continue;
		for (i = 0; i < n && !is_place(&p, &out[i]); i++)
			;
		if (i == LOG_FOLLOW_PLACES)
			continue;
		out[i] = p;
		s->place = i;
		n += i == n;
	}
	return n;
}

/* A chunk to all that stand before it, at `here` of their place; its events are made once. */
static void hand_out(struct feed *f, size_t place, struct log_place *here, const struct log_chunk *c)
{
	int64_t from = -1, end = c->first_byte + (int64_t)c->plain.n;
	auto_ctx cx = { 0 };
	auto_buf events = { 0 };

	for (struct stream *s = f->first; s; s = s->next) {
		struct log_place at = place_of(s);

		if (s->place != place || !is_place(&at, here) || !stream_has_room(s))
			continue;
		if (from != s->at.byte) {
			from = s->at.byte;
			buf_clear(&events);
			event_put_chunk(&events, &cx.arena, at.attempt, c, from);
		}
		stream_put(s, buf_view(&events));
		s->at.chunk += !here->is_live;
		if (s->at.byte < end)
			s->at.byte = end;
	}
	here->number += !here->is_live;
	if (here->is_live && here->byte < end)
		here->byte = end;
}

/* Wanted, and so asked for. What has gone with its day is passed over; newer output that is not there has gone
 * because what is kept of it comes as chunks, unless the task is over. */
static void ask_no_more(struct feed *f, size_t place, const struct log_place *p)
{
	for (struct stream *s = f->first; s; s = s->next) {
		if (s->place != place)
			continue;
		if (!p->n && !p->is_live)
			s->at.chunk = s->until;
		else if (!p->n && is_over(s))
			s->at.byte = s->live;
		s->wants = false;
	}
}

static void hand_out_all(struct feed *f, size_t place, const struct log_place *p)
{
	struct log_place here = *p;

	for (size_t k = 0; k < p->n; k++)
		hand_out(f, place, &here, &p->chunks[k]);
	ask_no_more(f, place, p);
}

static enum err read_round(struct feed *f, bool *more)
{
	struct log_place at[LOG_FOLLOW_PLACES];
	size_t n;

	while ((n = places(f, at))) {
		auto_ctx cx = { 0 };

		if (log_follow_read(f->process->logs, &cx, at, n))
			return err_set(&f->cx, cx.err, "%s", cx.message);
		for (size_t i = 0; i < n; i++) {
			*more |= at[i].n > 0;
			hand_out_all(f, i, &at[i]);
		}
	}
	return OK;
}

static enum err look_all(struct feed *f)
{
	struct log_standing *heads = NULL;
	struct stream *next;
	size_t n, found = 0;
	struct id *ids = followed(f, &n);

	TRY(log_follow_heads(f->process->logs, &f->cx, ids, n, &heads, &found));
	for (struct stream *s = f->first; s; s = next) {
		next = s->next;
		s->wants = false;
		if (stream_has_room(s) && look(s, heads, found))
			stream_finish(s);
	}
	return OK;
}

/* More than a sip is to be read at once; the end of a log is told in the round after its last chunk. */
static bool any_is_behind(const struct feed *f)
{
	for (const struct stream *s = f->first; s; s = s->next)
		if (stream_has_room(s) && (is_behind(s) || is_over(s)))
			return true;
	return false;
}

static void send_all(struct feed *f)
{
	struct stream *next;

	for (struct stream *s = f->first; s; s = next) {
		next = s->next;
		stream_send(s);
	}
}

static int64_t on_polled(void *arg, int64_t pause)
{
	struct feed *f = arg;
	bool more = false;
	enum err e;

	if (!f->first)
		return pause;
	e = look_all(f);
	if (e == OK)
		e = read_round(f, &more);
	if (e != OK && !f->is_failing)
		log_warn("feed", "error=\"%s\"", f->cx.message);
	f->is_failing = e != OK;
	ctx_reset(&f->cx);
	send_all(f);
	if (e != OK)
		return AGAIN_US;
	return more && any_is_behind(f) ? SOON_US : pause;
}
