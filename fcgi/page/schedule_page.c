#include "fcgi/page/schedule_page.h"

#include "fcgi/page/fire_look.h"
#include "fcgi/page/words.h"
#include "model/fire_json.h"
#include "store/task_store.h"

enum { FIRES_SHOWN = 60, TIMES_SHOWN = 10, PAUSES_SHOWN = 20 };

/* --- what comes -------------------------------------------------------------------------------- */

void schedule_page_times(struct page *p, struct html_at in, const struct schedule_preview *coming)
{
	struct arena *a = p->html.arena;

	const char *holds = coming_note(a, &coming->schedule, &coming->timetable, coming->unowed);

	if (*holds)
		html_text(html_piece(in, "holds"), "text", str_of(holds));
	for (size_t i = 0; i < coming->n; i++) {
		const struct nominal *n = &coming->times[i];
		struct html_at row = html_piece(in, "time");

		show_time(p, row, "at", n->at);
		html_text(row, "local", str_of(nominal_local(a, coming->timetable.zone, n->at)));
		html_text(row, "zone", zone_abbreviation(coming->timetable.zone, n->at / 1000000));
		html_text(row, "note", str_of(nominal_note(a, &coming->timetable, n)));
	}
}

/* --- the ledger -------------------------------------------------------------------------------- */

static void add_square(struct page *p, struct html_at day, const struct fire *f)
{
	struct html_at square = html_piece(day, "square"), link = html_find(square, "link"), words;
	const struct fire_look *look = fire_look(f);
	const char *said = page_printf(p, "%s, %s: %s", words_time_exact(p->html.arena, f->nominal), look->word,
	                               fire_outcome_words(f->outcome));

	html_put(link, str_of(look->sign));
	words = html_add(link, "span");
	html_attr(words, "class", STR_LIT("hide"));
	html_put(words, str_of(page_printf(p, " %s", said)));
	html_attr(link, "class", str_of(page_printf(p, "square %s", look->class)));
	html_attr(link, "title", str_of(said));
	html_attr(link, "href", str_of(id_is_zero(&f->task_id) ? "#ledger"
	                               : page_printf(p, "%s/tasks/%s", p->project, id_format(&f->task_id).s)));
}

/* A row a day by the schedule's zone, newest first. */
static void fill_days(struct page *p, struct html_at section, const struct schedule_view *v)
{
	const struct zone *zone = v->broken ? zone_utc() : v->coming.timetable.zone;
	struct html_at grid = html_piece(section, "grid"), day = { 0 };
	int64_t shown = INT64_MIN;

	for (size_t i = 0; i < v->fire_count; i++) {
		int64_t at = v->fires[i].nominal / 1000000, today = time_day((at + zone_span_at(zone, at).offset) * 1000000);

		if (today != shown) {
			day = html_piece(grid, "day");
			html_text(day, "date", str_of(words_day(p->html.arena, today)));
			shown = today;
		}
		add_square(p, day, &v->fires[i]);
	}
}

static void fill_fire(struct page *p, struct html_at row, const struct fire *f)
{
	enum task_state state;

	show_time(p, row, "at", f->nominal);
	html_text(row, "outcome", str_of(fire_outcome_words(f->outcome)));
	if (id_is_zero(&f->task_id))
		html_drop(html_find(row, "task"));
	else
		show_task(p, row, "task", &f->task_id);
	if (task_state_parse(f->task_state, &state))
		show_state(p, row, "task-state", state);
	html_text(row, "late", str_of(words_duration(p->html.arena, f->at - f->due)));
	if (f->ran_us >= 0)
		html_text(row, "ran", str_of(words_duration(p->html.arena, f->ran_us)));
	html_text(row, "note", str_of(f->note));
}

static void fill_ledger(struct page *p, const struct schedule_view *v)
{
	struct html_at section, pages, table;
	const char *url = page_printf(p, "%s/schedules/%s", p->project, id_format(&v->coming.schedule.id).s);

	html_find_by(p->main, "data-part", STR_LIT("ledger"), &section);
	if (!v->fire_count) {
		html_piece(section, "none");
		return;
	}
	fill_days(p, section, v);
	table = html_piece(section, "fires");
	for (size_t i = 0; i < v->fire_count; i++)
		fill_fire(p, html_piece(table, "row"), &v->fires[i]);
	if (v->is_newest && !v->more)
		return;
	pages = html_piece(section, "pages");
	if (!v->is_newest)
		html_attr(html_piece(pages, "newest"), "href", str_of(url));
	if (v->more)
		html_attr(html_piece(pages, "older"), "href",
		          str_of(page_printf(p, "%s?before=%s", url, page_quote(p, str_of(time_rfc3339(p->html.arena,
		                                                                            v->fires[v->fire_count - 1].nominal))))));
}

/* --- pauses ------------------------------------------------------------------------------------ */

static void fill_pauses(struct page *p, const struct schedule_view *v)
{
	struct html_at section;

	if (!v->pause_count)
		return;
	section = html_piece(p->main, "pauses");
	for (size_t i = 0; i < v->pause_count; i++) {
		const struct pause *pause = &v->pauses[i];
		struct html_at row = html_piece(section, "row");

		show_time(p, row, "from", pause->from);
		html_text(row, "by", pause->paused_by);
		html_text(row, "why", pause->reason);
		if (pause->to == TIME_NONE)
			continue;
		show_time(p, row, "to", pause->to);
		html_text(row, "resumed-by", pause->resumed_by);
		html_text(row, "resume-why", pause->resume_reason);
	}
}

/* --- the schedule ------------------------------------------------------------------------------ */

static void add_fact(struct html_at in, const char *word, struct str text)
{
	struct html_at fact;

	if (!text.n)
		return;
	fact = html_piece(in, "fact");
	html_text(fact, "word", str_of(word));
	html_text(fact, "text", text);
}

static const char *misfire_words(struct page *p, const struct schedule *s)
{
	struct arena *a = p->html.arena;

	if (s->misfire != MISFIRE_ALL)
		return page_printf(p, "%s, after %s", MISFIRE_NAMES[s->misfire], words_duration(a, s->misfire_after_s * 1000000));
	return page_printf(p, "all, up to %s within %s, after %s", words_number(a, s->misfire_limit),
	                   words_duration(a, s->misfire_window_s * 1000000), words_duration(a, s->misfire_after_s * 1000000));
}

static void fill_facts(struct page *p, const struct schedule *s)
{
	struct arena *a = p->html.arena;

	add_fact(p->main, "code", s->code_name);
	add_fact(p->main, "cron", s->cron);
	add_fact(p->main, "time zone", s->time_zone);
	add_fact(p->main, "start", str_of(words_time_exact(a, s->start_at)));
	if (s->end_at != TIME_NONE)
		add_fact(p->main, "end", str_of(words_time_exact(a, s->end_at)));
	add_fact(p->main, "runs", str_of(s->run_times ? page_printf(p, "%s of %s", words_number(a, s->run_count), words_number(a, s->run_times))
	                                              : words_number(a, s->run_count)));
	add_fact(p->main, "overlap", str_of(OVERLAP_NAMES[s->overlap]));
	add_fact(p->main, "misfire", str_of(misfire_words(p, s)));
	add_fact(p->main, "dst", str_of(page_printf(p, "gap %s, repeat %s", DST_GAP_NAMES[s->dst_gap], DST_REPEAT_NAMES[s->dst_repeat])));
	if (s->jitter_s)
		add_fact(p->main, "jitter", str_of(words_duration(a, s->jitter_s * 1000000)));
	add_fact(p->main, "excluded dates", s->exclude_dates);
	add_fact(p->main, "calendars", s->exclude_calendars);
	add_fact(p->main, "label", s->label);
	add_fact(p->main, "cluster", s->cluster_name);
	if (s->priority >= 0)
		add_fact(p->main, "priority", str_of(words_number(a, s->priority)));
	if (s->timeout_s)
		add_fact(p->main, "timeout", str_of(words_duration(a, s->timeout_s * 1000000)));
	if (s->task_delay_s)
		add_fact(p->main, "delay of its tasks", str_of(words_duration(a, s->task_delay_s * 1000000)));
	if (s->retries >= 0)
		add_fact(p->main, "retries", str_of(words_number(a, s->retries)));
	if (s->retries_delay_s >= 0)
		add_fact(p->main, "before a retry", str_of(words_duration(a, s->retries_delay_s * 1000000)));
	if (s->payload_times)
		add_fact(p->main, "payload", STR_LIT("with its nominal time filled in"));
}

static void fill_actions(struct page *p, const struct schedule *s)
{
	const char *url = page_printf(p, "%s/schedules/%s", p->project, id_format(&s->id).s);
	bool is_paused = s->paused_at != TIME_NONE;
	struct html_at at;

	if (p->rq->who.role < ROLE_DEVELOPER || s->state != SCHEDULE_SCHEDULED)
		return;
	at = html_piece(p->main, "actions");
	html_attr(html_find(at, "run"), "action", str_of(page_printf(p, "%s/run", url)));
	html_attr(html_find(at, "edit"), "href", str_of(page_printf(p, "%s/edit", url)));
	html_attr(html_find(at, "pause"), "action", str_of(page_printf(p, "%s/%s", url, is_paused ? "resume" : "pause")));
	html_attr(html_find(at, "end"), "action", str_of(page_printf(p, "%s/cancel", url)));
	html_text(at, "pause-word", str_of(is_paused ? "Resume" : "Pause"));
	show_value(at, "run-csrf", str_of(p->csrf));
	show_value(at, "pause-csrf", str_of(p->csrf));
	show_value(at, "end-csrf", str_of(p->csrf));
	at = html_piece(p->main, "backfill");
	html_attr(html_find(at, "form"), "action", str_of(page_printf(p, "%s/backfill", url)));
	show_value(at, "backfill-csrf", str_of(p->csrf));
}

static void fill_notices(struct page *p, const struct schedule_view *v)
{
	const struct schedule *s = &v->coming.schedule;

	if (v->result)
		show_notice(p, html_piece(p->main, "result"), "good", v->result);
	if (s->paused_at != TIME_NONE && s->state == SCHEDULE_SCHEDULED)
		show_notice(p, html_piece(p->main, "notice"), "warn",
		            page_printf(p, "Paused by " STR_FMT " since %s%s" STR_FMT, STR_ARG(s->paused_by),
		                        words_time(p->html.arena, s->paused_at, p->now_us), s->pause_reason.n ? ": " : "",
		                        STR_ARG(s->pause_reason)));
	if (v->broken)
		show_notice(p, html_piece(p->main, "notice"), "bad", v->broken);
	else if (s->msg.n)
		show_notice(p, html_piece(p->main, "notice"), "info", str_c(p->html.arena, s->msg));
}

void schedule_page_fill(struct page *p, const struct schedule_view *v)
{
	const struct schedule *s = &v->coming.schedule;
	struct str name = s->label.n ? s->label : s->code_name;
	struct html_at section;

	page_title(p, page_printf(p, "Schedule " STR_FMT, STR_ARG(name)));
	show_link(p->main, "schedules", "Schedules", page_printf(p, "%s/schedules", p->project));
	html_text(p->main, "crumb", name);
	html_text(p->main, "id", str_of(id_format(&s->id).s));
	html_text(p->main, "name", name);
	html_text(p->main, "state", str_of(schedule_state_words(s)));
	html_text(p->main, "words", str_of(schedule_words(p->html.arena, s)));
	fill_notices(p, v);
	fill_actions(p, s);
	fill_facts(p, s);
	html_find_by(p->main, "data-part", STR_LIT("next"), &section);
	if (v->coming.n)
		schedule_page_times(p, html_piece(section, "times"), &v->coming);
	else
		html_piece(section, "over");
	fill_ledger(p, v);
	fill_pauses(p, v);
}

/* What a redirect says was done. */
static const char *result_of(struct request *rq)
{
	static const char *const DID[][2] = {
		{ "made", "Saved." }, { "run", "A task was queued: see the ledger." }, { "paused", "Paused." }, { "resumed", "It goes on." },
		{ "filled", "The tasks were queued: see the ledger." }, { "cancelled", "Cancelled." },
	};
	struct str did = { 0 };

	request_query(rq, "did", &did);
	for (size_t i = 0; i < sizeof DID / sizeof *DID; i++)
		if (str_is(did, DID[i][0]))
			return DID[i][1];
	return NULL;
}

static enum err read_view(struct request *rq, const struct id *id, struct schedule_view *v)
{
	int64_t before = TIME_NONE;
	struct str text = { 0 };
	struct pause *pauses;
	struct fire *fires;
	enum err e;

	v->is_newest = !request_query(rq, "before", &text) || !time_parse(text, &before);
	v->result = result_of(rq);
	TRY(schedule_store_get(rq->db, &rq->cx, &rq->project_id, id, &v->coming.schedule));
	e = schedule_store_preview(rq->db, &rq->cx, &rq->project_id, rq->set->zones.folder, id, NULL, TIMES_SHOWN, &v->coming);
	if (e == ERR_INPUT)
		v->broken = arena_text(&rq->cx.arena, rq->cx.message);
	else
		TRY(e);
	TRY(fire_store_list(rq->db, &rq->cx, id, before, FIRES_SHOWN, &fires, &v->fire_count));
	v->fires = fires;
	TRY(schedule_store_pauses(rq->db, &rq->cx, id, PAUSES_SHOWN, &pauses, &v->pause_count));
	v->pauses = pauses;
	v->more = v->fire_count == FIRES_SHOWN;
	return OK;
}

enum err schedule_page(struct request *rq, struct reply *rp)
{
	struct schedule_view v = { 0 };
	const struct frame *frame;
	auto_page page = { 0 };
	struct id id;

	TRY(request_id(rq, "id", "schedule", &id));
	TRY(frame_read(rq, &frame));
	TRY(read_view(rq, &id, &v));
	TRY(page_open(rq, rp, "schedule", frame, &page));
	schedule_page_fill(&page, &v);
	page_alternate(&page, arena_printf(&rq->cx.arena, "/2/projects/%s/schedules/%s", id_format(&rq->project_id).s, id_format(&id).s));
	return page_send(&page, 200);
}

/* --- what one may ask -------------------------------------------------------------------------- */

static enum err back(struct request *rq, struct reply *rp, const struct id *id, const char *did)
{
	return page_see_other(rq, rp, arena_printf(&rq->cx.arena, STR_FMT "/ui/p/%s/schedules/%s?did=%s", STR_ARG(request_base(rq)),
	                                           id_format(&rq->project_id).s, id_format(id).s, did));
}

enum err schedule_page_run(struct request *rq, struct reply *rp)
{
	struct id id, task;

	TRY(request_id(rq, "id", "schedule", &id));
	TRY(fire_store_run_now(rq->db, &rq->cx, rq->set->zones.folder, &rq->project_id, &id, rq->who.user_name, NULL, &task));
	return back(rq, rp, &id, "run");
}

static enum err set_paused(struct request *rq, struct reply *rp, bool paused)
{
	struct str why = { 0 };
	bool changed;
	struct id id;

	TRY(request_id(rq, "id", "schedule", &id));
	request_form(rq, "reason", &why);
	TRY(schedule_store_pause(rq->db, &rq->cx, &rq->project_id, &id, paused, rq->who.user_name, why, &changed));
	return back(rq, rp, &id, paused ? "paused" : "resumed");
}

enum err schedule_page_pause(struct request *rq, struct reply *rp)
{
	return set_paused(rq, rp, true);
}

enum err schedule_page_resume(struct request *rq, struct reply *rp)
{
	return set_paused(rq, rp, false);
}

enum err schedule_page_backfill(struct request *rq, struct reply *rp)
{
	struct str from = { 0 }, until = { 0 };
	size_t queued, left_alone;
	int64_t first, last;
	struct id id;

	TRY(request_id(rq, "id", "schedule", &id));
	request_form(rq, "from", &from);
	request_form(rq, "to", &until);
	if (!time_parse(str_trim(from), &first) || !time_parse(str_trim(until), &last))
		return err_set(&rq->cx, ERR_INPUT, "fields from and to: must be times such as 2031-04-05T06:07:08Z");
	TRY(fire_store_backfill(rq->db, &rq->cx, rq->set->zones.folder, &rq->project_id, &id, first, last, rq->who.user_name,
	                        &queued, &left_alone));
	return back(rq, rp, &id, "filled");
}

static enum err ask_before_cancel(struct request *rq, struct reply *rp, const struct schedule *s)
{
	struct arena *a = &rq->cx.arena;
	struct id_text id = id_format(&s->id);
	const char *url = arena_printf(a, STR_FMT "/ui/p/%s/schedules/%s", STR_ARG(request_base(rq)), id_format(&rq->project_id).s, id.s);
	struct question q = { "Cancel this schedule?",
		arena_printf(a, "Schedule %s of code " STR_FMT " queues nothing more, for good.", id.s, STR_ARG(s->code_name)),
		"Tasks that it has queued are not touched; its ledger stays. A pause can be ended, this cannot.",
		"Cancel this schedule", url, arena_printf(a, "%s/cancel", url) };

	return page_ask(rq, rp, &q);
}

enum err schedule_page_cancel(struct request *rq, struct reply *rp)
{
	struct str confirm = STR_LIT("");
	struct schedule s;
	struct id id;

	TRY(request_id(rq, "id", "schedule", &id));
	TRY(schedule_store_get(rq->db, &rq->cx, &rq->project_id, &id, &s));
	request_form(rq, "confirm", &confirm);
	if (!str_is(confirm, "yes"))
		return ask_before_cancel(rq, rp, &s);
	TRY(schedule_store_cancel(rq->db, &rq->cx, &rq->project_id, &id));
	return back(rq, rp, &id, "cancelled");
}

enum err schedule_page_worker_link(struct request *rq, struct reply *rp)
{
	struct id project, id;

	TRY(request_id(rq, "project", "project", &project));
	TRY(request_id(rq, "id", "schedule", &id));
	TRY(page_see_other(rq, rp, arena_printf(&rq->cx.arena, STR_FMT "/ui/p/%s/schedules/%s", STR_ARG(request_base(rq)),
	                                        id_format(&project).s, id_format(&id).s)));
	rp->status = 302;
	return OK;
}
