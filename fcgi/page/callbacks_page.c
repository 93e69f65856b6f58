#include "fcgi/page/callbacks_page.h"

#include "base/clock.h"
#include "model/callback_json.h"
#include "store/callback_store.h"

enum { DELIVERIES_SHOWN = 30 };

static const char *milliseconds(struct page *p, int64_t ms)
{
	return page_printf(p, "%lld ms", (long long)ms);
}

/* --- the list ---------------------------------------------------------------------------------------------------- */

static const char *state_of(struct page *p, const struct callback *c)
{
	if (c->disabled_at != TIME_NONE)
		return "disabled: its receiver answered 410";
	if (c->paused_at != TIME_NONE)
		return "paused";
	if (c->failing_at != TIME_NONE)
		return page_printf(p, "failing, %lld times in a row", (long long)c->failures);
	return "enabled";
}

static const char *kinds_of(struct page *p, unsigned states)
{
	const char *text = "";

	for (int i = 0; i < CALLBACK_TEST; i++)
		if (states & 1u << i)
			text = page_printf(p, "%s%s%s", text, *text ? ", " : "", callback_kind_name((enum callback_kind)i));
	return text;
}

static void fill_callbacks(struct page *p, const struct callbacks_view *v)
{
	struct html_at list;

	if (!v->callback_count) {
		html_piece(p->main, "no-callbacks");
		return;
	}
	list = html_piece(p->main, "callbacks");
	for (size_t i = 0; i < v->callback_count; i++) {
		const struct callback *c = &v->callbacks[i];
		struct html_at row = html_piece(list, "row"), form;

		html_text(row, "state", str_of(state_of(p, c)));
		html_text(row, "name", c->name.n ? c->name : str_of(page_printf(p, "%s", id_format(&c->id).s)));
		html_text(row, "url", c->url);
		html_text(row, "of", c->code_name.n ? c->code_name : STR_LIT("every code"));
		html_text(row, "kinds", str_of(kinds_of(p, c->states)));
		if (!v->may_change)
			continue;
		form = html_piece(row, "test");
		html_attr(form, "action", str_of(page_printf(p, "%s/callbacks/%s/test", p->project, id_format(&c->id).s)));
		show_value(form, "test-csrf", str_of(p->csrf));
	}
}

static void fill_tabs(struct page *p, const struct callbacks_view *v)
{
	static const char *const STATES[][2] = {
		{ "", "all" }, { "failing", "failing" }, { "exhausted", "given up" }, { "waiting", "waiting" }, { "delivered", "delivered" } };

	for (size_t i = 0; i < sizeof STATES / sizeof *STATES; i++) {
		struct html_at tab = html_piece(p->main, "tab");

		html_text(tab, "word", str_of(STATES[i][1]));
		html_attr(tab, "href", str_of(page_printf(p, "%s/callbacks?state=%s#deliveries", p->project, STATES[i][0])));
		if (str_is(v->state, STATES[i][0]))
			html_attr(tab, "aria-current", STR_LIT("page"));
	}
}

static const char *last_of(struct page *p, const struct delivery_entry *e)
{
	if (e->error.n)
		return page_printf(p, STR_FMT, STR_ARG(e->error));
	return e->status ? page_printf(p, "%lld in %s", (long long)e->status, milliseconds(p, e->took_ms)) : "";
}

static void fill_delivery(struct page *p, struct html_at row, const struct delivery_entry *e)
{
	const char *id = page_printf(p, "%lld", (long long)e->id);

	show_link(row, "id", id, page_printf(p, "%s/deliveries/%s", p->project, id));
	html_text(row, "state", str_is(e->state, "exhausted") ? STR_LIT("given up") : e->state);
	html_text(row, "event", e->kind);
	if (!str_is(e->kind, "test")) {
		struct html_at task = html_piece(row, "task");
		struct id_text text = id_format(&e->task_id);

		html_put(task, str_of(page_printf(p, "…%s", text.s + 16)));
		html_attr(task, "title", str_of(page_printf(p, "%s", text.s)));
		html_attr(task, "href", str_of(page_printf(p, "%s/tasks/%s", p->project, text.s)));
	}
	show_time(p, row, "at", e->at);
	html_text(row, "tries", str_of(page_printf(p, "%lld", (long long)e->tries)));
	html_text(row, "last", str_of(last_of(p, e)));
	if (e->next_at != TIME_NONE)
		html_put(html_piece(row, "next"), str_of(time_rfc3339(p->html.arena, e->next_at)));
}

static void fill_deliveries(struct page *p, const struct callbacks_view *v)
{
	struct html_at list;

	fill_tabs(p, v);
	if (!v->delivery_count)
		html_piece(p->main, "no-deliveries");
	else {
		list = html_piece(p->main, "deliveries");
		for (size_t i = 0; i < v->delivery_count; i++)
			fill_delivery(p, html_piece(list, "row"), &v->deliveries[i]);
	}
	if (v->older)
		html_attr(html_piece(p->main, "older"), "href",
		          str_of(page_printf(p, "%s/callbacks?state=" STR_FMT "&before=%lld#deliveries", p->project, STR_ARG(v->state),
		                             (long long)v->older)));
}

static void fill_triggers(struct page *p, const struct callbacks_view *v)
{
	struct html_at list;

	if (!v->trigger_count) {
		html_piece(p->main, "no-triggers");
		return;
	}
	list = html_piece(p->main, "triggers");
	for (size_t i = 0; i < v->trigger_count; i++) {
		const struct trigger *t = &v->triggers[i];
		struct html_at row = html_piece(list, "row");

		html_text(row, "state", t->paused_at != TIME_NONE ? STR_LIT("paused") : STR_LIT("enabled"));
		show_link(row, "name", str_c(p->html.arena, t->name), page_printf(p, "%s/triggers/%s", p->project, id_format(&t->id).s));
		html_text(row, "code", t->code_name);
		html_text(row, "verify", str_of(trigger_kind_name(t->kind)));
		show_time(p, row, "made", t->created_at);
	}
}

void callbacks_page_fill(struct page *p, const struct callbacks_view *v)
{
	page_title(p, "Callbacks");
	if (v->result)
		show_notice(p, html_piece(p->main, "result"), "good", v->result);
	fill_callbacks(p, v);
	fill_deliveries(p, v);
	fill_triggers(p, v);
}

static bool may_change(const struct request *rq)
{
	return rq->who.role >= ROLE_DEVELOPER;
}

/* A state that is none shows all of them. */
static struct str state_asked(const struct request *rq)
{
	static const char *const STATES[] = { "failing", "exhausted", "waiting", "delivered" };
	struct str state = STR_LIT("");

	request_query(rq, "state", &state);
	for (size_t i = 0; i < sizeof STATES / sizeof *STATES; i++)
		if (str_is(state, STATES[i]))
			return state;
	return STR_LIT("");
}

static enum err read_callbacks(struct request *rq, struct callbacks_view *v)
{
	struct delivery_filter f = { .from = TIME_NONE, .to = TIME_NONE, .most = DELIVERIES_SHOWN };
	struct str did;

	v->state = f.state = state_asked(rq);
	TRY(request_query_int(rq, "before", &f.before));
	TRY(callback_store_list(rq->db, &rq->cx, &rq->project_id, &v->callbacks, &v->callback_count));
	TRY(delivery_store_list(rq->db, &rq->cx, &rq->project_id, &f, &v->deliveries, &v->delivery_count, &v->older));
	TRY(trigger_store_list(rq->db, &rq->cx, &rq->project_id, &v->triggers, &v->trigger_count));
	v->may_change = may_change(rq);
	v->result = request_query(rq, "did", &did) && str_is(did, "test") ? "A test is on its way: it is the newest delivery." : NULL;
	return OK;
}

enum err callbacks_page(struct request *rq, struct reply *rp)
{
	struct callbacks_view v = { 0 };
	const struct frame *frame;
	auto_page page = { 0 };

	TRY(frame_read(rq, &frame));
	TRY(read_callbacks(rq, &v));
	TRY(page_open(rq, rp, "callbacks", frame, &page));
	callbacks_page_fill(&page, &v);
	return page_send(&page, 200);
}

static enum err go_to(struct request *rq, struct reply *rp, const char *where)
{
	return page_see_other(rq, rp, arena_printf(&rq->cx.arena, STR_FMT "/ui/p/%s/%s", STR_ARG(request_base(rq)),
	                                           id_format(&rq->project_id).s, where));
}

enum err callbacks_page_test(struct request *rq, struct reply *rp)
{
	struct callback c;
	struct id id;
	int64_t number;

	TRY(request_id(rq, "id", "callback", &id));
	TRY(callback_store_get(rq->db, &rq->cx, &rq->project_id, &id, &c));
	TRY(callback_store_test(rq->db, &rq->cx, &c, &number));
	return go_to(rq, rp, "callbacks?did=test");
}

/* --- one delivery -------------------------------------------------------------------------------------------------- */

static void fact(struct page *p, const char *word, struct str text)
{
	struct html_at at;

	if (!text.n)
		return;
	at = html_piece(p->main, "fact");
	html_text(at, "word", str_of(word));
	html_text(at, "text", text);
}

static void time_fact(struct page *p, const char *word, int64_t us)
{
	if (us != TIME_NONE)
		fact(p, word, str_of(time_rfc3339(p->html.arena, us)));
}

static struct str waiting_words(const struct delivery_entry *e)
{
	static const char *const WORDS[][2] = {
		{ "retry", "its next try" }, { "retry_after", "its receiver, which asked for patience (Retry-After)" },
		{ "receiver", "its receiver, which fails and is left alone" }, { "paused", "its callback, which is paused" },
		{ "order", "the one before it" }, { "call", "a call under way" }, { "turn", "its turn" },
	};

	for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
		if (str_is(e->waiting_for, WORDS[i][0]))
			return str_of(WORDS[i][1]);
	return e->waiting_for;
}

static void fill_try(struct page *p, struct html_at row, const struct delivery_try *t)
{
	html_text(row, "number", str_of(page_printf(p, "%lld", (long long)t->number)));
	show_time(p, row, "at", t->at);
	html_text(row, "address", t->address);
	html_text(row, "answer", t->error.n ? t->error : str_of(page_printf(p, "%lld", (long long)t->status)));
	if (t->answer.n)
		html_put(html_piece(row, "bytes"), t->answer);
	if (t->request.n) {
		struct html_at sent = html_piece(row, "sent");

		html_text(sent, "lines", t->request);
		html_text(sent, "body", t->body);
		html_text(sent, "headers", t->answer_headers);
	}
	html_text(row, "lookup", str_of(milliseconds(p, t->lookup_ms)));
	html_text(row, "connect", str_of(milliseconds(p, t->connect_ms)));
	html_text(row, "first", str_of(milliseconds(p, t->first_byte_ms)));
	html_text(row, "took", str_of(milliseconds(p, t->took_ms)));
}

void delivery_page_fill(struct page *p, const struct delivery_view *v)
{
	const struct delivery_entry *e = &v->entry;
	const char *title = page_printf(p, "Delivery %lld", (long long)e->id);
	struct html_at list, form;

	page_title(p, title);
	html_text(p->main, "heading", str_of(title));
	if (v->result)
		show_notice(p, html_piece(p->main, "result"), "good", v->result);
	if (v->may_change) {
		form = html_piece(p->main, "again");
		html_attr(form, "action", str_of(page_printf(p, "%s/deliveries/%lld/redeliver", p->project, (long long)e->id)));
		show_value(form, "again-csrf", str_of(p->csrf));
	}
	fact(p, "State", str_is(e->state, "exhausted") ? STR_LIT("given up") : e->state);
	fact(p, "Event", e->kind);
	fact(p, "Receiver", e->url);
	if (!str_is(e->kind, "test"))
		fact(p, "Task", str_of(page_printf(p, "%s", id_format(&e->task_id).s)));
	if (!id_is_zero(&e->queued_task_id))
		fact(p, "Queued task", str_of(page_printf(p, "%s", id_format(&e->queued_task_id).s)));
	time_fact(p, "Happened", e->at);
	time_fact(p, "Delivered", e->delivered_at);
	time_fact(p, "Next try", e->next_at);
	fact(p, "Waits for", waiting_words(e));
	time_fact(p, "Until", e->waiting_until);
	fact(p, "Last error", e->error);
	if (!v->n) {
		html_piece(p->main, "no-tries");
		return;
	}
	list = html_piece(p->main, "tries");
	for (size_t i = 0; i < v->n; i++)
		fill_try(p, html_piece(list, "row"), &v->tries[i]);
}

static enum err number_of(struct request *rq, int64_t *out)
{
	struct str text = request_param(rq, "id");

	if (!str_int(text, out) || *out <= 0)
		return err_set(&rq->cx, ERR_NOT_FOUND, "there is no delivery '" STR_FMT "'", STR_ARG(text));
	return OK;
}

enum err delivery_page(struct request *rq, struct reply *rp)
{
	struct delivery_view v = { .may_change = may_change(rq) };
	const struct frame *frame;
	auto_page page = { 0 };
	struct str did;
	int64_t id;

	TRY(frame_read(rq, &frame));
	TRY(number_of(rq, &id));
	TRY(delivery_store_get(rq->db, &rq->cx, &rq->project_id, id, &v.entry, &v.tries, &v.n));
	v.result = request_query(rq, "did", &did) && str_is(did, "again") ? "It is due now." : NULL;
	TRY(page_open(rq, rp, "delivery", frame, &page));
	delivery_page_fill(&page, &v);
	return page_send(&page, 200);
}

enum err delivery_page_again(struct request *rq, struct reply *rp)
{
	int64_t id, changed;

	TRY(number_of(rq, &id));
	TRY(delivery_store_again(rq->db, &rq->cx, &rq->project_id, &id, 1, &changed));
	if (!changed)
		return err_set(&rq->cx, ERR_NOT_FOUND, "there is no such delivery in this project");
	return go_to(rq, rp, arena_printf(&rq->cx.arena, "deliveries/%lld?did=again", (long long)id));
}

/* --- one trigger ---------------------------------------------------------------------------------------------------- */

static void fill_note(struct page *p, struct html_at row, const struct trigger_note *n)
{
	const char *verdict = n->reason.n ? page_printf(p, STR_FMT ": " STR_FMT, STR_ARG(n->verdict), STR_ARG(n->reason))
	                                  : page_printf(p, STR_FMT, STR_ARG(n->verdict));

	show_time(p, row, "at", n->at);
	html_text(row, "address", n->address);
	html_text(row, "verdict", str_of(verdict));
	html_text(row, "delivery", n->delivery);
	html_text(row, "body", n->body);
	if (!id_is_zero(&n->task_id)) {
		struct html_at task = html_piece(row, "task");
		struct id_text text = id_format(&n->task_id);

		html_put(task, str_of(page_printf(p, "…%s", text.s + 16)));
		html_attr(task, "href", str_of(page_printf(p, "%s/tasks/%s", p->project, text.s)));
	}
}

void trigger_page_fill(struct page *p, const struct trigger_view *v)
{
	const char *title = page_printf(p, "Trigger " STR_FMT, STR_ARG(v->trigger.name));
	struct html_at list;

	page_title(p, title);
	html_text(p->main, "heading", str_of(title));
	fact(p, "Code", v->trigger.code_name);
	fact(p, "State", v->trigger.paused_at != TIME_NONE ? STR_LIT("paused") : STR_LIT("enabled"));
	fact(p, "Verified as", str_of(trigger_kind_name(v->trigger.kind)));
	fact(p, "Options", v->trigger.options);
	fact(p, "How to call it", STR_LIT("POST /hooks/TOKEN; the token was shown when it was made, and by a rotation"));
	if (!v->n) {
		html_piece(p->main, "no-requests");
		return;
	}
	list = html_piece(p->main, "requests");
	for (size_t i = 0; i < v->n; i++)
		fill_note(p, html_piece(list, "row"), &v->notes[i]);
}

enum err trigger_page(struct request *rq, struct reply *rp)
{
	const struct frame *frame;
	struct trigger_view v;
	auto_page page = { 0 };
	struct id id;

	TRY(frame_read(rq, &frame));
	TRY(request_id(rq, "id", "trigger", &id));
	TRY(trigger_store_get(rq->db, &rq->cx, &rq->project_id, &id, &v.trigger));
	TRY(trigger_store_notes(rq->db, &rq->cx, &id, &v.notes, &v.n));
	TRY(page_open(rq, rp, "trigger", frame, &page));
	trigger_page_fill(&page, &v);
	return page_send(&page, 200);
}
