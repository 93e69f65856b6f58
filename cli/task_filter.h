#pragma once
#include "cli/commands.h"

/* Which tasks a command is about: the options of `tasks` and `search`, and the query they make. */
struct task_filter {
	const char *code, *label, *cluster; /* NULL = any */
	struct cli_list states;             /* none = any */
};

/* A command line's error if a state is none. */
enum err task_filter_check(struct cli *c, const struct task_filter *f);
/* `path`, which has a query already, with the filter behind it; in the arena. */
char *task_filter_query(struct arena *a, const char *path, const struct task_filter *f);
