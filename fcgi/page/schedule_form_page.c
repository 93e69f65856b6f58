#include "fcgi/page/schedule_form_page.h"

#include "base/json.h"
#include "fcgi/timeout.h"
#include "model/fire_json.h"
#include "model/schedule_json.h"

enum { CODES_MOST = 100, TIMES_SHOWN = 10 };

/* Plain fields, by their names in the API; selects with their words stand below. */
static const char *const INPUTS[] = { "cron", "time_zone", "run_every", "run_times", "start_at", "end_at", "label", "jitter", "cluster",
	                              "priority", "timeout", "task_delay", "retries", "retries_delay", "misfire_after",
	                              "misfire_limit", "misfire_window" };
static const char *const AREAS[] = { "payload", "exclude_dates", "exclude_calendars" };
static const struct {
	const char *name;
	const char *const *words, *const *shown;
} SELECTS[] = {
	{ "overlap", OVERLAP_NAMES, (const char *const[]){ "start the new run too", "skip the new run", "queue one run", "queue every run",
	                                                   "cancel the old run, then start" } },
	{ "misfire", MISFIRE_NAMES, (const char *const[]){ "run the newest missed time", "skip what was missed", "run all that were missed" } },
	{ "dst_gap", DST_GAP_NAMES, (const char *const[]){ "as crontab(5)", "run at the end of the gap", "skip" } },
	{ "dst_repeat", DST_REPEAT_NAMES, (const char *const[]){ "as crontab(5)", "run the first time", "run the second time", "run both times" } },
};

/* --- filling ----------------------------------------------------------------------------------- */

static void add_option(struct html_at select, struct str value, const char *shown, bool is_chosen)
{
	struct html_at option = html_add(select, "option");

	html_attr(option, "value", value);
	if (is_chosen)
		html_attr(option, "selected", STR_LIT("selected"));
	html_put(option, str_of(shown));
}

static void fill_selects(struct page *p, struct html_at form, const struct schedule_form *f)
{
	for (size_t i = 0; i < sizeof SELECTS / sizeof *SELECTS; i++) {
		struct str now = f->value(f->arg, SELECTS[i].name);

		for (int k = 0; SELECTS[i].words[k]; k++)
			add_option(html_find(form, SELECTS[i].name), str_of(SELECTS[i].words[k]), SELECTS[i].shown[k],
			           str_is(now, SELECTS[i].words[k]));
	}
	for (size_t i = 0; i < f->code_count; i++)
		add_option(html_find(form, "code_name"), f->codes[i].name, str_c(p->html.arena, f->codes[i].name),
		           str_equal(f->codes[i].name, f->value(f->arg, "code_name")));
}

void schedule_form_page_fill(struct page *p, const struct schedule_form *f)
{
	const char *list = page_printf(p, "%s/schedules", p->project), *one = page_printf(p, "%s/%s", list, id_format(&f->id).s);
	struct html_at form = html_find(p->main, "form"), preview;

	page_title(p, f->is_new ? "New schedule" : "Edit schedule");
	show_link(p->main, "schedules", "Schedules", list);
	html_text(p->main, "crumb", str_of(f->is_new ? "new" : "edit"));
	html_text(p->main, "heading", str_of(f->is_new ? "New schedule" : "Edit schedule"));
	if (f->wrong)
		show_notice(p, html_piece(p->main, "wrong"), "bad", f->wrong);
	html_attr(form, "action", str_of(f->is_new ? page_printf(p, "%s/new", list) : page_printf(p, "%s/edit", one)));
	show_value(form, "form-csrf", str_of(p->csrf));
	for (size_t i = 0; i < sizeof INPUTS / sizeof *INPUTS; i++)
		show_value(form, INPUTS[i], f->value(f->arg, INPUTS[i]));
	for (size_t i = 0; i < sizeof AREAS / sizeof *AREAS; i++)
		html_text(form, AREAS[i], f->value(f->arg, AREAS[i]));
	fill_selects(p, form, f);
	if (f->value(f->arg, "payload_times").n)
		html_attr(html_find(form, "payload_times"), "checked", STR_LIT("checked"));
	html_attr(html_find(form, "calendar"), "href", str_of(page_printf(p, "%s/calendar#dates", list)));
	html_attr(html_find(form, "back"), "href", str_of(f->is_new ? list : one));
	if (!f->preview)
		return;
	preview = html_piece(p->main, "preview");
	html_text(preview, "words", str_of(schedule_words(p->html.arena, &f->preview->schedule)));
	schedule_page_times(p, preview, f->preview);
}

static enum err send(struct request *rq, struct reply *rp, struct schedule_form *f, int status)
{
	const struct frame *frame;
	auto_page page = { 0 };
	struct code *codes;

	TRY(frame_read(rq, &frame));
	TRY(code_store_list(rq->db, &rq->cx, &rq->project_id, 0, CODES_MOST, &codes, &f->code_count));
	f->codes = codes;
	TRY(page_open(rq, rp, "schedule_form", frame, &page));
	schedule_form_page_fill(&page, f);
	return page_send(&page, status);
}

/* --- values ------------------------------------------------------------------------------------ */

static struct str typed(void *arg, const char *field)
{
	struct str value = STR_LIT("");

	request_form(arg, field, &value);
	return value;
}

static struct str nothing(void *arg, const char *field)
{
	struct str value = STR_LIT("");

	if (strcmp(field, "code_name") == 0)
		request_query(arg, "code", &value);
	return value;
}

struct stored {
	struct arena *arena;
	json_t *schedule; /* schedule_definition_to_json */
};

/* A stored value as the form has it: what is the default is an empty field. */
static struct str stored_value(void *arg, const char *field)
{
	const struct stored *s = arg;
	const json_t *value = json_object_get(s->schedule, field), *item;
	char *lines;
	size_t i;

	if (json_is_integer(value))
		return str_of(arena_printf(s->arena, "%lld", (long long)json_integer_value(value)));
	if (json_is_true(value))
		return STR_LIT("yes");
	if (json_is_array(value)) {
		lines = arena_text(s->arena, "");
		json_array_foreach(value, i, item)
			lines = arena_printf(s->arena, "%s%s%s", lines, i ? "\n" : "", json_string_value(item));
		return str_of(lines);
	}
	if (!json_is_string(value))
		return STR_LIT("");
	return str_bytes(json_string_value(value), json_string_length(value));
}

/* A field of the form with one of them a line. */
static void add_lines(json_t *j, const char *field, struct str text)
{
	json_t *array = json_array();
	struct str line;

	while (str_cut(&text, '\n', &line))
		if (str_trim(line).n)
			json_array_append_new(array, json_text(str_trim(line)));
	json_object_set_new(j, field, array);
}

/* What was typed, as the API would be told it: one reader for both. */
static enum err read_form(struct request *rq, const struct id *id, struct schedule_order *out)
{
	const uint64_t all = (UINT64_C(1) << SCHEDULE_FIELDS) - 1, start = UINT64_C(1) << FIELD_START_AT;
	auto_json *j = json_object();

	json_object_set_new(j, "code_name", json_text(typed(rq, "code_name")));
	json_object_set_new(j, "payload", json_text(typed(rq, "payload")));
	for (size_t i = 0; i < sizeof INPUTS / sizeof *INPUTS; i++)
		if (str_trim(typed(rq, INPUTS[i])).n)
			json_object_set_new(j, INPUTS[i], json_text(str_trim(typed(rq, INPUTS[i]))));
	for (size_t i = 0; i < sizeof SELECTS / sizeof *SELECTS; i++)
		json_object_set_new(j, SELECTS[i].name, json_text(typed(rq, SELECTS[i].name)));
	json_object_set_new(j, "payload_times", json_boolean(typed(rq, "payload_times").n));
	add_lines(j, "exclude_dates", typed(rq, "exclude_dates"));
	add_lines(j, "exclude_calendars", typed(rq, "exclude_calendars"));
	TRY(schedule_order_from_json(&rq->cx, rq->set, j, id, out));
	out->sent |= all & ~start; /* an empty field is the default, whatever stood there before */
	out->value.code_name = str_of(str_c(&rq->cx.arena, out->value.code_name)); /* `j` goes */
	out->value.payload = str_of(arena_copy(&rq->cx.arena, out->value.payload.p, out->value.payload.n));
	out->value.cron = str_of(str_c(&rq->cx.arena, out->value.cron));
	out->value.time_zone = str_of(str_c(&rq->cx.arena, out->value.time_zone));
	out->value.label = str_of(str_c(&rq->cx.arena, out->value.label));
	out->value.cluster_name = str_of(str_c(&rq->cx.arena, out->value.cluster_name));
	return OK;
}

/* --- the two forms ----------------------------------------------------------------------------- */

enum err schedule_form_page_new(struct request *rq, struct reply *rp)
{
	struct schedule_form f = { .is_new = true, .value = nothing, .arg = rq };

	return send(rq, rp, &f, 200);
}

enum err schedule_form_page_edit(struct request *rq, struct reply *rp)
{
	struct stored stored = { .arena = &rq->cx.arena };
	struct schedule_form f = { .value = stored_value, .arg = &stored };
	struct schedule s;
	enum err e;

	TRY(request_id(rq, "id", "schedule", &f.id));
	TRY(schedule_store_get(rq->db, &rq->cx, &rq->project_id, &f.id, &s));
	stored.schedule = schedule_definition_to_json(&s);
	e = send(rq, rp, &f, 200);
	json_decref(stored.schedule);
	return e;
}

static enum err preview(struct request *rq, const struct schedule_form *f, const struct schedule_order *o,
                        struct schedule_preview *out)
{
	return schedule_store_preview(rq->db, &rq->cx, &rq->project_id, rq->set->zones.folder, f->is_new ? NULL : &f->id, o, TIMES_SHOWN,
	                              out);
}

static enum err save(struct request *rq, const struct schedule_form *f, struct schedule_order *o)
{
	const char *zones = rq->set->zones.folder;
	struct code_target target;

	TRY(code_store_target(rq->db, &rq->cx, &rq->project_id, o->value.code_name, o->value.cluster_name, &target));
	timeout_cut(rq, NULL, NULL, 0, timeout_most(rq, target.timeout_most_s), &o->value.timeout_s);
	if (!f->is_new)
		return schedule_store_change(rq->db, &rq->cx, &rq->project_id, zones, &f->id, o, &target.code_id);
	return schedule_store_add(rq->db, &rq->cx, &rq->project_id, zones, o, &target, 1, rq->set->limits.schedules, NULL, NULL);
}

/* A start that was left as it stood is no new start. */
static enum err drop_same_start(struct request *rq, const struct schedule_form *f, struct schedule_order *o)
{
	struct schedule s;

	if (f->is_new)
		return OK;
	TRY(schedule_store_get(rq->db, &rq->cx, &rq->project_id, &f->id, &s));
	if (o->value.start_at / 1000 == s.start_at / 1000)
		o->sent &= ~(UINT64_C(1) << FIELD_START_AT);
	return OK;
}

static enum err check_or_save(struct request *rq, struct reply *rp, struct schedule_form *f)
{
	struct schedule_preview *shown = arena_take(&rq->cx.arena, sizeof *shown);
	struct schedule_order order;
	bool saves = str_is(typed(rq, "do"), "save");
	struct id id = f->is_new ? id_make(clock_wall_us()) : f->id;
	enum err e = read_form(rq, &id, &order);

	f->value = typed;
	f->arg = rq;
	if (e == OK)
		e = drop_same_start(rq, f, &order);
	if (e == OK)
		e = saves ? save(rq, f, &order) : preview(rq, f, &order, shown);
	if (e == ERR_INPUT || e == ERR_REQUIRED || e == ERR_NOT_FOUND || e == ERR_TOO_LARGE) {
		f->wrong = arena_text(&rq->cx.arena, rq->cx.message);
		return send(rq, rp, f, 400);
	}
	TRY(e);
	if (!saves) {
		f->preview = shown;
		return send(rq, rp, f, 200);
	}
	return page_see_other(rq, rp, arena_printf(&rq->cx.arena, STR_FMT "/ui/p/%s/schedules/%s?did=made", STR_ARG(request_base(rq)),
	                                           id_format(&rq->project_id).s, id_format(&id).s));
}

enum err schedule_form_page_make(struct request *rq, struct reply *rp)
{
	struct schedule_form f = { .is_new = true };

	return check_or_save(rq, rp, &f);
}

enum err schedule_form_page_change(struct request *rq, struct reply *rp)
{
	struct schedule_form f = { .is_new = false };

	TRY(request_id(rq, "id", "schedule", &f.id));
	return check_or_save(rq, rp, &f);
}
