/* Prefer: wait=N: the answer stands still until its tasks are over, or N seconds are. */
#include "fcgi/tail/tail.h"

static void on_time(void *arg)
{
	conn_answer(arg);
}

static void on_change(void *arg)
{
	struct conn *c = arg;

	for (size_t i = 0; i < c->watcher.n && !c->watcher.is_gone; i++)
		if (!task_state_is_settled(c->watcher.tasks[i].state))
			return;
	conn_answer(c);
}

void wait_begin(struct conn *c)
{
	size_t n = c->rp.awaited_count;

	c->stage = CONN_WAITS;
	c->tail->waiting++;
	c->watcher = (struct watcher){ .n = n, .on_change = on_change, .arg = c };
	c->watcher.tasks = arena_array(&c->arena, n, sizeof *c->watcher.tasks);
	for (size_t i = 0; i < n; i++)
		c->watcher.tasks[i] = (struct task_standing){ c->rp.awaited[i], TASK_QUEUED, 0 };
	watch_add(c->tail->watch, &c->watcher);
	loop_start(c->tail->loop, &c->timer, (int64_t)c->rp.wait_s * 1000000, on_time, c);
}

void wait_end(struct conn *c)
{
	if (c->stage != CONN_WAITS)
		return;
	c->tail->waiting--;
	watch_remove(c->tail->watch, &c->watcher);
	loop_stop(c->tail->loop, &c->timer);
}
