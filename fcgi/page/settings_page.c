#include "fcgi/page/settings_page.h"

#include "base/json.h"
#include "fcgi/api/log_destination_api.h"
#include "fcgi/page/words.h"
#include "model/payload_mask.h"

/* --- filling ------------------------------------------------------------------------------------------ */

static const char *state_of(struct page *p, const struct log_destination *d)
{
	if (d->paused_at != TIME_NONE)
		return "paused";
	if (d->failing_at != TIME_NONE)
		return page_printf(p, "failing, %s times in a row", words_number(p->html.arena, d->failures));
	return "enabled";
}

/* What is to be said of it besides: what waits, what failed, what was lost. */
static const char *note_of(struct page *p, const struct log_destination *d, const struct log_lag *lag, int64_t now)
{
	struct arena *a = p->html.arena;
	const char *note = "nothing waits";

	if (lag->logs)
		note = page_printf(p, "%s logs wait (%s)", words_count(a, lag->logs, LOG_LAG_MOST), words_bytes(a, lag->bytes));
	if (lag->since != TIME_NONE && lag->since < now)
		note = page_printf(p, "%s, the oldest line for %s", note, words_duration(a, now - lag->since));
	if (d->error.n)
		note = page_printf(p, "%s. " STR_FMT, note, STR_ARG(d->error));
	if (d->lost_logs)
		note = page_printf(p, "%s. %s logs were lost: they were too old", note, words_number(a, d->lost_logs));
	if (d->pinged_at != TIME_NONE)
		note = page_printf(p, "%s. Test message: " STR_FMT, note, STR_ARG(d->ping_error.n ? d->ping_error : STR_LIT("sent")));
	return note;
}

static void fill_button(struct page *p, struct html_at row, const char *name, const struct log_destination *d)
{
	struct html_at form = html_piece(row, name);

	html_attr(form, "action", str_of(page_printf(p, "%s/settings/destinations/%s/%s", p->project, id_format(&d->id).s, name)));
	show_value(form, page_printf(p, "%s-csrf", name), str_of(p->csrf));
}

static void fill_destination(struct page *p, struct html_at row, const struct settings_view *v, size_t i)
{
	const struct log_destination *d = &v->destinations[i];

	html_text(row, "state", str_of(state_of(p, d)));
	html_text(row, "name", d->name.n ? d->name : str_of(page_printf(p, "%s", id_format(&d->id).s)));
	html_text(row, "address", d->address);
	html_text(row, "template", str_of(log_template_name(d->template)));
	html_text(row, "sent", str_of(words_number(p->html.arena, d->sent_lines)));
	html_text(row, "note", str_of(note_of(p, d, &v->lags[i], v->now)));
	if (!v->may_change)
		return;
	fill_button(p, row, "ping", d);
	fill_button(p, row, d->paused_at == TIME_NONE ? "pause" : "resume", d);
	fill_button(p, row, "delete", d);
}

static void fill_new(struct page *p, const struct settings_view *v)
{
	static const char *const INPUTS[] = { "address", "name" };
	struct html_at form = html_piece(p->main, "new"), select = html_find(form, "templates");
	struct str chosen = v->typed(v->arg, "template");

	html_attr(form, "action", str_of(page_printf(p, "%s/settings/destinations", p->project)));
	show_value(form, "new-csrf", str_of(p->csrf));
	for (size_t i = 0; i < sizeof INPUTS / sizeof *INPUTS; i++)
		show_value(form, page_printf(p, "new-%s", INPUTS[i]), v->typed(v->arg, INPUTS[i]));
	for (int i = 0; i < LOG_TEMPLATE_COUNT; i++) {
		struct html_at option = html_add(select, "option");

		html_attr(option, "value", str_of(log_template_name((enum log_template)i)));
		html_put(option, str_of(log_template_name((enum log_template)i)));
		if (str_is(chosen, log_template_name((enum log_template)i)))
			html_attr(option, "selected", STR_LIT("selected"));
	}
}

static void fill_hidden(struct page *p, const struct settings_view *v)
{
	struct html_at form;

	if (!v->may_hide) {
		html_put(html_piece(p->main, "words"), v->payload_keys.n ? v->payload_keys : STR_LIT("none of its own"));
		return;
	}
	form = html_piece(p->main, "hide");
	html_attr(form, "action", str_of(page_printf(p, "%s/settings/payload_keys", p->project)));
	show_value(form, "hide-csrf", str_of(p->csrf));
	html_text(form, "payload_keys", v->payload_keys);
}

void settings_page_fill(struct page *p, const struct settings_view *v)
{
	struct html_at list;

	page_title(p, "Settings");
	page_alternate(p, page_printf(p, "/2/projects/%s/log_destinations", id_format(&p->frame->project->id).s));
	if (v->result)
		show_notice(p, html_piece(p->main, "result"), "good", v->result);
	if (v->wrong)
		show_notice(p, html_piece(p->main, "wrong"), "bad", v->wrong);
	if (v->n) {
		list = html_piece(p->main, "destinations");
		for (size_t i = 0; i < v->n; i++)
			fill_destination(p, html_piece(list, "row"), v, i);
	} else {
		html_piece(p->main, "none");
	}
	if (v->may_change)
		fill_new(p, v);
	fill_hidden(p, v);
}

/* --- reading ------------------------------------------------------------------------------------------ */

static struct str typed(void *arg, const char *field)
{
	struct request *rq = arg;
	struct str value = STR_LIT("");

	if (rq->method == METHOD_POST)
		request_form(rq, field, &value);
	return value;
}

static enum err read_destinations(struct request *rq, struct settings_view *v)
{
	struct log_destination *all;
	struct log_lag *lags;

	TRY(log_destination_store_list(rq->logs, &rq->cx, &rq->project_id, &all, &v->n));
	lags = arena_array(&rq->cx.arena, v->n, sizeof *lags);
	for (size_t i = 0; i < v->n; i++)
		TRY(log_destination_store_lag(rq->logs, &rq->cx, &all[i].id, &lags[i]));
	v->destinations = all;
	v->lags = lags;
	return db_now(rq->logs, &rq->cx, &v->now);
}

static enum err send(struct request *rq, struct reply *rp, const char *result, const char *wrong)
{
	struct settings_view v = { .typed = typed, .arg = rq, .result = result, .wrong = wrong,
		                   .may_change = rq->who.role >= ROLE_DEVELOPER, .may_hide = rq->who.role >= ROLE_OPERATOR };
	const struct frame *frame;
	struct project project;
	auto_page page = { 0 };

	TRY(frame_read(rq, &frame));
	TRY(read_destinations(rq, &v));
	TRY(project_store_get(rq->db, &rq->cx, &rq->project_id, &project)); /* the frame's may be a second old */
	v.payload_keys = typed(rq, "payload_keys").n ? typed(rq, "payload_keys") : project.payload_keys;
	TRY(page_open(rq, rp, "settings", frame, &page));
	settings_page_fill(&page, &v);
	return page_send(&page, wrong ? 400 : 200);
}

enum err settings_page(struct request *rq, struct reply *rp)
{
	static const char *const DONE[][2] = {
		{ "add", "Output of tasks that begin from now on goes there, too." },
		{ "pause", "It is paused: what is written meanwhile waits." },
		{ "resume", "It goes on, and is tried at once." },
		{ "ping", "A test message is on its way; what became of it stands here in a moment." },
		{ "delete", "It is deleted; what waited for it is not sent." },
		{ "hide", "Payload keys with these words are shown as [FILTERED] from now on." },
	};
	const char *result = NULL;
	struct str did;

	for (size_t i = 0; request_query(rq, "did", &did) && i < sizeof DONE / sizeof *DONE; i++)
		if (str_is(did, DONE[i][0]))
			result = DONE[i][1];
	return send(rq, rp, result, NULL);
}

/* --- changing ----------------------------------------------------------------------------------------- */

static enum err done(struct request *rq, struct reply *rp, const char *did)
{
	return page_see_other(rq, rp, arena_printf(&rq->cx.arena, STR_FMT "/ui/p/%s/settings?did=%s", STR_ARG(request_base(rq)),
	                                           id_format(&rq->project_id).s, did));
}

enum err settings_page_add(struct request *rq, struct reply *rp)
{
	static const char *const FIELDS[] = { "address", "name", "template", "secret", "tenant" };
	auto_json *j = json_object();
	struct id id;
	enum err e;

	for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++)
		if (str_trim(typed(rq, FIELDS[i])).n)
			json_object_set_new(j, FIELDS[i], json_text(str_trim(typed(rq, FIELDS[i]))));
	e = log_destination_api_make(rq, j, &id);
	if (e == ERR_INPUT || e == ERR_REQUIRED || e == ERR_LIMIT || e == ERR_FORBIDDEN)
		return send(rq, rp, NULL, arena_text(&rq->cx.arena, rq->cx.message));
	TRY(e);
	return done(rq, rp, "add");
}

enum err settings_page_payload_keys(struct request *rq, struct reply *rp)
{
	enum { WORDS_MOST = PAYLOAD_WORDS_BYTES };
	struct str *list = arena_array(&rq->cx.arena, WORDS_MOST, sizeof *list), rest = typed(rq, "payload_keys"), line, words;
	size_t n = 0;

	while (n < WORDS_MOST && str_cut(&rest, '\n', &line))
		if (str_trim(line).n)
			list[n++] = line;
	if (!payload_words(&rq->cx.arena, list, n, &words))
		return send(rq, rp, NULL, "Payload keys: " PAYLOAD_WORDS_RULE);
	TRY(project_store_set_payload_keys(rq->db, &rq->cx, &rq->project_id, words));
	return done(rq, rp, "hide");
}

static enum err set_paused(struct request *rq, struct reply *rp, bool paused)
{
	struct id id;

	TRY(request_id(rq, "id", "log destination", &id));
	TRY(log_destination_store_pause(rq->logs, &rq->cx, &rq->project_id, &id, paused));
	return done(rq, rp, paused ? "pause" : "resume");
}

enum err settings_page_pause(struct request *rq, struct reply *rp)
{
	return set_paused(rq, rp, true);
}

enum err settings_page_resume(struct request *rq, struct reply *rp)
{
	return set_paused(rq, rp, false);
}

enum err settings_page_ping(struct request *rq, struct reply *rp)
{
	struct id id;

	TRY(request_id(rq, "id", "log destination", &id));
	TRY(log_destination_store_ping(rq->logs, &rq->cx, &rq->project_id, &id));
	return done(rq, rp, "ping");
}

static enum err ask_before_delete(struct request *rq, struct reply *rp, const struct log_destination *d)
{
	struct arena *a = &rq->cx.arena;
	const char *url = arena_printf(a, STR_FMT "/ui/p/%s/settings", STR_ARG(request_base(rq)), id_format(&rq->project_id).s);
	struct question q = { "Delete this log destination?", str_c(a, d->address),
		"What waits for it is not sent. Logs stay here as long as all logs do.", "Delete this destination", url,
		arena_printf(a, "%s/destinations/%s/delete", url, id_format(&d->id).s) };

	return page_ask(rq, rp, &q);
}

enum err settings_page_delete(struct request *rq, struct reply *rp)
{
	struct str confirm = STR_LIT("");
	struct log_destination d;
	struct id id;

	TRY(request_id(rq, "id", "log destination", &id));
	TRY(log_destination_store_get(rq->logs, &rq->cx, &rq->project_id, &id, &d));
	request_form(rq, "confirm", &confirm);
	if (!str_is(confirm, "yes"))
		return ask_before_delete(rq, rp, &d);
	TRY(log_destination_store_delete(rq->logs, &rq->cx, &rq->project_id, &id));
	return done(rq, rp, "delete");
}
