#include "store/task_insert.h"

#include "model/callback.h"

const struct sql TASK_INSERT = {
	"INSERT INTO task (id, project_id, code_id, revision, lane_id, cluster_id, priority, head_start_s,"
	" timeout_s, label, callback, notify, payload, not_after, original_task_id, retry, traceparent,"
	" schedule_id, retries, retries_delay_s, hooks, changes, created_at, updated_at, due_at, rank_at)"
	" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6),"
	" UTC_TIMESTAMP(6) + INTERVAL ? SECOND, UTC_TIMESTAMP(6) + INTERVAL ? SECOND)", "sssiiiiiissistsissiiiii" };

/* Every settled state, when nothing was chosen: as the trigger has it. */
enum { NOTIFY_ENDS = 504 };

static unsigned notify_of(const struct task_order *order, struct str callback)
{
	if (!callback.n)
		return 0;
	return order->notify & CALLBACK_KINDS ? order->notify : order->notify | NOTIFY_ENDS;
}

static struct val text_or_null(struct str s)
{
	return s.n ? v_s(s) : v_null();
}

/* The order's, else the code's, else the default, but never more than the project may have. */
static int64_t timeout_of(const struct task_order *order, const struct code_target *target)
{
	int64_t s = order->timeout_s > 0 ? order->timeout_s : target->timeout_s;

	if (s <= 0)
		s = TASK_TIMEOUT_DEFAULT_S;
	return target->timeout_most_s > 0 && s > target->timeout_most_s ? target->timeout_most_s : s;
}

void task_insert_row(struct val *out, const struct id *project, const struct task_order *order,
                     const struct code_target *target, const struct task_chain *chain, int64_t not_after)
{
	static const struct id NONE;
	bool own_priority = order->priority >= 0 && order->priority <= 2;
	int64_t priority = own_priority ? order->priority : target->default_priority;
	int64_t delay_s = order->delay_s > 0 ? order->delay_s : 0;
	struct str callback = order->callback.n ? order->callback : target->callback;
	const struct val v[TASK_INSERT_COLUMNS] = {
		v_id(&order->id), v_id(project), v_id(&target->code_id), v_i(target->revision),
		v_i(target->lane_id), v_i(target->cluster_id), v_i(priority), v_i(target->head_start_s),
		v_i(timeout_of(order, target)), text_or_null(order->label),
		text_or_null(callback), v_i(notify_of(order, callback)), text_or_null(order->payload),
		v_t(not_after), v_id_or_null(chain ? &chain->original : &NONE), v_i(chain ? chain->retry : 0),
		text_or_null(order->traceparent), v_id_or_null(&order->schedule_id),
		order->has_retries ? v_i(order->retries) : v_null(),
		order->has_retries_delay ? v_i(order->retries_delay_s) : v_null(),
		v_i(target->hooks), v_i(delay_s), v_i(delay_s - priority * target->head_start_s),
	};

	memcpy(out, v, sizeof v);
}
