#include "fcgi/page/schedule_page.h"

#include "fcgi/page/fire_look.h"
#include "fcgi/page/words.h"
#include "model/fire_json.h"

enum { A_PAGE = 50, FIRES_SHOWN = 30 };

static const char *name_of(struct page *p, const struct schedule *s)
{
	return str_c(p->html.arena, s->label.n ? s->label : s->code_name);
}

/* Those of the schedule, which come next in the view's. */
static size_t count_fires(const struct schedules_view *v, size_t from, const struct id *schedule)
{
	size_t n = 0;

	while (from + n < v->fire_count && id_equal(&v->fires[from + n].schedule_id, schedule))
		n++;
	return n;
}

static void fill_row(struct page *p, struct html_at row, const struct schedule *s, const struct fire *fires, size_t n)
{
	bool is_paused = s->paused_at != TIME_NONE && s->state == SCHEDULE_SCHEDULED;

	show_link(row, "name", name_of(p, s), page_printf(p, "%s/schedules/%s", p->project, id_format(&s->id).s));
	html_text(row, "code", s->code_name);
	html_text(row, "when", str_of(schedule_words(p->html.arena, s)));
	html_text(row, "state", str_of(schedule_state_words(s)));
	if (s->state == SCHEDULE_SCHEDULED && !schedule_is_stopped(s))
		show_time(p, row, "next", s->next_at);
	if (s->last_at != TIME_NONE)
		show_time(p, row, "last", s->last_at);
	if (n)
		fire_strip(p, html_find(row, "strip"), fires, n);
	html_text(row, "note", is_paused && s->pause_reason.n ? s->pause_reason : s->is_held ? STR_LIT(FIRE_HELD) : s->msg);
}

void schedules_page_fill(struct page *p, const struct schedules_view *v)
{
	struct html_at rows = html_find(p->main, "rows"), table;
	size_t at = 0;

	page_title(p, "Schedules");
	html_attr(html_find(p->main, "calendar"), "href", str_of(page_printf(p, "%s/schedules/calendar", p->project)));
	if (p->rq->who.role >= ROLE_DEVELOPER)
		html_attr(html_piece(p->main, "new"), "href", str_of(page_printf(p, "%s/schedules/new", p->project)));
	if (v->page > 0)
		html_attr(html_piece(p->main, "newer"), "href",
		          str_of(page_printf(p, "%s/schedules?page=%lld", p->project, (long long)v->page - 1)));
	if (v->more)
		html_attr(html_piece(p->main, "older"), "href",
		          str_of(page_printf(p, "%s/schedules?page=%lld", p->project, (long long)v->page + 1)));
	if (!v->n) {
		html_piece(rows, "none");
		return;
	}
	table = html_piece(rows, "table");
	for (size_t i = 0; i < v->n; i++) {
		size_t n = count_fires(v, at, &v->schedules[i].id);

		fill_row(p, html_piece(table, "row"), &v->schedules[i], v->fires + at, n);
		at += n;
	}
}

enum err schedules_page(struct request *rq, struct reply *rp)
{
	struct schedules_view v = { 0 };
	struct schedule *schedules;
	struct fire *fires = NULL;
	const struct frame *frame;
	auto_page page = { 0 };

	TRY(request_query_int(rq, "page", &v.page));
	v.page = v.page < 0 ? 0 : v.page > 10000 ? 10000 : v.page;
	TRY(frame_read(rq, &frame));
	TRY(schedule_store_list(rq->db, &rq->cx, &rq->project_id, v.page, A_PAGE, &schedules, &v.n));
	v.schedules = schedules;
	v.more = v.n == A_PAGE;
	if (v.n)
		TRY(fire_store_newest(rq->db, &rq->cx, &rq->project_id, &schedules[v.n - 1].id, &schedules[0].id, FIRES_SHOWN, &fires,
		                      &v.fire_count));
	v.fires = fires;
	TRY(page_open(rq, rp, "schedules", frame, &page));
	schedules_page_fill(&page, &v);
	page_alternate(&page, arena_printf(&rq->cx.arena, "/2/projects/%s/schedules", id_format(&rq->project_id).s));
	return page_send(&page, 200);
}
