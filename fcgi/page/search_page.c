#include "fcgi/page/search_page.h"

#include "base/json.h"
#include "fcgi/api/search_api.h"
#include "fcgi/page/words.h"

static const char *const STATES[] = { "running", "complete", "error", "timeout", "killed", "cancelled" };

static const char *text_of(const json_t *j, const char *field)
{
	const char *text = json_string_value(json_object_get(j, field));

	return text ? text : "";
}

static int64_t number_of(const json_t *j, const char *field)
{
	return json_integer_value(json_object_get(j, field));
}

/* The whole address of this search, from `next` on. */
static const char *url_of(struct page *p, const struct search_view *v, const char *next)
{
	const char *url = page_printf(p, "%s/logs/search?q=%s", p->project, page_quote(p, v->text));

	if (v->code.n)
		url = page_printf(p, "%s&code_name=%s", url, page_quote(p, v->code));
	if (v->state.n)
		url = page_printf(p, "%s&%s=1", url, page_quote(p, v->state));
	return page_printf(p, "%s&next=%s", url, next);
}

static void fill_form(struct page *p, const struct search_view *v)
{
	struct html_at states = html_find(p->main, "states");

	html_attr(html_find(p->main, "form"), "action", str_of(page_printf(p, "%s/logs/search", p->project)));
	show_value(p->main, "q", v->text);
	show_value(p->main, "code", v->code);
	for (size_t i = 0; i < sizeof STATES / sizeof *STATES; i++) {
		struct html_at option = html_add(states, "option");

		html_attr(option, "value", str_of(STATES[i]));
		html_put(option, str_of(STATES[i]));
		if (str_is(v->state, STATES[i]))
			html_attr(option, "selected", STR_LIT("selected"));
	}
	if (v->wrong)
		show_notice(p, html_piece(p->main, "wrong"), "bad", v->wrong);
}

/* What was looked for stands out in its line. */
static void fill_line(struct html_at at, struct str line, struct str text)
{
	const char *found;

	while (text.n && (found = memmem(line.p, line.n, text.p, text.n))) {
		html_put(at, str_bytes(line.p, (size_t)(found - line.p)));
		html_put(html_add(at, "mark"), str_bytes(found, text.n));
		line.n -= (size_t)(found - line.p) + text.n;
		line.p = found + text.n;
	}
	html_put(at, line);
}

static void fill_hit(struct page *p, struct html_at row, const json_t *hit, struct str text)
{
	const char *id = text_of(hit, "task_id");
	enum task_state state = TASK_QUEUED;
	struct id task;

	if (id_parse(str_of(id), &task))
		show_task(p, row, "task", &task);
	if (task_state_parse(str_of(text_of(hit, "state")), &state))
		show_state(p, row, "state", state);
	html_text(row, "code", str_of(text_of(hit, "code_name")));
	fill_line(html_find(row, "line"), str_of(text_of(hit, "text")), text);
	show_link(row, "at", page_printf(p, "byte %s", words_number(p->html.arena, number_of(hit, "byte"))),
	          page_printf(p, "%s/tasks/%s/log?attempt=%lld&from=%lld", p->project, id, (long long)number_of(hit, "attempt"),
	                      (long long)number_of(hit, "byte")));
}

static void fill_found(struct page *p, const struct search_view *v)
{
	const json_t *hits = json_object_get(v->found, "hits");
	const char *next = text_of(v->found, "next");
	struct arena *a = p->html.arena;
	struct html_at list;

	html_put(html_piece(p->main, "extent"),
	         str_of(page_printf(p, "%s found in %s of output of %s tasks.%s", words_number(a, (int64_t)json_array_size(hits)),
	                            words_bytes(a, number_of(v->found, "searched_bytes")), words_number(a, number_of(v->found, "searched_tasks")),
	                            *next ? " There is more to look through." : "")));
	if (json_array_size(hits)) {
		list = html_piece(p->main, "hits");
		for (size_t i = 0; i < json_array_size(hits); i++)
			fill_hit(p, html_piece(list, "row"), json_array_get(hits, i), v->text);
	} else {
		html_piece(p->main, "none");
	}
	if (*next)
		html_attr(html_piece(p->main, "further"), "href", str_of(url_of(p, v, next)));
}

void search_page_fill(struct page *p, const struct search_view *v)
{
	page_title(p, "Search logs");
	if (v->found)
		page_alternate(p, page_printf(p, "/2/projects/%s/logs/search?q=%s", id_format(&p->frame->project->id).s, page_quote(p, v->text)));
	fill_form(p, v);
	if (v->found)
		fill_found(p, v);
	else
		html_piece(p->main, "help");
}

/* The form has one field for all states; the API a field each. */
static enum err read_state(struct request *rq, struct reply *rp, struct search_view *v, bool *moved)
{
	struct str state = STR_LIT("");

	*moved = request_query(rq, "state", &state);
	for (size_t i = 0; i < sizeof STATES / sizeof *STATES; i++) {
		struct str on;

		if (request_query(rq, STATES[i], &on) || str_is(state, STATES[i]))
			v->state = str_of(STATES[i]);
	}
	if (!*moved)
		return OK;
	return page_see_other(rq, rp, arena_printf(&rq->cx.arena, STR_FMT "/ui/p/%s/logs/search?q=%s&code_name=%s%s%s", STR_ARG(request_base(rq)),
	                                           id_format(&rq->project_id).s, query_quote(&rq->cx.arena, v->text),
	                                           query_quote(&rq->cx.arena, v->code), v->state.n ? "&" : "",
	                                           v->state.n ? arena_printf(&rq->cx.arena, STR_FMT "=1", STR_ARG(v->state)) : ""));
}

enum err search_page(struct request *rq, struct reply *rp)
{
	struct search_view v = { .text = STR_LIT(""), .code = STR_LIT(""), .state = STR_LIT("") };
	const struct frame *frame;
	auto_json *found = NULL;
	auto_page page = { 0 };
	enum err e = OK;
	bool moved;

	request_query(rq, "q", &v.text);
	request_query(rq, "code_name", &v.code);
	TRY(read_state(rq, rp, &v, &moved));
	if (moved)
		return OK;
	TRY(frame_read(rq, &frame));
	if (v.text.n)
		e = search_api_run(rq, &found);
	if (e != OK && e != ERR_INPUT)
		return e;
	v.found = found;
	v.wrong = e == ERR_INPUT ? arena_text(&rq->cx.arena, rq->cx.message) : NULL;
	TRY(page_open(rq, rp, "search", frame, &page));
	search_page_fill(&page, &v);
	return page_send(&page, v.wrong ? 400 : 200);
}
