#pragma once
#include "base/buf.h"
#include "base/ctx.h"

/* Face of libcurl: http and https only, no environment proxies, no redirects, TLS always checked. */
struct http_request {
	const char *method;      /* "GET", "POST", … */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
	struct str body;         /* sent when p is not NULL */
	int connect_ms, total_ms; /* 0 = 3,000 and 60,000 */
	size_t answer_max;       /* most bytes of answer that are read; 0 = 64 MiB */
};
struct http_answer {
	long status;
	struct str content_type; /* "" if none */
	struct str body;         /* in the ctx's arena */
	int retry_after_s;       /* of the Retry-After header, 0 if none */
};

/* One blocking exchange. OK whatever the status; ERR_BUSY says why there was no answer. */
enum err http_call(struct ctx *cx, const struct http_request *rq, struct http_answer *out);
