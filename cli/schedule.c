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

/* What the server did otherwise than it was asked to. */
static void say_warnings(struct cli *c, const json_t *answer)
{
	const json_t *warnings = json_object_get(answer, "warnings");

	for (size_t i = 0; i < json_array_size(warnings); i++)
		cli_say(c, "note: %s", json_string_value(json_array_get(warnings, i)));
}

enum err schedule_make(struct cli *c, const struct client *to, json_t *schedule, struct id_text *id)
{
	auto_json *body = json_pack("{s:[O]}", "schedules", schedule), *answer = NULL;
	const json_t *made;

	TRY(client_call(c, to, "POST", "/schedules", body, &answer));
	say_warnings(c, answer);
	made = json_array_get(json_object_get(answer, "schedules"), 0);
	return client_id(c, str_c(&c->cx.arena, schedule_text(made, "id")), id);
}

/* --- what it is -------------------------------------------------------------------------------- */

enum { UNSET = INT32_MIN, SECONDS_MOST = 2000000000, SHARED_OPTIONS = 26, OPTIONS_MOST = SHARED_OPTIONS + 2 };
struct schedule_options {
	const char *code, *cron, *zone, *start, *end, *payload, *label, *cluster, *misfire, *overlap, *gap, *repeat;
	int64_t every, times, delay_s, priority, timeout_s, jitter_s, task_delay_s, retries, retries_delay_s, count;
	int64_t misfire_window_s, misfire_limit, misfire_after_s;
	bool payload_times, no_payload_times;
	struct cli_list dates, calendars;
};

/* Those of every command that says what a schedule is. */
static void list_options(struct schedule_options *o, struct cli_option out[OPTIONS_MOST])
{
	const struct cli_option rows[] = {
		{ "cron", 0, OPTION_TEXT, &o->cron, "EXPR", "5 or 6 fields, or @daily ...", 0, 0 },
		{ "zone", 0, OPTION_TEXT, &o->zone, "NAME", "its time zone, such as Europe/Berlin; default: UTC", 0, 0 },
		{ "every", 0, OPTION_INT, &o->every, "S", "seconds from one run to the next, instead of --cron", 1, SECONDS_MOST },
		{ "start", 0, OPTION_TEXT, &o->start, "TIME", "the first run, or not before; default: now", 0, 0 },
		{ "end", 0, OPTION_TEXT, &o->end, "TIME", "nothing after it", 0, 0 },
		{ "times", 0, OPTION_INT, &o->times, "N", "so many runs in all; 0: no limit", 0, SECONDS_MOST },
		{ "payload", 'p', OPTION_TEXT, &o->payload, "TEXT", "of each of its tasks", 0, 0 },
		{ "payload-times", 0, OPTION_FLAG, &o->payload_times, NULL, "fill {{nominal_time}} ... into the payload", 0, 0 },
		{ "no-payload-times", 0, OPTION_FLAG, &o->no_payload_times, NULL, "leave the payload as it is (the default)", 0, 0 },
		{ "label", 0, OPTION_TEXT, &o->label, "TEXT", "of each of its tasks", 0, 0 },
		{ "cluster", 0, OPTION_TEXT, &o->cluster, "NAME", "where they run", 0, 0 },
		{ "priority", 0, OPTION_INT, &o->priority, "N", "of its tasks", 0, 2 },
		{ "timeout", 0, OPTION_INT, &o->timeout_s, "S", "seconds that a task may run", 1, SECONDS_MOST },
		{ "task-delay", 0, OPTION_INT, &o->task_delay_s, "S", "seconds that each task waits in the queue", 0, SECONDS_MOST },
		{ "retries", 0, OPTION_INT, &o->retries, "N", "new tasks after a failed one; -1: as its code says", -1, 1000 },
		{ "retries-delay", 0, OPTION_INT, &o->retries_delay_s, "S", "seconds before each; -1: as its code says", -1, 31536000 },
		{ "overlap", 0, OPTION_TEXT, &o->overlap, "RULE", "allow, skip, queue_one, queue_all or replace", 0, 0 },
		{ "misfire", 0, OPTION_TEXT, &o->misfire, "RULE", "after an outage: one, skip or all", 0, 0 },
		{ "misfire-window", 0, OPTION_INT, &o->misfire_window_s, "S", "all: those of the last S seconds", 0, SECONDS_MOST },
		{ "misfire-limit", 0, OPTION_INT, &o->misfire_limit, "N", "all: at most the newest N of them", 1, 1000 },
		{ "misfire-after", 0, OPTION_INT, &o->misfire_after_s, "S", "seconds from which on a time is missed", 1, 86400 },
		{ "dst-gap", 0, OPTION_TEXT, &o->gap, "RULE", "auto, end or skip", 0, 0 },
		{ "dst-repeat", 0, OPTION_TEXT, &o->repeat, "RULE", "auto, first, second or both", 0, 0 },
		{ "jitter", 0, OPTION_INT, &o->jitter_s, "S", "due up to so many seconds later", 0, 86400 },
		{ "exclude", 0, OPTION_LIST, &o->dates, "DATE", "not on 2031-12-25, or 12-25; may be given several times", 0, 0 },
		{ "calendar", 0, OPTION_LIST, &o->calendars, "NAME", "not on its dates; may be given several times", 0, 0 },
	};

	_Static_assert(sizeof rows / sizeof *rows == SHARED_OPTIONS, "as many as read_options counts");
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

/* "" is none of them, so that an update can take all away. */
static void set_list(json_t *j, const char *key, const struct cli_list *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++)
		if (*list->text[i])
			json_array_append_new(array, json_text(str_of(list->text[i])));
	if (list->n)
		json_object_set_new(j, key, array);
	else
		json_decref(array);
}

static void set_options(json_t *j, const struct schedule_options *o)
{
	const struct {
		const char *key, *value;
	} texts[] = { { "code_name", o->code }, { "cron", o->cron }, { "time_zone", o->zone }, { "start_at", o->start },
		      { "end_at", o->end }, { "payload", o->payload }, { "label", o->label }, { "cluster", o->cluster },
		      { "overlap", o->overlap }, { "misfire", o->misfire }, { "dst_gap", o->gap }, { "dst_repeat", o->repeat } };
	const struct {
		const char *key;
		int64_t value;
	} numbers[] = { { "run_every", o->every }, { "run_times", o->times }, { "delay", o->delay_s },
		        { "priority", o->priority }, { "timeout", o->timeout_s }, { "task_delay", o->task_delay_s },
		        { "retries", o->retries }, { "retries_delay", o->retries_delay_s }, { "jitter", o->jitter_s },
		        { "misfire_window", o->misfire_window_s }, { "misfire_limit", o->misfire_limit },
		        { "misfire_after", o->misfire_after_s } };

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		set_text(j, texts[i].key, texts[i].value);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		set_int(j, numbers[i].key, numbers[i].value);
	if (o->payload_times || o->no_payload_times)
		json_object_set_new(j, "payload_times", json_boolean(!o->no_payload_times));
	set_list(j, "exclude_dates", &o->dates);
	set_list(j, "exclude_calendars", &o->calendars);
}

/* The command's arguments as a schedule, by the shared options and those of `own` besides, which point into *o. */
static enum err read_options(struct cli *c, struct schedule_options *o, const struct cli_option *own, size_t n, json_t *out)
{
	struct cli_option options[OPTIONS_MOST];

	*o = (struct schedule_options){ .every = UNSET, .times = UNSET, .delay_s = UNSET, .priority = UNSET, .timeout_s = UNSET,
		                        .jitter_s = UNSET, .task_delay_s = UNSET, .retries = UNSET, .retries_delay_s = UNSET,
		                        .misfire_window_s = UNSET, .misfire_limit = UNSET, .misfire_after_s = UNSET, .count = 10 };
	list_options(o, options);
	memcpy(options + SHARED_OPTIONS, own, n * sizeof *own);
	TRY(cli_options(c, options, SHARED_OPTIONS + n));
	if (o->payload_times && o->no_payload_times)
		return cli_usage(c, "--payload-times and --no-payload-times exclude each other");
	set_options(out, o);
	return OK;
}

#define DELAY_OPTION(o) { "delay", 0, OPTION_INT, &(o)->delay_s, "S", "the first run in so many seconds, instead of --start", 0, SECONDS_MOST }

enum err schedule_add_command(struct cli *c)
{
	struct schedule_options o;
	const struct cli_option own[] = { DELAY_OPTION(&o) };
	auto_json *schedule = json_object();
	struct client to;
	struct id_text id;

	TRY(read_options(c, &o, own, 1, schedule));
	set_text(schedule, "code_name", c->args[0]);
	TRY(client_open(c, &to));
	TRY(schedule_make(c, &to, schedule, &id));
	if (c->json) {
		auto_json *answer = json_pack("{s:s}", "id", id.s);

		output_json(&c->cx, answer);
		return OK;
	}
	output_text(&c->cx, str_of(arena_printf(&c->cx.arena, "%s\n", id.s)));
	return OK;
}

/* What is not given stays as it is. */
enum err schedule_update_command(struct cli *c)
{
	struct schedule_options o;
	const struct cli_option own[] = { { "code", 0, OPTION_TEXT, &o.code, "NAME", "another code", 0, 0 } };
	auto_json *changes = json_object(), *answer = NULL;
	struct client to;
	struct id_text id;

	TRY(read_options(c, &o, own, 1, changes));
	if (!json_object_size(changes))
		return cli_usage(c, "no option says what to change");
	TRY(client_id(c, c->args[0], &id));
	TRY(client_open(c, &to));
	TRY(client_call(c, &to, "PUT", arena_printf(&c->cx.arena, "/schedules/%s", id.s), changes, &answer));
	if (c->json)
		output_json(&c->cx, answer);
	say_warnings(c, answer);
	cli_say(c, "schedule %s is changed", id.s);
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
	const struct cli_option own[] = {
		DELAY_OPTION(&o),
		{ "count", 'n', OPTION_INT, &o.count, "N", "so many times", 1, 1000 },
	};
	auto_json *schedule = json_object(), *preview = NULL;
	struct client to;

	TRY(read_options(c, &o, own, 2, schedule));
	TRY(client_open(c, &to));
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
