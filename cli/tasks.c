/* Looking at tasks, and cancelling them. */
#include "cli/commands.h"

#include "base/json.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/task_filter.h"

#include <stdio.h>

static struct str text_of(const json_t *j, const char *name)
{
	const json_t *v = json_object_get(j, name);

	return json_is_string(v) ? str_bytes(json_string_value(v), json_string_length(v)) : STR_LIT("");
}

/* The state by its own name; servers that do not say it have IronWorker's status. */
static struct str state_of(const json_t *task)
{
	struct str state = text_of(task, "state");

	return state.n ? state : text_of(task, "status");
}

/* A time that has not come is not shown. */
static struct str time_of(const json_t *j, const char *name)
{
	struct str text = text_of(j, name);

	return str_starts(text, "0001-") ? STR_LIT("") : text;
}

static struct str int_of(struct cli *c, const json_t *j, const char *name, const char *unit)
{
	const json_t *v = json_object_get(j, name);

	if (!json_is_integer(v))
		return STR_LIT("");
	return str_of(arena_printf(&c->cx.arena, "%lld%s", (long long)json_integer_value(v), unit));
}

static void print_task(struct cli *c, const json_t *t)
{
	struct ctx *cx = &c->cx;

	output_field(cx, "task", text_of(t, "id"));
	output_field(cx, "code", text_of(t, "code_name"));
	output_field(cx, "revision", text_of(t, "code_rev"));
	output_field(cx, "state", state_of(t));
	output_field(cx, "why", text_of(t, "note"));
	output_field(cx, "exit code", int_of(c, t, "exit_code", ""));
	output_field(cx, "message", text_of(t, "msg"));
	output_field(cx, "attempt", int_of(c, t, "attempt", ""));
	output_field(cx, "cluster", text_of(t, "cluster"));
	output_field(cx, "label", text_of(t, "label"));
	output_field(cx, "priority", int_of(c, t, "priority", ""));
	output_field(cx, "timeout", int_of(c, t, "timeout", " s"));
	output_field(cx, "queued", time_of(t, "created_at"));
	output_field(cx, "started", time_of(t, "start_time"));
	output_field(cx, "ended", time_of(t, "end_time"));
	output_field(cx, "ran", int_of(c, t, "duration", " ms"));
	output_field(cx, "log", int_of(c, t, "log_size", " bytes"));
	output_field(cx, "retry of", text_of(t, "original_task_id"));
	output_field(cx, "retried as", text_of(t, "retry_task_id"));
}

enum err status_command(struct cli *c)
{
	auto_json *task = NULL;
	struct client to;
	struct id_text id;

	TRY(cli_options(c, NULL, 0));
	TRY(client_id(c, c->args[0], &id));
	TRY(client_open(c, &to));
	TRY(client_call(c, &to, "GET", arena_printf(&c->cx.arena, "/tasks/%s", id.s), NULL, &task));
	if (c->json)
		output_json(&c->cx, task);
	else
		print_task(c, task);
	return OK;
}

enum err cancel_command(struct cli *c)
{
	struct client to;
	struct id_text id;

	TRY(cli_options(c, NULL, 0));
	for (int i = 0; i < c->arg_count; i++)
		TRY(client_id(c, c->args[i], &id));
	TRY(client_open(c, &to));
	for (int i = 0; i < c->arg_count; i++) {
		auto_json *answer = NULL;

		TRY(client_id(c, c->args[i], &id));
		if (client_call(c, &to, "POST", arena_printf(&c->cx.arena, "/tasks/%s/cancel", id.s), NULL, &answer) != OK)
			return err_wrap(&c->cx, "cancel task %s", id.s);
		if (c->json)
			output_json(&c->cx, answer);
		else
			cli_say(c, "task %s: asked to end", id.s);
	}
	return OK;
}

static void print_list(struct cli *c, const json_t *answer)
{
	static const char *const HEADS[] = { "ID", "CODE", "STATE", "QUEUED", "STARTED", "RAN", "LABEL" };
	struct table t = { .heads = HEADS, .columns = 7 };
	const json_t *task;
	size_t i;

	json_array_foreach(json_object_get(answer, "tasks"), i, task) {
		const struct str cells[] = { text_of(task, "id"), text_of(task, "code_name"), state_of(task),
			                     time_of(task, "created_at"), time_of(task, "start_time"),
			                     int_of(c, task, "duration", " ms"), text_of(task, "label") };

		table_add(&c->cx, &t, cells);
	}
	table_print(c, &c->cx, &t);
}

enum err tasks_command(struct cli *c)
{
	struct task_filter f = { 0 };
	int64_t page = 0, per_page = 30;
	const struct cli_option options[] = {
		{ "code", 0, OPTION_TEXT, &f.code, "NAME", "only of this code", 0, 0 },
		{ "state", 0, OPTION_LIST, &f.states, "STATE", "only in this state; may be given several times", 0, 0 },
		{ "label", 0, OPTION_TEXT, &f.label, "TEXT", "only with this label", 0, 0 },
		{ "cluster", 0, OPTION_TEXT, &f.cluster, "NAME", "only of this cluster", 0, 0 },
		{ "page", 0, OPTION_INT, &page, "N", "page, from 0", 0, 1000000 },
		{ "per-page", 'n', OPTION_INT, &per_page, "N", "tasks a page, at most 100", 1, 100 },
	};
	auto_json *answer = NULL;
	struct client to;
	char *path;

	TRY(cli_options(c, options, sizeof options / sizeof *options));
	TRY(task_filter_check(c, &f));
	TRY(client_open(c, &to));
	path = arena_printf(&c->cx.arena, "/tasks?page=%lld&per_page=%lld", (long long)page, (long long)per_page);
	TRY(client_call(c, &to, "GET", task_filter_query(&c->cx.arena, path, &f), NULL, &answer));
	if (c->json)
		output_json(&c->cx, answer);
	else
		print_list(c, answer);
	return OK;
}
