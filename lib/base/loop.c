#include "base/loop.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { EVENTS_MAX = 64 };

struct loop_watch {
	int fd;
	bool gone; /* removed while events of this round may still name it */
	loop_on_ready *on_ready;
	void *arg;
	struct loop_watch *next_gone;
};

struct loop {
	int epoll, timer_fd, signal_fd;
	bool ended;
	struct loop_watch *gone;    /* freed at the end of a round */
	struct loop_timer **heap;   /* heap[1] is due first */
	uint32_t heap_n, heap_room;
	int64_t armed_us;           /* what timer_fd is set to; 0 = off */
	struct loop_watch *signal_watch, *timer_watch;
	loop_on_signal *on_signal;
	void *signal_arg;
};

static void *take(void *old, size_t bytes)
{
	void *p = realloc(old, bytes);

	if (!p)
		abort();
	return p;
}

/* --- timers: a heap by due time --------------------------------------------------------------- */

static void put(struct loop *l, uint32_t at, struct loop_timer *t)
{
	l->heap[at] = t;
	t->place = at;
}

static void rise(struct loop *l, uint32_t at)
{
	struct loop_timer *t = l->heap[at];

	for (; at > 1 && l->heap[at / 2]->due_us > t->due_us; at /= 2)
		put(l, at, l->heap[at / 2]);
	put(l, at, t);
}

static void sink(struct loop *l, uint32_t at)
{
	struct loop_timer *t = l->heap[at];

	for (uint32_t child; (child = at * 2) <= l->heap_n; at = child) {
		if (child < l->heap_n && l->heap[child + 1]->due_us < l->heap[child]->due_us)
			child++;
		if (l->heap[child]->due_us >= t->due_us)
			break;
		put(l, at, l->heap[child]);
	}
	put(l, at, t);
}

static void arm(struct loop *l)
{
	int64_t due = l->heap_n ? l->heap[1]->due_us : 0;
	struct itimerspec spec = { .it_value = { due / 1000000, due % 1000000 * 1000 } };

	if (due == l->armed_us)
		return;
	l->armed_us = due;
	timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

void loop_stop(struct loop *l, struct loop_timer *t)
{
	uint32_t at = t->place;
	struct loop_timer *last;

	if (!at)
		return;
	t->place = 0;
	last = l->heap[l->heap_n--];
	if (last == t)
		return;
	put(l, at, last);
	rise(l, at);
	sink(l, last->place);
}

void loop_start(struct loop *l, struct loop_timer *t, int64_t in_us, loop_on_time *on_time, void *arg)
{
	loop_stop(l, t);
	t->due_us = clock_boot_us() + (in_us > 0 ? in_us : 0);
	t->on_time = on_time;
	t->arg = arg;
	if (l->heap_n + 2 > l->heap_room) {
		l->heap_room = l->heap_room ? l->heap_room * 2 : 64;
		l->heap = take(l->heap, l->heap_room * sizeof *l->heap);
	}
	put(l, ++l->heap_n, t);
	rise(l, t->place);
}

static void run_timers(void *arg, uint32_t events)
{
	struct loop *l = arg;
	int64_t now = clock_boot_us();
	uint64_t times;

	(void)events;
	if (read(l->timer_fd, &times, sizeof times) < 0 && errno != EAGAIN)
		return;
	l->armed_us = 0;
	while (l->heap_n && l->heap[1]->due_us <= now) {
		struct loop_timer *t = l->heap[1];

		loop_stop(l, t);
		t->on_time(t->arg);
	}
}

/* --- descriptors -------------------------------------------------------------------------------- */

struct loop_watch *loop_add(struct loop *l, int fd, uint32_t events, loop_on_ready *on_ready, void *arg)
{
	struct loop_watch *w = take(NULL, sizeof *w);
	struct epoll_event e = { .events = events, .data.ptr = w };

	*w = (struct loop_watch){ .fd = fd, .on_ready = on_ready, .arg = arg };
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e)) {
		free(w);
		return NULL;
	}
	return w;
}

void loop_change(struct loop *l, struct loop_watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = w };

	epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &e);
}

void loop_remove(struct loop *l, struct loop_watch *w)
{
	if (!w || w->gone)
		return;
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->gone = true;
	w->next_gone = l->gone;
	l->gone = w;
}

static void free_gone(struct loop *l)
{
	while (l->gone) {
		struct loop_watch *w = l->gone;

		l->gone = w->next_gone;
		free(w);
	}
}

struct loop_watch *loop_process(struct loop *l, int pid, loop_on_ready *on_ready, void *arg, int *fd)
{
	int p = (int)syscall(SYS_pidfd_open, pid, 0);
	struct loop_watch *w;

	if (p < 0)
		return NULL;
	w = loop_add(l, p, EPOLLIN, on_ready, arg);
	if (!w) {
		int why = errno;

		close(p);
		errno = why;
		return NULL;
	}
	*fd = p;
	return w;
}

/* --- signals ------------------------------------------------------------------------------------ */

static void run_signals(void *arg, uint32_t events)
{
	struct loop *l = arg;
	struct signalfd_siginfo info;

	(void)events;
	while (read(l->signal_fd, &info, sizeof info) == sizeof info)
		l->on_signal(l->signal_arg, &info);
}

bool loop_signals(struct loop *l, const int *signals, loop_on_signal *on_signal, void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	for (; *signals; signals++)
		sigaddset(&set, *signals);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return false;
	l->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (l->signal_fd < 0)
		return false;
	l->on_signal = on_signal;
	l->signal_arg = arg;
	l->signal_watch = loop_add(l, l->signal_fd, EPOLLIN, run_signals, l);
	return l->signal_watch != NULL;
}

/* --- life --------------------------------------------------------------------------------------- */

struct loop *loop_new(void)
{
	struct loop *l = take(NULL, sizeof *l);

	*l = (struct loop){ .timer_fd = -1, .signal_fd = -1 };
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll >= 0)
		l->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->timer_fd >= 0)
		l->timer_watch = loop_add(l, l->timer_fd, EPOLLIN, run_timers, l);
	if (!l->timer_watch) {
		int why = errno;

		loop_free(l);
		errno = why;
		return NULL;
	}
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	loop_remove(l, l->timer_watch);
	loop_remove(l, l->signal_watch);
	free_gone(l);
	if (l->signal_fd >= 0)
		close(l->signal_fd);
	if (l->timer_fd >= 0)
		close(l->timer_fd);
	if (l->epoll >= 0)
		close(l->epoll);
	free(l->heap);
	free(l);
}

bool loop_turn(struct loop *l, int most_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int n;

	arm(l);
	n = epoll_wait(l->epoll, events, EVENTS_MAX, most_ms);
	if (n < 0)
		return errno == EINTR;
	for (int i = 0; i < n; i++) {
		struct loop_watch *w = events[i].data.ptr;

		if (!w->gone)
			w->on_ready(w->arg, events[i].events);
	}
	free_gone(l);
	return true;
}

bool loop_run(struct loop *l)
{
	l->ended = false;
	while (!l->ended)
		if (!loop_turn(l, -1))
			return false;
	return true;
}

void loop_end(struct loop *l)
{
	l->ended = true;
}
