#include "cli/commands.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/admin/connection.h"
#include "cli/output.h"
#include "store/project_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static json_t *project_json(const struct project *p)
{
	json_t *j = json_pack("{s:s,s:o,s:o,s:b}", "id", id_format(&p->id).s, "name", json_text(p->name), "created_at",
	                      json_time(p->created_at), "paused", p->paused);

	json_object_set_new(j, "timeout_most", p->timeout_most_s ? json_integer(p->timeout_most_s) : json_null());
	return j;
}

enum err admin_project_create_command(struct cli *c)
{
	bool if_absent = false;
	const struct cli_option options[] = {
		{ "if-absent", 0, OPTION_FLAG, &if_absent, NULL, "one of that name is fine too: print its id", 0, 0 },
	};
	auto_admin a = { 0 };
	struct project p;
	enum err e;

	TRY(cli_options(c, options, 1));
	TRY(admin_open(c, &a));
	e = project_store_add(a.db, &c->cx, str_of(c->args[0]), &p);
	if (e == ERR_CONFLICT && if_absent)
		e = project_store_find(a.db, &c->cx, str_of(c->args[0]), &p);
	TRY(e);
	if (c->json) {
		auto_json *j = project_json(&p);

		output_json(&c->cx, j);
		return OK;
	}
	puts(id_format(&p.id).s);
	return OK;
}

/* In the list "-" stands for the instance's own limit. */
static struct str quota_text(struct arena *a, int64_t most_s)
{
	return most_s ? str_of(arena_printf(a, "%" PRId64 " s", most_s)) : STR_LIT("-");
}

static void print_projects(struct cli *c, const struct project *p, size_t n)
{
	static const char *const HEADS[] = { "ID", "NAME", "CREATED", "TIMEOUT MOST", "" };
	struct table t = { .heads = HEADS, .columns = 5 };

	for (size_t i = 0; i < n; i++) {
		const struct str cells[] = { str_of(arena_text(&c->cx.arena, id_format(&p[i].id).s)), p[i].name,
			                     str_of(time_rfc3339(&c->cx.arena, p[i].created_at)),
			                     quota_text(&c->cx.arena, p[i].timeout_most_s), str_of(p[i].paused ? "paused" : "") };

		table_add(&c->cx, &t, cells);
	}
	table_print(c, &c->cx, &t);
}

enum err admin_project_list_command(struct cli *c)
{
	auto_admin a = { 0 };
	auto_json *list = NULL, *j = NULL;
	struct project *p;
	size_t n;

	TRY(cli_options(c, NULL, 0));
	TRY(admin_open(c, &a));
	TRY(project_store_list(a.db, &c->cx, NULL, &p, &n));
	if (!c->json) {
		print_projects(c, p, n);
		return OK;
	}
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, project_json(&p[i]));
	j = json_pack("{s:O}", "projects", list);
	output_json(&c->cx, j);
	return OK;
}

/* The API remembers where tasks go for a tenth of a second (fcgi/targets.h): what is queued after the answer
 * to this command follows it. */
static void outlast_memories(void)
{
	struct timespec left = { 0, 110 * 1000000L };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

enum err admin_project_set_command(struct cli *c)
{
	enum { UNSET = -1, YEAR_S = 31536000 };
	int64_t most_s = UNSET;
	const struct cli_option options[] = {
		{ "timeout-most", 0, OPTION_INT, &most_s, "S", "the longest timeout of its tasks in seconds; 0 = [limits] timeout_s", 0, YEAR_S },
	};
	auto_admin a = { 0 };
	struct project p;

	TRY(cli_options(c, options, 1));
	if (most_s == UNSET)
		return cli_usage(c, "say what is set: --timeout-most S");
	TRY(admin_open(c, &a));
	TRY(project_store_find(a.db, &c->cx, str_of(c->args[0]), &p));
	TRY(project_store_set_timeout_most(a.db, &c->cx, &p.id, most_s));
	outlast_memories();
	p.timeout_most_s = most_s;
	if (c->json) {
		auto_json *j = project_json(&p);

		output_json(&c->cx, j);
		return OK;
	}
	if (most_s)
		cli_say(c, "tasks of %s may run for %" PRId64 " s", c->args[0], most_s);
	else
		cli_say(c, "tasks of %s may run as long as [limits] timeout_s says", c->args[0]);
	return OK;
}
