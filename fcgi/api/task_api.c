#include "fcgi/api/task_api.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/json.h"
#include "base/text.h"
#include "fcgi/doorbell.h"
#include "fcgi/once.h"
#include "fcgi/prefer.h"
#include "fcgi/quota.h"
#include "fcgi/targets.h"
#include "fcgi/timeout.h"
#include "fcgi/warning.h"
#include "model/order_json.h"
#include "model/task_json.h"
#include "model/trace.h"
#include "store/cluster_store.h"
#include "store/log_store.h"
#include "store/task_store.h"

enum { MSG_BYTES = 65536 };

/* --- queue ----------------------------------------------------------------------------------------- */
/* One look-up for each pair of code and cluster in the request; requests name few. */
static enum err find_target(struct request *rq, const struct task_order *orders, const struct code_target *targets,
                            size_t i, struct code_target *out)
{
	for (size_t back = 1; back <= i && back <= 16; back++) {
		const struct task_order *other = &orders[i - back];

		if (str_equal(other->code_name, orders[i].code_name) &&
		    str_equal(other->cluster_name, orders[i].cluster_name)) {
			*out = targets[i - back];
			return OK;
		}
	}
	return targets_find(rq->process->targets, rq->db, &rq->cx, &rq->project_id, orders[i].code_name,
	                    orders[i].cluster_name, out);
}

/* Where the tasks go, for how long, and under which trace. */
static enum err prepare(struct request *rq, struct task_order *orders, struct code_target *targets, size_t n, json_t *warnings)
{
	struct str trace = request_header(rq, "traceparent");

	for (size_t i = 0; i < n; i++) {
		if (trace_is_parent(trace))
			orders[i].traceparent = trace;
		if (find_target(rq, orders, targets, i, &targets[i]))
			return rq->cx.err < ERR_INTERNAL ? err_wrap(&rq->cx, "tasks[%zu]", i) : rq->cx.err;
		targets[i].timeout_most_s = timeout_most(rq, targets[i].timeout_most_s);
		timeout_cut(rq, warnings, rq->json ? "tasks" : NULL, i, targets[i].timeout_most_s, &orders[i].timeout_s);
	}
	return OK;
}

/* --- once ------------------------------------------------------------------------------------------- */
static enum err add_once(struct request *rq, struct reply *rp, const struct task_order *orders,
                         const struct code_target *targets, size_t n, struct idempotency *once, bool *replayed)
{
	bool taken = false;
	enum err e;

	once->answer = str_bytes(arena_copy(&rq->cx.arena, rp->body.p, rp->body.n), rp->body.n);
	e = task_store_add_once(rq->db, &rq->cx, &rq->project_id, orders, targets, n, once, &taken);
	return once_end(rq, rp, once, taken, e, replayed);
}

static enum err add(struct request *rq, struct reply *rp, const struct task_order *orders,
                    const struct code_target *targets, size_t n, struct idempotency *once, bool *replayed)
{
	if (once)
		return add_once(rq, rp, orders, targets, n, once, replayed);
	return task_store_add(rq->db, &rq->cx, &rq->project_id, orders, targets, n);
}

/* Queues them. `say` makes the answer, which holds only when this returns OK. */
static enum err queue(struct request *rq, struct reply *rp, struct task_order *orders, size_t n,
                      void (*say)(struct reply *rp, const struct task_order *orders, size_t n, json_t *warnings))
{
	struct code_target *targets = arena_array(&rq->cx.arena, n, sizeof *targets);
	auto_json *warnings = json_array();
	struct idempotency once = { 0 };
	bool has_key, replayed = false;

	TRY(once_read(rq, &once, &has_key));
	if (has_key)
		TRY(once_replay(rq, rp, &once, &replayed));
	if (replayed)
		return OK;
	TRY(quota_check(rq, rp, n));
	TRY(prepare(rq, orders, targets, n, warnings));
	say(rp, orders, n, warnings);
	TRY(add(rq, rp, orders, targets, n, has_key ? &once : NULL, &replayed));
	targets_heard(rq->process->targets);
	if (!replayed)
		quota_add(rq, n);
	for (size_t i = 0; i < n && !replayed; i++)
		if (!orders[i].delay_s)
			doorbells_note(rq->process->bells, targets[i].cluster_id);
	return OK;
}

/* --- answers that may come late -------------------------------------------------------------------- */
enum { AWAITED_MOST = 100 };

/* Prefer: wait=N of a request for these tasks: true = `later` will answer it, when all of them are over or
 * the time is. Answered at once: what is over already, and what nobody has a place for. */
static bool put_off(struct request *rq, struct reply *rp, const struct id *tasks, size_t n, bool over,
                    enum err (*later)(struct request *rq, struct reply *rp))
{
	int seconds = rq->process->may_wait ? prefer_wait_s(rq) : -1;

	if (seconds < 0 || !n || n > AWAITED_MOST)
		return false;
	reply_header(rp, "Preference-Applied", str_of(arena_printf(&rq->cx.arena, "wait=%d", seconds)));
	if (over || !seconds)
		return false;
	rp->awaited = (struct id *)arena_copy(&rq->cx.arena, tasks, n * sizeof *tasks);
	rp->awaited_count = n;
	rp->wait_s = seconds;
	rp->later = later;
	return true;
}

/* What was answered, with each task as it is by now: {"id"} in `tasks` becomes the whole task, the
 * webhook's answer gets `task` (its `msg` is its own). */
static enum err queued_later(struct request *rq, struct reply *rp)
{
	auto_json *j = json_loadb(rp->body.p, rp->body.n, 0, NULL);
	json_t *array = json_object_get(j, "tasks");
	struct task tasks[AWAITED_MOST];
	size_t n;

	TRY(task_store_some(rq->db, &rq->cx, &rq->project_id, rp->awaited, rp->awaited_count, tasks, &n));
	if (n != rp->awaited_count)
		return err_set(&rq->cx, ERR_NOT_FOUND, "a task is gone");
	if (!array)
		json_object_set_new(j, "task", task_to_json(&tasks[0]));
	for (size_t i = 0; array && i < n; i++)
		json_array_set_new(array, i, task_to_json(&tasks[i]));
	return reply_json(rp, 200, json_incref(j));
}

/* The ids are taken from the answer, which may be the first one to the same Idempotency-Key. */
static enum err prefer_queued(struct request *rq, struct reply *rp)
{
	auto_json *j = rq->process->may_wait && prefer_wait_s(rq) >= 0 ? json_loadb(rp->body.p, rp->body.n, 0, NULL) : NULL;
	const json_t *array = json_object_get(j, "tasks");
	size_t n = array ? json_array_size(array) : 1;
	struct id ids[AWAITED_MOST];

	if (!j || n > AWAITED_MOST)
		return OK;
	for (size_t i = 0; i < n; i++)
		if (!id_parse(str_of(json_string_value(json_object_get(array ? json_array_get(array, i) : j, "id"))), &ids[i]))
			return OK;
	put_off(rq, rp, ids, n, false, queued_later);
	return OK;
}

/* --- queueing ---------------------------------------------------------------------------------------- */
/* {"msg": "Queued up", "tasks": [{"id"}, …]} in the request's order: clients pair them by position. */
static void say_queued(struct reply *rp, const struct task_order *orders, size_t n, json_t *warnings)
{
	json_t *j = json_object(), *tasks = json_array();

	for (size_t i = 0; i < n; i++) {
		struct id_text text = id_format(&orders[i].id);

		json_array_append_new(tasks, json_pack("{s:s}", "id", text.s));
	}
	json_object_set_new(j, "msg", json_string("Queued up"));
	json_object_set_new(j, "tasks", tasks);
	warning_say(j, warnings);
	reply_json(rp, 200, j);
}

/* The webhook's, with the dot (rule 13). */
static void say_hooked(struct reply *rp, const struct task_order *orders, size_t n, json_t *warnings)
{
	struct id_text text = id_format(&orders[n - 1].id);
	json_t *j = json_pack("{s:s, s:s}", "id", text.s, "msg", "Queued up.");

	warning_say(j, warnings);
	reply_json(rp, 200, j);
}

enum err task_api_queue(struct request *rq, struct reply *rp)
{
	struct task_order *orders;
	size_t n;

	TRY(orders_from_json(&rq->cx, rq->set, rq->json, &orders, &n));
	TRY(queue(rq, rp, orders, n, say_queued));
	return prefer_queued(rq, rp);
}

/* The raw body is the payload, whatever its Content-Type says (5.2). */
enum err task_api_webhook(struct request *rq, struct reply *rp)
{
	struct task_order order = { .priority = TASK_PRIORITY_UNSET, .payload = rq->body };

	request_query(rq, "code_name", &order.code_name);
	request_query(rq, "cluster", &order.cluster_name);
	request_query(rq, "label", &order.label);
	TRY(request_query_int(rq, "priority", &order.priority));
	TRY(request_query_amount(rq, "timeout", &order.timeout_s));
	TRY(request_query_amount(rq, "delay", &order.delay_s));
	TRY(request_query_amount(rq, "expires_in", &order.expires_in_s));
	TRY(order_check(&rq->cx, rq->set, &order));
	order.id = id_make(clock_wall_us());
	TRY(queue(rq, rp, &order, 1, say_hooked));
	return prefer_queued(rq, rp);
}

/* --- list ------------------------------------------------------------------------------------------ */
/* Names on the wire → states they stand for. preparing shows as queued (rule 18), expired as
 * cancelled. */
static const struct {
	const char *name;
	unsigned states;
} STATUS_FILTERS[] = {
	{ "queued", 1u << TASK_QUEUED | 1u << TASK_PREPARING },
	{ "preparing", 1u << TASK_PREPARING },
	{ "running", 1u << TASK_RUNNING },
	{ "complete", 1u << TASK_COMPLETE },
	{ "error", 1u << TASK_ERROR },
	{ "cancelled", 1u << TASK_CANCELLED | 1u << TASK_EXPIRED },
	{ "killed", 1u << TASK_KILLED },
	{ "timeout", 1u << TASK_TIMEOUT },
};

/* Any value but empty, 0 and false switches a filter on (rule 22). */
static bool is_on(const struct request *rq, const char *name)
{
	struct str value;

	return request_query(rq, name, &value) && value.n && !str_is(value, "0") && !str_is_nocase(value, "false");
}

static enum err read_keyset(struct request *rq, const char *name, bool *has, struct id *out)
{
	struct str text = { 0 };

	if (!request_query(rq, name, &text) || !text.n)
		return OK;
	*has = id_parse(text, out);
	return *has ? OK : err_set(&rq->cx, ERR_INPUT, "query field %s: must be the id of a task", name);
}

/* A cluster may be named by its id as well, by whoever reads the project's tasks: it is theirs that are
 * looked for, and a name finds them too. */
static enum err name_cluster(struct request *rq, struct str *cluster)
{
	struct principal reader = rq->who;
	struct cluster found;
	struct id id;
	enum err e;

	if (!id_parse(*cluster, &id))
		return OK;
	reader.role = ROLE_ADMIN;
	e = cluster_store_find(rq->db, &rq->cx, &reader, *cluster, &found);
	if (e == OK)
		*cluster = found.name;
	return e == ERR_NOT_FOUND ? OK : e; /* then there are no tasks in it */
}

enum err task_api_filter(struct request *rq, struct task_filter *f)
{
	*f = (struct task_filter){ .from = TIME_NONE, .to = TIME_NONE, .per_page = 30, .with_payload = true };
	for (size_t i = 0; i < sizeof STATUS_FILTERS / sizeof *STATUS_FILTERS; i++)
		if (is_on(rq, STATUS_FILTERS[i].name))
			f->states |= STATUS_FILTERS[i].states;
	request_query(rq, "code_name", &f->code_name);
	request_query(rq, "label", &f->label);
	request_query(rq, "cluster", &f->cluster);
	TRY(name_cluster(rq, &f->cluster));
	TRY(request_query_time(rq, "from_time", &f->from));
	TRY(request_query_time(rq, "to_time", &f->to));
	TRY(read_keyset(rq, "before", &f->has_before, &f->before));
	TRY(read_keyset(rq, "after", &f->has_after, &f->after));
	return request_page(rq, &f->page, &f->per_page);
}

static void show_payload(struct task *t)
{
	if (!t->payload.p && !t->payload_bytes)
		t->payload = STR_LIT("");
}

enum err task_api_list(struct request *rq, struct reply *rp)
{
	struct task_filter filter;
	struct task_page page;
	json_t *tasks;

	TRY(task_api_filter(rq, &filter));
	TRY(task_store_list(rq->db, &rq->cx, &rq->project_id, &filter, &page));
	tasks = json_array();
	for (size_t i = 0; i < page.n; i++) {
		show_payload(&page.tasks[i]);
		json_array_append_new(tasks, task_to_json(&page.tasks[i]));
	}
	return reply_json(rp, 200, json_pack("{s:o}", "tasks", tasks));
}

/* --- one ------------------------------------------------------------------------------------------- */
static enum err say_task(struct request *rq, struct reply *rp, struct task *task)
{
	int64_t log_bytes = 0;
	json_t *j;

	show_payload(task);
	j = task_to_json(task);
	/* the logs' server may be away while the task's is not: then the rest of the answer is worth more */
	if (log_store_size(rq->logs, &rq->cx, &task->id, &log_bytes) == OK)
		json_object_set_new(j, "log_size", json_integer(log_bytes));
	return reply_json(rp, 200, j);
}

static enum err get_later(struct request *rq, struct reply *rp)
{
	struct task task;

	TRY(task_store_get(rq->db, &rq->cx, &rq->project_id, rp->awaited, &task));
	return say_task(rq, rp, &task);
}

enum err task_api_get(struct request *rq, struct reply *rp)
{
	struct id id;
	struct task task;

	TRY(request_id(rq, "id", "task", &id));
	TRY(task_store_get(rq->db, &rq->cx, &rq->project_id, &id, &task));
	if (put_off(rq, rp, &id, 1, task_state_is_settled(task.state), get_later))
		return OK;
	return say_task(rq, rp, &task);
}

enum err task_api_cancel(struct request *rq, struct reply *rp)
{
	struct str node = { 0 }, who = rq->who.token_name.n ? rq->who.token_name : rq->who.user_name;
	enum task_state state;
	struct id id;

	TRY(request_id(rq, "id", "task", &id));
	TRY(task_store_cancel(rq->db, &rq->cx, &rq->project_id, &id, who, &state, &node));
	doorbells_note_address(rq->process->bells, node);
	return reply_msg(rp, 200, "Cancelled", NULL); /* also when it was over already: rule 23 */
}

/* In any state (5.5); percent and msg are both optional. */
enum err task_api_progress(struct request *rq, struct reply *rp)
{
	struct str msg = { 0 };
	int64_t percent = INT64_MIN;
	struct id id;

	TRY(request_id(rq, "id", "task", &id));
	TRY(json_get_int(&rq->cx, rq->json, "percent", &percent));
	TRY(json_get_text(&rq->cx, rq->json, "msg", &msg));
	if (percent == INT64_MIN)
		percent = -1; /* as it is */
	else if (percent < 0 || percent > 100)
		return err_set(&rq->cx, ERR_INPUT, "field percent: must be 0 to 100");
	if (msg.n > MSG_BYTES)
		return err_set(&rq->cx, ERR_INPUT, "field msg: is longer than %d bytes", MSG_BYTES);
	TRY(task_store_progress(rq->db, &rq->cx, &rq->project_id, &id, percent, msg));
	return reply_msg(rp, 200, "Progress set", NULL);
}

/* A new task with the payload and options of the old one, in whatever state that is. */
enum err task_api_retry(struct request *rq, struct reply *rp)
{
	struct task_order order = { 0 };
	struct task was;
	struct id id;

	TRY(request_id(rq, "id", "task", &id));
	TRY(json_get_amount(&rq->cx, rq->json, "delay", &order.delay_s));
	TRY(task_store_get(rq->db, &rq->cx, &rq->project_id, &id, &was));
	order.id = id_make(clock_wall_us());
	order.code_name = was.code_name;
	order.cluster_name = was.cluster_name;
	order.payload = was.payload;
	order.priority = was.priority;
	order.timeout_s = was.timeout_s;
	order.label = was.label;
	order.callback = was.callback;
	order.notify = was.notify;
	TRY(order_check(&rq->cx, rq->set, &order));
	TRY(queue(rq, rp, &order, 1, say_queued));
	return prefer_queued(rq, rp);
}
