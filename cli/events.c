/* What happens to the tasks of a project, as it happens. */
#include "cli/commands.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/event_stream.h"
#include "cli/interrupt.h"
#include "cli/job.h"
#include "cli/output.h"

#include <stdio.h>

/* Refused a stream, one asks for pages so long before one asks again. */
static const int64_t POLL_US = 20000000;
enum { EXIT_INTERRUPTED = 130 };

struct listener {
	struct cli *c;
	const struct client *to;
	char place[24]; /* of the last event; "" = from now on, or from the beginning */
};

static struct str text_of(const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);

	return json_is_string(v) ? str_bytes(json_string_value(v), json_string_length(v)) : STR_LIT("");
}

/* One line: time, task, state, code, why. */
static void print_line(struct ctx *cx, const json_t *event)
{
	const json_t *data = json_object_get(event, "data");
	struct str code = text_of(data, "code_name"), note = text_of(data, "note");

	output_text(cx, str_of(arena_printf(&cx->arena, STR_FMT " " STR_FMT " %-9.*s " STR_FMT "%s" STR_FMT,
	                                    STR_ARG(text_of(event, "time")), STR_ARG(text_of(event, "subject")),
	                                    STR_ARG(text_of(data, "state")), STR_ARG(code), note.n ? ": " : "", STR_ARG(note))));
	putchar('\n');
}

static enum err print(struct listener *l, struct ctx *cx, const json_t *event, struct str place)
{
	if (!place.n || place.n >= sizeof l->place)
		return err_set(&l->c->cx, ERR_INTERNAL, "the server's stream has an event without a place");
	if (l->c->json)
		output_json(cx, event);
	else
		print_line(cx, event);
	snprintf(l->place, sizeof l->place, STR_FMT, STR_ARG(place));
	return output_end(&l->c->cx);
}

static enum err on_event(void *arg, const struct stream_event *e)
{
	static const struct json_limits LIMITS = { 8, 1000 };
	struct listener *l = arg;
	auto_json *event = NULL;
	auto_ctx cx = { 0 };

	if (json_read(&cx, e->data, LIMITS, &event) != OK)
		return err_set(&l->c->cx, ERR_INTERNAL, "the server's stream has an event that cannot be read");
	return print(l, &cx, event, e->id);
}

/* --- by pages -------------------------------------------------------------------------------------- */
static enum err page(struct listener *l, bool *any)
{
	struct cli *c = l->c;
	auto_json *answer = NULL;
	const json_t *event;
	struct str next;
	size_t i;

	TRY(client_get_once(c, l->to, arena_printf(&c->cx.arena, "/events?per_page=100&after=%s", *l->place ? l->place : "0"),
	                    &answer));
	json_array_foreach(json_object_get(answer, "events"), i, event) {
		struct str place = text_of(event, "sequence");

		TRY(print(l, &c->cx, event, place));
	}
	next = text_of(answer, "next");
	*any = i > 0;
	if (next.n && next.n < sizeof l->place)
		snprintf(l->place, sizeof l->place, STR_FMT, STR_ARG(next));
	return OK;
}

static enum err page_once(struct listener *l, bool *any)
{
	struct arena kept = l->c->cx.arena;
	enum err e;

	l->c->cx.arena = (struct arena){ 0 };
	e = page(l, any);
	job_forget(l->c, &kept);
	return e;
}

/* All there are. */
static enum err pages(struct listener *l)
{
	bool any = true;

	while (any && !interrupt_came())
		TRY(page_once(l, &any));
	return OK;
}

/* --- as it happens --------------------------------------------------------------------------------- */
static enum err listen_once(struct listener *l, bool *came)
{
	struct arena kept = l->c->cx.arena;
	struct event_stream s = { .on_event = on_event, .arg = l };
	enum err e;

	l->c->cx.arena = (struct arena){ 0 };
	e = event_stream_read(l->c, l->to, "/events", l->place, &s, came);
	job_forget(l->c, &kept);
	return s.err != OK ? s.err : e == ERR_BUSY ? OK : e;
}

/* Who cannot have the stream asks for pages meanwhile; an outage is sat out. */
static enum err poll_a_while(struct listener *l)
{
	int64_t until = clock_boot_us() + POLL_US;
	bool any;

	do {
		enum err e = page_once(l, &any);

		if (e != OK && e != ERR_BUSY)
			return e;
		if (!any && !pause_ms(1000))
			return OK;
	} while (clock_boot_us() < until && !interrupt_came());
	return OK;
}

/* Where "from now on" begins must be known before the stream is lost for the first time. */
static enum err begin_now(struct listener *l)
{
	auto_json *answer = NULL;
	struct str next;

	TRY(client_call(l->c, l->to, "GET", "/events?after=9223372036854775807", NULL, &answer));
	next = text_of(answer, "end");
	if (!next.n || next.n >= sizeof l->place)
		return err_set(&l->c->cx, ERR_INTERNAL, "the server does not say where its events end");
	snprintf(l->place, sizeof l->place, STR_FMT, STR_ARG(next));
	return OK;
}

static enum err follow(struct listener *l)
{
	interrupt_catch();
	if (!*l->place)
		TRY(begin_now(l));
	while (!interrupt_came()) {
		bool came = false;

		TRY(listen_once(l, &came));
		if (!came && !interrupt_came())
			TRY(poll_a_while(l));
	}
	l->c->exit = EXIT_INTERRUPTED;
	return OK;
}

enum err events_command(struct cli *c)
{
	struct listener l = { .c = c };
	bool following = false;
	const char *after = NULL;
	const struct cli_option options[] = {
		{ "follow", 'f', OPTION_FLAG, &following, NULL, "as they happen, from now on", 0, 0 },
		{ "after", 0, OPTION_TEXT, &after, "PLACE", "those behind this `sequence`; 0 = from the beginning", 0, 0 },
	};
	struct client to;
	int64_t place;

	TRY(cli_options(c, options, 2));
	if (after && (!str_int(str_of(after), &place) || place < 0 || strlen(after) >= sizeof l.place))
		return cli_usage(c, "--after must be a whole number, not '%s'", after);
	TRY(client_open(c, &to));
	l.to = &to;
	snprintf(l.place, sizeof l.place, "%s", after ? after : "");
	return following ? follow(&l) : pages(&l);
}
