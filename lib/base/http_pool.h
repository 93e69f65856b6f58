#pragma once
#include "base/loop.h"
#include "base/str.h"

/* Many HTTP exchanges at once in one loop (libcurl's multi interface); connections are kept. http and
 * https only, no redirects, no environment proxies, TLS always checked. */
struct http_pool;

struct http_pool_options {
	bool allow_private; /* else only public addresses are called (egress.h), judged by the socket */
	int connect_ms, total_ms;
	size_t answer_max;  /* bytes of an answer that are read; a longer one is an error */
	const char *user_agent;
};

struct http_outcome {
	long status;       /* 0 = there was no answer */
	int retry_after_s; /* of the Retry-After header, 0 if none */
	int64_t took_ms;
	struct str error;  /* why there was no answer, "" otherwise; good during the call only */
};
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
