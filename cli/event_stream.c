#include "cli/event_stream.h"

#include "base/clock.h"
#include "cli/interrupt.h"

enum { LINE_BYTES = 1 << 20 };
/* There is a sign of life each 15 s. */
static const int64_t SILENCE_US = 40000000;

static void free_texts(struct event_stream *s)
{
	buf_free(&s->line);
	buf_free(&s->id);
	buf_free(&s->name);
	buf_free(&s->data);
}

static void set(struct buf *field, struct str value)
{
	buf_clear(field);
	buf_str(field, value);
}

/* The empty line behind an event. One without data is none, by the standard. */
static void dispatch(struct event_stream *s)
{
	struct stream_event e = { buf_view(&s->id), buf_view(&s->name), buf_view(&s->data) };

	if (e.data.n && s->err == OK)
		s->err = s->on_event(s->arg, &e);
	buf_clear(&s->name);
	buf_clear(&s->data);
}

static void take_line(struct event_stream *s)
{
	struct str value = buf_view(&s->line), name = STR_LIT("");

	if (!value.n) {
		dispatch(s);
		return;
	}
	str_cut(&value, ':', &name);
	if (value.n && *value.p == ' ')
		value = str_bytes(value.p + 1, value.n - 1);
	if (str_is(name, "id")) {
		set(&s->id, value);
	} else if (str_is(name, "event")) {
		set(&s->name, value);
	} else if (str_is(name, "data")) {
		if (s->data.n)
			buf_char(&s->data, '\n');
		buf_str(&s->data, value);
	}
}

static void on_bytes(void *arg, struct str bytes)
{
	struct event_stream *s = arg;

	s->heard_us = clock_boot_us();
	while (bytes.n && s->err == OK) {
		const char *end = memchr(bytes.p, '\n', bytes.n);
		size_t n = end ? (size_t)(end - bytes.p) : bytes.n;

		buf_add(&s->line, bytes.p, n);
		if (s->line.full)
			s->err = err_set(&s->cli->cx, ERR_INTERNAL, "the server's stream has a line over 1 MiB");
		if (!end)
			return;
		take_line(s);
		buf_clear(&s->line);
		bytes = str_bytes(end + 1, bytes.n - n - 1);
	}
}

static bool goes_on(void *arg)
{
	const struct event_stream *s = arg;

	return s->err == OK && !interrupt_came() && clock_boot_us() - s->heard_us < SILENCE_US;
}

enum err event_stream_read(struct cli *c, const struct client *to, const char *path, const char *last_id,
                           struct event_stream *s, bool *came)
{
	struct http_sink sink = { on_bytes, goes_on, s };
	struct http_answer answer = { 0 };
	enum err e;

	s->cli = c;
	s->err = OK;
	s->heard_us = clock_boot_us();
	s->line.ceiling = LINE_BYTES;
	e = client_stream(c, to, path, last_id, &sink, &answer);
	free_texts(s);
	if (came)
		*came = answer.status == 200;
	return s->err != OK ? s->err : e;
}
