#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

/* One thread's event loop: epoll for descriptors, one timerfd (CLOCK_BOOTTIME) for all timers, a
 * signalfd, pidfds. Handlers run one after the other and must not wait. A handler may add and remove
 * watches and timers, its own too. Running out of descriptors is the caller's to notice (NULL);
 * running out of memory ends the process, as in arena.h. */
struct loop;
struct loop_watch;

typedef void loop_on_ready(void *arg, uint32_t events);
typedef void loop_on_time(void *arg);
typedef void loop_on_signal(void *arg, const struct signalfd_siginfo *info);

/* A timer inside the struct that owns it; zero-initialised is at rest. It must be at rest (loop_stop)
 * before its memory goes away. */
struct loop_timer {
	int64_t due_us;
	loop_on_time *on_time;
	void *arg;
	uint32_t place; /* in the heap, from 1; 0 = at rest */
};

/* NULL with errno if the kernel gives no descriptors. */
struct loop *loop_new(void);
void loop_free(struct loop *l);

/* Watches `fd` for EPOLL… events (level triggered); the fd stays the caller's. NULL with errno. */
struct loop_watch *loop_add(struct loop *l, int fd, uint32_t events, loop_on_ready *on_ready, void *arg);
/* Other events for the same descriptor. */
void loop_change(struct loop *l, struct loop_watch *w, uint32_t events);
/* No call of its handler follows, also not from events already fetched. NULL is fine. Call it before
 * the fd is closed. */
void loop_remove(struct loop *l, struct loop_watch *w);

/* Calls on_time once, `in_us` from now (0 = in the next round); a timer under way is set anew. */
void loop_start(struct loop *l, struct loop_timer *t, int64_t in_us, loop_on_time *on_time, void *arg);
void loop_stop(struct loop *l, struct loop_timer *t);
static inline bool loop_is_waiting(const struct loop_timer *t)
{
	return t->place != 0;
}

/* Takes these signals (ended by 0) by signalfd; blocks them for this thread and those it starts
 * later. Once a loop. False with errno. */
bool loop_signals(struct loop *l, const int *signals, loop_on_signal *on_signal, void *arg);

/* A watch that fires when the process has ended, whosever child it is: the pidfd is *fd, the caller's
 * to close after loop_remove. NULL with errno; ESRCH: it is gone already. */
struct loop_watch *loop_process(struct loop *l, int pid, loop_on_ready *on_ready, void *arg, int *fd);

/* Runs handlers until loop_end. False with errno if epoll itself fails. */
bool loop_run(struct loop *l);
/* One round: waits at most `most_ms` (-1 = as long as it takes). For tests. */
bool loop_turn(struct loop *l, int most_ms);
void loop_end(struct loop *l);
