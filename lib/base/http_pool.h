#pragma once
#include "base/egress.h"
#include "base/loop.h"
#include "base/str.h"

/* Many HTTP exchanges at once in one loop (libcurl's multi interface); connections are kept. http and
 * https only, no environment proxies, TLS always checked. */
struct http_pool;

struct http_pool_options {
	bool allow_private; /* else only public addresses are called (egress.h), judged by the socket */
	const struct egress_list *allow; /* what may be called besides; NULL = nothing */
	const char *proxy;  /* its URL; "" or NULL = none. It connects, so that it has to guard, too */
	int connect_ms, total_ms;
	int redirects;      /* followed at most, as POSTs, each judged by the guard, never from https to http; 0 = none */
	size_t answer_max;  /* bytes of an answer that are read: a longer one is cut off there (0 = all) */
	const char *user_agent;
	const char *ca_file; /* whom TLS trusts, PEM; read once and kept: it takes 20 ms */
	struct str ca;       /* the same as text; n 0 = ca_file */
	size_t answer_kept;  /* bytes of an answer that are handed over; 0 = HTTP_POOL_ANSWER_BYTES */
};

struct http_outcome {
	long status;       /* 0 = there was no answer, or none to its end in time */
	int retry_after_s; /* of the Retry-After header (seconds or a date), 0 if none */
	int64_t took_ms, lookup_ms, connect_ms, first_byte_ms; /* since the beginning */
	/* good during the call only */
	const char *address; /* that was connected to, "" if none */
	struct str answer;   /* first bytes of its body */
	struct str headers;  /* its first header lines, each with its newline, without status and cookies */
	struct str error;    /* why there was no answer, "" otherwise */
};
enum { HTTP_POOL_ANSWER_BYTES = 1024, HTTP_POOL_HEADER_BYTES = 16384, HTTP_POOL_LINES_BYTES = 4096 };
typedef void http_pool_done(void *arg, const struct http_outcome *how);

/* The options' texts must outlive it. NULL if libcurl fails. */
struct http_pool *http_pool_new(struct loop *l, const struct http_pool_options *options);
/* Drops what is under way without a word. NULL is fine. */
void http_pool_free(struct http_pool *p);
/* POSTs a copy of `body`; `headers` are "Name: value", NULL-terminated, copied. `done` is called once,
 * never from within this call. */
void http_pool_post(struct http_pool *p, const char *url, const char *const *headers, struct str body,
                    http_pool_done *done, void *arg);
/* Exchanges under way. */
size_t http_pool_open(const struct http_pool *p);
