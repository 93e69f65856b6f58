/* Text in logs. */
#include "cli/commands.h"

#include "base/json.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/task_filter.h"

#include <stdio.h>

static char *path_of(struct cli *c, const struct task_filter *f, const char *next)
{
	struct arena *a = &c->cx.arena;
	char *path = arena_printf(a, "/logs/search?%s", client_query(a, "q", c->args[0]));

	if (next)
		path = arena_printf(a, "%s&%s", path, client_query(a, "next", next));
	return task_filter_query(a, path, f);
}

/* "TASK ATTEMPT-BYTE: the line" */
static void print_hits(struct cli *c, const json_t *answer)
{
	const json_t *hit;
	size_t i;

	json_array_foreach(json_object_get(answer, "hits"), i, hit) {
		const char *task = json_string_value(json_object_get(hit, "task_id"));
		const json_t *text = json_object_get(hit, "text");

		printf("%s %lld-%lld: ", task ? task : "", (long long)json_integer_value(json_object_get(hit, "attempt")),
		       (long long)json_integer_value(json_object_get(hit, "byte")));
		output_text(&c->cx, str_bytes(json_string_value(text), json_string_length(text)));
		putchar('\n');
	}
}

enum err search_command(struct cli *c)
{
	struct task_filter f = { 0 };
	const char *from = NULL, *next;
	const struct cli_option options[] = {
		{ "code", 0, OPTION_TEXT, &f.code, "NAME", "only of this code", 0, 0 },
		{ "label", 0, OPTION_TEXT, &f.label, "TEXT", "only with this label", 0, 0 },
		{ "state", 0, OPTION_LIST, &f.states, "STATE", "only in this state; may be given several times", 0, 0 },
		{ "next", 0, OPTION_TEXT, &from, "PLACE", "go on where the search before stopped", 0, 0 },
	};
	auto_json *answer = NULL;
	struct client to;

	TRY(cli_options(c, options, sizeof options / sizeof *options));
	TRY(task_filter_check(c, &f));
	TRY(client_open(c, &to));
	TRY(client_call(c, &to, "GET", path_of(c, &f, from), NULL, &answer));
	next = json_string_value(json_object_get(answer, "next"));
	if (c->json) {
		output_json(&c->cx, answer);
	} else {
		print_hits(c, answer);
		if (next)
			cli_say(c, "it stopped at its bounds; --next %s goes on", next);
	}
	return output_end(&c->cx);
}
