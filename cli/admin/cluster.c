#include "cli/commands.h"

#include "base/json.h"
#include "cli/admin/connection.h"
#include "cli/admin/operator.h"
#include "cli/output.h"
#include "model/cluster_json.h"
#include "store/cluster_store.h"

static enum err list_all(struct cli *c, struct db *db, struct cluster **out, size_t *n)
{
	static const struct principal everybody = { .role = ROLE_ADMIN };
	const struct cluster_filter all = { .everybodys = true, .own = true };

	return cluster_store_list(db, &c->cx, &everybody, all, out, n);
}

static void print_clusters(struct cli *c, const struct cluster *k, size_t n)
{
	static const char *const HEADS[] = { "NAME", "NETWORK", "RUNNING", "SLOTS" };
	struct table t = { .heads = HEADS, .columns = 4 };
	struct arena *a = &c->cx.arena;

	for (size_t i = 0; i < n; i++) {
		const struct str cells[] = { k[i].name, k[i].network, str_of(arena_printf(a, "%lld", (long long)k[i].running)),
			                     str_of(arena_printf(a, "%lld", (long long)k[i].slots)) };

		table_add(&c->cx, &t, cells);
	}
	table_print(c, &c->cx, &t);
}

enum err admin_cluster_list_command(struct cli *c)
{
	auto_admin a = { 0 };
	auto_json *list = NULL, *j = NULL;
	struct cluster *k;
	size_t n;

	TRY(cli_options(c, NULL, 0));
	TRY(admin_open(c, &a));
	TRY(list_all(c, a.db, &k, &n));
	if (!c->json) {
		print_clusters(c, k, n);
		return OK;
	}
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, cluster_to_json(&k[i]));
	j = json_pack("{s:O}", "clusters", list);
	output_json(&c->cx, j);
	return OK;
}

enum err admin_cluster_network_command(struct cli *c)
{
	auto_admin a = { 0 };
	int number;

	TRY(cli_options(c, NULL, 0));
	if (!cluster_network_parse(str_of(c->args[1]), &number))
		return cli_usage(c, "a cluster's network is none, outbound or private, not '%s'", c->args[1]);
	TRY(admin_open(c, &a));
	TRY(cluster_store_set_network(a.db, &c->cx, str_of(c->args[0]), str_of(c->args[1]), operator_name(&c->cx)));
	cli_say(c, "jobs of the cluster %s that start from now on have the network: %s", c->args[0], c->args[1]);
	return OK;
}
