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
	const char *wanted;      /* name of a header of the answer; may be NULL */
};
struct http_answer {
	long status;
	struct str content_type; /* "" if none */
	struct str body;         /* in the ctx's arena */
	int retry_after_s;       /* of the Retry-After header, 0 if none */
	struct str wanted;       /* value of the header that was asked for, "" if none */
};
/* Takes an answer of status 200 as it comes. */
struct http_sink {
	void (*on_bytes)(void *arg, struct str bytes);
	bool (*goes_on)(void *arg); /* asked with each piece, and once a second; false breaks it off */
	void *arg;
};

/* One blocking exchange. OK whatever the status; ERR_BUSY says why there was no answer. */
enum err http_call(struct ctx *cx, const struct http_request *rq, struct http_answer *out);
/* The same without a limit of time or bytes for an answer of status 200, which goes to `sink` piece by
 * piece. OK: it came to its end. */
enum err http_stream(struct ctx *cx, const struct http_request *rq, const struct http_sink *sink, struct http_answer *out);

/* Seconds from now that a Retry-After header asks for, "120" or an HTTP date: 0 to 86,400, 0 for what says
 * neither. */
int http_retry_after_s(struct str text);
