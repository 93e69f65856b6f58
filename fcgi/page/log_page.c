#include "fcgi/page/log_page.h"

#include "fcgi/api/log_api.h"
#include "fcgi/page/task_words.h"
#include "fcgi/page/words.h"

enum { LINES_BEFORE_MARK = 20 };

bool log_page_has_ended(const struct task *t, const struct log_head *head)
{
	/* a task is settled after its last chunk is stored, and was read before the log */
	return task_state_is_settled(t->state) || (head && head->closed);
}

const char *log_page_verdict(struct page *p, const struct task *t)
{
	return task_state_is_settled(t->state) ? task_words_headline(p->html.arena, t, p->now_us) : "";
}

/* --- filling ------------------------------------------------------------------------------------------ */

/* The page's URL with these further fields ("" or "line=3"). */
static const char *url_with(struct page *p, const struct log_view *v, const char *fields)
{
	const char *url = page_printf(p, "%s/tasks/%s/log", p->project, id_format(&v->task.id).s);
	char mark = '?';

	if (v->attempt) {
		url = page_printf(p, "%s?attempt=%lld", url, (long long)v->attempt);
		mark = '&';
	}
	if (v->nowrap) {
		url = page_printf(p, "%s%cwrap=0", url, mark);
		mark = '&';
	}
	return *fields ? page_printf(p, "%s%c%s", url, mark, fields) : url;
}

static void fill_attempts(struct page *p, const struct log_view *v)
{
	struct html_at choice;

	if (v->part.head_count < 2)
		return;
	choice = html_piece(p->main, "attempt");
	for (size_t i = 0; i < v->part.head_count; i++) {
		const struct log_head *h = &v->part.heads[i];
		struct html_at number = html_piece(choice, "number");

		show_link(number, "link", page_printf(p, "%lld", (long long)h->attempt),
		          page_printf(p, "%s/tasks/%s/log?attempt=%lld", p->project, id_format(&v->task.id).s, (long long)h->attempt));
		if (h == v->part.head)
			html_attr(html_find(number, "link"), "aria-current", STR_LIT("true"));
	}
}

static void fill_tools(struct page *p, const struct log_view *v)
{
	const struct log_lines *l = &v->part.lines;
	const struct log_head *h = v->part.head;
	struct log_view wrapped = *v;
	struct arena *a = p->html.arena;
	int64_t older = l->n && l->lines[0].number > LOG_PAGE_LINES ? l->lines[0].number - LOG_PAGE_LINES : 0;

	fill_attempts(p, v);
	wrapped.nowrap = !v->nowrap;
	html_attr(html_find(p->main, "top"), "href", str_of(url_with(p, v, "top=1")));
	html_attr(html_find(p->main, "end"), "href", str_of(url_with(p, v, "")));
	show_link(p->main, "wrap", v->nowrap ? "wrap long lines" : "do not wrap", url_with(p, &wrapped, ""));
	html_attr(html_find(p->main, "raw"), "href", str_of(page_printf(p, "%s/tasks/%s/log/raw%s", p->project, id_format(&v->task.id).s,
		v->attempt ? page_printf(p, "?attempt=%lld", (long long)v->attempt) : "")));
	if (l->n && l->lines[0].number > 0)
		html_attr(html_piece(p->main, "older"), "href", str_of(url_with(p, v, page_printf(p, "start=%lld", (long long)older + 1))));
	if (l->full)
		html_attr(html_piece(p->main, "newer"), "href", str_of(url_with(p, v, page_printf(p, "start=%lld", (long long)l->next_line + 1))));
	if (h)
		html_text(p->main, "size", str_of(page_printf(p, "%s lines, %s", words_number(a, h->lines), words_bytes(a, h->bytes))));
}

void log_page_fill(struct page *p, const struct log_view *v)
{
	const char *id = page_printf(p, "%s", id_format(&v->task.id).s);
	struct log_show show = { .url = url_with(p, v, ""), .mark = v->mark, .mark_to = v->mark_to, .ended = v->ended,
	                         .follow = v->first_line < 0 && !v->part.lines.full, .verdict = log_page_verdict(p, &v->task) };

	page_title(p, page_printf(p, "Log · " STR_FMT " %.6s", STR_ARG(v->task.code_name), id));
	page_alternate(p, page_printf(p, "/2/projects/%s/tasks/%s/log", id_format(&p->frame->project->id).s, id));
	html_attr(p->main, "class", str_of(v->nowrap ? "whole-log nowrap" : "whole-log"));
	html_attr(html_find(p->main, "tasks"), "href", str_of(page_printf(p, "%s/tasks", p->project)));
	show_link(p->main, "code", str_c(p->html.arena, v->task.code_name),
	          page_printf(p, "%s/tasks?q=code:%s", p->project, page_quote(p, v->task.code_name)));
	show_task(p, p->main, "task", &v->task.id);
	show_state(p, p->main, "state", v->task.state);
	fill_tools(p, v);
	log_part_fill(p, p->main, "log", &v->part, &show);
}

/* --- reading ------------------------------------------------------------------------------------------ */

/* "17205" or "17200-17210", lines from 1. */
static enum err read_mark(struct request *rq, struct log_view *v)
{
	struct str text, first;
	int64_t from, to;

	v->mark = v->mark_to = -1;
	if (!request_query(rq, "line", &text) || !text.n)
		return OK;
	str_cut(&text, '-', &first);
	if (!str_int(first, &from) || from < 1)
		return err_set(&rq->cx, ERR_INPUT, "line: takes 17205 or 17200-17210");
	to = from;
	if (text.n && (!str_int(text, &to) || to < from))
		return err_set(&rq->cx, ERR_INPUT, "line: takes 17205 or 17200-17210");
	v->mark = from - 1;
	v->mark_to = to - 1;
	return OK;
}

static enum err read_want(struct request *rq, struct log_view *v, struct log_want *want)
{
	int64_t from = -1, style = 0, start = 0, top = 0;
	struct str wrap;

	TRY(request_query_int(rq, "attempt", &v->attempt));
	TRY(read_mark(rq, v));
	TRY(request_query_int(rq, "from", &from));
	TRY(request_query_int(rq, "style", &style));
	TRY(request_query_int(rq, "start", &start));
	TRY(request_query_int(rq, "top", &top));
	v->nowrap = request_query(rq, "wrap", &wrap) && str_is(wrap, "0");
	if (v->attempt < 0)
		return err_set(&rq->cx, ERR_INPUT, "attempt: takes a number from 1");
	*want = (struct log_want){ .from_line = -1, .from_byte = from, .style = ansi_unpack(style), .lines = LOG_PAGE_LINES };
	if (from >= 0)
		return OK;
	if (top || start > 0)
		want->from_line = top ? 0 : start - 1;
	else if (v->mark >= 0)
		want->from_line = v->mark > LINES_BEFORE_MARK ? v->mark - LINES_BEFORE_MARK : 0;
	v->first_line = want->from_line;
	return OK;
}

enum err log_page(struct request *rq, struct reply *rp)
{
	struct log_view v = { .first_line = -1 };
	const struct frame *frame;
	struct log_want want;
	auto_page page = { 0 };
	struct id id;
	enum err e;

	TRY(request_id(rq, "id", "task", &id));
	TRY(read_want(rq, &v, &want));
	TRY(frame_read(rq, &frame));
	TRY(task_store_get(rq->db, &rq->cx, &rq->project_id, &id, &v.task));
	e = log_part_read(rq, &id, v.attempt, &want, &v.part);
	v.ended = e == OK && log_page_has_ended(&v.task, v.part.head);
	if (e == OK && (e = page_open(rq, rp, "log", frame, &page)) == OK) {
		log_page_fill(&page, &v);
		e = page_send(&page, 200);
	}
	log_part_release(&v.part);
	return e;
}

/* --- raw ---------------------------------------------------------------------------------------------- */

/* The API's own answer, as a download that no browser renders. */
enum err log_page_raw(struct request *rq, struct reply *rp)
{
	struct str id = request_param(rq, "id");

	TRY(log_api_log(rq, rp));
	reply_header(rp, "Content-Disposition", str_of(arena_printf(&rq->cx.arena, "attachment; filename=\"" STR_FMT ".log\"", STR_ARG(id))));
	page_headers(rq, rp, "sandbox");
	return OK;
}
