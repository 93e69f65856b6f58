#include "fcgi/tail/watch.h"

#include <stdlib.h>

#include "base/clock.h"

/* After a poll that failed: the database's own time-out has passed already. */
static const int64_t AGAIN_US = 1000000;

struct watch {
	struct loop *loop;
	struct process *process;
	struct watcher *first;
	struct loop_timer timer;
	struct ctx cx; /* of one poll */
	int64_t (*then)(void *arg, int64_t pause_us);
	void *then_arg;
};

static void on_poll(void *arg);

struct watch *watch_new(struct loop *l, struct process *process)
{
	struct watch *w = calloc(1, sizeof *w);

	if (!w)
		abort();
	w->loop = l;
	w->process = process;
	return w;
}

void watch_free(struct watch *w)
{
	loop_stop(w->loop, &w->timer);
	ctx_release(&w->cx);
	free(w);
}

void watch_then(struct watch *w, int64_t (*then)(void *arg, int64_t pause_us), void *arg)
{
	w->then = then;
	w->then_arg = arg;
}

static void start(struct watch *w, int64_t in_us)
{
	if (w->first && !loop_is_waiting(&w->timer))
		loop_start(w->loop, &w->timer, in_us, on_poll, w);
}

void watch_add(struct watch *w, struct watcher *one)
{
	one->next = w->first;
	one->back = &w->first;
	if (one->next)
		one->next->back = &one->next;
	w->first = one;
	start(w, w->process->set->tail.poll_ms * 1000);
}

void watch_remove(struct watch *w, struct watcher *one)
{
	if (!one->back)
		return;
	*one->back = one->next;
	if (one->next)
		one->next->back = one->back;
	one->back = NULL;
	if (!w->first)
		loop_stop(w->loop, &w->timer);
}

/* --- the poll -------------------------------------------------------------------------------------- */
static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id)); /* both begin with one */
}
_Static_assert(offsetof(struct task_standing, id) == 0, "so that by_id can look for one in them");

/* What may still move, each once. */
static struct id *wanted(struct watch *w, size_t *n)
{
	size_t room = 0, all = 0;
	struct id *ids;

	for (const struct watcher *one = w->first; one; one = one->next)
		room += one->n;
	ids = arena_array(&w->cx.arena, room + 1, sizeof *ids);
	for (const struct watcher *one = w->first; one; one = one->next)
		for (size_t i = 0; i < one->n; i++)
			if (!task_state_is_settled(one->tasks[i].state))
				ids[all++] = one->tasks[i].id;
	qsort(ids, all, sizeof *ids, by_id);
	*n = 0;
	for (size_t i = 0; i < all; i++)
		if (!*n || !id_equal(&ids[*n - 1], &ids[i]))
			ids[(*n)++] = ids[i];
	return ids;
}

/* Did anything that it watches move? */
static bool hear(struct watcher *one, const struct task_standing *found, size_t n)
{
	bool moved = false;

	for (size_t i = 0; i < one->n; i++) {
		struct task_standing *task = &one->tasks[i];
		const struct task_standing *now = bsearch(&task->id, found, n, sizeof *found, by_id);

		if (task_state_is_settled(task->state))
			continue;
		if (!now)
			one->is_gone = true;
		moved = moved || !now || now->changes != task->changes;
		if (now)
			*task = *now;
	}
	return moved;
}

static void tell(struct watch *w, const struct task_standing *found, size_t n)
{
	struct watcher *next;

	for (struct watcher *one = w->first; one; one = next) {
		next = one->next; /* it may remove itself, nobody else */
		if (hear(one, found, n))
			one->on_change(one->arg);
	}
}

static void on_poll(void *arg)
{
	struct watch *w = arg;
	struct breaker *breaker = &w->process->breaker;
	int64_t begun = clock_boot_us(), pause = AGAIN_US;
	size_t n, found_n = 0;
	struct id *ids = wanted(w, &n);
	struct task_standing *found = arena_array(&w->cx.arena, n + 1, sizeof *found);

	if (breaker_allows(breaker, begun, 0)) {
		enum err e = task_store_standing(w->process->db, &w->cx, ids, n, found, &found_n);

		breaker_note(breaker, begun, clock_boot_us(), e == ERR_BUSY || e == ERR_UNSURE);
		if (e == OK) {
			tell(w, found, found_n);
			pause = w->process->set->tail.poll_ms * 1000;
			if (w->then)
				pause = w->then(w->then_arg, pause);
		}
	}
	ctx_reset(&w->cx);
	start(w, pause);
}
