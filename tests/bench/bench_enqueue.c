/* enqueue_http/raw_insert and enqueue_http/enqueue_sql (docs/performance.md): POSTs of one task over
 * 16 connections that the client keeps, against single-row durable inserts by 16 clients and the
 * enqueue statement itself by 16 clients, in turn within each round.
 *
 *   bench_enqueue CONFIG PORT PROJECT TOKEN CODE [SECONDS]  */
#include "base/clock.h"
#include "store/task_store.h"
#include "tests/bench/rounds.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 16 };

struct caller;
struct bench {
	struct settings settings;
	int port;
	const char *project, *token, *code;
	struct id project_id;
	struct code_target target;
	struct db *raw[CLIENTS], *queue[CLIENTS];
	struct caller *callers;
	char *post;
	size_t post_bytes;
};

static void give_up(const struct ctx *cx, const char *what)
{
	fprintf(stderr, "bench_enqueue: %s: %s\n", what, cx->message);
	exit(1);
}

static double raw_insert(void *arg, int thread)
{
	static const struct sql INSERT = { "INSERT INTO bench_raw (id, body) VALUES (?, ?)", "ss" };
	static const char BODY[100] = { 'x' };
	struct bench *b = arg;
	auto_ctx cx = { 0 };
	struct id id = id_make(clock_wall_us());

	if (db_exec(b->raw[thread], &cx, &INSERT, VALS(v_id(&id), v_s(str_bytes(BODY, sizeof BODY)))) != OK)
		give_up(&cx, "raw insert");
	return 1;
}

static double enqueue_sql(void *arg, int thread)
{
	struct bench *b = arg;
	auto_ctx cx = { 0 };
	struct task_order order = { .id = id_make(clock_wall_us()), .code_name = str_of(b->code),
	                            .payload = STR_LIT("{\"n\":1}"), .priority = 0, .timeout_s = 60 };

	if (task_store_add(b->queue[thread], &cx, &b->project_id, &order, &b->target, 1) != OK)
		give_up(&cx, "enqueue");
	return 1;
}

static int connect_to(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) {
		perror("bench_enqueue: connect");
		exit(1);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

/* One connection of the load generator: it posts, reads the whole answer, posts again. */
struct caller {
	int fd;
	char answer[8192];
	size_t have;
	long good;
};

static void post(struct bench *b, struct caller *c, int epoll)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

	if (c->fd < 0) { /* the first, or the server closed it */
		c->fd = connect_to(b->port);
		epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
	}
	c->have = 0;
	if (write(c->fd, b->post, b->post_bytes) != (ssize_t)b->post_bytes) {
		close(c->fd);
		c->fd = -1;
	}
}

/* True when there is nothing more to wait for: an answer is whole, or the connection is gone. */
static bool is_answered(struct caller *c)
{
	ssize_t n = read(c->fd, c->answer + c->have, sizeof c->answer - 1 - c->have);
	char *body, *length;

	if (n <= 0) {
		close(c->fd);
		c->fd = -1;
		return true;
	}
	c->have += (size_t)n;
	c->answer[c->have] = 0;
	body = strstr(c->answer, "\r\n\r\n");
	length = strcasestr(c->answer, "content-length:");
	if (!body || !length || c->have < (size_t)(body - c->answer) + 4 + strtoul(length + 15, NULL, 10))
		return false;
	c->good += strncmp(c->answer, "HTTP/1.1 200", 12) == 0;
	return true;
}

/* All connections in one thread: what generates load should take as little as it can of the two
 * processors that it shares with what is measured. */
static double http_rate(struct bench *b, double seconds)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int64_t began = clock_boot_us(), until = began + (int64_t)(seconds * 1e6);
	struct epoll_event events[CLIENTS];
	long good = 0;

	for (int i = 0; i < CLIENTS; i++) {
		b->callers[i] = (struct caller){ .fd = -1 };
		post(b, &b->callers[i], epoll);
	}
	while (clock_boot_us() < until) {
		int n = epoll_wait(epoll, events, CLIENTS, 100);

		for (int i = 0; i < n; i++)
			if (is_answered(events[i].data.ptr))
				post(b, events[i].data.ptr, epoll);
		for (int i = 0; i < CLIENTS; i++)
			if (b->callers[i].fd < 0)
				post(b, &b->callers[i], epoll);
	}
	until = clock_boot_us();
	for (int i = 0; i < CLIENTS; i++) {
		good += b->callers[i].good;
		if (b->callers[i].fd >= 0)
			close(b->callers[i].fd);
	}
	close(epoll);
	return (double)good / ((double)(until - began) / 1e6);
}

static void set_up(struct bench *b, struct ctx *cx, char **argv)
{
	static const struct sql MAKE = { "CREATE TABLE IF NOT EXISTS bench_raw (id BINARY(12) PRIMARY KEY, body VARBINARY(100) NOT NULL)", "" };
	char *body;

	if (settings_read(cx, argv[1], &b->settings) != OK)
		give_up(cx, "settings");
	b->port = (int)strtol(argv[2], NULL, 10);
	b->project = argv[3];
	b->token = argv[4];
	b->code = argv[5];
	if (!id_parse(str_of(b->project), &b->project_id))
		give_up(cx, "project id");
	for (int i = 0; i < CLIENTS; i++) {
		b->raw[i] = db_new(&b->settings, DB_TASKS, DB_WAIT_WORKER_S);
		b->queue[i] = db_new(&b->settings, DB_TASKS, DB_WAIT_WORKER_S);
	}
	if (db_exec(b->raw[0], cx, &MAKE, NULL, 0) != OK)
		give_up(cx, "make table");
	if (code_store_target(b->queue[0], cx, &b->project_id, str_of(b->code), STR_LIT(""), &b->target) != OK)
		give_up(cx, "code");
	body = arena_printf(&cx->arena, "{\"tasks\":[{\"code_name\":\"%s\",\"payload\":\"{\\\"n\\\":1}\",\"timeout\":60}]}", b->code);
	b->post = arena_printf(&cx->arena,
	                       "POST /2/projects/%s/tasks HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: OAuth %s\r\n"
	                       "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	                       b->project, b->port, b->token, strlen(body), body);
	b->post_bytes = strlen(b->post);
}

int main(int argc, char **argv)
{
	static struct bench b;
	auto_ctx cx = { 0 };
	struct figures raw, sql, http;
	double seconds = argc > 6 ? strtod(argv[6], NULL) : 2;

	if (argc < 6) {
		fprintf(stderr, "usage: bench_enqueue CONFIG PORT PROJECT TOKEN CODE [SECONDS]\n");
		return 2;
	}
	set_up(&b, &cx, argv);
	b.callers = arena_array(&cx.arena, CLIENTS, sizeof *b.callers);
	http_rate(&b, 0.5); /* caches are warm before the first round */
	for (int r = 0; r < ROUNDS; r++) {
		raw.v[r] = rate_of(CLIENTS, seconds, raw_insert, &b);
		sql.v[r] = rate_of(CLIENTS, seconds, enqueue_sql, &b);
		http.v[r] = http_rate(&b, seconds);
	}
	figures_print("raw_insert", &raw, "rows/s");
	figures_print("enqueue_sql", &sql, "tasks/s");
	figures_print("enqueue_http", &http, "tasks/s");
	figures_ratio("enqueue_http/raw_insert", &http, &raw, "0.22");
	figures_ratio("enqueue_http/enqueue_sql", &http, &sql, "0.50");
	for (int i = 0; i < CLIENTS; i++) {
		db_free(b.raw[i]);
		db_free(b.queue[i]);
	}
	return 0;
}
