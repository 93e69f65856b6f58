#include "cli/task_filter.h"

#include "cli/client.h"
#include "model/task_state.h"

enum err task_filter_check(struct cli *c, const struct task_filter *f)
{
	enum task_state s;

	for (size_t i = 0; i < f->states.n; i++)
		if (!task_state_parse(str_of(f->states.text[i]), &s))
			return cli_usage(c, "there is no state '%s'", f->states.text[i]);
	return OK;
}

char *task_filter_query(struct arena *a, const char *path, const struct task_filter *f)
{
	const char *const names[] = { "code_name", "label", "cluster" }, *const values[] = { f->code, f->label, f->cluster };
	char *query = arena_printf(a, "%s", path);

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (values[i])
			query = arena_printf(a, "%s&%s", query, client_query(a, names[i], values[i]));
	for (size_t i = 0; i < f->states.n; i++)
		query = arena_printf(a, "%s&%s", query, client_query(a, f->states.text[i], "1"));
	return query;
}
