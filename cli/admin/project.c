#include "cli/commands.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/admin/connection.h"
#include "cli/output.h"
#include "store/project_store.h"

#include <stdio.h>

static json_t *project_json(const struct project *p)
{
	return json_pack("{s:s,s:o,s:o,s:b}", "id", id_format(&p->id).s, "name", json_text(p->name), "created_at",
	                 json_time(p->created_at), "paused", p->paused);
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

static void print_projects(struct cli *c, const struct project *p, size_t n)
{
	static const char *const HEADS[] = { "ID", "NAME", "CREATED", "" };
	struct table t = { .heads = HEADS, .columns = 4 };

	for (size_t i = 0; i < n; i++) {
		const struct str cells[] = { str_of(arena_text(&c->cx.arena, id_format(&p[i].id).s)), p[i].name,
			                     str_of(time_rfc3339(&c->cx.arena, p[i].created_at)),
			                     str_of(p[i].paused ? "paused" : "") };

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
