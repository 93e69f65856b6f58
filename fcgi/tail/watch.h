#pragma once
#include "base/loop.h"
#include "fcgi/process.h"
#include "store/task_store.h"

/* Who wants to hear of tasks, and the one poller for all of them: while anybody watches, it asks the
 * database every [tail] poll_ms where all watched tasks stand, in one statement for up to 500 of them.
 * However many readers a task has, it is asked for once; when nobody watches, nothing is asked. */
struct watch;

/* One watcher: an answer that waits, a stream. Inside the struct that owns it. */
struct watcher {
	struct watcher *next, **back;  /* NULL back = watches nothing */
	struct task_standing *tasks;   /* where they stand, as last heard; changes 0 = not heard of yet */
	size_t n;
	void (*on_change)(void *arg);  /* some of them moved, or are gone (state as last heard, is_gone) */
	void *arg;
	bool is_gone;                  /* one is not there any more */
};

/* The process must outlive it: its connection is used. */
struct watch *watch_new(struct loop *l, struct process *process);
void watch_free(struct watch *w);
/* What is done after each poll that went well; it says when the next one is due, `pause` as a rule. */
void watch_then(struct watch *w, int64_t (*then)(void *arg, int64_t pause_us), void *arg);
/* `on_change` may remove its own watcher. */
void watch_add(struct watch *w, struct watcher *one);
/* Of one that watches nothing too. */
void watch_remove(struct watch *w, struct watcher *one);
