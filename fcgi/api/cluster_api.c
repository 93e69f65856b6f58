#include "fcgi/api/cluster_api.h"

#include <stdlib.h>

#include "base/crypt.h"
#include "base/json.h"
#include "base/seal.h"
#include "fcgi/api/task_api.h"
#include "fcgi/targets.h"
#include "model/cluster_json.h"
#include "model/task_json.h"
#include "store/cluster_store.h"
#include "store/project_store.h"
#include "store/task_store.h"

enum { INSTANCES_MOST = 1000, PROJECTS_MOST = 50 };

/* --- which, and who may ------------------------------------------------------------------------- */
static enum err find(struct request *rq, struct cluster *out)
{
	return cluster_store_find(rq->db, &rq->cx, &rq->who, request_param(rq, "id"), out);
}

static enum err find_own(struct request *rq, struct cluster *out)
{
	TRY(find(rq, out));
	if (rq->who.role == ROLE_ADMIN)
		return OK;
	if (rq->who.role < ROLE_OPERATOR || !id_equal(&out->user_id, &rq->who.user_id))
		return err_set(&rq->cx, ERR_FORBIDDEN, "only its owner, with the role operator, or an admin may do that");
	return OK;
}

/* --- lists --------------------------------------------------------------------------------------- */
static enum err reply_clusters(struct request *rq, struct reply *rp, struct cluster_filter which)
{
	struct cluster *clusters;
	json_t *array;
	size_t n;

	TRY(cluster_store_list(rq->db, &rq->cx, &rq->who, which, &clusters, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, cluster_to_json(&clusters[i]));
	return reply_json(rp, 200, json_pack("{s:o}", "clusters", array));
}

static bool is_off(const struct request *rq, const char *name, bool if_absent)
{
	struct str value;

	if (!request_query(rq, name, &value))
		return if_absent;
	return !value.n || str_is_nocase(value, "false") || str_is(value, "0");
}

/* `internal` are those of the service itself, everybody's: here they are there unless they are not wanted. */
enum err cluster_api_list(struct request *rq, struct reply *rp)
{
	struct cluster_filter which = { .everybodys = !is_off(rq, "internal", false), .own = true,
		                        .shared = !is_off(rq, "shared", true) };

	return reply_clusters(rq, rp, which);
}

enum err cluster_api_list_shared(struct request *rq, struct reply *rp)
{
	return reply_clusters(rq, rp, (struct cluster_filter){ .shared = true });
}

/* --- one ----------------------------------------------------------------------------------------- */
static struct str text_of(struct arena *a, int64_t number)
{
	struct id id = cluster_wire_id(number);

	return str_of(arena_text(a, id_format(&id).s));
}

/* The order, and what seals the private key in it. */
static enum err read_order(struct request *rq, struct cluster_order *order, struct seal_key *key)
{
	TRY(cluster_order_from_json(&rq->cx, rq->json, order));
	return order->decryption_key.n ? seal_key_read(&rq->cx, rq->set->secrets.key_file, key) : OK;
}

/* Go reads cluster, Ruby's tests id, the docs know msg: all of them. */
enum err cluster_api_add(struct request *rq, struct reply *rp)
{
	struct cluster_order order;
	struct seal_key key;
	struct cluster cluster;
	struct str id;
	int64_t number;

	if (rq->who.role < ROLE_OPERATOR)
		return err_set(&rq->cx, ERR_FORBIDDEN, "this needs the role operator; yours is %s", role_name(rq->who.role));
	TRY(read_order(rq, &order, &key));
	if (!order.name.n)
		return err_set(&rq->cx, ERR_REQUIRED, "field name: is missing");
	TRY(cluster_store_add(rq->db, &rq->cx, &rq->who, &order, &key, &number));
	id = text_of(&rq->cx.arena, number);
	TRY(cluster_store_find(rq->db, &rq->cx, &rq->who, id, &cluster));
	return reply_json(rp, 200, json_pack("{s:s, s:o, s:o}", "msg", "Cluster created", "id", json_text(id), "cluster",
	                                     cluster_to_json(&cluster)));
}

static json_t *machines_of(const struct node *nodes, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_text(nodes[i].name));
	return array;
}

enum err cluster_api_get(struct request *rq, struct reply *rp)
{
	struct cluster cluster;
	struct node *nodes;
	struct id *users;
	json_t *j, *shared;
	size_t n, user_count;

	TRY(find(rq, &cluster));
	TRY(cluster_store_nodes(rq->db, &rq->cx, cluster.number, &nodes, &n));
	TRY(cluster_store_shared_to(rq->db, &rq->cx, cluster.number, &users, &user_count));
	j = cluster_to_json(&cluster);
	shared = json_array();
	for (size_t i = 0; i < user_count; i++) {
		struct id_text text = id_format(&users[i]);

		json_array_append_new(shared, json_string(text.s));
	}
	json_object_set_new(j, "machines", machines_of(nodes, n));
	json_object_set_new(j, "shared_to", shared);
	return reply_json(rp, 200, json_pack("{s:o}", "cluster", j));
}

enum err cluster_api_change(struct request *rq, struct reply *rp)
{
	struct cluster_order order;
	struct seal_key key;
	struct cluster cluster;

	TRY(find_own(rq, &cluster));
	TRY(read_order(rq, &order, &key));
	if (order.name.n && id_is_zero(&cluster.user_id) && !str_equal(order.name, cluster.name))
		return err_set(&rq->cx, ERR_CONFLICT, "field name: nodes know this cluster by its name");
	TRY(cluster_store_change(rq->db, &rq->cx, cluster.number, &order, &key));
	targets_outlast(rq->process->targets);
	return reply_msg(rp, 200, "Cluster updated", NULL);
}

enum err cluster_api_delete(struct request *rq, struct reply *rp)
{
	struct cluster cluster;

	TRY(find_own(rq, &cluster));
	if (str_is(cluster.name, "default"))
		return err_set(&rq->cx, ERR_CONFLICT, "cluster 'default' is where codes begin: it stays");
	TRY(cluster_store_delete(rq->db, &rq->cx, cluster.number));
	targets_outlast(rq->process->targets);
	return reply_msg(rp, 200, "Cluster deleted", NULL);
}

/* --- load ---------------------------------------------------------------------------------------- */
static json_t *instance_to_json(const struct node *n)
{
	char id[24];

	snprintf(id, sizeof id, "%lld", (long long)n->id);
	return json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:I, s:I}", "instance_id", id, "name", json_text(n->name), "type",
	                 str_is(n->state, "draining") ? "KILL" : "LIVE", "created_at", json_time(n->started_at),
	                 "updated_at", json_time(n->beat_at), "version", json_text(n->runtime), "runners_total",
	                 (json_int_t)n->slots, "runners_available",
	                 (json_int_t)(n->slots > n->running ? n->slots - n->running : 0));
}

enum err cluster_api_stats(struct request *rq, struct reply *rp)
{
	struct cluster cluster;
	struct node *nodes;
	int64_t waiting;
	json_t *j, *instances;
	size_t n;

	TRY(find(rq, &cluster));
	TRY(cluster_store_nodes(rq->db, &rq->cx, cluster.number, &nodes, &n));
	TRY(cluster_store_waiting(rq->db, &rq->cx, cluster.number, &waiting));
	instances = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(instances, instance_to_json(&nodes[i]));
	j = cluster_to_json(&cluster);
	json_object_set_new(j, "ewma", json_integer(cluster.running)); /* a whole number: go-hsdp-api */
	json_object_set_new(j, "queued", json_integer(waiting));
	json_object_set_new(j, "instances", instances);
	return reply_json(rp, 200, json_pack("{s:o}", "cluster", j));
}

/* Follows from key and cluster, so that nothing has to be kept; nodes join by their configuration and
 * need none. */
enum err cluster_api_credentials(struct request *rq, struct reply *rp)
{
	unsigned char mac[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1];
	struct cluster cluster;
	struct seal_key key;
	struct str id;

	TRY(find_own(rq, &cluster));
	TRY(seal_key_read(&rq->cx, rq->set->secrets.key_file, &key));
	id = text_of(&rq->cx.arena, cluster.number);
	crypt_hmac_sha256(str_bytes(key.b, sizeof key.b),
	                  str_of(arena_printf(&rq->cx.arena, "cluster token " STR_FMT, STR_ARG(id))), mac);
	hex_format(mac, 20, hex);
	return reply_json(rp, 200, json_pack("{s:s, s:{s:o, s:[s]}}", "token", hex, "cluster", "id", json_text(id), "tokens", hex));
}

/* --- its tasks, as far as one may see them --------------------------------------------------------- */
static int newest_first(const void *a, const void *b)
{
	return memcmp(&((const struct task *)b)->id, &((const struct task *)a)->id, sizeof(struct id));
}

static enum err add_tasks(struct request *rq, const struct task_filter *filter, const struct id *project,
                          struct task *out, size_t *n)
{
	struct task_page page;

	TRY(task_store_list(rq->db, &rq->cx, project, filter, &page));
	for (size_t i = 0; i < page.n; i++)
		out[(*n)++] = page.tasks[i];
	return OK;
}

enum err cluster_api_tasks(struct request *rq, struct reply *rp)
{
	struct project *projects;
	struct task_filter filter;
	struct cluster cluster;
	struct task *tasks;
	size_t count, n = 0;
	json_t *array;

	TRY(find(rq, &cluster));
	TRY(task_api_filter(rq, &filter));
	filter.cluster = cluster.name;
	TRY(project_store_list(rq->db, &rq->cx, &rq->who.user_id, &projects, &count));
	count = count < PROJECTS_MOST ? count : PROJECTS_MOST;
	tasks = arena_array(&rq->cx.arena, count * (size_t)filter.per_page + 1, sizeof *tasks);
	for (size_t i = 0; i < count; i++)
		if (id_is_zero(&rq->who.project_id) || id_equal(&rq->who.project_id, &projects[i].id))
			TRY(add_tasks(rq, &filter, &projects[i].id, tasks, &n));
	qsort(tasks, n, sizeof *tasks, newest_first);
	array = json_array();
	for (size_t i = 0; i < n && i < (size_t)filter.per_page; i++)
		json_array_append_new(array, task_to_json(&tasks[i]));
	return reply_json(rp, 200, json_pack("{s:o}", "tasks", array));
}

/* --- sharing, ending -------------------------------------------------------------------------------- */
static enum err share_with(struct request *rq, const struct cluster *cluster, const json_t *user)
{
	if (!json_is_string(user))
		return err_set(&rq->cx, ERR_INPUT, "users to share with: must be ids or names");
	return cluster_store_share(rq->db, &rq->cx, cluster->number, str_of(json_string_value(user)), true);
}

/* {"emails": […]}, {"user_ids": […]}, or one: {"email"}, {"user_id"}. */
enum err cluster_api_share(struct request *rq, struct reply *rp)
{
	static const char *const KEYS[] = { "emails", "user_ids", "email", "user_id" };
	struct cluster cluster;
	bool any = false;

	TRY(find_own(rq, &cluster));
	for (size_t k = 0; k < 4; k++) {
		const json_t *users = json_object_get(rq->json, KEYS[k]);

		any = any || (users && !json_is_null(users));
		if (json_is_string(users))
			TRY(share_with(rq, &cluster, users));
		for (size_t i = 0; i < json_array_size(users); i++)
			TRY(share_with(rq, &cluster, json_array_get(users, i)));
	}
	if (!any)
		return err_set(&rq->cx, ERR_REQUIRED, "field emails: is missing");
	return reply_msg(rp, 200, "Cluster shared", NULL);
}

enum err cluster_api_unshare(struct request *rq, struct reply *rp)
{
	struct cluster cluster;

	TRY(find_own(rq, &cluster));
	TRY(cluster_store_share(rq->db, &rq->cx, cluster.number, request_param(rq, "user"), false));
	return reply_msg(rp, 200, "Cluster unshared", NULL);
}

/* An instance is a node: it takes no more tasks and lets those that it has end. */
enum err cluster_api_terminate(struct request *rq, struct reply *rp)
{
	int64_t nodes[INSTANCES_MOST];
	struct cluster cluster;
	json_t *ids = NULL;
	size_t n = 0, drained;

	TRY(find_own(rq, &cluster));
	TRY(json_get_array(&rq->cx, rq->json, "instance_ids", &ids));
	if (!json_array_size(ids))
		return err_set(&rq->cx, ERR_REQUIRED, "field instance_ids: is missing");
	for (size_t i = 0; i < json_array_size(ids) && n < INSTANCES_MOST; i++) {
		const json_t *id = json_array_get(ids, i);

		if (json_is_string(id) && str_int(str_of(json_string_value(id)), &nodes[n]))
			n++;
	}
	TRY(cluster_store_drain(rq->db, &rq->cx, cluster.number, nodes, n, &drained));
	return reply_msg(rp, 200, "Instances scheduled for terminated", NULL);
}
