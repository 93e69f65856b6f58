#include "worker/scheduler/firing.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "store/fire_store.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SOON_US = 20000, ZONES_S = 30, FORGET_S = 3600 };

struct firing {
	const struct settings *set;
	struct loop *loop;
	struct loop_timer timer, keeping;
	struct db *db;
	int64_t zones_at_us, forget_at_us; /* CLOCK_BOOTTIME */
	int stop; /* eventfd */
	pthread_t thread;
	enum err last, last_keeping; /* a fault is told once */
	struct loop_watch *on_stop_told; /* of `stop`; NULL before it is watched */
};

/* Those that are due in time come first, always: one page of those behind, then they are asked for again.
 * At rest the first question is the only one; *wait_us is its answer. */
static enum err fire(struct firing *f, struct ctx *cx, int64_t *wait_us, bool *more)
{
	struct fired on_time, late;

	*more = false;
	TRY(fire_store_wait(f->db, cx, wait_us));
	if (*wait_us > 0)
		return OK;
	TRY(fire_store_due(f->db, cx, f->set->zones.folder, FIRE_ON_TIME, &on_time));
	*more = on_time.schedules > 0;
	if (on_time.more)
		return OK;
	TRY(fire_store_due(f->db, cx, f->set->zones.folder, FIRE_LATE, &late));
	*more = *more || late.schedules > 0;
	return OK;
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

static void on_time(void *arg)
{
	struct firing *f = arg;
	int64_t pause = f->set->scheduler.poll_ms * 1000, wait = INT64_MAX;
	auto_ctx cx = { 0 };
	bool more;
	enum err e = fire(f, &cx, &wait, &more);

	tell(e, &f->last, "firing_failed", &cx);
	if (wait < SOON_US)
		wait = SOON_US; /* another scheduler has it */
	loop_start(f->loop, &f->timer, e == OK && more ? 0 : wait < pause ? wait : pause, on_time, f);
}

static enum err keep(struct firing *f, struct ctx *cx)
{
	bool more = false;
	size_t n;

	TRY(fire_store_release(f->db, cx, f->set->zones.folder, &n));
	if (clock_boot_us() >= f->zones_at_us) {
		TRY(fire_store_rezone(f->db, cx, f->set->zones.folder, &n));
		if (n)
			log_info("rezoned", "schedules=%zu why=\"files of time zones were exchanged\"", n);
		f->zones_at_us = n ? 0 : clock_boot_us() + ZONES_S * 1000000LL;
	}
	if (clock_boot_us() >= f->forget_at_us) {
		TRY(fire_store_forget(f->db, cx, f->set->scheduler.fire_days, &more));
		f->forget_at_us = more ? 0 : clock_boot_us() + FORGET_S * 1000000LL;
	}
	return OK;
}

/* Each poll: fires that wait, and now and then zones and old rows. */
static void on_keep(void *arg)
{
	struct firing *f = arg;
	auto_ctx cx = { 0 };

	tell(keep(f, &cx), &f->last_keeping, "keeping_schedules_failed", &cx);
	loop_start(f->loop, &f->keeping, f->set->scheduler.poll_ms * 1000, on_keep, f);
}

static void on_stop(void *arg, uint32_t events)
{
	struct firing *f = arg;

	(void)events;
	loop_end(f->loop);
}

static void *run(void *arg)
{
	struct firing *f = arg;

	if (!loop_run(f->loop))
		log_warn("firing_failed", "why=\"its loop ended: %d\"", errno);
	return NULL;
}

static void release(struct firing *f)
{
	if (f->loop) {
		loop_remove(f->loop, f->on_stop_told);
		loop_free(f->loop);
	}
	if (f->stop >= 0)
		close(f->stop);
	db_free(f->db);
	free(f);
}

enum err firing_start(struct ctx *cx, const struct settings *set, struct firing **out)
{
	struct firing *f = calloc(1, sizeof *f);
	enum err e;

	if (!f)
		return err_errno(cx, "start firing schedules");
	f->set = set;
	f->loop = loop_new();
	f->stop = eventfd(0, EFD_CLOEXEC);
	if (!f->loop || f->stop < 0 || !(f->on_stop_told = loop_add(f->loop, f->stop, EPOLLIN, on_stop, f))) {
		e = err_errno(cx, "start firing schedules");
		release(f);
		return e;
	}
	f->db = db_new(set, DB_TASKS, DB_WAIT_WORKER_S);
	loop_start(f->loop, &f->timer, 0, on_time, f);
	loop_start(f->loop, &f->keeping, 0, on_keep, f);
	if ((errno = pthread_create(&f->thread, NULL, run, f)) != 0) {
		e = err_errno(cx, "start firing schedules");
		release(f);
		return e;
	}
	*out = f;
	return OK;
}

void firing_stop(struct firing *f)
{
	if (!f)
		return;
	while (eventfd_write(f->stop, 1) != 0 && errno == EINTR)
		continue;
	pthread_join(f->thread, NULL);
	release(f);
}
