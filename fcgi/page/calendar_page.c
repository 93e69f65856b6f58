#include "fcgi/page/calendar_page.h"

#include "base/clock.h"
#include "fcgi/page/words.h"
#include "store/fire_store.h"

#include <stdlib.h>

enum { SCHEDULES_MOST = 200, LOOKS_MOST = 200000, RUNS_LOOKED_AT = 10, WEEKS_MOST = 52, DAY_HOURS = 24, SHADES = 5 };
static const int64_t HOUR_US = INT64_C(3600) * 1000000;
static const double MINUTE_US = 60e6;

/* --- filling: the week ------------------------------------------------------------------------- */

struct cell {
	int64_t fires;
	double minutes; /* of a slot */
};

static struct cell cell_of(const struct calendar_view *v, int hour)
{
	struct cell c = { 0 };

	for (size_t i = 0; i < v->n; i++) {
		c.fires += v->rows[i].hours[hour];
		c.minutes += (double)v->rows[i].hours[hour] * (double)v->rows[i].run_us / MINUTE_US;
	}
	return c;
}

/* What the live nodes' slots have in an hour. */
static double room_of(const struct page *p)
{
	return p->frame ? (double)p->frame->node_figures.slots * 60 : 0;
}

/* 1 to 5 by the share of that room. */
static int shade_of(const struct cell *c, double room)
{
	static const double SHARES[SHADES - 1] = { 0.05, 0.25, 0.5, 1 };
	int shade = 1;

	while (shade < SHADES && room > 0 && c->minutes >= SHARES[shade - 1] * room)
		shade++;
	return shade;
}

static const char *minutes_text(struct page *p, double minutes)
{
	return page_printf(p, minutes < 10 ? "%.1f" : "%.0f", minutes);
}

static const char *week_url(struct page *p, int64_t week, int64_t hour)
{
	const char *url = page_printf(p, "%s/schedules/calendar?week=%lld", p->project, (long long)week);

	return hour < 0 ? url : page_printf(p, "%s&hour=%lld#hour", url, (long long)hour);
}

static void fill_cell(struct page *p, struct html_at at, const struct calendar_view *v, int hour)
{
	struct cell c = cell_of(v, hour);
	struct html_at link, minutes;
	const char *fires;

	if (!c.fires)
		return;
	fires = words_number(p->html.arena, c.fires);
	html_attr(at, "class", str_of(page_printf(p, "load%d", shade_of(&c, room_of(p)))));
	link = html_add(at, "a");
	html_attr(link, "href", str_of(week_url(p, v->week, hour)));
	html_attr(link, "aria-label", str_of(page_printf(p, "%s, %s fires, %s slot-minutes",
	                                                 words_time_exact(p->html.arena, v->from + hour * HOUR_US), fires,
	                                                 minutes_text(p, c.minutes))));
	html_put(link, str_of(fires));
	minutes = html_add(link, "small");
	html_put(minutes, str_of(minutes_text(p, c.minutes)));
}

static void fill_week(struct page *p, const struct calendar_view *v)
{
	struct html_at week = html_find(p->main, "week"), hours = html_find(week, "hours");

	for (int h = 0; h < DAY_HOURS; h++)
		html_put(html_piece(hours, "hour"), str_of(page_printf(p, "%02d", h)));
	for (int d = 0; d < WEEK_HOURS / DAY_HOURS; d++) {
		struct html_at day = html_piece(week, "day");

		html_text(day, "date", str_of(words_day(p->html.arena, time_day(v->from) + d)));
		for (int h = 0; h < DAY_HOURS; h++)
			fill_cell(p, html_piece(day, "cell"), v, d * DAY_HOURS + h);
	}
	html_text(week, "room", str_of(page_printf(p, "The live nodes have %s slot-minutes an hour; the shade is the share of it: under 5, 25, 50, "
	                                              "100 %%, and more.", minutes_text(p, room_of(p)))));
}

static void fill_hour(struct page *p, const struct calendar_view *v)
{
	struct html_at section = html_piece(p->main, "of-hour");
	struct arena *a = p->html.arena;

	html_text(section, "which", str_of(page_printf(p, "%s and an hour on", words_time_exact(a, v->from + v->hour * HOUR_US))));
	for (size_t i = 0; i < v->n; i++) {
		const struct calendar_row *r = &v->rows[i];
		const struct schedule *s = r->schedule;
		struct html_at row;

		if (!r->hours[v->hour])
			continue;
		row = html_piece(section, "row");
		show_link(row, "name", str_c(a, s->label.n ? s->label : s->code_name),
		          page_printf(p, "%s/schedules/%s", p->project, id_format(&s->id).s));
		html_text(row, "fires", str_of(words_number(a, r->hours[v->hour])));
		if (r->first != TIME_NONE)
			show_time(p, row, "first", r->first);
		if (r->run_us)
			html_text(row, "run", str_of(words_duration(a, r->run_us)));
		html_text(row, "minutes", str_of(minutes_text(p, (double)r->hours[v->hour] * (double)r->run_us / MINUTE_US)));
	}
}

static void fill_notices(struct page *p, const struct calendar_view *v)
{
	if (v->result)
		show_notice(p, html_piece(p->main, "result"), "good", v->result);
	if (v->wrong)
		show_notice(p, html_piece(p->main, "wrong"), "bad", v->wrong);
	if (v->more)
		show_notice(p, html_piece(p->main, "notice"), "warn",
		            page_printf(p, "Only the %d newest schedules that go on are counted.", SCHEDULES_MOST));
	if (v->is_cut)
		show_notice(p, html_piece(p->main, "notice"), "warn",
		            page_printf(p, "More than %d times by cron expressions come in this week: the rest of them is not counted.", LOOKS_MOST));
	if (v->broken)
		show_notice(p, html_piece(p->main, "notice"), "bad",
		            page_printf(p, "%zu schedules name a time zone or a calendar that is not there; they are not counted.", v->broken));
}

/* --- filling: dates ------------------------------------------------------------------------------ */

static void fill_calendar(struct page *p, struct html_at section, const struct calendar *c, size_t i)
{
	bool may_change = p->rq->who.role >= ROLE_DEVELOPER;
	struct html_at form = html_piece(section, "calendar");
	const char *id = page_printf(p, "dates-%zu", i);

	html_attr(form, "action", str_of(page_printf(p, "%s/schedules/calendar", p->project)));
	show_value(form, "csrf", str_of(p->csrf));
	show_value(form, "name-value", c->name);
	html_text(form, "name", c->name);
	show_time(p, form, "changed", c->updated_at);
	html_attr(html_find(form, "label"), "for", str_of(id));
	html_attr(html_find(form, "dates"), "id", str_of(id));
	html_text(form, "dates", c->dates);
	if (may_change)
		html_piece(form, "buttons");
	else
		html_attr(html_find(form, "dates"), "readonly", STR_LIT("readonly"));
}

static void fill_dates(struct page *p, const struct calendar_view *v)
{
	struct html_at section = html_find(p->main, "excluded"), form;

	if (!v->calendar_count)
		html_piece(section, "none");
	for (size_t i = 0; i < v->calendar_count; i++)
		fill_calendar(p, section, &v->calendars[i], i);
	if (p->rq->who.role < ROLE_DEVELOPER)
		return;
	form = html_piece(section, "new");
	html_attr(form, "action", str_of(page_printf(p, "%s/schedules/calendar", p->project)));
	show_value(form, "csrf", str_of(p->csrf));
	show_value(form, "name", v->typed_name);
	html_text(form, "dates", v->typed_dates);
}

void calendar_page_fill(struct page *p, const struct calendar_view *v)
{
	page_title(p, "Calendar of schedules");
	show_link(p->main, "schedules", "Schedules", page_printf(p, "%s/schedules", p->project));
	html_text(p->main, "about", str_of(page_printf(p, "%zu schedules go on, times in UTC", v->n)));
	fill_notices(p, v);
	fill_week(p, v);
	if (v->week > 0)
		html_attr(html_piece(p->main, "earlier"), "href", str_of(week_url(p, v->week - 1, -1)));
	if (v->week < WEEKS_MOST)
		html_attr(html_piece(p->main, "later"), "href", str_of(week_url(p, v->week + 1, -1)));
	if (v->hour >= 0)
		fill_hour(p, v);
	fill_dates(p, v);
}

/* --- reading --------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Of its last runs that are over; `fires` are in the order of the schedules. */
static int64_t median_run(const struct fire *fires, size_t n, const struct id *schedule)
{
	int64_t runs[RUNS_LOOKED_AT] = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < n && count < RUNS_LOOKED_AT; i++)
		if (fires[i].ran_us >= 0 && id_equal(&fires[i].schedule_id, schedule))
			runs[count++] = fires[i].ran_us;
	qsort(runs, count, sizeof *runs, by_size);
	return count ? runs[count / 2] : 0;
}

static void count_row(const struct schedule_coming *c, struct calendar_view *v, int64_t *looks, struct calendar_row *row)
{
	const struct schedule *s = &c->schedule;
	int64_t left = schedule_runs_left(s), hour = v->from + v->hour * HOUR_US;
	int64_t skipped[WEEK_HOURS] = { 0 };
	struct nominal n = { .at = c->after >= hour ? c->after : hour - 1 };

	/* the tasks of the weeks before count for run_times */
	for (int64_t w = v->week; w > 0 && s->run_times && left > 0; w--) {
		if (!week_count(&c->timetable, c->after, v->from - w * WEEK_HOURS * HOUR_US, left, looks, skipped))
			v->is_cut = true;
		for (int h = 0; h < WEEK_HOURS; h++, skipped[h - 1] = 0)
			left -= skipped[h];
	}
	if (!week_count(&c->timetable, c->after, v->from, left, looks, row->hours))
		v->is_cut = true;
	row->first = TIME_NONE;
	if (v->hour >= 0 && row->hours[v->hour])
		while (timetable_next(&c->timetable, n.at, &n) && row->first == TIME_NONE)
			row->first = nominal_runs(&n) ? n.at : TIME_NONE;
}

static enum err read_week(struct request *rq, struct calendar_view *v)
{
	int64_t looks = LOOKS_MOST;
	struct schedule_coming *coming;
	struct fire *fires = NULL;
	size_t n, fire_count = 0;

	TRY(schedule_store_coming(rq->db, &rq->cx, &rq->project_id, rq->set->zones.folder, SCHEDULES_MOST + 1, &coming, &n));
	v->more = n > SCHEDULES_MOST;
	n -= v->more;
	if (n)
		TRY(fire_store_newest(rq->db, &rq->cx, &rq->project_id, &coming[n - 1].schedule.id, &coming[0].schedule.id,
		                      RUNS_LOOKED_AT, &fires, &fire_count));
	v->rows = arena_array(&rq->cx.arena, n + 1, sizeof *v->rows);
	for (size_t i = 0; i < n; i++) {
		struct calendar_row *row = &v->rows[v->n];

		v->broken += coming[i].is_broken;
		if (coming[i].is_broken)
			continue;
		v->n++;
		row->schedule = &coming[i].schedule;
		row->run_us = median_run(fires, fire_count, &row->schedule->id);
		count_row(&coming[i], v, &looks, row);
	}
	return OK;
}

static enum err read_view(struct request *rq, struct calendar_view *v)
{
	struct calendar *calendars;

	v->hour = -1;
	TRY(request_query_int(rq, "week", &v->week));
	TRY(request_query_int(rq, "hour", &v->hour));
	v->week = v->week < 0 ? 0 : v->week > WEEKS_MOST ? WEEKS_MOST : v->week;
	v->hour = v->hour < 0 || v->hour >= WEEK_HOURS ? -1 : v->hour;
	v->from = (time_day(clock_wall_us()) + 7 * v->week) * DAY_HOURS * HOUR_US;
	TRY(read_week(rq, v));
	TRY(calendar_store_list(rq->db, &rq->cx, &rq->project_id, &calendars, &v->calendar_count));
	v->calendars = calendars;
	return OK;
}

static enum err show(struct request *rq, struct reply *rp, struct calendar_view *v, int status)
{
	const struct frame *frame;
	auto_page page = { 0 };

	TRY(frame_read(rq, &frame));
	TRY(read_view(rq, v));
	TRY(page_open(rq, rp, "calendar", frame, &page));
	calendar_page_fill(&page, v);
	page_alternate(&page, arena_printf(&rq->cx.arena, "/2/projects/%s/calendars", id_format(&rq->project_id).s));
	return page_send(&page, status);
}

enum err calendar_page(struct request *rq, struct reply *rp)
{
	struct calendar_view v = { 0 };
	struct str did = { 0 };

	request_query(rq, "did", &did);
	v.result = str_is(did, "saved") ? "Saved: it holds from the next time on." : str_is(did, "deleted") ? "Deleted." : NULL;
	return show(rq, rp, &v, 200);
}

static const char *own_url(struct request *rq, const char *more)
{
	return arena_printf(&rq->cx.arena, STR_FMT "/ui/p/%s/schedules/calendar%s", STR_ARG(request_base(rq)),
	                    id_format(&rq->project_id).s, more);
}

static enum err ask_before_delete(struct request *rq, struct reply *rp, struct str name)
{
	const char *url = own_url(rq, "");
	const struct question q = {
		.question = "Delete this calendar?",
		.what = arena_printf(&rq->cx.arena, "The calendar \"" STR_FMT "\" and its dates are forgotten.", STR_ARG(name)),
		.untouched = "One that a schedule names is not deleted.", .button = "Delete this calendar", .from = url,
		.action = arena_printf(&rq->cx.arena, "%s?delete=%s", url, query_quote(&rq->cx.arena, name)),
	};

	return page_ask(rq, rp, &q);
}

/* What the form asks for; *deletes says which. */
static enum err change(struct request *rq, struct calendar_view *v, bool *deletes)
{
	struct str confirm = { 0 }, name;

	*deletes = request_query(rq, "delete", &name) && request_form(rq, "confirm", &confirm) && str_is(confirm, "yes");
	if (*deletes)
		return calendar_store_delete(rq->db, &rq->cx, &rq->project_id, name);
	return calendar_store_put(rq->db, &rq->cx, &rq->project_id, v->typed_name, v->typed_dates);
}

enum err calendar_page_change(struct request *rq, struct reply *rp)
{
	struct calendar_view v = { .typed_name = STR_LIT(""), .typed_dates = STR_LIT("") };
	struct str what = { 0 };
	bool deletes;
	enum err e;

	request_form(rq, "do", &what);
	request_form(rq, "name", &v.typed_name);
	request_form(rq, "dates", &v.typed_dates);
	v.typed_name = str_trim(v.typed_name);
	if (str_is(what, "delete"))
		return ask_before_delete(rq, rp, v.typed_name);
	e = change(rq, &v, &deletes);
	if (e == ERR_INPUT || e == ERR_CONFLICT || e == ERR_NOT_FOUND) {
		v.wrong = arena_text(&rq->cx.arena, rq->cx.message);
		return show(rq, rp, &v, e == ERR_CONFLICT ? 409 : e == ERR_NOT_FOUND ? 404 : 400);
	}
	TRY(e);
	return page_see_other(rq, rp, own_url(rq, deletes ? "?did=deleted#dates" : "?did=saved#dates"));
}
