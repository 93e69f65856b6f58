#include "worker/scheduler/scheduler.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/log.h"
#include "base/loop.h"
#include "store/delivery_store.h"
#include "store/event_store.h"
#include "store/expiry_store.h"
#include "store/log_cursor_store.h"
#include "store/node_store.h"
#include "store/package_store.h"
#include "store/ready_store.h"
#include "store/schema_store.h"
#include "worker/scheduler/firing.h"

#include <errno.h>
#include <signal.h>

/* Places for events: fast while somebody reads; else for a tenth of the time, so that a burst of tasks has
 * the database. */
static const int64_t PLACE_SOON_US = 200000, PLACE_REST_US = 2000000;
enum { PLACE_SHARE = 9 };
enum { LEASE_OVER_US = 2000 }; /* so long after its end nobody disputes it */

enum { PROMOTE_MOST = 1000, EXPIRE_MOST = 200, EXPIRE_S = 2, PARTITIONS_S = 3600, PARTITIONS_AGAIN_S = 60, PACKAGES_S = 600, CLOSE_S = 60, FORGET_S = 3600 };

struct scheduler {
	const struct settings *set;
	struct loop *loop;
	struct db *tasks, *logs;
	bool knows_schema; /* it was asked once */
	struct loop_timer round, placing;
	int64_t lease_us; /* until the next lease is over: its tasks wait for the round after */
	int64_t expire_at_us, partitions_at_us, packages_at_us, close_at_us, forget_at_us;
	int64_t forgotten; /* number of the last delivery that was looked at */
	enum err last, last_logs, last_packages, last_places, last_close, last_forget; /* what the round before gave: a fault is told once */
};

static enum err take_back(struct scheduler *s, struct ctx *cx)
{
	int64_t taken, all = 0;

	do {
		TRY(node_store_take_back(s->tasks, cx, &taken, &s->lease_us));
		all += taken;
	} while (taken);
	if (all)
		log_warn("taken_back", "tasks=%lld why=\"the lease of their node was over\"", (long long)all);
	return OK;
}

static enum err promote(struct scheduler *s, struct ctx *cx)
{
	size_t moved;

	do
		TRY(ready_store_promote(s->tasks, cx, PROMOTE_MOST, &moved));
	while (moved == PROMOTE_MOST);
	return OK;
}

/* Some at a time, so that a flood of them holds nobody up; each other round, for it is one question more. */
static enum err expire(struct scheduler *s, struct ctx *cx)
{
	size_t looked;

	if (clock_boot_us() < s->expire_at_us)
		return OK;
	TRY(expiry_store_end(s->tasks, cx, EXPIRE_MOST, &looked));
	if (looked < EXPIRE_MOST)
		s->expire_at_us = clock_boot_us() + EXPIRE_S * 1000000LL;
	return OK;
}

static enum err round_of(struct scheduler *s, struct ctx *cx)
{
	bool grace = false;

	s->lease_us = LEASE_AHEAD_US;
	if (!s->knows_schema)
		TRY(schema_store_check(s->tasks, cx));
	s->knows_schema = true;
	TRY(node_store_beat(s->tasks, cx, s->set->runner.lease_s, &grace));
	if (!grace)
		TRY(take_back(s, cx));
	TRY(promote(s, cx));
	return expire(s, cx);
}

/* A fault is told when it begins and when it is over. */
static void tell(enum err now, enum err *last, const char *what, const struct ctx *cx)
{
	if (now != OK && *last == OK)
		log_warn(what, "why=\"%s\"", cx->message);
	else if (now == OK && *last != OK)
		log_info(what, "over=yes");
	*last = now;
}

/* What was not sent to its destinations before its days were over is lost to them: it is counted and told. */
static enum err drop_old_logs(struct scheduler *s, struct ctx *cx)
{
	int64_t lost;

	TRY(log_cursor_store_forget(s->logs, cx, s->set->scheduler.log_days, &lost));
	if (lost)
		log_warn("logs_not_sent", "logs=%lld why=\"they were older than scheduler.log_days before a destination took them\"",
		         (long long)lost);
	return log_store_partitions(s->logs, cx, s->set->scheduler.log_days);
}

static void partitions(struct scheduler *s)
{
	auto_ctx cx = { 0 };
	enum err e;

	if (clock_boot_us() < s->partitions_at_us)
		return;
	e = drop_old_logs(s, &cx);
	s->partitions_at_us = clock_boot_us() + (e == OK ? PARTITIONS_S : PARTITIONS_AGAIN_S) * 1000000LL;
	tell(e, &s->last_logs, "partitions_failed", &cx);
}

/* One page of logs of a destination that stand still: whose attempt is over without its runner having closed the
 * log (its node was lost) is closed, so that its last line is sent and its cursor goes. */
static enum err close_page(struct scheduler *s, struct ctx *cx, const struct id *destination, struct id *after, bool *more)
{
	enum { AT_ONCE = 500 };
	struct log_cursor *all;
	struct log_task *tasks;
	struct id *ids;
	size_t n;

	TRY(log_cursor_store_still(s->logs, cx, destination, after, AT_ONCE, &all, &n));
	*more = n == AT_ONCE;
	ids = arena_array(&cx->arena, n, sizeof *ids);
	tasks = arena_array(&cx->arena, n, sizeof *tasks);
	for (size_t i = 0; i < n; i++)
		*after = ids[i] = all[i].task;
	TRY(log_cursor_store_tasks(s->tasks, cx, ids, n, tasks));
	for (size_t i = 0; i < n; i++)
		if (task_state_is_settled(tasks[i].state) || tasks[i].attempt > all[i].attempt)
			TRY(log_store_close(s->logs, cx, &all[i].task, all[i].attempt));
	return OK;
}

static enum err close_logs(struct scheduler *s, struct ctx *cx)
{
	struct id destination = { { 0 } };
	bool found, more = false;
	struct id after;

	for (;;) {
		TRY(log_cursor_store_next(s->logs, cx, &destination, &found));
		if (!found)
			return OK;
		after = (struct id){ { 0 } };
		do
			TRY(close_page(s, cx, &destination, &after, &more));
		while (more);
	}
}

static void abandoned_logs(struct scheduler *s)
{
	auto_ctx cx = { 0 };

	if (clock_boot_us() < s->close_at_us)
		return;
	s->close_at_us = clock_boot_us() + CLOSE_S * 1000000LL;
	tell(close_logs(s, &cx), &s->last_close, "logs_not_closed", &cx);
}

/* A few MiB a round, so that a large package that goes holds nobody up. */
static void packages(struct scheduler *s)
{
	auto_ctx cx = { 0 };
	bool more = false;
	enum err e;

	if (clock_boot_us() < s->packages_at_us)
		return;
	e = package_store_sweep(s->tasks, &cx, &more);
	s->packages_at_us = e == OK && more ? 0 : clock_boot_us() + PACKAGES_S * 1000000LL;
	tell(e, &s->last_packages, "packages_failed", &cx);
}

/* A page a round; those that stay are looked at again an hour later. */
static void deliveries(struct scheduler *s)
{
	auto_ctx cx = { 0 };
	bool more = false;
	enum err e;

	if (!s->knows_schema || clock_boot_us() < s->forget_at_us)
		return;
	e = delivery_store_forget(s->tasks, &cx, s->set->scheduler.delivery_days, &s->forgotten, &more);
	if (!more) {
		s->forgotten = 0;
		s->forget_at_us = clock_boot_us() + FORGET_S * 1000000LL;
	}
	tell(e, &s->last_forget, "deliveries_not_forgotten", &cx);
}

static enum err place_events(struct scheduler *s, struct ctx *cx, int64_t *pause)
{
	int64_t begun = clock_boot_us(), gently;
	bool any, asked;
	size_t n = 0;

	TRY(event_store_waiting(s->tasks, cx, &any, &asked));
	if (any)
		TRY(event_store_place(s->tasks, cx, &n));
	gently = (clock_boot_us() - begun) * PLACE_SHARE;
	if (asked)
		*pause = n == EVENT_BATCH ? 0 : PLACE_SOON_US;
	else if (n)
		*pause = gently > PLACE_SOON_US ? gently : PLACE_SOON_US;
	return OK;
}

static void on_place(void *arg)
{
	struct scheduler *s = arg;
	int64_t pause = PLACE_REST_US;
	auto_ctx cx = { 0 };

	tell(s->knows_schema ? place_events(s, &cx, &pause) : OK, &s->last_places, "placing_events_failed", &cx);
	loop_start(s->loop, &s->placing, pause, on_place, s);
}

static void on_round(void *arg)
{
	struct scheduler *s = arg;
	auto_ctx cx = { 0 };
	int64_t pause = s->set->scheduler.poll_ms * 1000;
	uint16_t random;

	tell(round_of(s, &cx), &s->last, "round_failed", &cx);
	partitions(s);
	abandoned_logs(s);
	packages(s);
	deliveries(s);
	crypt_random(&random, sizeof random); /* several schedulers must not fall into step */
	pause -= pause * (random % 100) / 1000;
	if (s->lease_us < LEASE_AHEAD_US && s->lease_us + LEASE_OVER_US < pause)
		pause = s->lease_us + LEASE_OVER_US;
	loop_start(s->loop, &s->round, pause, on_round, s);
}

static void on_signal(void *arg, const struct signalfd_siginfo *info)
{
	struct scheduler *s = arg;

	(void)info;
	loop_end(s->loop);
}

enum err scheduler_play(struct ctx *cx, const struct settings *set, int launcher)
{
	static const int SIGNALS[] = { SIGTERM, SIGINT, SIGUSR1, 0 };
	struct scheduler s = { .set = set, .loop = loop_new() };
	struct firing *firing = NULL;
	enum err e = OK;

	(void)launcher;
	if (!s.loop || !loop_signals(s.loop, SIGNALS, on_signal, &s)) {
		e = err_errno(cx, "make the scheduler's loop");
		loop_free(s.loop);
		return e;
	}
	s.tasks = db_new(set, DB_TASKS, DB_WAIT_WORKER_S);
	s.logs = db_new(set, DB_LOGS, DB_WAIT_WORKER_S);
	loop_start(s.loop, &s.round, 0, on_round, &s);
	loop_start(s.loop, &s.placing, PLACE_SOON_US, on_place, &s);
	e = firing_start(cx, set, &firing); /* after the signals: its thread has them blocked too */
	if (e == OK)
		log_info("ready", "poll_ms=%lld", (long long)set->scheduler.poll_ms);
	if (e == OK && !loop_run(s.loop))
		e = err_errno(cx, "run the scheduler's loop");
	firing_stop(firing);
	db_free(s.tasks);
	db_free(s.logs);
	loop_free(s.loop);
	log_info("ended", "as=asked");
	return e;
}
