#include "fcgi/tail/tail.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fcgi/tail/event_feed.h"

/* Besides those that wait: requests that are read, or answered at once. */
enum { CONNS_BESIDES = 64 };
static const int64_t LAST_US = 5000000;

static size_t conns_most(const struct tail *t)
{
	return (size_t)t->set->tail.watchers + CONNS_BESIDES;
}

static void on_connection(void *arg, uint32_t events)
{
	struct tail *t = arg;
	int fd;

	(void)events;
	while (t->on_listener && t->count < conns_most(t) &&
	       (fd = accept4(t->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		conn_new(t, fd);
	if (t->on_listener && t->count >= conns_most(t)) /* the rest waits in the socket's queue */
		loop_change(t->loop, t->on_listener, 0);
}

void tail_left(struct tail *t)
{
	if (t->on_listener && t->count == conns_most(t) - 1)
		loop_change(t->loop, t->on_listener, EPOLLIN);
	if (t->ending && !t->count)
		loop_end(t->loop);
}

/* --- the end --------------------------------------------------------------------------------------- */
static void on_last(void *arg)
{
	struct tail *t = arg;

	log_warn("stop", "left=%zu", t->count);
	loop_end(t->loop);
}

/* Nobody is let in; who waits hears how things stand. */
static void on_signal(void *arg, const struct signalfd_siginfo *info)
{
	struct tail *t = arg;
	struct conn *next;

	(void)info;
	if (t->ending)
		return;
	t->ending = true;
	loop_remove(t->loop, t->on_listener);
	t->on_listener = NULL;
	listener_remove(&t->listener);
	for (struct conn *c = t->conns; c; c = next) {
		next = c->next;
		if (c->stage == CONN_WAITS)
			conn_answer(c);
		else if (c->stage == CONN_STREAMS)
			stream_finish(&c->stream); /* without its event: the client comes back, to the next process */
	}
	loop_start(t->loop, &t->last, LAST_US, on_last, t);
	if (!t->count)
		loop_end(t->loop);
}

/* --- the whole ------------------------------------------------------------------------------------- */
/* A descriptor for each connection, and some for everything else. */
static void allow_descriptors(const struct tail *t)
{
	struct rlimit files;
	rlim_t want = conns_most(t) + 64;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= want)
		return;
	files.rlim_cur = files.rlim_max < want ? files.rlim_max : want;
	setrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur < want)
		log_warn("start", "descriptors=%lld wanted=%lld", (long long)files.rlim_cur, (long long)want);
}

static enum err open_all(struct ctx *cx, struct tail *t)
{
	static const int SIGNALS[] = { SIGTERM, SIGINT, 0 };

	signal(SIGPIPE, SIG_IGN);
	allow_descriptors(t);
	t->loop = loop_new();
	if (!t->loop || !loop_signals(t->loop, SIGNALS, on_signal, t))
		return err_errno(cx, "make an event loop");
	t->watch = watch_new(t->loop, t->process);
	t->feed = feed_new(t->process, t->watch);
	t->events = event_feed_new(t->loop, t->process);
	/* clients that come together are let in together */
	TRY(listener_open(cx, "tail.socket", t->set->tail.socket, t->set->tail.watchers + CONNS_BESIDES, &t->listener));
	t->on_listener = loop_add(t->loop, t->listener.fd, EPOLLIN, on_connection, t);
	return t->on_listener ? OK : err_errno(cx, "watch '%s'", t->set->tail.socket);
}

static void close_all(struct tail *t)
{
	t->ending = false; /* tail_left has nothing to end any more */
	while (t->conns)
		conn_close(t->conns);
	feed_free(t->feed);
	event_feed_free(t->events);
	if (t->watch)
		watch_free(t->watch);
	if (t->loop)
		loop_stop(t->loop, &t->last);
	loop_free(t->loop);
	if (t->listener.fd >= 0)
		close(t->listener.fd);
}

int tail_run(struct ctx *cx, struct process *process)
{
	struct tail t = { .process = process, .set = process->set, .listener.fd = -1 };
	enum err e = open_all(cx, &t);

	if (e == OK) {
		log_info("listening", "socket=\"%s\" watchers=%lld", t.set->tail.socket, (long long)t.set->tail.watchers);
		if (!loop_run(t.loop))
			e = err_errno(cx, "run the loop");
	}
	if (e != OK)
		log_error("stop", "error=\"%s\"", cx->message);
	close_all(&t);
	return e != OK;
}
