/* A log or a project that is followed: events as they come, a sign of life each 15 s, an end. */
#include "fcgi/tail/event.h"
#include "fcgi/tail/event_feed.h"
#include "fcgi/tail/record.h"
#include "fcgi/tail/tail.h"

/* Reading stops for who has so much to take; a round adds little more than that. */
enum { BUFFER_BYTES = 256 << 10 };
static const int64_t BEAT_US = 15000000;

static size_t unsent(const struct stream *s)
{
	return s->conn->out.n - s->conn->sent;
}

/* Who took nothing from one beat to the next will not. */
static void on_beat(void *arg)
{
	struct conn *c = arg;

	if (unsent(&c->stream) && c->sent_in_all == c->sent_at_beat) {
		conn_close(c);
		return;
	}
	c->sent_at_beat = c->sent_in_all;
	loop_start(c->tail->loop, &c->timer, BEAT_US, on_beat, c);
	if (!unsent(&c->stream))
		record_put_stdout(&c->out, c->request, STR_LIT(":\n\n"));
	conn_flush(c);
}

void stream_begin(struct conn *c, const struct stream_place *at)
{
	c->stage = CONN_STREAMS;
	c->tail->waiting++;
	c->stream = (struct stream){ .conn = c, .at = *at };
	loop_start(c->tail->loop, &c->timer, BEAT_US, on_beat, c);
	if (at->kind == STREAM_EVENTS) {
		auto_buf place = { 0 };

		event_put_place(&place, at->place);
		stream_put(&c->stream, buf_view(&place));
		event_feed_add(c->tail->events, &c->stream);
	} else
		feed_add(c->tail->feed, &c->stream);
}

void stream_end(struct conn *c)
{
	if (c->stage != CONN_STREAMS)
		return;
	c->tail->waiting--;
	if (c->stream.at.kind == STREAM_EVENTS)
		event_feed_remove(c->tail->events, &c->stream);
	else
		feed_remove(c->tail->feed, &c->stream);
	loop_stop(c->tail->loop, &c->timer);
}

/* --- for the feeds ---------------------------------------------------------------------------------- */
bool stream_has_room(const struct stream *s)
{
	return unsent(s) < BUFFER_BYTES;
}

void stream_put(struct stream *s, struct str events)
{
	record_put_stdout(&s->conn->out, s->conn->request, events);
}

void stream_put_news(struct stream *s)
{
	auto_buf b = { 0 };

	event_put_news(&b, s->at.attempt, s->at.byte);
	stream_put(s, buf_view(&b));
}

void stream_put_end(struct stream *s, const char *status)
{
	auto_buf b = { 0 };

	event_put_end(&b, s->at.attempt, s->at.byte, status);
	stream_put(s, buf_view(&b));
}

void stream_send(struct stream *s)
{
	if (unsent(s))
		conn_flush(s->conn);
}

void stream_finish(struct stream *s)
{
	stream_end(s->conn);
	conn_finish(s->conn);
}
