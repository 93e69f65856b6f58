/* A node with a full disk, or without memory or descriptors, must not turn the queue into errors: what
 * it cannot start is given back, and it claims nothing for a while that grows from 1 s to 30 s, nor
 * before there is room again. Then it tries a few, and is whole once one of them starts. */
#include "worker/runner/inside.h"

#include "base/log.h"

#include <sys/statvfs.h>

enum { PAUSE_LEAST_US = SECOND_US, PAUSE_MOST_US = 30 * SECOND_US, TIMES_MOST = 5, ROOM_FILES = 64 };
enum { ROOM_BYTES = 16 << 20 };

/* How often this task could not be started here; `others`: has another been, since the first time? */
static unsigned count(struct fault *f, const struct id *task, bool *others)
{
	size_t at = 0;

	while (at < FAULTS_KNOWN && !(f->known[at].times && id_equal(&f->known[at].task, task)))
		at++;
	if (at == FAULTS_KNOWN) {
		at = f->next++ % FAULTS_KNOWN;
		f->known[at].task = *task;
		f->known[at].times = 0;
		f->known[at].worked = f->worked;
	}
	*others = f->worked > f->known[at].worked;
	return ++f->known[at].times;
}

/* In the current folder, the node's. */
static bool has_room(void)
{
	struct statvfs v;

	if (statvfs(".", &v))
		return false;
	return v.f_bavail * v.f_frsize >= ROOM_BYTES && (!v.f_files || v.f_favail >= ROOM_FILES);
}

static void rest(struct runner *r);

static void on_rested(void *arg)
{
	struct runner *r = arg;

	if (!has_room()) {
		rest(r);
		return;
	}
	r->fault.rests = false;
	claim_ring(r);
}

static void rest(struct runner *r)
{
	struct fault *f = &r->fault;

	f->pause_us = f->pause_us ? f->pause_us * 2 : PAUSE_LEAST_US;
	if (f->pause_us > PAUSE_MOST_US)
		f->pause_us = PAUSE_MOST_US;
	f->rests = true;
	loop_start(r->loop, &f->timer, f->pause_us, on_rested, r);
}

bool fault_note(struct job *j, const char *why)
{
	struct runner *r = j->runner;
	bool others;

	if (count(&r->fault, &j->key.task, &others) > TIMES_MOST && others)
		return false;
	if (!r->fault.is)
		log_error("node_fault", "attempt=%s why=\"%s\" then=\"it is given back; no claims until a launch can work\"",
		          j->name, why);
	r->fault.is = true;
	if (!r->fault.rests)
		rest(r);
	launch_give_back(r, why);
	return true;
}

void fault_over(struct runner *r)
{
	r->fault.worked++;
	if (!r->fault.is)
		return;
	log_info("node_fault_over", "jobs=%zu", r->slots_used);
	r->fault.is = r->fault.rests = false;
	r->fault.pause_us = 0;
	loop_stop(r->loop, &r->fault.timer);
	claim_ring(r);
}
