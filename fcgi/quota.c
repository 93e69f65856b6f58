#include "fcgi/quota.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "store/task_store.h"

enum { PROJECTS_MOST = 64, FRESH_US = 1000000 };

struct waiting {
	struct id project;
	int64_t count, counted_us; /* CLOCK_BOOTTIME; 0 = not yet: anything goes */
	bool is_asked;
};

struct quota {
	struct waiting projects[PROJECTS_MOST];
	size_t next; /* to be overwritten, in turn */
};

struct quota *quota_new(void)
{
	struct quota *q = calloc(1, sizeof *q);

	if (!q)
		abort();
	return q;
}

void quota_free(struct quota *q)
{
	free(q);
}

static struct waiting *find(struct quota *q, const struct id *project)
{
	for (size_t i = 0; i < PROJECTS_MOST; i++)
		if (id_equal(&q->projects[i].project, project))
			return &q->projects[i];
	q->projects[q->next % PROJECTS_MOST] = (struct waiting){ .project = *project };
	return &q->projects[q->next++ % PROJECTS_MOST];
}

static struct waiting *find_limited(struct request *rq)
{
	struct quota *q = rq->process->quota;

	return q && rq->set->limits.waiting ? find(q, &rq->project_id) : NULL;
}

void quota_say(struct request *rq, struct reply *rp, const char *name, int64_t most, int64_t left)
{
	struct arena *a = &rq->cx.arena;

	reply_lasting_header(rp, "RateLimit-Policy", str_of(arena_printf(a, "\"%s\";q=%" PRId64, name, most)));
	reply_lasting_header(rp, "RateLimit", str_of(arena_printf(a, "\"%s\";r=%" PRId64, name, left > 0 ? left : 0)));
}

enum err quota_check(struct request *rq, struct reply *rp, size_t n)
{
	struct waiting *w = find_limited(rq);
	const int64_t most = rq->set->limits.waiting;
	int64_t left;

	if (!w)
		return OK;
	w->is_asked = true;
	left = most - w->count - (int64_t)n;
	quota_say(rq, rp, "waiting", most, w->counted_us && left < 0 ? most - w->count : left);
	if (w->counted_us && left < 0)
		return err_set(&rq->cx, ERR_LIMIT, "the project has %" PRId64 " waiting tasks; it may have %" PRId64, w->count,
		               most);
	return OK;
}

void quota_add(struct request *rq, size_t n)
{
	struct waiting *w = find_limited(rq);

	if (w)
		w->count += (int64_t)n;
}

void quota_refresh(struct process *process, struct ctx *cx)
{
	struct quota *q = process->quota;
	int64_t now = clock_boot_us();

	for (size_t i = 0; q && i < PROJECTS_MOST; i++) {
		struct waiting *w = &q->projects[i];

		if (!w->is_asked || (w->counted_us && now - w->counted_us < FRESH_US))
			continue;
		if (task_store_waiting(process->db, cx, &w->project, process->set->limits.waiting + 1, &w->count))
			return; /* costs nothing when it fails: the next answer tries again */
		w->counted_us = clock_boot_us();
		w->is_asked = false;
	}
}
