#include "fcgi/reply.h"

#include "base/crypt.h"
#include "base/json.h"

enum { SMALL_BYTES = 16384 };

static const struct {
	int status;
	const char *reason;
} REASONS[] = {
	{ 200, "OK" }, { 204, "No Content" }, { 206, "Partial Content" }, { 302, "Found" }, { 303, "See Other" },
	{ 304, "Not Modified" }, { 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" },
	{ 404, "Not Found" }, { 405, "Method Not Allowed" }, { 406, "Not Acceptable" }, { 409, "Conflict" },
	{ 413, "Payload Too Large" }, { 416, "Range Not Satisfiable" }, { 422, "Unprocessable Content" }, { 429, "Too Many Requests" }, { 500, "Internal Server Error" },
	{ 502, "Bad Gateway" }, { 503, "Service Unavailable" },
};

static const struct {
	enum err kind;
	int status;
} STATUSES[] = {
	{ OK, 200 }, { ERR_INPUT, 400 }, { ERR_AUTH, 401 }, { ERR_FORBIDDEN, 403 }, { ERR_NOT_FOUND, 404 },
	{ ERR_METHOD, 405 }, { ERR_REQUIRED, 406 }, { ERR_CONFLICT, 409 }, { ERR_TOO_LARGE, 413 },
	{ ERR_MISMATCH, 422 }, { ERR_LIMIT, 429 }, { ERR_INTERNAL, 500 }, { ERR_BUSY, 503 }, { ERR_UNSURE, 502 },
};

static const char *reason_of(int status)
{
	for (size_t i = 0; i < sizeof REASONS / sizeof *REASONS; i++)
		if (REASONS[i].status == status)
			return REASONS[i].reason;
	return "Unknown";
}

int reply_status_of(enum err e)
{
	for (size_t i = 0; i < sizeof STATUSES / sizeof *STATUSES; i++)
		if (STATUSES[i].kind == e)
			return STATUSES[i].status;
	return 500;
}

static void add_header(struct buf *to, const char *name, struct str value)
{
	buf_text(to, name);
	buf_text(to, ": ");
	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] >= 0x20 && value.p[i] != 0x7f)
			buf_char(to, value.p[i]);
	buf_text(to, "\r\n");
}

void reply_header(struct reply *rp, const char *name, struct str value)
{
	add_header(&rp->headers, name, value);
}

void reply_lasting_header(struct reply *rp, const char *name, struct str value)
{
	add_header(&rp->lasting, name, value);
}

static int add_to_body(const char *p, size_t n, void *arg)
{
	buf_add(arg, p, n);
	return 0;
}

enum err reply_json(struct reply *rp, int status, json_t *j)
{
	rp->status = status;
	rp->type = "application/json";
	buf_clear(&rp->body);
	json_dump_callback(j, add_to_body, &rp->body, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(j);
	return OK;
}

enum err reply_msg(struct reply *rp, int status, const char *msg, const struct id *id)
{
	json_t *j = json_object();

	if (id) {
		struct id_text text = id_format(id);

		json_object_set_new(j, "id", json_string(text.s));
	}
	json_object_set_new(j, "msg", json_text(str_of(msg)));
	return reply_json(rp, status, j);
}

enum err reply_text(struct reply *rp, int status, struct str text)
{
	rp->status = status;
	rp->type = "text/plain; charset=utf-8";
	buf_clear(&rp->body);
	buf_str(&rp->body, text);
	return OK;
}

enum err reply_see_other(struct request *rq, struct reply *rp, const char *path)
{
	char *to = arena_printf(&rq->cx.arena, STR_FMT "%s", STR_ARG(request_base(rq)), path);

	rp->status = 303;
	rp->type = "text/plain; charset=utf-8";
	buf_clear(&rp->body);
	reply_header(rp, "Location", str_of(to));
	return OK;
}

/* Clients that were sent away together must not come back together. */
static int jittered_s(int seconds)
{
	unsigned char random;

	crypt_random(&random, sizeof random);
	return seconds + random % (seconds / 2 + 1);
}

/* Of what is ours to mend people are told what, not where: names of hosts, sockets and tables stay in
 * the log, under the request's id. */
static const char *said_to_clients(struct request *rq, int status)
{
	char *cut;

	if (status == 500)
		return arena_printf(&rq->cx.arena, "the server failed; its log says more about request %s", rq->cx.trace);
	if (status != 503)
		return rq->cx.message;
	cut = strstr(rq->cx.message, ": ");
	return arena_copy(&rq->cx.arena, rq->cx.message, cut ? (size_t)(cut - rq->cx.message) : strlen(rq->cx.message));
}

/* Outside of IronWorker's wire errors are problem details (RFC 9457); msg stays for who knows only it. */
static enum err reply_problem(struct request *rq, struct reply *rp, int status, const char *msg)
{
	json_t *j = json_pack("{s:s, s:s, s:i, s:s, s:o, s:o}", "type", "about:blank", "title", reason_of(status), "status",
	                      status, "instance", rq->cx.trace, "detail", json_text(str_of(msg)), "msg",
	                      json_text(str_of(msg)));

	reply_json(rp, status, j);
	rp->type = "application/problem+json";
	return OK;
}

/* By the text: a path or query that is too long has not been split. /1/ is a service of its own, which none of
 * IronWorker's clients asks (section 7): it has problems, too. */
static bool is_ironworkers(const struct request *rq)
{
	return str_starts(rq->path, "/2/") || str_is(rq->path, "/2");
}

void reply_error(struct request *rq, struct reply *rp)
{
	int status = reply_status_of(rq->cx.err ? rq->cx.err : ERR_INTERNAL);
	const char *msg = said_to_clients(rq, status);

	rp->more = NULL;
	rp->stream = NULL;
	buf_clear(&rp->headers);
	if (status == 401)
		reply_header(rp, "WWW-Authenticate", STR_LIT("OAuth realm=\"stoker\""));
	if (status == 429 || status == 503) {
		int after = rq->cx.retry_after_s ? rq->cx.retry_after_s : jittered_s(2);

		reply_header(rp, "Retry-After", str_of(arena_printf(&rq->cx.arena, "%d", after)));
	}
	if (is_ironworkers(rq))
		reply_msg(rp, status, msg, NULL);
	else
		reply_problem(rq, rp, status, msg);
}

static bool send_buf(struct buf *b, const struct reply_sink *sink)
{
	bool sent = !b->n || sink->write(sink->arg, b->p, b->n);

	buf_clear(b);
	return sent;
}

/* nginx holds a buffered answer back until we have closed, which costs it another round of events. What
 * the socket's buffer swallows whole it may as well hand on at once: nobody slow can hold us with it. */
static bool is_small_for_nginx(const struct request *rq, const struct reply *rp)
{
	return !rp->more && !rp->stream && rp->body.n <= SMALL_BYTES && str_starts(request_env(rq, "SERVER_SOFTWARE"), "nginx");
}

static bool send_head(const struct request *rq, struct reply *rp, const struct reply_sink *sink)
{
	auto_buf head = { 0 };
	int status = rp->status ? rp->status : 200;

	buf_printf(&head, "Status: %d %s\r\n", status, reason_of(status));
	buf_printf(&head, "Content-Type: %s\r\n", rp->type ? rp->type : "application/json");
	if (!rp->more && !rp->stream && status != 304)
		buf_printf(&head, "Content-Length: %zu\r\n", rp->body.n);
	buf_printf(&head, "X-Request-Id: %s\r\n", rq->cx.trace);
	if (is_small_for_nginx(rq, rp))
		buf_text(&head, "X-Accel-Buffering: no\r\n");
	buf_str(&head, buf_view(&rp->headers));
	buf_str(&head, buf_view(&rp->lasting));
	buf_text(&head, "\r\n");
	return send_buf(&head, sink);
}

bool reply_send(struct request *rq, struct reply *rp, const struct reply_sink *sink)
{
	if (!send_head(rq, rp, sink))
		return false;
	if (rq->method == METHOD_HEAD)
		return true;
	while (rp->more) {
		if (!send_buf(&rp->body, sink))
			return false;
		if (rp->more(rq, rp) != OK)
			return false;
	}
	return send_buf(&rp->body, sink);
}

void reply_release(struct reply *rp)
{
	buf_free(&rp->headers);
	buf_free(&rp->lasting);
	buf_free(&rp->body);
	*rp = (struct reply){ 0 };
}
