#include "worker/runner/probe.h"

#include "base/clock.h"
#include "store/db_connect.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
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

/* One server's look, in a thread of its own: together they take no longer than the slowest. */
struct look {
	const struct settings_database *db;
	const char *host;
	enum server_sight seen;
	pthread_t thread;
	bool runs;
};

static void *look_alone(void *arg)
{
	struct look *l = arg;

	l->seen = look_at_host(l->host, l->db->port);
	/* whoever has no part in the cluster can give nobody our tasks: as good as away, if all are */
	if (l->seen == SERVER_LIVES && db_server_is_outside(l->db, l->host))
		l->seen = SERVER_AWAY;
	return NULL;
}

static void start_look(struct look *l, const struct settings_database *db, const char *host)
{
	*l = (struct look){ .db = db, .host = host, .seen = SERVER_UNSEEN };
	l->runs = pthread_create(&l->thread, NULL, look_alone, l) == 0;
}

enum server_sight probe_servers(const struct settings_database *db)
{
	enum server_sight seen = SERVER_AWAY;
	const char *servers[DB_SERVERS_MOST];
	struct look looks[DB_SERVERS_MOST];
	auto_ctx cx = { 0 };
	size_t n = db_servers(&cx, db, servers);

	if (*db->socket)
		return look_at_socket(db->socket);
	for (size_t i = 0; i < n; i++)
		start_look(&looks[i], db, servers[i]);
	for (size_t i = 0; i < n; i++) {
		if (looks[i].runs)
			pthread_join(looks[i].thread, NULL);
		if (seen == SERVER_AWAY || looks[i].seen == SERVER_LIVES)
			seen = looks[i].seen;
	}
	return seen;
}
