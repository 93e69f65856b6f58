#pragma once
#include "base/json.h"
#include "fcgi/auth.h"
#include "fcgi/doorbell.h"
#include "fcgi/exchange.h"
#include "fcgi/quota.h"

#include <check.h>
#include <stdio.h>

/* Asks the front door as a web server would, in this process: variables and body in, the whole
 * answer out. */
struct asked {
	int status;
	char *headers;     /* whole header block */
	struct str body;
	json_t *json;      /* of the body, NULL if it is none */
	struct buf answer; /* owns the texts above */
};

struct asking {
	const char *method, *uri, *token; /* token NULL = none */
	struct str body;                  /* p NULL = no CONTENT_LENGTH */
	const char *more[4];              /* further "NAME=value" */
};

struct ask_body {
	struct str rest;
};

static inline ssize_t ask_read(void *arg, char *p, size_t n)
{
	struct ask_body *b = arg;

	n = n < b->rest.n ? n : b->rest.n;
	if (n)
		memcpy(p, b->rest.p, n);
	b->rest = str_bytes(b->rest.p + n, b->rest.n - n);
	return (ssize_t)n;
}

static inline bool ask_write(void *arg, const char *p, size_t n)
{
	buf_add(arg, p, n);
	return true;
}

static inline void ask_split(struct asked *out)
{
	size_t end = str_find(buf_view(&out->answer), "\r\n\r\n");
	json_error_t e;

	ck_assert_msg(end != (size_t)-1, "no end of headers");
	out->body = str_bytes(out->answer.p + end + 4, out->answer.n - end - 4);
	out->answer.p[end + 2] = 0;
	out->headers = out->answer.p;
	ck_assert_int_eq(sscanf(out->headers, "Status: %d", &out->status), 1);
	out->json = out->body.n ? json_loadb(out->body.p, out->body.n, 0, &e) : NULL;
}

static inline struct asked ask_with(struct process *process, const struct asking *a)
{
	struct arena texts = { 0 };
	char *env[16] = { arena_printf(&texts, "REQUEST_METHOD=%s", a->method),
		          arena_printf(&texts, "REQUEST_URI=%s", a->uri) };
	struct ask_body body = { a->body };
	struct asked out = { 0 };
	struct request_source source = { env, ask_read, &body };
	struct reply_sink sink = { ask_write, NULL, &out.answer };
	struct request rq = { 0 };
	size_t n = 2;

	if (a->body.p)
		env[n++] = arena_printf(&texts, "CONTENT_LENGTH=%zu", a->body.n);
	if (a->token)
		env[n++] = arena_printf(&texts, "HTTP_AUTHORIZATION=OAuth %s", a->token);
	for (size_t i = 0; i < 4 && a->more[i]; i++)
		env[n++] = arena_text(&texts, a->more[i]);
	exchange(process, &rq, &source, &sink);
	ctx_release(&rq.cx);
	arena_release(&texts);
	ask_split(&out);
	return out;
}

static inline void asked_release(struct asked *a)
{
	json_decref(a->json);
	buf_free(&a->answer);
}
#define auto_asked __attribute__((cleanup(asked_release))) struct asked

/* "" if the answer has no such text. */
static inline const char *asked_text(const struct asked *a, const char *key)
{
	const char *s = json_string_value(json_object_get(a->json, key));

	return s ? s : "";
}

static inline const char *asked_msg(const struct asked *a)
{
	return asked_text(a, "msg");
}

static inline void process_fill(struct process *p, const struct settings *set)
{
	*p = (struct process){ .set = set, .db = db_new(set, DB_TASKS, DB_WAIT_API_S),
		               .logs = db_new(set, DB_LOGS, DB_WAIT_API_S),
		               .tokens = token_cache_new(), .quota = quota_new(), .bells = doorbells_new() };
}

static inline void process_empty(struct process *p)
{
	db_free(p->db);
	db_free(p->logs);
	token_cache_free(p->tokens);
	quota_free(p->quota);
	doorbells_free(p->bells);
}
