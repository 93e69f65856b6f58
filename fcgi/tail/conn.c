/* The web server's connections: FastCGI records in, an exchange, records out; nothing of it waits for
 * a peer. */
#include "fcgi/tail/tail.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fcgi/tail/record.h"

enum { READ_BYTES = 65536, PARAMS_BYTES = 131072, VARIABLES_MOST = 256 };
static const int64_t PEER_US = 15000000;
/* What all requests that are being read may hold, besides the largest one that is allowed. */
static const size_t BODIES_BYTES = 32u << 20;

static void on_ready(void *arg, uint32_t events);

/* --- begin and end --------------------------------------------------------------------------------- */
static void on_silence(void *arg)
{
	conn_close(arg);
}

void conn_new(struct tail *t, int fd)
{
	struct conn *c = calloc(1, sizeof *c);

	if (!c)
		abort();
	c->tail = t;
	c->fd = fd;
	c->in.ceiling = READ_BYTES * 4;
	c->params.ceiling = PARAMS_BYTES;
	c->on_fd = loop_add(t->loop, fd, EPOLLIN | EPOLLRDHUP, on_ready, c);
	if (!c->on_fd) {
		log_warn("connection", "errno=%d", errno);
		close(fd);
		free(c);
		return;
	}
	c->next = t->conns;
	c->back = &t->conns;
	if (c->next)
		c->next->back = &c->next;
	t->conns = c;
	t->count++;
	loop_start(t->loop, &c->timer, PEER_US, on_silence, c);
}

static void free_body(struct conn *c)
{
	c->tail->body_bytes -= c->body.n;
	buf_free(&c->body);
	buf_free(&c->params);
	buf_free(&c->in);
}

void conn_close(struct conn *c)
{
	struct tail *t = c->tail;

	wait_end(c);
	stream_end(c);
	loop_stop(t->loop, &c->timer);
	loop_remove(t->loop, c->on_fd);
	close(c->fd);
	if (c->is_held)
		exchange_drop(&c->rq, &c->rp);
	ctx_release(&c->rq.cx);
	free_body(c);
	buf_free(&c->out);
	arena_release(&c->arena);
	*c->back = c->next;
	if (c->next)
		c->next->back = c->back;
	t->count--;
	free(c);
	tail_left(t);
}

/* --- out ------------------------------------------------------------------------------------------- */
/* Bytes that were taken; -1: nobody listens. */
static ssize_t send_some(struct conn *c)
{
	ssize_t n;

	do
		n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return n > 0 ? n : -1;
}

/* A stream that has nothing more to send only listens; what was sent takes no room. */
static void go_on(struct conn *c)
{
	buf_drop(&c->out, c->sent);
	c->sent = 0;
	if (!c->out.n)
		buf_free(&c->out);
	loop_change(c->tail->loop, c->on_fd, EPOLLIN | EPOLLRDHUP | (c->out.n ? EPOLLOUT : 0u));
}

bool conn_flush(struct conn *c)
{
	while (c->sent < c->out.n) {
		ssize_t n = send_some(c);

		if (n < 0) {
			conn_close(c);
			return false;
		}
		if (!n)
			break;
		c->sent += (size_t)n;
		c->sent_in_all += (size_t)n;
	}
	if (c->stage == CONN_STREAMS) {
		go_on(c);
		return true;
	}
	if (c->sent < c->out.n)
		return true;
	conn_close(c); /* all is sent */
	return false;
}

static void write_out(struct conn *c)
{
	c->stage = CONN_WRITES;
	free_body(c);
	loop_start(c->tail->loop, &c->timer, PEER_US, on_silence, c);
	if (conn_flush(c))
		loop_change(c->tail->loop, c->on_fd, EPOLLOUT);
}

static bool put_answer(void *arg, const char *p, size_t n)
{
	struct conn *c = arg;

	record_put_stdout(&c->out, c->request, str_bytes(p, n));
	return true;
}

void conn_answer(struct conn *c)
{
	struct reply_sink sink = { put_answer, NULL, c };

	wait_end(c);
	exchange_end(&c->rq, &c->rp, &sink);
	c->is_held = false;
	conn_finish(c);
}

void conn_finish(struct conn *c)
{
	record_put_end(&c->out, c->request, RECORD_DONE);
	write_out(c);
}

/* The head now, and then what comes. */
static void answer_and_stream(struct conn *c)
{
	struct reply_sink sink = { put_answer, NULL, c };
	struct stream_place at = *c->rp.stream;

	free_body(c);
	exchange_end(&c->rq, &c->rp, &sink);
	c->is_held = false;
	arena_release(&c->arena);
	stream_begin(c, &at);
	conn_flush(c);
}

/* What does not get as far as an exchange. */
static void refuse(struct conn *c, int status)
{
	record_put_end(&c->out, c->request, status);
	write_out(c);
}

static void refuse_body(struct conn *c)
{
	record_put_stdout(&c->out, c->request,
	                  STR_LIT("Status: 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 2\r\n\r\n"
	                          "{\"msg\":\"the server is busy, nothing was done\"}"));
	record_put_end(&c->out, c->request, RECORD_DONE);
	write_out(c);
}

/* --- the exchange ---------------------------------------------------------------------------------- */
static ssize_t read_body(void *arg, char *p, size_t n)
{
	struct conn *c = arg;

	n = n < c->unread.n ? n : c->unread.n;
	if (n)
		memcpy(p, c->unread.p, n);
	c->unread = str_bytes(c->unread.p + n, c->unread.n - n);
	return (ssize_t)n;
}

/* NULL when the variables are not what FastCGI says they are. */
static char **variables(struct conn *c)
{
	char **env = arena_array(&c->arena, VARIABLES_MOST + 1, sizeof *env);
	struct str rest = buf_view(&c->params), name, value;
	size_t n = 0;

	if (c->params.full)
		return NULL;
	while (rest.n) {
		if (n == VARIABLES_MOST || !record_pair(&rest, &name, &value))
			return NULL;
		env[n++] = arena_printf(&c->arena, STR_FMT "=" STR_FMT, STR_ARG(name), STR_ARG(value));
	}
	return env;
}

static void begin_exchange(struct conn *c)
{
	struct tail *t = c->tail;
	struct request_source source = { variables(c), read_body, c };

	if (!source.env) {
		conn_close(c);
		return;
	}
	loop_stop(t->loop, &c->timer);
	c->unread = buf_view(&c->body);
	c->is_held = true;
	t->process->may_wait = !t->ending && t->waiting < (size_t)t->set->tail.watchers;
	if (exchange_begin(t->process, &c->rq, &c->rp, &source)) {
		free_body(c);
		wait_begin(c);
	} else if (c->rp.stream) {
		answer_and_stream(c);
	} else {
		conn_answer(c);
	}
}

/* --- in -------------------------------------------------------------------------------------------- */
/* A little more than the API takes, so that the API sees that it is too much. */
static void add_body(struct conn *c, struct str bytes)
{
	size_t room = (size_t)c->tail->set->limits.request_bytes + 1 - c->body.n;
	size_t n = bytes.n < room ? bytes.n : room;

	buf_add(&c->body, bytes.p, n);
	c->tail->body_bytes += n;
}

static bool is_too_much(const struct conn *c)
{
	return c->tail->body_bytes > (size_t)c->tail->set->limits.request_bytes + BODIES_BYTES;
}

/* False: the connection is gone, or reads no more. */
static bool take(struct conn *c, const struct record *r)
{
	bool is_ours = c->request && r->request == c->request;

	if (r->type == RECORD_BEGIN && !c->request && r->request) {
		c->request = r->request;
		if (record_role(r->content) == RECORD_RESPONDER)
			return true;
		refuse(c, RECORD_UNKNOWN_ROLE);
		return false;
	}
	if (!is_ours) /* questions about us (request 0) and other requests: no web server sends either */
		return true;
	if (r->type == RECORD_ABORT) {
		conn_close(c);
		return false;
	}
	if (r->type == RECORD_PARAMS && !c->has_params) {
		buf_str(&c->params, r->content);
		c->has_params = !r->content.n;
	}
	if (r->type != RECORD_STDIN || !c->has_params)
		return true;
	add_body(c, r->content);
	if (r->content.n && !is_too_much(c))
		return true;
	if (r->content.n)
		refuse_body(c);
	else
		begin_exchange(c);
	return false;
}

static void take_all(struct conn *c)
{
	struct str rest = buf_view(&c->in);
	enum record_taken how;
	struct record r;

	while ((how = record_take(&rest, &r)) == RECORD_TAKEN) {
		if (c->stage == CONN_READS && !take(c, &r))
			return;
		if ((c->stage == CONN_WAITS || c->stage == CONN_STREAMS) && r.type == RECORD_ABORT)
			how = RECORD_BROKEN;
		if (how == RECORD_BROKEN)
			break;
	}
	if (how == RECORD_BROKEN) {
		conn_close(c);
		return;
	}
	if (rest.n)
		memmove(c->in.p, rest.p, rest.n);
	c->in.n = rest.n;
}

static void read_more(struct conn *c)
{
	char *p = buf_room(&c->in, READ_BYTES);
	ssize_t n = p ? recv(c->fd, p, READ_BYTES, MSG_DONTWAIT) : -1;

	if (n < 0 && p && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) { /* the client has gone, and the web server tells it so */
		conn_close(c);
		return;
	}
	c->in.n += (size_t)n;
	take_all(c);
}

static void on_ready(void *arg, uint32_t events)
{
	struct conn *c = arg;

	if (c->stage == CONN_WRITES || (c->stage == CONN_STREAMS && events == EPOLLOUT))
		conn_flush(c);
	else if (events)
		read_more(c);
}
