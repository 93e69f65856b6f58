#include "fcgi/api/schedule_api.h"

#include "base/json.h"
#include "fcgi/once.h"
#include "fcgi/quota.h"
#include "fcgi/timeout.h"
#include "fcgi/warning.h"
#include "model/schedule_json.h"
#include "store/schedule_store.h"

/* One look-up for each code in the request; requests name few. */
static enum err find_target(struct request *rq, const struct schedule_order *orders, struct code_target *targets, size_t i)
{
	for (size_t back = 1; back <= i && back <= 16; back++) {
		const struct schedule_order *other = &orders[i - back];

		if (str_equal(other->value.code_name, orders[i].value.code_name) &&
		    str_equal(other->value.cluster_name, orders[i].value.cluster_name)) {
			targets[i] = targets[i - back];
			return OK;
		}
	}
	return code_store_target(rq->db, &rq->cx, &rq->project_id, orders[i].value.code_name, orders[i].value.cluster_name,
	                         &targets[i]);
}

/* What a key that is passed over might have meant, nobody knows: it is told. */
static void tell_ignored(struct request *rq, json_t *warnings, const char *array, size_t i, const struct schedule_order *o)
{
	if (o->ignored)
		warning_add(rq, warnings, array, i, arena_printf(&rq->cx.arena, "field %s: is not known here and was passed over",
		                                                 o->ignored));
}

static void tell_unowed(struct request *rq, json_t *warnings, const char *array, size_t i, const struct schedule_order *o)
{
	if (*o->unowed)
		warning_add(rq, warnings, array, i, o->unowed);
}

struct adding {
	struct request *rq;
	struct schedule_order *orders;
	size_t n;
	json_t *warnings; /* those known before */
};

/* In the request's order. A new reference. */
static json_t *added(const struct adding *a)
{
	auto_json *warnings = json_copy(a->warnings);
	json_t *ids = json_array(), *j;

	for (size_t i = 0; i < a->n; i++) {
		struct id_text text = id_format(&a->orders[i].value.id);

		tell_unowed(a->rq, warnings, "schedules", i, &a->orders[i]);
		json_array_append_new(ids, json_pack("{s:s}", "id", text.s));
	}
	j = json_pack("{s:s, s:o}", "msg", "Scheduled", "schedules", ids);
	warning_say(j, warnings);
	return j;
}

static struct str say_added(struct ctx *cx, void *arg, const struct id *first)
{
	auto_json *j = added(arg);

	(void)first;
	return json_write(&cx->arena, j);
}

static enum err add(struct adding *a, struct reply *rp, struct idempotency_guard *guard)
{
	struct code_target *targets = arena_array(&a->rq->cx.arena, a->n, sizeof *targets);
	const int64_t most = a->rq->set->limits.schedules;
	struct request *rq = a->rq;
	int64_t left;
	enum err e;

	for (size_t i = 0; i < a->n; i++)
		if (find_target(rq, a->orders, targets, i))
			return rq->cx.err < ERR_INTERNAL ? err_wrap(&rq->cx, "schedules[%zu]", i) : rq->cx.err;
	for (size_t i = 0; i < a->n; i++) {
		timeout_cut(rq, a->warnings, "schedules", i, timeout_most(rq, targets[i].timeout_most_s), &a->orders[i].value.timeout_s);
		tell_ignored(rq, a->warnings, "schedules", i, &a->orders[i]);
	}
	e = schedule_store_add(rq->db, &rq->cx, &rq->project_id, rq->set->zones.folder, a->orders, targets, a->n, most, guard, &left);
	if (left >= 0)
		quota_say(rq, rp, "schedules", most, left);
	return e;
}

enum err schedule_api_add(struct request *rq, struct reply *rp)
{
	auto_json *warnings = json_array();
	struct adding a = { .rq = rq, .warnings = warnings };
	struct idempotency_guard guard = { .say = say_added, .arg = &a };
	bool has_key, replayed = false;
	enum err e;

	TRY(once_read(rq, &guard.once, &has_key));
	if (has_key)
		TRY(once_replay(rq, rp, &guard.once, &replayed));
	if (replayed)
		return OK;
	TRY(schedule_orders_from_json(&rq->cx, rq->set, rq->json, &a.orders, &a.n));
	e = add(&a, rp, has_key ? &guard : NULL);
	TRY(once_end(rq, rp, &guard.once, guard.taken, e, &replayed));
	return replayed ? OK : reply_json(rp, 200, added(&a));
}

enum err schedule_api_list(struct request *rq, struct reply *rp)
{
	struct schedule *schedules;
	int64_t page, per_page;
	json_t *array;
	size_t n;

	TRY(request_page(rq, &page, &per_page));
	TRY(schedule_store_list(rq->db, &rq->cx, &rq->project_id, page, per_page, &schedules, &n));
	TRY(schedule_store_add_payloads(rq->db, &rq->cx, schedules, n));
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, schedule_to_json(&schedules[i]));
	return reply_json(rp, 200, json_pack("{s:o}", "schedules", array));
}

enum err schedule_api_get(struct request *rq, struct reply *rp)
{
	struct schedule schedule;
	struct id id;

	TRY(request_id(rq, "id", "schedule", &id));
	TRY(schedule_store_get(rq->db, &rq->cx, &rq->project_id, &id, &schedule));
	return reply_json(rp, 200, schedule_to_json(&schedule));
}

/* Another code or cluster is looked up, so that its lane is there before anything fires. */
static enum err find_new_target(struct request *rq, const struct id *id, const struct schedule_order *o, struct code_target *out)
{
	struct schedule s;

	TRY(schedule_store_get(rq->db, &rq->cx, &rq->project_id, id, &s));
	schedule_apply(o, &s);
	return code_store_target(rq->db, &rq->cx, &rq->project_id, s.code_name, s.cluster_name, out);
}

enum err schedule_api_change(struct request *rq, struct reply *rp)
{
	auto_json *warnings = json_array();
	struct code_target target;
	struct schedule_order order;
	int64_t most_s;
	bool moves;
	struct id id;
	json_t *j;

	TRY(request_id(rq, "id", "schedule", &id));
	TRY(schedule_order_from_json(&rq->cx, rq->set, rq->json, &id, &order));
	TRY(timeout_most_of_project(rq, &most_s));
	timeout_cut(rq, warnings, NULL, 0, most_s, &order.value.timeout_s);
	tell_ignored(rq, warnings, NULL, 0, &order);
	moves = schedule_is_sent(&order, FIELD_CODE_NAME) || schedule_is_sent(&order, FIELD_CLUSTER);
	if (moves)
		TRY(find_new_target(rq, &id, &order, &target));
	TRY(schedule_store_change(rq->db, &rq->cx, &rq->project_id, rq->set->zones.folder, &id, &order,
	                          moves ? &target.code_id : NULL));
	tell_unowed(rq, warnings, NULL, 0, &order);
	j = json_pack("{s:s}", "msg", "Updated");
	warning_say(j, warnings);
	return reply_json(rp, 200, j);
}

/* Also when it is over: as for tasks (rule 23). */
enum err schedule_api_cancel(struct request *rq, struct reply *rp)
{
	struct id id;

	TRY(request_id(rq, "id", "schedule", &id));
	TRY(schedule_store_cancel(rq->db, &rq->cx, &rq->project_id, &id));
	return reply_msg(rp, 200, "Cancelled", NULL);
}
