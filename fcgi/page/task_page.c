#include "fcgi/page/task_page.h"

#include "fcgi/doorbell.h"
#include "fcgi/page/log_page.h"
#include "fcgi/page/payload_part.h"
#include "fcgi/page/task_words.h"
#include "fcgi/page/words.h"
#include "model/cause.h"

enum { LAST_LINES = 4 };

/* --- verdict ------------------------------------------------------------------------------------------ */

static void fill_waits(struct page *p, const struct task_view *v, struct html_at box)
{
	struct wait_facts facts = { p->now_us, p->frame->project->paused, v->code, p->frame->nodes, p->frame->node_count };
	struct wait_reason reasons[WAIT_REASONS_MOST];
	struct html_at why = html_piece(box, "why");
	size_t n;

	task_words_waits(p->html.arena, &v->task, &facts, reasons, &n);
	for (size_t i = 0; i < n; i++) {
		struct html_at li = html_piece(why, "reason");

		show_icon(p, html_find(li, "icon"), reasons[i].icon);
		html_text(li, "text", str_of(reasons[i].text));
	}
}

/* How much of its time a running job has used, and what it says of itself. */
static void fill_meter(struct page *p, const struct task *t, struct html_at box)
{
	int64_t ran_s = task_words_ran(t, p->now_us) / 1000000, most_s = t->timeout_s > 0 ? t->timeout_s : 1;
	struct html_at meter = html_piece(box, "meter"), bar = html_find(meter, "bar");
	struct arena *a = p->html.arena;
	const char *own = t->percent > 0 ? page_printf(p, ", %lld %% done", (long long)t->percent) : "";

	html_attr(bar, "max", str_of(page_printf(p, "%lld", (long long)most_s)));
	html_attr(bar, "value", str_of(page_printf(p, "%lld", (long long)(ran_s < most_s ? ran_s : most_s))));
	html_attr(bar, "aria-label", STR_LIT("time used of the timeout"));
	html_text(meter, "text", str_of(page_printf(p, "%s of %s until its timeout%s", words_duration(a, ran_s * 1000000),
	                                            words_duration(a, most_s * 1000000), own)));
}

static void add_line(struct page *p, struct html_at box, const char *text, const char *link, const struct id *task)
{
	struct html_at line = html_piece(box, "line");

	html_text(line, "text", str_of(text));
	if (task) {
		struct html_at a = html_piece(line, "link");

		html_put(a, str_of(link));
		html_attr(a, "href", str_of(page_printf(p, "%s/tasks/%s", p->project, id_format(task).s)));
	}
}

static void fill_ended(struct page *p, const struct task_view *v, struct html_at box)
{
	const struct task *t = &v->task;
	const char *advice = task_words_advice(t);
	struct str last;

	if (*advice)
		add_line(p, box, advice, NULL, NULL);
	if (!id_is_zero(&t->retry_task_id))
		add_line(p, box, "Its retry is", words_id(p->html.arena, &t->retry_task_id), &t->retry_task_id);
	if (t->state == TASK_COMPLETE || t->state == TASK_CANCELLED)
		return;
	last = log_part_last_err(p->html.arena, &v->log, LAST_LINES);
	if (last.n && str_find(t->note, str_c(p->html.arena, last)) == (size_t)-1) /* the headline may say it all */
		html_text(html_piece(box, "last"), "lines", last);
}

static void fill_actions(struct page *p, const struct task *t, struct html_at box)
{
	const char *id = page_printf(p, "%s", id_format(&t->id).s);

	if (!task_state_is_settled(t->state) && !t->cancel_asked && p->rq->who.role >= ROLE_DEVELOPER) {
		struct html_at form = html_piece(box, "cancel");

		html_attr(form, "action", str_of(page_printf(p, "%s/tasks/%s/cancel", p->project, id)));
		show_value(form, "cancel-csrf", str_of(p->csrf));
	}
	html_put(html_piece(box, "cli"), str_of(page_printf(p, "stoker log %s", id)));
}

static void fill_verdict(struct page *p, const struct task_view *v)
{
	const struct task *t = &v->task;
	struct html_at box = html_find(p->main, "verdict");

	html_attr(box, "data-state", str_of(task_state_name(t->state)));
	if (task_state_is_settled(t->state))
		html_attr(box, "data-settled", STR_LIT(""));
	show_state(p, box, "state", t->state);
	html_text(box, "headline", str_of(task_words_headline(p->html.arena, t, p->now_us)));
	if (t->state == TASK_QUEUED)
		fill_waits(p, v, box);
	if (t->state == TASK_RUNNING)
		fill_meter(p, t, box);
	if (t->msg.n)
		add_line(p, box, str_c(p->html.arena, t->msg), NULL, NULL);
	if (!id_is_zero(&t->original_task_id))
		add_line(p, box, page_printf(p, "Retry %lld of", (long long)t->retry), words_id(p->html.arena, &t->original_task_id), &t->original_task_id);
	if (task_state_is_settled(t->state))
		fill_ended(p, v, box);
	fill_actions(p, t, box);
}

/* --- facts --------------------------------------------------------------------------------------------- */

static void fact(struct page *p, const char *word, struct str text)
{
	struct html_at f;

	if (!text.n)
		return;
	f = html_piece(p->main, "fact");
	html_text(f, "word", str_of(word));
	html_text(f, "text", text);
}

static void fill_end_facts(struct page *p, const struct task *t)
{
	struct arena *a = p->html.arena;

	fact(p, "Cause", t->cause);
	if (t->exit_code >= 0)
		fact(p, "Exit status", str_of(page_printf(p, "%lld", (long long)t->exit_code)));
	if (t->ended_at != TIME_NONE)
		fact(p, "Ended", str_of(words_time_exact(a, t->ended_at)));
}

static void fill_facts(struct page *p, const struct task_view *v)
{
	const struct task *t = &v->task;
	struct arena *a = p->html.arena;
	const struct task_attempt *last = v->attempt_count ? &v->attempts[v->attempt_count - 1] : NULL;

	fact(p, "Code", str_of(page_printf(p, STR_FMT " revision %lld", STR_ARG(t->code_name), (long long)t->revision)));
	fact(p, "Label", t->label);
	fact(p, "Cluster", t->cluster_name);
	if (last)
		fact(p, "Node", last->node_name);
	fact(p, "Priority", str_of(page_printf(p, "%lld", (long long)t->priority)));
	fact(p, "Timeout", str_of(words_duration(a, t->timeout_s * 1000000)));
	if (t->delay_s)
		fact(p, "Delay", str_of(words_duration(a, t->delay_s * 1000000)));
	fact(p, "Queued", str_of(words_time_exact(a, t->created_at)));
	if (last && last->max_rss_bytes > 0)
		fact(p, "Memory peak", str_of(words_bytes(a, last->max_rss_bytes)));
	if (last && last->cpu_us > 0)
		fact(p, "CPU time", str_of(words_duration(a, last->cpu_us)));
	fact(p, "Callback", t->callback);
	fill_end_facts(p, t);
}

/* --- time line ------------------------------------------------------------------------------------------ */

/* From one event to the next, or to now. */
static int64_t spent(const struct page *p, const struct task_view *v, size_t i)
{
	int64_t until = i + 1 < v->event_count ? v->events[i + 1].at : p->now_us;

	return until > v->events[i].at ? until - v->events[i].at : 0;
}

static bool is_lasting(const struct task_view *v, size_t i)
{
	return !task_state_is_settled(v->events[i].state);
}

/* One bar of all that the task waited and ran, its parts in the states' colours. */
static void fill_bars(struct page *p, const struct task_view *v)
{
	struct html_at svg;
	int64_t all = 0, before = 0;
	const char *words = "";

	for (size_t i = 0; i < v->event_count; i++)
		all += is_lasting(v, i) ? spent(p, v, i) : 0;
	if (!all)
		return;
	svg = html_add(html_find(p->main, "bars"), "svg");
	html_attr(svg, "class", STR_LIT("bars"));
	html_attr(svg, "viewBox", STR_LIT("0 0 1000 12"));
	html_attr(svg, "preserveAspectRatio", STR_LIT("none"));
	html_attr(svg, "role", STR_LIT("img"));
	for (size_t i = 0; i < v->event_count; i++) {
		const char *state = task_state_name(v->events[i].state);
		struct html_at rect;

		if (!is_lasting(v, i))
			continue;
		rect = html_add(svg, "rect");
		html_attr(rect, "class", str_of(state));
		html_attr(rect, "x", str_of(page_printf(p, "%.2f", (double)before * 1000 / (double)all)));
		html_attr(rect, "width", str_of(page_printf(p, "%.2f", (double)spent(p, v, i) * 1000 / (double)all)));
		html_attr(rect, "height", STR_LIT("12"));
		before += spent(p, v, i);
		words = page_printf(p, "%s%s%s %s", words, *words ? ", " : "", state, words_duration(p->html.arena, spent(p, v, i)));
	}
	html_attr(svg, "aria-label", str_of(words));
}

static void fill_time_line(struct page *p, const struct task_view *v)
{
	fill_bars(p, v);
	for (size_t i = 0; i < v->event_count; i++) {
		const struct task_event *e = &v->events[i];
		struct html_at li = html_piece(p->main, "event");
		const char *attempt = e->attempt > 1 ? page_printf(p, "attempt %lld, ", (long long)e->attempt) : "";

		show_state(p, li, "state", e->state);
		show_time(p, li, "at", e->at);
		if (is_lasting(v, i))
			html_text(li, "spent", str_of(page_printf(p, "%s%s", attempt, words_duration(p->html.arena, spent(p, v, i)))));
		html_text(li, "note", e->note);
	}
}

/* --- attempts, callbacks ---------------------------------------------------------------------------------- */

static struct str end_text(struct page *p, const struct task_attempt *at)
{
	if (at->note.n)
		return at->note;
	if (at->ended_at == TIME_NONE)
		return STR_LIT("–");
	if (at->signal > 0)
		return str_of(page_printf(p, STR_FMT " %s", STR_ARG(at->cause), words_signal(p->html.arena, at->signal)));
	return str_of(page_printf(p, STR_FMT " %lld", STR_ARG(at->cause), (long long)at->exit_code));
}

static void fill_attempt(struct page *p, struct html_at row, const struct task_view *v, const struct task_attempt *at)
{
	struct arena *a = p->html.arena;
	int64_t until = at->ended_at != TIME_NONE ? at->ended_at : p->now_us;

	html_text(row, "number", str_of(page_printf(p, "%lld", (long long)at->number)));
	html_text(row, "node", at->node_name);
	show_time(p, row, "began", at->started_at != TIME_NONE ? at->started_at : at->claimed_at);
	html_text(row, "ran", str_of(at->started_at == TIME_NONE ? "" : words_duration(a, until - at->started_at)));
	html_text(row, "end", end_text(p, at));
	html_text(row, "memory", str_of(at->max_rss_bytes > 0 ? words_bytes(a, at->max_rss_bytes) : ""));
	html_text(row, "cpu", str_of(at->ended_at != TIME_NONE ? words_duration(a, at->cpu_us) : ""));
	for (size_t i = 0; i < v->log.head_count; i++)
		if (v->log.heads[i].attempt == at->number)
			show_link(row, "output", words_bytes(a, v->log.heads[i].bytes),
			          page_printf(p, "%s/tasks/%s/log?attempt=%lld", p->project, id_format(&v->task.id).s, (long long)at->number));
}

static void fill_deliveries(struct page *p, const struct task_view *v, struct html_at box)
{
	struct html_at line;

	if (!v->delivery_count)
		return;
	line = html_piece(box, "callbacks");
	for (size_t i = 0; i < v->delivery_count; i++) {
		const struct task_delivery *d = &v->deliveries[i];
		struct html_at one = html_piece(line, "delivery");
		bool done = str_is(d->state, "delivered");
		const char *more = done ? page_printf(p, "%lld after %lld tr%s", (long long)d->status, (long long)d->tries, d->tries == 1 ? "y" : "ies") :
			page_printf(p, "%lld tries, " STR_FMT, (long long)d->tries, STR_ARG(d->error));

		show_icon(p, html_find(one, "icon"), done ? "complete" : str_is(d->state, "waiting") ? "queued" : "error");
		html_text(one, "text", str_of(page_printf(p, STR_FMT " (%s)", STR_ARG(d->state), more)));
	}
}

static void fill_attempts(struct page *p, const struct task_view *v)
{
	struct html_at box = html_find(p->main, "attempts"), list;

	fill_deliveries(p, v, box);
	if (!v->attempt_count) {
		html_piece(box, "none");
		return;
	}
	list = html_piece(box, "list");
	for (size_t i = 0; i < v->attempt_count; i++)
		fill_attempt(p, html_piece(list, "row"), v, &v->attempts[i]);
}

static void fill_log(struct page *p, const struct task_view *v)
{
	const char *url = page_printf(p, "%s/tasks/%s/log", p->project, id_format(&v->task.id).s);
	const struct log_head *h = v->log.head;
	struct log_show show = { .url = url, .mark = -1, .mark_to = -1, .ended = log_page_has_ended(&v->task, h),
	                         .follow = true, .verdict = log_page_verdict(p, &v->task) };

	html_attr(html_find(p->main, "log-whole"), "href", str_of(url));
	html_attr(html_find(p->main, "log-raw"), "href", str_of(page_printf(p, "%s/raw", url)));
	if (h && h->lines > LOG_TASK_LINES)
		html_text(p->main, "log-size", str_of(page_printf(p, "last %d of %s lines, %s", LOG_TASK_LINES,
		          words_number(p->html.arena, h->lines), words_bytes(p->html.arena, h->bytes))));
	log_part_fill(p, p->main, "log", &v->log, &show);
}

void task_page_fill(struct page *p, const struct task_view *v)
{
	const struct task *t = &v->task;
	const char *id = page_printf(p, "%s", id_format(&t->id).s), *state = task_state_name(t->state);

	page_title(p, page_printf(p, "%s · " STR_FMT " %.6s", state, STR_ARG(t->code_name), id));
	page_alternate(p, page_printf(p, "/2/projects/%s/tasks/%s", id_format(&p->frame->project->id).s, id));
	html_attr(html_find(p->main, "tasks"), "href", str_of(page_printf(p, "%s/tasks", p->project)));
	show_link(p->main, "code", str_c(p->html.arena, t->code_name),
	          page_printf(p, "%s/tasks?q=code:%s", p->project, page_quote(p, t->code_name)));
	html_text(p->main, "id", str_of(id));
	if (v->result)
		show_notice(p, html_piece(p->main, "result"), "good", v->result);
	fill_verdict(p, v);
	fill_facts(p, v);
	fill_time_line(p, v);
	fill_attempts(p, v);
	payload_part_fill(p, t->payload);
	fill_log(p, v);
}

/* --- reading ------------------------------------------------------------------------------------------------ */

static enum err read_history(struct request *rq, struct task_view *v)
{
	const struct id *id = &v->task.id, *project = &rq->project_id;
	struct task_event *events = NULL;
	struct task_attempt *attempts = NULL;
	struct task_delivery *deliveries = NULL;

	TRY(task_store_events(rq->db, &rq->cx, project, id, &events, &v->event_count));
	v->events = events;
	if (v->task.attempt)
		TRY(task_store_attempts(rq->db, &rq->cx, project, id, &attempts, &v->attempt_count));
	v->attempts = attempts;
	if (v->task.callback.n)
		TRY(task_store_deliveries(rq->db, &rq->cx, project, id, &deliveries, &v->delivery_count));
	v->deliveries = deliveries;
	return OK;
}

/* The code only matters while its limits may be what the task waits for; it may be gone. */
static enum err read_code(struct request *rq, struct task_view *v)
{
	struct code *code;
	enum err e;

	if (v->task.state != TASK_QUEUED)
		return OK;
	code = arena_take(&rq->cx.arena, sizeof *code);
	e = code_store_get(rq->db, &rq->cx, &rq->project_id, &v->task.code_id, code);
	if (e == OK)
		v->code = code;
	return e == ERR_NOT_FOUND ? OK : e;
}

static const char *result_of(const struct request *rq)
{
	struct str did;

	if (!request_query(rq, "did", &did))
		return NULL;
	if (str_is(did, "cancelled"))
		return "Cancelled: it had not started.";
	if (str_is(did, "asked"))
		return "Asked to end: its node stops the job, first kindly, then by force.";
	return str_is(did, "over") ? "It had ended already; nothing was changed." : NULL;
}

static enum err read_view(struct request *rq, struct task_view *v)
{
	struct log_want want = { .from_line = -1, .from_byte = -1, .lines = LOG_TASK_LINES };
	struct id id;

	TRY(request_id(rq, "id", "task", &id));
	TRY(task_store_get(rq->db, &rq->cx, &rq->project_id, &id, &v->task));
	TRY(read_history(rq, v));
	TRY(read_code(rq, v));
	v->result = result_of(rq);
	if (!v->task.attempt)
		return OK;
	return log_part_read(rq, &id, 0, &want, &v->log);
}

enum err task_page(struct request *rq, struct reply *rp)
{
	struct task_view v = { .log = { 0 } };
	const struct frame *frame;
	auto_page page = { 0 };
	enum err e;

	TRY(frame_read(rq, &frame));
	e = read_view(rq, &v);
	if (e == OK && (e = page_open(rq, rp, "task", frame, &page)) == OK) {
		task_page_fill(&page, &v);
		e = page_send(&page, 200);
	}
	log_part_release(&v.log);
	return e;
}

/* --- cancel ---------------------------------------------------------------------------------------------------- */

static enum err ask(struct request *rq, struct reply *rp, const struct task *t)
{
	struct arena *a = &rq->cx.arena;
	struct id_text id = id_format(&t->id);
	const char *url = arena_printf(a, STR_FMT "/ui/p/%s/tasks/%s", STR_ARG(request_base(rq)), id_format(&rq->project_id).s, id.s);
	struct question q = { "Cancel this task?",
		arena_printf(a, "Task %s of code " STR_FMT " is %s. %s", id.s, STR_ARG(t->code_name), task_state_name(t->state),
		             t->state == TASK_QUEUED ? "It will never start." :
		             "Its job gets TERM, and KILL after its grace; what it wrote stays."),
		"Other tasks of this code are not touched. A cancelled task is not retried.",
		"Cancel this task", url, arena_printf(a, "%s/cancel", url) };

	return page_ask(rq, rp, &q);
}

static enum err cancel(struct request *rq, struct reply *rp, const struct task *t)
{
	struct str who = rq->who.user_name, node = STR_LIT("");
	struct id_text project = id_format(&rq->project_id), id = id_format(&t->id);
	enum task_state state;
	const char *did;

	TRY(task_store_cancel(rq->db, &rq->cx, &rq->project_id, &t->id, who, &state, &node));
	doorbells_note_address(rq->process->bells, node);
	did = task_state_is_settled(t->state) ? "over" : task_state_is_settled(state) ? "cancelled" : "asked";
	return page_see_other(rq, rp, arena_printf(&rq->cx.arena, STR_FMT "/ui/p/%s/tasks/%s?did=%s",
	                                           STR_ARG(request_base(rq)), project.s, id.s, did));
}

enum err task_page_cancel(struct request *rq, struct reply *rp)
{
	struct str confirm = STR_LIT("");
	struct task task;
	struct id id;

	TRY(request_id(rq, "id", "task", &id));
	TRY(task_store_get(rq->db, &rq->cx, &rq->project_id, &id, &task));
	request_form(rq, "confirm", &confirm);
	if (str_is(confirm, "yes") || task_state_is_settled(task.state))
		return cancel(rq, rp, &task);
	return ask(rq, rp, &task);
}

enum err task_page_worker_link(struct request *rq, struct reply *rp)
{
	struct id project, id;

	TRY(request_id(rq, "project", "project", &project));
	TRY(request_id(rq, "id", "task", &id));
	TRY(page_see_other(rq, rp, arena_printf(&rq->cx.arena, STR_FMT "/ui/p/%s/tasks/%s", STR_ARG(request_base(rq)),
	                                        id_format(&project).s, id_format(&id).s)));
	rp->status = 302;
	return OK;
}
