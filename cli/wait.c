#include "cli/commands.h"

#include "base/json.h"
#include "cli/job.h"
#include "cli/output.h"

#include <stdio.h>

static enum err wait_one(struct cli *c, const struct client *to, const char *arg)
{
	auto_json *task = NULL;
	struct id_text id;
	int verdict;

	TRY(client_id(c, arg, &id));
	TRY(job_wait(c, to, id.s, &task));
	verdict = job_verdict(task);
	if (!c->exit)
		c->exit = verdict;
	if (c->json)
		output_json(&c->cx, task);
	else if (!c->quiet) {
		output_text(&c->cx, str_of(job_sentence(c, task)));
		putchar('\n');
	}
	return output_end(&c->cx);
}

enum err wait_command(struct cli *c)
{
	struct client to;
	struct id_text id;

	TRY(cli_options(c, NULL, 0));
	c->follows = true;
	for (int i = 0; i < c->arg_count; i++)
		TRY(client_id(c, c->args[i], &id));
	TRY(client_open(c, &to));
	for (int i = 0; i < c->arg_count; i++) {
		enum err e = wait_one(c, &to, c->args[i]);

		if (e != OK && c->exit != 130)
			c->exit = EXIT_UNDECIDED; /* not an earlier job's verdict */
		TRY(e);
	}
	return OK;
}
