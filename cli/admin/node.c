#include "cli/commands.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/admin/connection.h"
#include "cli/output.h"
#include "store/node_store.h"

static json_t *node_json(const struct node *n)
{
	return json_pack("{s:I,s:o,s:o,s:o,s:I,s:I,s:o,s:o,s:o,s:o}", "id", (json_int_t)n->id, "name", json_text(n->name),
	                 "cluster", json_text(n->cluster_name), "state", json_text(n->state), "slots", (json_int_t)n->slots,
	                 "running", (json_int_t)n->running, "runtime", json_text(n->runtime), "started_at",
	                 json_time(n->started_at), "beat_at", json_time(n->beat_at), "lease_until", json_time(n->lease_until));
}

static void print_nodes(struct cli *c, const struct node *nodes, size_t n)
{
	static const char *const HEADS[] = { "NAME", "CLUSTER", "STATE", "RUNNING", "SLOTS", "RUNTIME", "SEEN" };
	struct table t = { .heads = HEADS, .columns = 7 };
	struct arena *a = &c->cx.arena;

	for (size_t i = 0; i < n; i++) {
		const struct str cells[] = { nodes[i].name, nodes[i].cluster_name, nodes[i].state,
			                     str_of(arena_printf(a, "%lld", (long long)nodes[i].running)),
			                     str_of(arena_printf(a, "%lld", (long long)nodes[i].slots)), nodes[i].runtime,
			                     str_of(time_rfc3339(a, nodes[i].beat_at)) };

		table_add(&c->cx, &t, cells);
	}
	table_print(c, &c->cx, &t);
}

enum err admin_node_list_command(struct cli *c)
{
	auto_admin a = { 0 };
	auto_json *list = NULL, *j = NULL;
	struct node *nodes;
	size_t n;

	TRY(cli_options(c, NULL, 0));
	TRY(admin_open(c, &a));
	TRY(node_store_list(a.db, &c->cx, &nodes, &n));
	if (!c->json) {
		print_nodes(c, nodes, n);
		return OK;
	}
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, node_json(&nodes[i]));
	j = json_pack("{s:O}", "nodes", list);
	output_json(&c->cx, j);
	return OK;
}

static enum err set_drain(struct cli *c, bool drain)
{
	auto_admin a = { 0 };

	TRY(cli_options(c, NULL, 0));
	TRY(admin_open(c, &a));
	TRY(node_store_drain(a.db, &c->cx, str_of(c->args[0]), drain));
	cli_say(c, "node %s %s", c->args[0],
	        drain ? "takes no more tasks; what it runs goes on to its end" : "takes tasks again");
	return OK;
}

enum err admin_node_drain_command(struct cli *c)
{
	return set_drain(c, true);
}

enum err admin_node_resume_command(struct cli *c)
{
	return set_drain(c, false);
}
