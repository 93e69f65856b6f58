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
	if (slot >= r->slot_count)
		grow_slots(r, (size_t)slot + 1);
	r->slots[slot] = j;
	r->slots_used++;
	lease_count(r->lease, (int64_t)r->slots_used);
	return j;
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
	r->slots[j->slot] = NULL;
	r->slots_used--;
	r->removals++;
	lease_count(r->lease, (int64_t)r->slots_used);
	follow_forget(j);
	loop_stop(r->loop, &j->flush);
	loop_stop(r->loop, &j->again);
	loop_remove(r->loop, j->monitor_watch);
	if (j->monitor_fd >= 0)
		close(j->monitor_fd);
	spool_reader_close(&j->spool);
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
	size_t all = (size_t)r->set->node.slots;

	return r->slots_used < all ? all - r->slots_used : 0;
}
