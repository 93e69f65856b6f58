#include "worker/runner/probe.h"

#include "base/clock.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { GREETING_MS = 2000 };

/* What a failed connect says: the machine answered that nobody listens, or nothing is known. */
static enum server_sight sight_of_errno(int why)
{
	switch (why) {
	case ECONNREFUSED:
	case ECONNRESET:
	case ENOENT: /* a unix socket that is gone */
	case EAGAIN: /* a unix socket whose queue is full: nobody accepts */
		return SERVER_AWAY;
	default:
		return SERVER_UNSEEN;
	}
}

static bool wait_for(int fd, short events, int64_t until_us)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left_ms = (until_us - clock_boot_us()) / 1000;

	return poll(&p, 1, left_ms > 0 ? (int)left_ms : 0) == 1;
}

/* The server speaks first: any byte will do, also an error packet. */
static enum server_sight greeting(int fd, int64_t until_us)
{
	char byte;
	ssize_t n;

	if (!wait_for(fd, POLLIN, until_us))
		return SERVER_AWAY;
	n = recv(fd, &byte, 1, MSG_DONTWAIT);
	if (n > 0)
		return SERVER_LIVES;
	return n == 0 ? SERVER_AWAY : sight_of_errno(errno);
}

static enum server_sight look(int fd, const struct sockaddr *to, socklen_t len, int64_t until_us)
{
	int why = 0;
	socklen_t size = sizeof why;

	if (connect(fd, to, len) && errno != EINPROGRESS)
		return sight_of_errno(errno);
	if (!wait_for(fd, POLLOUT, until_us))
		return SERVER_UNSEEN;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &size) || why)
		return sight_of_errno(why);
	return greeting(fd, until_us);
}

static enum server_sight look_at(const struct sockaddr *to, socklen_t len)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	enum server_sight s;

	if (fd < 0)
		return SERVER_UNSEEN;
	s = look(fd, to, len, clock_boot_us() + GREETING_MS * 1000);
	close(fd);
	return s;
}

static enum server_sight look_at_socket(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof to.sun_path)
		return SERVER_UNSEEN;
	memcpy(to.sun_path, path, strlen(path));
	return look_at((struct sockaddr *)&to, sizeof to);
}

static enum server_sight look_at_host(const char *host, int64_t port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all;
	enum server_sight seen = SERVER_AWAY;
	char service[24];

	snprintf(service, sizeof service, "%lld", (long long)port);
	if (getaddrinfo(host, service, &hints, &all))
		return SERVER_UNSEEN;
	for (struct addrinfo *a = all; a && seen == SERVER_AWAY; a = a->ai_next)
		seen = look_at(a->ai_addr, a->ai_addrlen);
	freeaddrinfo(all);
	return seen;
}

enum server_sight probe_servers(const struct settings_database *db)
{
	struct str list = str_of(db->host), one;
	enum server_sight seen;

	if (*db->socket)
		return look_at_socket(db->socket);
	while (str_cut(&list, ',', &one)) {
		char host[256];

		one = str_trim(one);
		if (!one.n || one.n >= sizeof host)
			continue;
		memcpy(host, one.p, one.n);
		host[one.n] = '\0';
		seen = look_at_host(host, db->port);
		if (seen != SERVER_AWAY)
			return seen;
	}
	return SERVER_AWAY;
}
