#include "worker/courier/courier.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/http_pool.h"
#include "base/json.h"
#include "base/log.h"
#include "base/version.h"
#include "model/task_json.h"
#include "store/outbox_store.h"
#include "store/task_store.h"
#include "worker/courier/retry.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

enum { ANSWER_BYTES = 65536, PAUSE_LEAST_US = 50000, PAUSE_MOST_US = 1000000, HOLD_EXTRA_S = 30, END_MOST_US = 5000000 };

struct courier {
	const struct settings *set;
	struct loop *loop;
	struct db *db;
	struct http_pool *http;
	struct retry_plan plan;
	struct loop_timer poll, guard;
	int64_t pause_us;
	struct delivery *told; /* outcomes that are not stored yet */
	size_t told_n;
	bool ending;
	enum err last;
};

/* One try of one callback. */
struct delivery {
	struct courier *courier;
	struct delivery *next;
	int64_t id, tries;
	long status;
	int64_t took_ms, retry_after_s;
	char error[300];
};

/* --- outcomes ---------------------------------------------------------------------------------------- */

static enum err store(struct courier *c, struct ctx *cx, const struct delivery *d)
{
	char text[64];
	uint32_t random;
	int64_t next;

	if (retry_is_success(d->status))
		return outbox_store_delivered(c->db, cx, d->id, d->status, d->took_ms);
	crypt_random(&random, sizeof random);
	next = retry_next(&c->plan, d->tries, d->status, d->retry_after_s, random);
	if (d->status)
		snprintf(text, sizeof text, "answered with status %ld", d->status);
	log_info("callback_failed", "id=%lld tries=%lld next_s=%lld why=\"%s\"", (long long)d->id,
	         (long long)d->tries + 1, (long long)next, d->status ? text : d->error);
	return outbox_store_failed(c->db, cx, d->id, d->status, str_of(d->status ? text : d->error), next);
}

/* Stores what was told; what the database does not take now waits for the next round. */
static void store_told(struct courier *c)
{
	while (c->told) {
		struct delivery *d = c->told;
		auto_ctx cx = { 0 };

		if (store(c, &cx, d) != OK) {
			log_warn("outcome_not_stored", "id=%lld why=\"%s\"", (long long)d->id, cx.message);
			return;
		}
		c->told = d->next;
		c->told_n--;
		free(d);
	}
}

static void on_poll(void *arg);

static void look_at_end(struct courier *c)
{
	if (c->ending && !http_pool_open(c->http))
		loop_end(c->loop);
}

static void on_done(void *arg, const struct http_outcome *how)
{
	struct delivery *d = arg;
	struct courier *c = d->courier;

	d->status = how->status;
	d->took_ms = how->took_ms;
	d->retry_after_s = how->retry_after_s;
	snprintf(d->error, sizeof d->error, STR_FMT, STR_ARG(how->error));
	d->next = c->told;
	c->told = d;
	c->told_n++;
	loop_start(c->loop, &c->poll, 0, on_poll, c); /* store it, take the next */
}

/* --- deliveries --------------------------------------------------------------------------------------- */

static struct str body_of(struct arena *a, const struct outbox_row *row, const struct task *task)
{
	auto_json *j = json_object();
	char *type = arena_printf(a, "task." STR_FMT, STR_ARG(row->state));

	json_object_set_new(j, "type", json_text(str_of(type)));
	json_object_set_new(j, "time", json_time(row->at));
	json_object_set_new(j, "task", task_to_json(task));
	return json_write(a, j);
}

static enum err deliver(struct courier *c, struct ctx *cx, const struct outbox_row *row)
{
	struct arena *a = &cx->arena;
	struct delivery *d;
	struct task task;
	enum err e = task_store_get(c->db, cx, &row->project_id, &row->task_id, &task);

	if (e == ERR_NOT_FOUND)
		return outbox_store_failed(c->db, cx, row->id, 0, STR_LIT("the task is not there any more"), -1);
	TRY(e);
	d = calloc(1, sizeof *d);
	if (!d)
		abort();
	*d = (struct delivery){ .courier = c, .id = row->id, .tries = row->tries };
	const char *headers[] = {
		"Content-Type: application/json",
		arena_printf(a, "webhook-id: %lld", (long long)row->id),
		arena_printf(a, "webhook-timestamp: %lld", (long long)(clock_wall_us() / 1000000)),
		NULL,
	};
	http_pool_post(c->http, str_c(a, row->url), headers, body_of(a, row, &task), on_done, d);
	return OK;
}

static enum err take(struct courier *c, struct ctx *cx, size_t *n)
{
	size_t busy = http_pool_open(c->http) + c->told_n, most = (size_t)c->set->courier.parallel;
	struct outbox_row *rows;

	*n = 0;
	if (busy >= most)
		return OK;
	TRY(outbox_store_take(c->db, cx, most - busy, c->set->courier.timeout_s + HOLD_EXTRA_S, &rows, n));
	for (size_t i = 0; i < *n; i++)
		TRY(deliver(c, cx, &rows[i]));
	return OK;
}

/* Quick while there is work, a second at rest. */
static void on_poll(void *arg)
{
	struct courier *c = arg;
	auto_ctx cx = { 0 };
	size_t n = 0;
	enum err e = OK;

	store_told(c);
	if (!c->ending)
		e = take(c, &cx, &n);
	if (e != OK && c->last == OK)
		log_warn("poll_failed", "why=\"%s\"", cx.message);
	c->last = e;
	c->pause_us = n ? PAUSE_LEAST_US : c->pause_us * 2 < PAUSE_MOST_US ? c->pause_us * 2 : PAUSE_MOST_US;
	loop_start(c->loop, &c->poll, c->pause_us, on_poll, c);
	look_at_end(c);
}

/* --- life ------------------------------------------------------------------------------------------------ */

static void on_guard(void *arg)
{
	struct courier *c = arg;

	loop_end(c->loop);
}

static void on_signal(void *arg, const struct signalfd_siginfo *info)
{
	struct courier *c = arg;

	(void)info;
	c->ending = true;
	loop_start(c->loop, &c->guard, END_MOST_US, on_guard, c);
	look_at_end(c);
}

static enum err open_all(struct courier *c, struct ctx *cx)
{
	static const int SIGNALS[] = { SIGTERM, SIGINT, SIGUSR1, 0 };
	struct http_pool_options options = {
		.allow_private = c->set->courier.allow_private,
		.connect_ms = (int)c->set->courier.connect_timeout_s * 1000,
		.total_ms = (int)c->set->courier.timeout_s * 1000,
		.answer_max = ANSWER_BYTES,
		.user_agent = "Stoker/" STOKER_VERSION,
	};

	TRY(retry_plan_parse(cx, c->set->courier.retry_s, &c->plan));
	c->loop = loop_new();
	if (!c->loop || !loop_signals(c->loop, SIGNALS, on_signal, c))
		return err_errno(cx, "make the courier's loop");
	c->http = http_pool_new(c->loop, &options);
	if (!c->http)
		return err_set(cx, ERR_INTERNAL, "start libcurl");
	c->db = db_new(c->set, DB_TASKS, DB_WAIT_WORKER_S);
	return OK;
}

enum err courier_play(struct ctx *cx, const struct settings *set, int launcher)
{
	struct courier c = { .set = set, .pause_us = PAUSE_LEAST_US };
	enum err e = open_all(&c, cx);

	(void)launcher;
	if (e == OK) {
		loop_start(c.loop, &c.poll, 0, on_poll, &c);
		log_info("ready", "parallel=%lld", (long long)set->courier.parallel);
		if (!loop_run(c.loop))
			e = err_errno(cx, "run the courier's loop");
		store_told(&c);
	}
	http_pool_free(c.http);
	if (c.db)
		db_free(c.db);
	loop_free(c.loop);
	if (e == OK)
		log_info("ended", "as=asked");
	return e;
}
