#include "worker/monitor/engine_http.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* HTTP/1.0: the answer ends with the connection, and is never cut into chunks. */
#define HEAD_FORMAT "%s %s HTTP/1.0\r\nHost: engine\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n"
enum { HEAD_MAX = 2048 };

static int connect_to(const char *path, int flags, int timeout_ms)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const struct timeval wait = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	int err;

	if (fd < 0)
		return -errno;
	snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0 &&
	    connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	err = errno == EAGAIN ? ETIMEDOUT : errno;
	close(fd);
	return -err;
}

static bool send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t put = send(fd, p, n, MSG_NOSIGNAL);

		if (put <= 0)
			return false;
		p += put;
		n -= (size_t)put;
	}
	return true;
}

static bool send_file(int fd, int file, size_t n)
{
	off_t at = 0;

	while ((size_t)at < n)
		if (sendfile(fd, file, &at, n - (size_t)at) <= 0)
			return false;
	return true;
}

/* Reads to the end of the connection; what is more than `room` is dropped. */
static ssize_t read_answer(int fd, char *out, size_t room)
{
	size_t n = 0;

	for (;;) {
		char more[4096];
		ssize_t got = recv(fd, n < room - 1 ? out + n : more, n < room - 1 ? room - 1 - n : sizeof more, 0);

		if (got < 0)
			return -1;
		if (got == 0)
			break;
		if (n < room - 1)
			n += (size_t)got;
	}
	out[n] = '\0';
	return (ssize_t)n;
}

/* The status; the body is moved to the begin of `out`. */
static int take_apart(char *out, size_t n)
{
	char *body = strstr(out, "\r\n\r\n");
	long status;

	if (strncmp(out, "HTTP/1.", 7) != 0 || n < 12 || !body)
		return -ECONNRESET; /* it ended before it had said anything */
	status = strtol(out + 9, NULL, 10);
	memmove(out, body + 4, n - (size_t)(body + 4 - out) + 1);
	return (int)status;
}

/* One that refuses does so before it has read all: what it says is read all the same. 0: a file was shorter than said. */
static bool has_hung_up(int err)
{
	return err == EPIPE || err == ECONNRESET || err == 0;
}

int engine_ask(const struct engine_question *q, char *out, size_t room)
{
	const char *type = q->type ? q->type : "application/json";
	char head[HEAD_MAX];
	int n = snprintf(head, sizeof head, HEAD_FORMAT, q->method, q->target, type, q->length);
	int fd, status;
	ssize_t got;

	out[0] = '\0';
	if (n < 0 || (size_t)n >= sizeof head)
		return -EINVAL;
	fd = connect_to(q->socket, 0, q->timeout_ms);
	if (fd < 0)
		return fd;
	if (!(send_all(fd, head, (size_t)n) &&
	      (!q->length || (q->body ? send_all(fd, q->body, q->length) : send_file(fd, q->file, q->length)))) &&
	    !has_hung_up(errno)) {
		status = errno == EAGAIN ? -ETIMEDOUT : -errno;
		close(fd);
		return status;
	}
	errno = 0;
	got = read_answer(fd, out, room);
	status = got < 0 ? -(errno == EAGAIN ? ETIMEDOUT : errno) : take_apart(out, (size_t)got);
	close(fd);
	return status;
}

void engine_message(const char *body, char *out, size_t room)
{
	const char *at = strstr(body, "\"message\":\"");
	size_t n = 0;

	for (at = at ? at + 11 : body; *at && n + 1 < room; at++) {
		if (*at == '"' && body != at)
			break;
		if (*at == '\\' && at[1])
			at++;
		out[n++] = *at == '\n' || *at == '\r' ? ' ' : *at;
	}
	out[n] = '\0';
}

int engine_begin(const char *socket, const char *method, const char *target)
{
	char head[HEAD_MAX];
	int n = snprintf(head, sizeof head, HEAD_FORMAT, method, target, "application/json", (size_t)0);
	int fd = n < 0 || (size_t)n >= sizeof head ? -EINVAL : connect_to(socket, SOCK_NONBLOCK, 0);

	if (fd >= 0 && send(fd, head, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n) {
		close(fd);
		return -EAGAIN;
	}
	return fd;
}
