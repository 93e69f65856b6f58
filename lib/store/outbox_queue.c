#include "base/clock.h"
#include "store/outbox_store.h"
#include "store/task_insert.h"
#include "store/txn.h"

/* code:NAME: a workflow without a middleman. */

static const struct sql HOPS_OF = { "SELECT hops FROM task WHERE id = ?", "s" };
static const struct sql HOPS = { "UPDATE task SET hops = ? WHERE id = ?", "is" };
static const struct sql OVER = {
	"UPDATE outbox SET state = 'delivered', next_at = NULL, tries = tries + 1, last_error = NULL, delivered_at = NOW(6),"
	" queued_task_id = ? WHERE id = ? AND state = 'waiting'", "si" };
static const struct sql IS_OVER = { "SELECT queued_task_id FROM outbox WHERE id = ?", "i" };

struct queuing {
	const struct outbox_row *row;
	struct task_order order;
	struct code_target target;
	int64_t hops;
};

static enum err queue_work(struct db *db, struct ctx *cx, void *arg)
{
	struct queuing *q = arg;
	struct val v[TASK_INSERT_COLUMNS];

	TRY(db_exec(db, cx, &OVER, VALS(v_id(&q->order.id), v_i(q->row->id))));
	if (db_changed(db) != 1)
		return err_set(cx, ERR_CONFLICT, "the callback was delivered meanwhile");
	task_insert_row(v, &q->row->project_id, &q->order, &q->target, NULL, TIME_NONE);
	TRY(db_exec(db, cx, &TASK_INSERT, v, TASK_INSERT_COLUMNS));
	return db_exec(db, cx, &HOPS, VALS(v_i(q->hops), v_id(&q->order.id)));
}

static enum err queue_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	const struct queuing *q = arg;
	struct rows r;

	TRY(db_query(db, cx, &IS_OVER, VALS(v_i(q->row->id)), &r));
	*yes = r.n && str_equal(val_str(&row(&r, 0)[0]), id_view(&q->order.id));
	return OK;
}

enum err outbox_store_queue(struct db *db, struct ctx *cx, const struct outbox_row *row_, struct str code,
                            struct str payload, struct str traceparent)
{
	static const struct txn QUEUING = { "queue_callback", queue_work, queue_done };
	struct queuing q = { .row = row_ };
	struct rows r;
	int64_t now;

	TRY(code_store_target(db, cx, &row_->project_id, code, STR_LIT(""), &q.target));
	TRY(db_query(db, cx, &HOPS_OF, VALS(v_id(&row_->task_id)), &r));
	q.hops = r.n ? val_int(&row(&r, 0)[0]) + 1 : 1;
	if (q.hops > OUTBOX_HOPS_MOST)
		return err_set(cx, ERR_LIMIT, "a chain of %d tasks was queued by callbacks: it ends here", OUTBOX_HOPS_MOST);
	TRY(db_now(db, cx, &now));
	q.order = (struct task_order){ .id = id_make(now), .payload = payload, .priority = TASK_PRIORITY_UNSET,
		                       .traceparent = traceparent };
	return txn_run(db, cx, &QUEUING, &q);
}
