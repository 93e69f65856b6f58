#include "store/task_store.h"

#include "base/clock.h"
#include "base/text.h"
#include "store/txn.h"

/* All tasks of a code at once. What waits is cancelled in batches of one transaction each; a batch of
 * which a claim has taken something meanwhile is done one by one. */

enum { BATCH = 500, RUNNING_MOST = 10000, WHO_BYTES = 200 };

static const struct sql WAITING = {
	"SELECT id, lane_id, rank_at, due_at, attempt FROM task FORCE INDEX (code_state)"
	" WHERE code_id = ? AND state = 'queued' AND created_at <= ? ORDER BY id LIMIT ?", "sti" };
static const struct sql GOING = {
	"SELECT id FROM task FORCE INDEX (code_state) WHERE code_id = ? AND state IN ('preparing', 'running')"
	" AND created_at <= ? LIMIT ?", "sti" };
static const struct sql READY_DELETE = { "DELETE FROM ready WHERE lane_id = ? AND rank_at = ? AND task_id = ?", "its" };
static const struct sql DELAYED_DELETE = { "DELETE FROM `delayed` WHERE due_at = ? AND task_id = ?", "ts" };
static const struct sql CANCEL = {
	"UPDATE task SET state = 'cancelled', ended_at = NOW(6), cause = 'cancelled', note = ?"
	" WHERE id = ? AND state = 'queued' AND attempt = ?", "ssi" };

static const struct sql NOW = { "SELECT NOW(6)", "" };

struct cancel_all {
	const struct id *project, *code;
	struct str who;
	const char *note;
	int64_t until_us; /* CLOCK_BOOTTIME */
	int64_t queued_to; /* the database's clock: what comes later is not meant */
	struct rows batch;
	bool mixed;
	struct str *bells;
	size_t bell_count;
};

static enum err moved(struct ctx *cx, struct cancel_all *c)
{
	c->mixed = true;
	return err_set(cx, ERR_CONFLICT, "cancel: some of the tasks moved meanwhile");
}

static enum err batch_work(struct db *db, struct ctx *cx, void *arg)
{
	struct cancel_all *c = arg;
	size_t n = c->batch.n;
	struct val *ready = arena_array(&cx->arena, 3 * n, sizeof *ready);
	struct val *delayed = arena_array(&cx->arena, 2 * n, sizeof *delayed);
	struct val *tasks = arena_array(&cx->arena, 3 * n, sizeof *tasks);
	int64_t out;

	for (size_t i = 0; i < n; i++) {
		const struct val *v = row(&c->batch, i);
		const struct val r[3] = { v[1], v[2], v[0] }, d[2] = { v[3], v[0] }, t[3] = { v_z(c->note), v[0], v[4] };

		memcpy(ready + 3 * i, r, sizeof r);
		memcpy(delayed + 2 * i, d, sizeof d);
		memcpy(tasks + 3 * i, t, sizeof t);
	}
	/* out of `ready` or `delayed` first, as a claim does: the same order of locks */
	TRY(db_exec_array(db, cx, &READY_DELETE, ready, n));
	out = db_changed(db);
	if (out < (int64_t)n) {
		TRY(db_exec_array(db, cx, &DELAYED_DELETE, delayed, n));
		out += db_changed(db);
	}
	if (out != (int64_t)n)
		return moved(cx, c);
	TRY(db_exec_array(db, cx, &CANCEL, tasks, n));
	return db_changed(db) == (int64_t)n ? OK : moved(cx, c);
}

static enum err cancel_one(struct db *db, struct ctx *cx, struct cancel_all *c, const struct id *task)
{
	enum task_state state;
	struct str bell;

	TRY(task_store_cancel(db, cx, c->project, task, c->who, &state, &bell));
	for (size_t i = 0; i < c->bell_count; i++)
		if (str_equal(c->bells[i], bell))
			return OK;
	if (bell.n && c->bell_count < CANCEL_BELLS_MOST)
		c->bells[c->bell_count++] = bell;
	return OK;
}

static enum err each(struct db *db, struct ctx *cx, struct cancel_all *c, const struct rows *r)
{
	for (size_t i = 0; i < r->n && clock_boot_us() < c->until_us; i++) {
		struct id id = val_id(&row(r, i)[0]);

		TRY(cancel_one(db, cx, c, &id));
	}
	return OK;
}

static enum err cancel_batch(struct db *db, struct ctx *cx, struct cancel_all *c)
{
	static const struct txn TXN = { "cancel_all", batch_work, NULL }; /* harmless to repeat */
	enum err e;

	c->mixed = false;
	e = txn_run(db, cx, &TXN, c);
	return e != OK && c->mixed ? each(db, cx, c, &c->batch) : e;
}

enum err task_store_cancel_code(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                                struct str who, int64_t budget_us, struct str bells[CANCEL_BELLS_MOST], size_t *n)
{
	struct cancel_all c = { .project = project, .code = code, .who = text_cut(who, WHO_BYTES),
		                .until_us = clock_boot_us() + budget_us, .bells = bells };
	struct rows going, now;

	c.note = arena_printf(&cx->arena, "cancelled by " STR_FMT, STR_ARG(c.who));
	/* asked, not reckoned by db_now: a millisecond off would spare what was queued just before */
	TRY(db_query(db, cx, &NOW, NULL, 0, &now));
	c.queued_to = val_time(&row(&now, 0)[0]);
	do {
		if (clock_boot_us() >= c.until_us)
			return err_set(cx, ERR_LIMIT, "there was no time for all of them: ask again, and it goes on");
		TRY(db_query(db, cx, &WAITING, VALS(v_id(code), v_t(c.queued_to), v_i(BATCH)), &c.batch));
		if (c.batch.n)
			TRY(cancel_batch(db, cx, &c));
	} while (c.batch.n);
	TRY(db_query(db, cx, &GOING, VALS(v_id(code), v_t(c.queued_to), v_i(RUNNING_MOST)), &going));
	TRY(each(db, cx, &c, &going));
	*n = c.bell_count;
	return OK;
}
