/* The two ends of callback_rate (tests/bench/bench.py):
 *   bench_callback serve           a receiver: prints its port, then answers 200 to every POST until its
 *                                  standard input ends
 *   bench_callback post URL N      N POSTs of a callback's size by libcurl's multi interface, 8 at a time,
 *                                  and prints how many a second that were */
#include "base/clock.h"
#include "base/http_pool.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 8, BODY_BYTES = 700, READ_BYTES = 65536 };

static void give_up(const char *what)
{
	perror(what);
	exit(1);
}

/* --- the receiver ------------------------------------------------------------------------------------------- */

struct client {
	struct loop *loop;
	struct loop_watch *watch;
	int fd;
	size_t left;   /* of the body under way */
	size_t head_n; /* of a header under way */
	char head[8192];
};

static void drop(struct client *c)
{
	loop_remove(c->loop, c->watch);
	close(c->fd);
	free(c);
}

/* Bytes of `p` that were taken; answers when a request is whole. */
static size_t take(struct client *c, const char *p, size_t n, bool *whole)
{
	size_t used = 0;
	char *length;

	*whole = false;
	while (!c->left && used < n && c->head_n < sizeof c->head - 1) {
		c->head[c->head_n++] = p[used++];
		c->head[c->head_n] = '\0';
		if (c->head_n < 4 || memcmp(c->head + c->head_n - 4, "\r\n\r\n", 4) != 0)
			continue;
		length = strcasestr(c->head, "content-length:");
		c->left = length ? strtoul(length + 15, NULL, 10) : 0;
		c->head_n = 0;
		*whole = c->left == 0;
		return used;
	}
	if (c->left) {
		size_t body = n - used < c->left ? n - used : c->left;

		c->left -= body;
		used += body;
		*whole = c->left == 0;
	}
	return used;
}

static void on_client(void *arg, uint32_t events)
{
	static const char OK_ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	static char bytes[READ_BYTES];
	struct client *c = arg;
	ssize_t n = read(c->fd, bytes, sizeof bytes);
	bool whole;

	(void)events;
	if (n <= 0) {
		drop(c);
		return;
	}
	for (size_t at = 0; at < (size_t)n;) {
		at += take(c, bytes + at, (size_t)n - at, &whole);
		if (whole && write(c->fd, OK_ANSWER, sizeof OK_ANSWER - 1) < 0) {
			drop(c);
			return;
		}
	}
}

struct listener {
	struct loop *loop;
	int fd;
};

static void on_listener(void *arg, uint32_t events)
{
	struct listener *l = arg;
	struct client *c = calloc(1, sizeof *c);

	(void)events;
	if (!c || (c->fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0) {
		free(c);
		return;
	}
	c->loop = l->loop;
	c->watch = loop_add(l->loop, c->fd, EPOLLIN, on_client, c);
	if (!c->watch)
		give_up("bench_callback: watch");
}

static void on_stdin(void *arg, uint32_t events)
{
	(void)events;
	loop_end(arg);
}

static int listen_on_all(int *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) || listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&at, &len))
		give_up("bench_callback: listen");
	*port = ntohs(at.sin_port);
	return fd;
}

static int serve(void)
{
	struct loop *l = loop_new();
	struct listener listener = { .loop = l };
	int port;

	listener.fd = listen_on_all(&port);
	if (!l || !loop_add(l, listener.fd, EPOLLIN, on_listener, &listener) || !loop_add(l, STDIN_FILENO, EPOLLIN, on_stdin, l))
		give_up("bench_callback: loop");
	printf("%d\n", port);
	fflush(stdout);
	return !loop_run(l);
}

/* --- the peer -------------------------------------------------------------------------------------------------- */

struct posting {
	struct http_pool *pool;
	struct loop *loop;
	const char *url;
	long begun, done, wanted;
};

static void begin(struct posting *p);

static void on_done(void *arg, const struct http_outcome *how)
{
	struct posting *p = arg;

	if (how->status != 200) {
		fprintf(stderr, "bench_callback: status %ld " STR_FMT "\n", how->status, STR_ARG(how->error));
		exit(1);
	}
	if (++p->done == p->wanted)
		loop_end(p->loop);
	else if (p->begun < p->wanted)
		begin(p);
}

static void begin(struct posting *p)
{
	static const char *const HEADERS[] = { "Content-Type: application/json", "webhook-id: 4711", "webhook-timestamp: 1795442446", NULL };
	static char body[BODY_BYTES];

	p->begun++;
	http_pool_post(p->pool, p->url, HEADERS, str_bytes(body, sizeof body), on_done, p);
}

static int post(const char *url, long n)
{
	struct http_pool_options o = { .allow_private = true, .connect_ms = 3000, .total_ms = 15000, .user_agent = "bench" };
	struct posting p = { .loop = loop_new(), .url = url, .wanted = n };
	int64_t began = clock_boot_us();

	p.pool = http_pool_new(p.loop, &o);
	for (int i = 0; i < AT_ONCE; i++)
		begin(&p);
	if (!loop_run(p.loop))
		give_up("bench_callback: loop");
	printf("%.1f\n", (double)n * 1e6 / (double)(clock_boot_us() - began));
	http_pool_free(p.pool);
	loop_free(p.loop);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		return serve();
	if (argc == 4 && strcmp(argv[1], "post") == 0)
		return post(argv[2], strtol(argv[3], NULL, 10));
	fprintf(stderr, "usage: bench_callback serve | post URL N\n");
	return 2;
}
