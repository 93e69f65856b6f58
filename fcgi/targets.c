#include "fcgi/targets.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { TARGETS_MOST = 64, FRESH_US = TARGETS_FRESH_MS * 1000, HEARD_US = 100000, MARGIN_MS = 10 };

struct remembered {
	struct id project;
	char *name, *cluster, *callback; /* owned */
	struct code_target target;
	int64_t until_us; /* CLOCK_BOOTTIME; 0 = empty */
};

struct targets {
	struct remembered rows[TARGETS_MOST];
	size_t next; /* to be overwritten, in turn */
	int64_t heard_us; /* when the database answered last, CLOCK_BOOTTIME */
};

struct targets *targets_new(void)
{
	struct targets *t = calloc(1, sizeof *t);

	if (!t)
		abort();
	return t;
}

static void empty(struct remembered *r)
{
	free(r->name);
	free(r->cluster);
	free(r->callback);
	*r = (struct remembered){ 0 };
}

static void forget(struct targets *t)
{
	for (size_t i = 0; t && i < TARGETS_MOST; i++)
		empty(&t->rows[i]);
}

void targets_outlast(struct targets *t)
{
	struct timespec left = { 0, (TARGETS_FRESH_MS + MARGIN_MS) * 1000000L };

	forget(t);
	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

void targets_free(struct targets *t)
{
	forget(t);
	free(t);
}

void targets_heard(struct targets *t)
{
	if (t)
		t->heard_us = clock_boot_us();
}

static char *own(struct str s)
{
	char *copy = strndup(s.n ? s.p : "", s.n);

	if (!copy)
		abort();
	return copy;
}

/* `asked_us`: when the look-up was begun, for what it saw may be as old as that. */
static void remember(struct targets *t, const struct id *project, struct str name, struct str cluster,
                     const struct code_target *target, int64_t asked_us)
{
	struct remembered *r = &t->rows[t->next++ % TARGETS_MOST];

	if (memchr(name.p, 0, name.n) || (cluster.n && memchr(cluster.p, 0, cluster.n)))
		return;
	empty(r);
	*r = (struct remembered){ *project, own(name), own(cluster), own(target->callback), *target,
		                  asked_us + FRESH_US };
}

enum err targets_find(struct targets *t, struct db *db, struct ctx *cx, const struct id *project,
                      struct str name, struct str cluster, struct code_target *out)
{
	int64_t now = clock_boot_us();

	for (size_t i = 0; t && now - t->heard_us < HEARD_US && i < TARGETS_MOST; i++) {
		const struct remembered *r = &t->rows[i];

		if (r->until_us > now && id_equal(&r->project, project) && str_is(name, r->name) &&
		    str_is(cluster, r->cluster)) {
			*out = r->target;
			out->callback = str_of(arena_text(&cx->arena, r->callback));
			return OK;
		}
	}
	TRY(code_store_target(db, cx, project, name, cluster, out));
	targets_heard(t);
	if (t)
		remember(t, project, name, cluster, out, now);
	return OK;
}
