#include "cli/commands.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/admin/connection.h"
#include "cli/admin/operator.h"
#include "cli/output.h"
#include "store/project_store.h"
#include "store/relaxation_store.h"

static enum err set(struct cli *c, bool is_on)
{
	const char *of = NULL;
	const struct cli_option options[] = {
		{ "project", 0, OPTION_TEXT, &of, "ID|NAME", "whose code it is", 0, 0 },
	};
	auto_admin a = { 0 };
	struct project project;
	enum relaxation item;

	TRY(cli_options(c, options, 1));
	if (!of)
		return cli_usage(c, "--project is missing: whose code is it?");
	if (!relaxation_parse(str_of(c->args[1]), &item))
		return cli_usage(c, "what can be relaxed is %s; not '%s'", relaxation_words(), c->args[1]);
	TRY(admin_open(c, &a));
	TRY(admin_project(c, a.db, of, &project));
	TRY(relaxation_store_set(a.db, &c->cx, &project.id, str_of(c->args[0]), item, is_on, operator_name(&c->cx)));
	cli_say(c, "jobs of %s that start from now on run %s %s", c->args[0], is_on ? "with" : "without", c->args[1]);
	return OK;
}

enum err admin_code_relax_command(struct cli *c)
{
	return set(c, true);
}

enum err admin_code_tighten_command(struct cli *c)
{
	return set(c, false);
}

static json_t *change_json(const struct relaxation_change *r)
{
	return json_pack("{s:o,s:o,s:o,s:o,s:o}", "project", json_text(r->project), "code", json_text(r->code), "change",
	                 json_text(r->word), "by", json_text(r->by), "at", json_time(r->at));
}

enum err admin_code_relaxations_command(struct cli *c)
{
	static const char *const HEADS[] = { "AT", "PROJECT", "CODE", "CHANGE", "BY" };
	struct table t = { .heads = HEADS, .columns = 5 };
	auto_admin a = { 0 };
	auto_json *list = json_array(), *j = NULL;
	struct relaxation_change *r;
	size_t n;

	TRY(cli_options(c, NULL, 0));
	TRY(admin_open(c, &a));
	TRY(relaxation_store_list(a.db, &c->cx, &r, &n));
	for (size_t i = 0; i < n; i++) {
		const struct str cells[] = { str_of(time_rfc3339(&c->cx.arena, r[i].at)), r[i].project, r[i].code, r[i].word, r[i].by };

		json_array_append_new(list, change_json(&r[i]));
		table_add(&c->cx, &t, cells);
	}
	if (!c->json) {
		table_print(c, &c->cx, &t);
		return OK;
	}
	j = json_pack("{s:O}", "changes", list);
	output_json(&c->cx, j);
	return OK;
}
