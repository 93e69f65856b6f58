#include "cli/commands.h"
#include "model/settings.h"

#include <stdio.h>

enum err config_sample_command(struct cli *c)
{
	struct str text;

	TRY(cli_options(c, NULL, 0));
	text = settings_sample(&c->cx.arena);
	printf("; Stoker's keys with their defaults, printed by: stoker config sample\n"
	       "; Environment variables STOKER_<SECTION>_<KEY> stand above this file.\n\n");
	fwrite(text.p, 1, text.n, stdout);
	return OK;
}
