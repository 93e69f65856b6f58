#include "cli/admin/verify.h"

#include "base/json.h"
#include "cli/admin/connection.h"
#include "cli/commands.h"
#include "cli/output.h"

#include <stdio.h>

enum { SHOWN_MOST = 10000 };

/* What the checker finds goes out as it comes; as JSON at the end. */
struct report {
	struct cli *c;
	json_t *list; /* NULL = as lines */
	int64_t shown;
};

static void found(void *arg, const struct verify_finding *f)
{
	struct report *r = arg;

	if (r->shown++ >= SHOWN_MOST)
		return;
	if (r->list) {
		json_array_append_new(r->list, json_pack("{s:s,s:s,s:o}", "law", f->law, "what", f->what, "rows", json_text(f->rows)));
		return;
	}
	printf("%-4s ", f->law);
	output_text(&r->c->cx, f->rows);
	printf(" (broken: %s)\n", f->what);
}

static void print_end(struct cli *c, const struct report *r, const struct verify *v)
{
	auto_json *j = NULL;

	if (r->list) {
		j = json_pack("{s:s,s:I,s:O}", "verdict", v->findings ? "fail" : "ok", "count", (json_int_t)v->findings, "findings", r->list);
		output_json(&c->cx, j);
	} else if (v->findings) {
		cli_say(c, "%lld findings", (long long)v->findings);
	} else {
		cli_say(c, "no finding");
	}
}

enum err admin_verify_command(struct cli *c)
{
	bool no_logs = false;
	const struct cli_option own[] = {
		{ .name = "no-logs", .type = OPTION_FLAG, .to = &no_logs, .what = "leave the logs' database out" },
	};
	auto_admin a = { 0 };
	auto_json *list = NULL;
	struct report r = { .c = c };
	struct verify v = { .found = found, .arg = &r };

	TRY(cli_options(c, own, 1));
	if (c->json)
		r.list = list = json_array();
	TRY(admin_open(c, &a));
	TRY(verify_store_tasks(a.db, &c->cx, &v));
	if (!no_logs)
		TRY(verify_store_logs(a.logs, &c->cx, &v));
	TRY(verify_node(a.db, &c->cx, &a.set, &v));
	print_end(c, &r, &v);
	c->exit = v.findings ? EXIT_FAILED : 0;
	return OK;
}
