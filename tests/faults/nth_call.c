/* Stands before the system calls of a test build's worker programs (make FAULTS=1, `ld --wrap`): each place of a program
 * that makes one can have a pass of it fail, as on a node that is out of descriptors, room or memory. Places are named
 * by program, call and address, call.stoker-worker.openat.1a2b, and counted and picked as fault points are
 * (lib/base/fault_point.h): the table's line call.stoker-worker.openat.1a2b=fail@3. Driven by tests/faults/points.py. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/fault_point.h"

extern const char __executable_start[];

static bool fails(const char *call, const void *from)
{
	char place[80];
	int kept = errno;
	bool yes;

	snprintf(place, sizeof place, "%s.%s", program_invocation_short_name, call);
	snprintf(place + strlen(place), sizeof place - strlen(place), ".%lx",
	         (unsigned long)((uintptr_t)from - (uintptr_t)__executable_start));
	yes = fault_due("call", place) != 0;
	errno = kept;
	return yes;
}

/* Those with a fixed list of parameters. */
#define STAND_BEFORE(type, call, number, params, args)                   \
	type __real_##call params;                                       \
	type __wrap_##call params;                                       \
	type __wrap_##call params                                        \
	{                                                                \
		if (!fails(#call, __builtin_return_address(0)))          \
			return __real_##call args;                       \
		errno = number;                                          \
		return -1;                                               \
	}
STAND_BEFORE(ssize_t, write, ENOSPC, (int fd, const void *p, size_t n), (fd, p, n))
STAND_BEFORE(ssize_t, pwrite, ENOSPC, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
STAND_BEFORE(int, fsync, EIO, (int fd), (fd))
STAND_BEFORE(int, ftruncate, ENOSPC, (int fd, off_t n), (fd, n))
STAND_BEFORE(int, rename, ENOSPC, (const char *a, const char *b), (a, b))
STAND_BEFORE(int, renameat, ENOSPC, (int x, const char *a, int y, const char *b), (x, a, y, b))
STAND_BEFORE(int, mkdir, ENOSPC, (const char *p, mode_t m), (p, m))
STAND_BEFORE(int, mkdirat, ENOSPC, (int fd, const char *p, mode_t m), (fd, p, m))
STAND_BEFORE(pid_t, fork, EAGAIN, (void), ())
STAND_BEFORE(int, socket, EMFILE, (int a, int b, int c), (a, b, c))
STAND_BEFORE(int, socketpair, EMFILE, (int a, int b, int c, int fds[2]), (a, b, c, fds))
STAND_BEFORE(int, pipe2, EMFILE, (int fds[2], int flags), (fds, flags))
STAND_BEFORE(int, memfd_create, EMFILE, (const char *name, unsigned flags), (name, flags))
STAND_BEFORE(int, eventfd, EMFILE, (unsigned n, int flags), (n, flags))
STAND_BEFORE(int, epoll_ctl, ENOMEM, (int e, int op, int fd, struct epoll_event *ev), (e, op, fd, ev))
STAND_BEFORE(ssize_t, send, ENOBUFS, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
STAND_BEFORE(ssize_t, sendto, ENOBUFS, (int fd, const void *p, size_t n, int flags, const struct sockaddr *a, socklen_t m),
             (fd, p, n, flags, a, m))
STAND_BEFORE(ssize_t, sendmsg, ENOBUFS, (int fd, const struct msghdr *m, int flags), (fd, m, flags))

int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg)
{
	return fails("pthread_create", __builtin_return_address(0)) ? EAGAIN : __real_pthread_create(t, a, f, arg);
}

/* The mode is there when a file may be made. */
static mode_t mode_of(int flags, va_list *args)
{
	return flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(*args, int) : 0;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, &args);
	va_end(args);
	if (!fails("open", __builtin_return_address(0)))
		return __real_open(path, flags, mode);
	errno = EMFILE;
	return -1;
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, &args);
	va_end(args);
	if (!fails("openat", __builtin_return_address(0)))
		return __real_openat(dir, path, flags, mode);
	errno = EMFILE;
	return -1;
}
