#include "worker/runner/inside.h"

#include <stdlib.h>
#include <unistd.h>

static struct job **bucket_of(struct runner *r, const struct attempt_key *key)
{
	/* the last bytes of an id are random */
	return &r->buckets[(key->task.b[10] << 8 | key->task.b[11]) % BUCKETS];
}

struct job *job_find(struct runner *r, const struct attempt_key *key)
{
	for (struct job *j = *bucket_of(r, key); j; j = j->next_in_bucket)
		if (attempt_equal(&j->key, key))
			return j;
	return NULL;
}

/* A runner before may have had more slots. */
static void grow_slots(struct runner *r, size_t n)
{
	r->slots = realloc(r->slots, n * sizeof(struct job *));
	if (!r->slots)
		abort();
	memset(r->slots + r->slot_count, 0, (n - r->slot_count) * sizeof(struct job *));
	r->slot_count = n;
}

static void slot_fill(struct job *j, uint32_t slot)
{
	struct runner *r = j->runner;

	if (slot >= r->slot_count)
		grow_slots(r, (size_t)slot + 1);
	j->slot = slot;
	r->slots[slot] = j;
	r->slots_used++;
	lease_count(r->lease, (int64_t)r->slots_used);
}

struct job *job_new(struct runner *r, const struct attempt_key *key, uint32_t slot)
{
	struct job *j = calloc(1, sizeof *j), **bucket = bucket_of(r, key);
	char folder[64] = "jobs/";

	if (!j)
		abort();
	j->runner = r;
	j->key = *key;
	j->slot = slot;
	j->monitor_fd = -1;
	attempt_name(key, j->name);
	strncat(folder, j->name, sizeof folder - 6);
	spool_reader_init(&j->spool, folder);
	j->next_in_bucket = *bucket;
	*bucket = j;
	j->back = r->jobs_end;
	*r->jobs_end = j;
	r->jobs_end = &j->next;
	if (slot == SLOT_NONE)
		r->parked++;
	else
		slot_fill(j, slot);
	return j;
}

bool slot_take(struct job *j)
{
	struct runner *r = j->runner;
	uint32_t slot;

	if (j->slot != SLOT_NONE)
		return true;
	/* those that a claim has asked for are as good as taken */
	if (r->slots_used + r->claim.most >= (size_t)r->set->node.slots || !slot_find(r, &slot))
		return false;
	r->parked--;
	slot_fill(j, slot);
	return true;
}

static void slot_empty(struct job *j)
{
	struct runner *r = j->runner;

	r->slots[j->slot] = NULL;
	r->slots_used--;
	lease_count(r->lease, (int64_t)r->slots_used);
}

void slot_give(struct job *j)
{
	if (j->slot == SLOT_NONE)
		return;
	slot_empty(j);
	j->slot = SLOT_NONE;
	j->runner->parked++;
}

void job_free(struct job *j)
{
	struct runner *r = j->runner;
	struct job **p = bucket_of(r, &j->key);

	while (*p != j)
		p = &(*p)->next_in_bucket;
	*p = j->next_in_bucket;
	*j->back = j->next;
	if (j->next)
		j->next->back = j->back;
	else
		r->jobs_end = j->back;
	if (j->slot == SLOT_NONE)
		r->parked--;
	else
		slot_empty(j);
	r->removals++;
	follow_forget(j);
	loop_stop(r->loop, &j->flush);
	loop_stop(r->loop, &j->again);
	loop_remove(r->loop, j->monitor_watch);
	if (j->monitor_fd >= 0)
		close(j->monitor_fd);
	live_end(j);
	spool_reader_close(&j->spool);
	output_mask_free(j->mask);
	arena_release(&j->arena);
	free(j);
}

bool slot_find(const struct runner *r, uint32_t *slot)
{
	for (size_t i = 0; i < (size_t)r->set->node.slots; i++)
		if (i >= r->slot_count || !r->slots[i]) {
			*slot = (uint32_t)i;
			return true;
		}
	return false;
}

size_t slots_free(const struct runner *r)
{
	size_t all = (size_t)r->set->node.slots, taken = r->slots_used;

	for (const struct job *j = r->parked ? r->jobs : NULL; j; j = j->next)
		taken += j->slot == SLOT_NONE && j->stage == JOB_CLAIMED;
	return taken < all ? all - taken : 0;
}
