/* Schedules: made, shown, paused, run by hand. */
#include "cli/schedule.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/output.h"

struct str schedule_text(const json_t *j, const char *name)
{
	const json_t *v = json_object_get(j, name);

	return json_is_string(v) ? str_bytes(json_string_value(v), json_string_length(v)) : STR_LIT("");
}

/* Times of the wire that have not come are shown as nothing. */
static struct str time_of(const json_t *j, const char *name)
{
	struct str text = schedule_text(j, name);

	return str_starts(text, "0001-") ? STR_LIT("") : text;
}

enum err schedule_preview(struct cli *c, const struct client *to, const json_t *schedule, int64_t n, json_t **out)
{
	auto_json *body = json_copy((json_t *)schedule);

	json_object_set_new(body, "n", json_integer(n));
	return client_call(c, to, "POST", "/schedules/preview", body, out);
}

enum err schedule_make(struct cli *c, const struct client *to, json_t *schedule, struct id_text *id)
{
	auto_json *body = json_pack("{s:[O]}", "schedules", schedule), *answer = NULL;
	const json_t *made;

	TRY(client_call(c, to, "POST", "/schedules", body, &answer));
	made = json_array_get(json_object_get(answer, "schedules"), 0);
	return client_id(c, str_c(&c->cx.arena, schedule_text(made, "id")), id);
}

/* --- what it is -------------------------------------------------------------------------------- */

enum { UNSET = -1, SECONDS_MOST = 2000000000, OPTION_COUNT = 20 };
struct schedule_options {
	const char *cron, *zone, *start, *end, *payload, *label, *cluster, *misfire, *overlap, *gap, *repeat;
	int64_t every, times, priority, timeout_s, jitter_s, retries, count;
	struct cli_list dates, calendars;
};

static void list_options(struct schedule_options *o, struct cli_option out[OPTION_COUNT])
{
	const struct cli_option rows[OPTION_COUNT] = {
		{ "cron", 0, OPTION_TEXT, &o->cron, "EXPR", "5 or 6 fields, or @daily ...", 0, 0 },
		{ "zone", 0, OPTION_TEXT, &o->zone, "NAME", "its time zone, such as Europe/Berlin; default: UTC", 0, 0 },
		{ "every", 0, OPTION_INT, &o->every, "S", "seconds from one run to the next, instead of --cron", 1, SECONDS_MOST },
		{ "start", 0, OPTION_TEXT, &o->start, "TIME", "the first run, or not before; default: now", 0, 0 },
		{ "end", 0, OPTION_TEXT, &o->end, "TIME", "nothing after it", 0, 0 },
		{ "times", 0, OPTION_INT, &o->times, "N", "so many runs in all", 1, SECONDS_MOST },
		{ "payload", 'p', OPTION_TEXT, &o->payload, "TEXT", "of each of its tasks", 0, 0 },
		{ "label", 0, OPTION_TEXT, &o->label, "TEXT", "of each of its tasks", 0, 0 },
		{ "cluster", 0, OPTION_TEXT, &o->cluster, "NAME", "where they run", 0, 0 },
		{ "priority", 0, OPTION_INT, &o->priority, "N", "of its tasks", 0, 2 },
		{ "timeout", 0, OPTION_INT, &o->timeout_s, "S", "seconds that a task may run", 1, SECONDS_MOST },
		{ "retries", 0, OPTION_INT, &o->retries, "N", "new tasks after a failed one", 0, 1000 },
		{ "overlap", 0, OPTION_TEXT, &o->overlap, "RULE", "allow, skip, queue_one, queue_all or replace", 0, 0 },
		{ "misfire", 0, OPTION_TEXT, &o->misfire, "RULE", "after an outage: one, skip or all", 0, 0 },
		{ "dst-gap", 0, OPTION_TEXT, &o->gap, "RULE", "auto, end or skip", 0, 0 },
		{ "dst-repeat", 0, OPTION_TEXT, &o->repeat, "RULE", "auto, first, second or both", 0, 0 },
		{ "jitter", 0, OPTION_INT, &o->jitter_s, "S", "due up to so many seconds later", 0, 86400 },
		{ "exclude", 0, OPTION_LIST, &o->dates, "DATE", "not on 2031-12-25, or 12-25; may be given several times", 0, 0 },
		{ "calendar", 0, OPTION_LIST, &o->calendars, "NAME", "not on its dates; may be given several times", 0, 0 },
		{ "count", 'n', OPTION_INT, &o->count, "N", "times that preview shows", 1, 1000 },
	};

	memcpy(out, rows, sizeof rows);
}

static void set_text(json_t *j, const char *key, const char *value)
{
	if (value)
		json_object_set_new(j, key, json_text(str_of(value)));
}

static void set_int(json_t *j, const char *key, int64_t value)
{
	if (value != UNSET)
		json_object_set_new(j, key, json_integer(value));
}

static void set_list(json_t *j, const char *key, const struct cli_list *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(array, json_text(str_of(list->text[i])));
	if (list->n)
		json_object_set_new(j, key, array);
	else
		json_decref(array);
}

static json_t *schedule_of(const struct schedule_options *o, const char *code)
{
	json_t *j = json_object();

	set_text(j, "code_name", code);
	set_text(j, "cron", o->cron);
	set_text(j, "time_zone", o->zone);
	set_int(j, "run_every", o->every);
	set_text(j, "start_at", o->start);
	set_text(j, "end_at", o->end);
	set_int(j, "run_times", o->times);
	set_text(j, "payload", o->payload);
	set_text(j, "label", o->label);
	set_text(j, "cluster", o->cluster);
	set_int(j, "priority", o->priority);
	set_int(j, "timeout", o->timeout_s);
	set_int(j, "retries", o->retries);
	set_text(j, "overlap", o->overlap);
	set_text(j, "misfire", o->misfire);
	set_text(j, "dst_gap", o->gap);
	set_text(j, "dst_repeat", o->repeat);
	set_int(j, "jitter", o->jitter_s);
	set_list(j, "exclude_dates", &o->dates);
	set_list(j, "exclude_calendars", &o->calendars);
	return j;
}

static enum err read_options(struct cli *c, struct schedule_options *o)
{
	struct cli_option options[OPTION_COUNT];

	*o = (struct schedule_options){ .every = UNSET, .times = UNSET, .priority = UNSET, .timeout_s = UNSET, .jitter_s = UNSET,
		                        .retries = UNSET, .count = 10 };
	list_options(o, options);
	return cli_options(c, options, OPTION_COUNT);
}

enum err schedule_add_command(struct cli *c)
{
	struct schedule_options o;
	auto_json *schedule = NULL;
	struct client to;
	struct id_text id;

	TRY(read_options(c, &o));
	TRY(client_open(c, &to));
	schedule = schedule_of(&o, c->args[0]);
	TRY(schedule_make(c, &to, schedule, &id));
	if (c->json) {
		auto_json *answer = json_pack("{s:s}", "id", id.s);

		output_json(&c->cx, answer);
		return OK;
	}
	output_text(&c->cx, str_of(arena_printf(&c->cx.arena, "%s\n", id.s)));
	return OK;
}

static void print_times(struct cli *c, const json_t *preview)
{
	static const char *const HEADS[] = { "TIME", "LOCAL", "ZONE", "NOTE" };
	struct table t = { .heads = HEADS, .columns = 4 };
	const json_t *time;
	size_t i;

	output_text(&c->cx, str_of(arena_printf(&c->cx.arena, STR_FMT "\n", STR_ARG(schedule_text(preview, "words")))));
	if (schedule_text(preview, "note").n)
		output_text(&c->cx, str_of(arena_printf(&c->cx.arena, "note: " STR_FMT "\n", STR_ARG(schedule_text(preview, "note")))));
	json_array_foreach(json_object_get(preview, "times"), i, time) {
		const struct str cells[] = { schedule_text(time, "nominal_time"), schedule_text(time, "local_time"),
			                     schedule_text(time, "zone"), schedule_text(time, "note") };

		table_add(&c->cx, &t, cells);
	}
	table_print(c, &c->cx, &t);
}

enum err schedule_preview_command(struct cli *c)
{
	struct schedule_options o;
	auto_json *schedule = NULL, *preview = NULL;
	struct client to;

	TRY(read_options(c, &o));
	TRY(client_open(c, &to));
	schedule = schedule_of(&o, NULL);
	TRY(schedule_preview(c, &to, schedule, o.count, &preview));
	if (c->json)
		output_json(&c->cx, preview);
	else
		print_times(c, preview);
	return OK;
}

/* --- what there is ------------------------------------------------------------------------------ */

static struct str when_of(struct cli *c, const json_t *j)
{
	struct str cron = schedule_text(j, "cron"), zone = schedule_text(j, "time_zone");
	long long every = json_integer_value(json_object_get(j, "run_every"));

	if (cron.n)
		return str_of(arena_printf(&c->cx.arena, STR_FMT " " STR_FMT, STR_ARG(cron), STR_ARG(zone)));
	return every ? str_of(arena_printf(&c->cx.arena, "every %lld s", every)) : STR_LIT("once");
}

static bool is_stopped(const json_t *j)
{
	return json_is_true(json_object_get(j, "paused")) || json_is_true(json_object_get(j, "code_paused"));
}

static struct str state_of(const json_t *j)
{
	if (!str_is(schedule_text(j, "status"), "scheduled") || !is_stopped(j))
		return schedule_text(j, "status");
	return json_is_true(json_object_get(j, "paused")) ? STR_LIT("paused") : STR_LIT("code paused");
}

static void print_schedules(struct cli *c, const json_t *answer)
{
	static const char *const HEADS[] = { "ID", "CODE", "WHEN", "STATE", "NEXT", "LAST", "RUNS", "LABEL" };
	struct table t = { .heads = HEADS, .columns = 8 };
	const json_t *s;
	size_t i;

	json_array_foreach(json_object_get(answer, "schedules"), i, s) {
		long long runs = json_integer_value(json_object_get(s, "run_count"));
		const struct str cells[] = { schedule_text(s, "id"), schedule_text(s, "code_name"), when_of(c, s), state_of(s),
			                     is_stopped(s) ? STR_LIT("") : time_of(s, "next_start"), time_of(s, "last_run_time"),
			                     str_of(arena_printf(&c->cx.arena, "%lld", runs)), schedule_text(s, "label") };

		table_add(&c->cx, &t, cells);
	}
	table_print(c, &c->cx, &t);
}

enum err schedule_list_command(struct cli *c)
{
	return client_list(c, "/schedules", print_schedules);
}

static void print_fires(struct cli *c, const json_t *answer)
{
	static const char *const HEADS[] = { "TIME", "OUTCOME", "LATE", "TASK", "STATE", "NOTE" };
	struct table t = { .heads = HEADS, .columns = 6 };
	const json_t *f;
	size_t i;

	json_array_foreach(json_object_get(answer, "fires"), i, f) {
		long long late = json_integer_value(json_object_get(f, "late_ms"));
		const struct str cells[] = { schedule_text(f, "nominal_time"), schedule_text(f, "outcome"),
			                     str_of(arena_printf(&c->cx.arena, "%lld ms", late)), schedule_text(f, "task_id"),
			                     schedule_text(f, "task_state"), schedule_text(f, "note") };

		table_add(&c->cx, &t, cells);
	}
	table_print(c, &c->cx, &t);
}

enum err schedule_fires_command(struct cli *c)
{
	int64_t per_page = 30;
	const char *before = "";
	const struct cli_option options[] = {
		{ "before", 0, OPTION_TEXT, &before, "TIME", "older than this nominal time", 0, 0 },
		{ "per-page", 'n', OPTION_INT, &per_page, "N", "rows, at most 100", 1, 100 },
	};
	auto_json *answer = NULL;
	struct client to;
	struct id_text id;

	TRY(cli_options(c, options, 2));
	TRY(client_id(c, c->args[0], &id));
	TRY(client_open(c, &to));
	TRY(client_call(c, &to, "GET", arena_printf(&c->cx.arena, "/schedules/%s/fires?per_page=%lld&%s", id.s, (long long)per_page,
	                                            client_query(&c->cx.arena, "before", before)), NULL, &answer));
	if (c->json)
		output_json(&c->cx, answer);
	else
		print_fires(c, answer);
	return OK;
}

enum err schedule_show_command(struct cli *c)
{
	auto_json *schedule = NULL, *coming = NULL;
	struct client to;
	struct id_text id;

	TRY(cli_options(c, NULL, 0));
	TRY(client_id(c, c->args[0], &id));
	TRY(client_open(c, &to));
	TRY(client_call(c, &to, "GET", arena_printf(&c->cx.arena, "/schedules/%s", id.s), NULL, &schedule));
	if (c->json) {
		output_json(&c->cx, schedule);
		return OK;
	}
	TRY(client_call(c, &to, "GET", arena_printf(&c->cx.arena, "/schedules/%s/preview", id.s), NULL, &coming));
	output_field(&c->cx, "schedule", str_of(id.s));
	output_field(&c->cx, "code", schedule_text(schedule, "code_name"));
	output_field(&c->cx, "state", state_of(schedule));
	output_field(&c->cx, "paused by", schedule_text(schedule, "paused_by"));
	output_field(&c->cx, "because", schedule_text(schedule, "pause_reason"));
	output_field(&c->cx, "resumed by", schedule_text(schedule, "resumed_by"));
	output_field(&c->cx, "because", schedule_text(schedule, "resume_reason"));
	output_field(&c->cx, "note", schedule_text(schedule, "msg"));
	output_field(&c->cx, "last run", time_of(schedule, "last_run_time"));
	print_times(c, coming);
	return OK;
}

/* --- by hand ----------------------------------------------------------------------------------- */

/* POST to one schedule; what it says goes to stderr, or as JSON to stdout. */
static enum err ask(struct cli *c, const struct client *to, const char *what, const json_t *body, json_t **answer)
{
	struct id_text id;

	TRY(client_id(c, c->args[0], &id));
	TRY(client_call(c, to, "POST", arena_printf(&c->cx.arena, "/schedules/%s/%s", id.s, what), body, answer));
	if (c->json)
		output_json(&c->cx, *answer);
	return OK;
}

static enum err pause_or_resume(struct cli *c, const char *what)
{
	const char *reason = NULL;
	const struct cli_option options[] = {
		{ "reason", 0, OPTION_TEXT, &reason, "TEXT", "why; it is kept with the pause and shown", 0, 0 },
	};
	auto_json *body = json_object(), *answer = NULL;
	struct client to;

	TRY(cli_options(c, options, 1));
	set_text(body, "reason", reason);
	TRY(client_open(c, &to));
	TRY(ask(c, &to, what, body, &answer));
	cli_say(c, "schedule %s: " STR_FMT, c->args[0], STR_ARG(schedule_text(answer, "msg")));
	return OK;
}

enum err schedule_pause_command(struct cli *c)
{
	return pause_or_resume(c, "pause");
}

enum err schedule_resume_command(struct cli *c)
{
	return pause_or_resume(c, "resume");
}

enum err schedule_run_command(struct cli *c)
{
	auto_json *answer = NULL;
	struct client to;

	TRY(cli_options(c, NULL, 0));
	TRY(client_open(c, &to));
	TRY(ask(c, &to, "run", NULL, &answer));
	if (!c->json)
		output_text(&c->cx, str_of(arena_printf(&c->cx.arena, STR_FMT "\n", STR_ARG(schedule_text(answer, "id")))));
	return OK;
}

enum err schedule_backfill_command(struct cli *c)
{
	const char *from = NULL, *until = NULL;
	const struct cli_option options[] = {
		{ "from", 0, OPTION_TEXT, &from, "TIME", "the first nominal time", 0, 0 },
		{ "to", 0, OPTION_TEXT, &until, "TIME", "the last one", 0, 0 },
	};
	auto_json *body = json_object(), *answer = NULL;
	struct client to;

	TRY(cli_options(c, options, 2));
	if (!from || !until)
		return cli_usage(c, "--from and --to say which times");
	set_text(body, "from", from);
	set_text(body, "to", until);
	TRY(client_open(c, &to));
	TRY(ask(c, &to, "backfill", body, &answer));
	cli_say(c, "%lld tasks were queued, %lld times left alone", (long long)json_integer_value(json_object_get(answer, "queued")),
	        (long long)json_integer_value(json_object_get(answer, "left_alone")));
	return OK;
}

enum err schedule_cancel_command(struct cli *c)
{
	auto_json *answer = NULL;
	struct client to;

	TRY(cli_options(c, NULL, 0));
	TRY(client_open(c, &to));
	TRY(ask(c, &to, "cancel", NULL, &answer));
	cli_say(c, "schedule %s is cancelled", c->args[0]);
	return OK;
}
