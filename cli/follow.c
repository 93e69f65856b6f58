#include "cli/follow.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/json.h"
#include "cli/event_stream.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "model/log_notice.h"

#include <stdio.h>
#include <unistd.h>

/* Refused a stream, one polls so long before one asks again. */
static const int64_t POLL_US = 20000000;

struct follower {
	struct cli *c;
	const struct client *to;
	const char *id;
	char place[48];   /* "ATTEMPT-BYTE" that comes next; "" = the beginning */
	char half[4];     /* of a character, for a terminal */
	size_t half_n;
	bool is_over;     /* the stream has said so */
};

/* --- out ------------------------------------------------------------------------------------------- */
/* How many bytes at its end are the beginning of a character. */
static size_t half_character(struct str s)
{
	size_t back = 0, needs;
	unsigned char lead;

	while (back < 3 && back < s.n && ((unsigned char)s.p[s.n - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back == s.n)
		return 0;
	lead = (unsigned char)s.p[s.n - 1 - back];
	needs = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	return back + 1 < needs ? back + 1 : 0;
}

/* A terminal gets whole characters: what is cut in the middle waits for the next piece. */
static enum err print(struct follower *f, struct str bytes)
{
	auto_ctx cx = { 0 };
	auto_buf joined = { 0 };

	if (!isatty(1)) {
		output_text(&cx, bytes);
		return output_end(&f->c->cx);
	}
	buf_add(&joined, f->half, f->half_n);
	buf_str(&joined, bytes);
	f->half_n = half_character(buf_view(&joined));
	joined.n -= f->half_n;
	memcpy(f->half, joined.p + joined.n, f->half_n);
	output_text(&cx, buf_view(&joined));
	return output_end(&f->c->cx);
}

/* --- by the stream --------------------------------------------------------------------------------- */
static enum err print_output(struct follower *f, struct ctx *cx, const json_t *data)
{
	const json_t *text = json_object_get(data, "text");
	const char *base64 = json_string_value(json_object_get(data, "base64"));
	struct str bytes;

	if (text)
		return print(f, str_bytes(json_string_value(text), json_string_length(text)));
	if (!base64 || !base64_parse(&cx->arena, str_of(base64), &bytes))
		return err_set(&f->c->cx, ERR_INTERNAL, "the server's stream has an event without output");
	return print(f, bytes);
}

static enum err print_gap(struct follower *f, struct ctx *cx, const json_t *data)
{
	int64_t byte = json_integer_value(json_object_get(data, "byte"));

	return print(f, log_notice(&cx->arena, byte, byte + json_integer_value(json_object_get(data, "missing"))));
}

static enum err on_event(void *arg, const struct stream_event *e)
{
	static const struct json_limits LIMITS = { 8, 1000 };
	struct follower *f = arg;
	auto_json *data = NULL;
	auto_ctx cx = { 0 };

	if (e->id.n >= sizeof f->place || json_read(&cx, e->data, LIMITS, &data) != OK)
		return err_set(&f->c->cx, ERR_INTERNAL, "the server's stream has an event that cannot be read");
	if (str_is(e->name, "output"))
		TRY(print_output(f, &cx, data));
	else if (str_is(e->name, "gap"))
		TRY(print_gap(f, &cx, data));
	f->is_over = f->is_over || str_is(e->name, "end");
	snprintf(f->place, sizeof f->place, STR_FMT, STR_ARG(e->id));
	return OK;
}

/* *came = there was a stream; that it broke off is no error. */
static enum err follow_stream(struct follower *f, bool *came)
{
	const char *path = arena_printf(&f->c->cx.arena, "/tasks/%s/log/stream", f->id);
	struct event_stream s = { .on_event = on_event, .arg = f };
	enum err e = event_stream_read(f->c, f->to, path, f->place, &s, came);

	/* what is not there, and what it means, polling says */
	return s.err != OK ? s.err : e == ERR_AUTH || e == ERR_FORBIDDEN ? e : OK;
}

/* --- by polling ------------------------------------------------------------------------------------ */
/* Prints what came after the place. No log yet (404) is no error. */
static enum err print_new(struct follower *f, bool *any)
{
	struct arena *a = &f->c->cx.arena;
	const char *path = arena_printf(a, "/tasks/%s/log?after=%s", f->id, *f->place ? f->place : "0-0");
	struct outage outage = { 0 };
	struct str bytes, next;
	enum err e;

	while ((e = client_get_bytes_and(f->c, f->to, path, "X-Log-Next", &bytes, &next)) != OK) {
		if (e == ERR_NOT_FOUND)
			return OK;
		TRY(job_sit_out(f->c, f->id, &outage));
	}
	if (!next.n || next.n >= sizeof f->place)
		return err_set(&f->c->cx, ERR_INTERNAL, "the server does not say where its log goes on: it is older than this program");
	snprintf(f->place, sizeof f->place, STR_FMT, STR_ARG(next));
	*any = bytes.n > 0;
	return print(f, bytes);
}

static enum err poll_round(struct follower *f, bool *any, json_t **task)
{
	struct arena kept = f->c->cx.arena;
	enum err e;

	*any = false;
	f->c->cx.arena = (struct arena){ 0 };
	/* the state first: a log that is read after the end is whole */
	e = job_read(f->c, f->to, f->id, task);
	if (e == OK)
		e = print_new(f, any);
	job_forget(f->c, &kept);
	return e;
}

/* Until the job is over (*task), or it is time to ask for a stream again. */
static enum err poll_a_while(struct follower *f, int64_t us, json_t **task)
{
	int64_t until = clock_boot_us() + us;
	int pause = JOB_POLL_LEAST_MS;
	bool any;

	for (;;) {
		json_t *now = NULL;
		enum err e = poll_round(f, &any, &now);

		if (e == OK && job_is_over(now) && !any) {
			*task = now;
			return OK;
		}
		json_decref(now);
		TRY(e);
		if (clock_boot_us() >= until)
			return OK;
		if (any)
			pause = JOB_POLL_LEAST_MS;
		else
			TRY(job_pause(f->c, f->id, &pause));
	}
}

enum err follow_log(struct cli *c, const struct client *to, const char *id, json_t **task)
{
	struct follower f = { .c = c, .to = to, .id = id };

	interrupt_catch();
	*task = NULL;
	while (!*task) {
		struct arena kept = c->cx.arena;
		bool came = false;
		enum err e;

		c->cx.arena = (struct arena){ 0 };
		e = follow_stream(&f, &came);
		job_forget(c, &kept);
		TRY(e);
		if (f.is_over)
			return job_read(c, to, id, task);
		TRY(poll_a_while(&f, came ? 0 : POLL_US, task));
	}
	return OK;
}
