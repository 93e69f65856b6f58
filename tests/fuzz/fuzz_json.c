#include "base/json.h"
#include "model/cluster_json.h"
#include "model/code_json.h"
#include "model/order_json.h"
#include "model/schedule_json.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* Bodies in JSON. What is taken keeps to its limits, is UTF-8 throughout (also when it came as
 * ISO-8859-1), and is the same when written and read again; then every reader of a body has its turn. */

enum { DEPTH = 8, NODES = 64 };

static int depth_of(const json_t *j)
{
	int deepest = 0, below;
	const char *key;
	json_t *value;
	size_t i;

	json_object_foreach((json_t *)j, key, value)
		deepest = (below = depth_of(value)) > deepest ? below : deepest;
	json_array_foreach(j, i, value)
		deepest = (below = depth_of(value)) > deepest ? below : deepest;
	return json_is_object(j) || json_is_array(j) ? deepest + 1 : 0;
}

static int nodes_of(const json_t *j)
{
	const char *key;
	json_t *value;
	int n = 1;
	size_t i;

	json_object_foreach((json_t *)j, key, value)
		n += nodes_of(value);
	json_array_foreach(j, i, value)
		n += nodes_of(value);
	return n;
}

static void read_again(struct ctx *cx, json_t *j)
{
	struct str text = json_write(&cx->arena, j);
	auto_json *again = NULL;

	must(json_read(cx, text, (struct json_limits){ DEPTH, NODES }, &again) == OK);
	must(json_equal(j, again));
}

static void use_as_bodies(struct ctx *cx, const struct settings *set, json_t *j)
{
	struct schedule_order schedule = { 0 }, *schedules;
	struct cluster_order cluster = { 0 };
	struct task_order task, *tasks;
	struct code_order code = { 0 };
	size_t n;

	if (!json_is_object(j))
		return;
	if (orders_from_json(cx, set, j, &tasks, &n) == OK)
		for (size_t i = 0; i < n; i++)
			must(tasks[i].code_name.n && tasks[i].delay_s >= 0 && tasks[i].timeout_s >= 0);
	if (order_from_json(cx, set, j, &task) != OK)
		must(cx->message[0]);
	code_order_from_json(cx, set, j, &code);
	schedule_order_from_json(cx, set, j, NULL, &schedule);
	schedule_orders_from_json(cx, set, j, &schedules, &n);
	cluster_order_from_json(cx, j, &cluster);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct settings set;
	static struct ctx kept;
	static struct ctx cx;
	auto_json *j = NULL;

	if (!set.limits.json_depth)
		must(settings_read(&kept, NULL, &set) == OK);
	if (json_read(&cx, str_bytes(data, size), (struct json_limits){ DEPTH, NODES }, &j) == OK) {
		must(j && depth_of(j) <= DEPTH && nodes_of(j) <= NODES);
		read_again(&cx, j);
		use_as_bodies(&cx, &set, j);
	} else {
		must(!j && cx.message[0]);
	}
	ctx_release(&cx);
	return 0;
}
