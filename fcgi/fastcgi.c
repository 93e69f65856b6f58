#include "fcgi/fastcgi.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fcgi/exchange.h"

enum { SILENT_MS = 1000, PEER_S = 10, RECYCLE_CHECK_EVERY = 64 };
static const int64_t DRAIN_US = 2000000;

struct fastcgi {
	struct process *process;
	struct request rq;
	int listener, signals, epoll;
	int64_t served;
	int64_t drain_until_us; /* 0 = not asked to stop */
};

/* --- one request -------------------------------------------------------------------------------- */
static ssize_t read_body(void *arg, char *p, size_t n)
{
	FCGX_Request *r = arg;
	int got = FCGX_GetStr(p, n > 1 << 20 ? 1 << 20 : (int)n, r->in);

	if (got == 0 && FCGX_GetError(r->in))
		return -1;
	return got;
}

static bool write_answer(void *arg, const char *p, size_t n)
{
	FCGX_Request *r = arg;

	while (n) {
		int piece = n > 1 << 20 ? 1 << 20 : (int)n;

		if (FCGX_PutStr(p, piece, r->out) != piece)
			return false;
		p += piece;
		n -= (size_t)piece;
	}
	return true;
}

/* libfcgi half-closes and waits until the web server has closed too, lest bytes that nobody read turn
 * the close into a reset; when all was read, a close is enough, and spares two changes of process. */
static void finish(void *arg)
{
	FCGX_Request *r = arg;

	if (FCGX_GetChar(r->in) == EOF && !FCGX_GetError(r->in))
		r->keepConnection = 1;
	FCGX_Finish_r(r);
}

/* spikes.md 1: libfcgi only reads the request. keepConnection must be set, or Accept_r "finishes" the
 * request that was never there and closes the connection; -1 keeps a broken record from falling into
 * accept(). */
static void serve(struct fastcgi *f, int fd)
{
	FCGX_Request r;
	struct request_source source = { .read = read_body, .arg = &r };
	struct reply_sink sink = { write_answer, finish, &r };

	FCGX_InitRequest(&r, -1, FCGI_FAIL_ACCEPT_ON_INTR);
	r.ipcFd = fd;
	r.keepConnection = 1;
	if (FCGX_Accept_r(&r) == 0) {
		source.env = r.envp;
		exchange(f->process, &f->rq, &source, &sink);
		FCGX_Finish_r(&r); /* again, for an answer that broke off: harmless after the first */
	}
	if (r.ipcFd >= 0) /* kept open by a web server that was told not to: we are single-threaded */
		close(r.ipcFd);
}

/* A peer that says nothing, or stops in the middle, must not hold the process. */
static void serve_connection(struct fastcgi *f, int fd)
{
	struct timeval patience = { .tv_sec = PEER_S };
	struct pollfd p = { fd, POLLIN, 0 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (poll(&p, 1, SILENT_MS) != 1) {
		close(fd);
		return;
	}
	serve(f, fd);
	f->served++;
}

/* --- the loop ------------------------------------------------------------------------------------ */
static int64_t resident_mb(void)
{
	long long size = 0, pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%lld %lld", &size, &pages) != 2)
		pages = 0;
	fclose(file);
	return pages * sysconf(_SC_PAGESIZE) / (1 << 20);
}

static bool is_worn(const struct fastcgi *f)
{
	const struct settings *set = f->process->set;

	if (f->served >= set->api.recycle_requests)
		return true;
	return f->served % RECYCLE_CHECK_EVERY == 0 && resident_mb() > set->api.recycle_mb;
}

/* Accepts and serves one; false when nobody waits. */
static bool take_one(struct fastcgi *f)
{
	int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return false;
	serve_connection(f, fd);
	return true;
}

static void drain(struct fastcgi *f)
{
	while (clock_boot_us() < f->drain_until_us && take_one(f))
		;
}

static void wait_for_work(struct fastcgi *f)
{
	struct epoll_event event = { 0 };
	int n = epoll_wait(f->epoll, &event, 1, -1);

	if (n < 0 && errno != EINTR)
		log_error("wait", "errno=%d", errno);
	if (n == 1 && event.data.fd == f->signals)
		f->drain_until_us = clock_boot_us() + DRAIN_US;
}

/* Exclusive: of all the processes that wait on this socket the kernel wakes one a connection; with
 * poll it woke them all, for nothing, and that was a fifth of the cost of a request. */
static int watch(int listener, int signals)
{
	struct epoll_event connection = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = listener };
	struct epoll_event signal = { .events = EPOLLIN, .data.fd = signals };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, signals, &signal) ||
	    epoll_ctl(fd, EPOLL_CTL_ADD, listener, &connection)) {
		log_error("watch", "errno=%d", errno);
		exit(1);
	}
	return fd;
}

static int take_signals(void)
{
	sigset_t mask;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGUSR1); /* what mod_fcgid and libfcgi mean by a soft end */
	sigprocmask(SIG_BLOCK, &mask, NULL);
	return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

int fastcgi_serve(struct process *process, int listener)
{
	struct fastcgi f = { .process = process, .listener = listener };

	FCGX_Init(); /* installs signal handlers of its own: ours after it */
	f.signals = take_signals();
	fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
	f.epoll = watch(listener, f.signals);
	while (!f.drain_until_us) {
		wait_for_work(&f);
		if (f.drain_until_us)
			break;
		if (take_one(&f) && is_worn(&f))
			break;
	}
	drain(&f);
	request_release(&f.rq);
	ctx_release(&f.rq.cx);
	close(f.epoll);
	close(f.signals);
	return 0;
}
