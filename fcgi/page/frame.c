#include <stdlib.h>

#include "fcgi/page/page.h"

enum { FRAMES_KEPT = 8 };
static const int64_t KEEP_US = 1000000;

/* A frame with the memory it lives in. */
struct frame_entry {
	struct ctx cx;
	struct id user, project; /* whose, of which project (zero = none) */
	int64_t until_us;        /* CLOCK_BOOTTIME */
	struct frame frame;
};
struct frame_cache {
	struct frame_entry entries[FRAMES_KEPT];
	size_t oldest;
};

struct frame_cache *frame_cache_new(void)
{
	struct frame_cache *cache = calloc(1, sizeof *cache);

	if (!cache)
		abort();
	return cache;
}

void frame_cache_free(struct frame_cache *cache)
{
	for (size_t i = 0; cache && i < FRAMES_KEPT; i++)
		ctx_release(&cache->entries[i].cx);
	free(cache);
}

void frame_count_nodes(struct frame *f, int64_t now_us)
{
	struct node_figures *c = &f->node_figures;

	*c = (struct node_figures){ 0 };
	for (size_t i = 0; i < f->node_count; i++) {
		const struct node *n = &f->nodes[i];

		if (str_is(n->state, "gone"))
			continue;
		if (n->lease_until < now_us) {
			c->lost++;
			continue;
		}
		c->live++;
		c->draining += str_is(n->state, "draining");
		c->slots += n->slots;
		c->running += n->running;
	}
}

static enum err read_frame(struct db *db, struct ctx *cx, const struct id *user, const struct id *project, struct frame *out)
{
	struct project *projects = NULL;
	struct node *nodes = NULL;

	*out = (struct frame){ .read_us = clock_wall_us() };
	TRY(project_store_list(db, cx, user, &projects, &out->project_count));
	out->projects = projects;
	if (id_is_zero(project))
		return OK;
	for (size_t i = 0; i < out->project_count; i++)
		if (id_equal(&projects[i].id, project))
			out->project = &projects[i];
	if (!out->project)
		return err_set(cx, ERR_NOT_FOUND, "there is no such project");
	TRY(task_store_overview(db, cx, project, &out->figures));
	TRY(node_store_list(db, cx, &nodes, &out->node_count));
	out->nodes = nodes;
	frame_count_nodes(out, out->read_us);
	return OK;
}

static struct frame_entry *entry_for(struct frame_cache *cache, const struct id *user, const struct id *project)
{
	for (size_t i = 0; i < FRAMES_KEPT; i++) {
		struct frame_entry *e = &cache->entries[i];

		if (id_equal(&e->user, user) && id_equal(&e->project, project))
			return e;
	}
	return &cache->entries[cache->oldest++ % FRAMES_KEPT];
}

enum err frame_read(struct request *rq, const struct frame **out)
{
	struct frame_entry *e = entry_for(page_kit_of(rq)->frames, &rq->who.user_id, &rq->project_id);
	bool same = id_equal(&e->user, &rq->who.user_id) && id_equal(&e->project, &rq->project_id);

	if (!same || e->until_us < clock_boot_us()) {
		ctx_reset(&e->cx);
		e->until_us = 0;
		e->user = rq->who.user_id;
		e->project = rq->project_id;
		if (read_frame(rq->db, &e->cx, &e->user, &e->project, &e->frame))
			return err_set(&rq->cx, e->cx.err, "%s", e->cx.message);
		e->until_us = clock_boot_us() + KEEP_US;
	}
	*out = &e->frame;
	return OK;
}
