#include "cli/commands.h"

#include "base/json.h"
#include "cli/follow.h"
#include "cli/output.h"

static enum err follow(struct cli *c, const struct client *to, const char *id)
{
	auto_json *task = NULL;

	TRY(follow_log(c, to, id, &task));
	c->exit = job_verdict(task);
	if (c->exit)
		cli_say(c, "%s", job_sentence(c, task));
	return OK;
}

static enum err print(struct cli *c, const struct client *to, const char *id)
{
	struct str bytes;

	TRY(client_get_bytes(c, to, arena_printf(&c->cx.arena, "/tasks/%s/log", id), &bytes));
	if (!c->json) {
		output_text(&c->cx, bytes);
		return OK;
	}
	auto_json *j = json_pack("{s:s,s:o}", "id", id, "log", json_text(bytes));
	output_json(&c->cx, j);
	return OK;
}

enum err log_command(struct cli *c)
{
	bool following = false;
	const struct cli_option options[] = {
		{ "follow", 'f', OPTION_FLAG, &following, NULL, "until the task is over; end with its verdict", 0, 0 },
	};
	struct client to;
	struct id_text id;

	TRY(cli_options(c, options, 1));
	c->follows = following;
	TRY(client_id(c, c->args[0], &id));
	if (following && c->json)
		return cli_usage(c, "--json does not go with --follow");
	TRY(client_open(c, &to));
	return following ? follow(c, &to, id.s) : print(c, &to, id.s);
}
