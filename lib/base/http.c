#include "base/http.h"

#include "base/clock.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

enum { RETRY_AFTER_S_MOST = 86400 };

struct call {
	struct buf body;
	struct http_answer *out;
	struct arena *arena;
	CURL *curl;
	const char *wanted;
	const struct http_sink *sink; /* NULL = the answer is kept */
};

static size_t on_body(char *p, size_t size, size_t n, void *user)
{
	struct call *c = user;
	long status = 0;

	if (c->sink)
		curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200) {
		c->sink->on_bytes(c->sink->arg, str_bytes(p, size * n));
		return c->sink->goes_on(c->sink->arg) ? size * n : 0;
	}
	buf_add(&c->body, p, size * n);
	return c->body.full ? 0 : size * n;
}

static int on_progress(void *user, curl_off_t to_come, curl_off_t came, curl_off_t to_go, curl_off_t went)
{
	const struct call *c = user;

	(void)to_come, (void)came, (void)to_go, (void)went;
	return !c->sink->goes_on(c->sink->arg);
}

int http_retry_after_s(struct str text)
{
	char date[64];
	int64_t seconds;
	time_t at;

	if (!str_int(text, &seconds)) {
		snprintf(date, sizeof date, STR_FMT, STR_ARG(text));
		at = curl_getdate(date, NULL);
		seconds = at < 0 ? 0 : at - clock_wall_us() / 1000000;
	}
	return seconds < 0 ? 0 : seconds < RETRY_AFTER_S_MOST ? (int)seconds : RETRY_AFTER_S_MOST;
}

static size_t on_header(char *p, size_t size, size_t n, void *user)
{
	struct call *c = user;
	struct str line = str_bytes(p, size * n), name;

	if (str_cut(&line, ':', &name)) {
		if (str_is_nocase(name, "retry-after"))
			c->out->retry_after_s = http_retry_after_s(str_trim(line));
		if (str_is_nocase(name, "content-type"))
			c->out->content_type = str_of(str_c(c->arena, str_trim(line)));
		if (c->wanted && str_is_nocase(name, c->wanted))
			c->out->wanted = str_of(str_c(c->arena, str_trim(line)));
	}
	return size * n;
}

static void set_up(const struct http_request *rq, struct call *c, struct curl_slist *headers)
{
	CURL *curl = c->curl;

	curl_easy_setopt(curl, CURLOPT_URL, rq->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(rq->connect_ms ? rq->connect_ms : 3000));
	if (c->sink) {
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, c);
	} else {
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(rq->total_ms ? rq->total_ms : 60000));
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, rq->method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, c);
	if (strcmp(rq->method, "HEAD") == 0)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	if (rq->body.p) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body.n);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, rq->body.p);
	}
}

static enum err perform(struct ctx *cx, const struct http_request *rq, const struct http_sink *sink,
                        struct http_answer *out)
{
	struct call c = { .out = out, .arena = &cx->arena, .curl = curl_easy_init(), .wanted = rq->wanted, .sink = sink,
	                  .body = { .ceiling = rq->answer_max ? rq->answer_max : 64u << 20 } };
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	CURLcode rc;

	if (!c.curl || !headers)
		abort();
	*out = (struct http_answer){ .content_type = STR_LIT(""), .wanted = STR_LIT("") };
	for (const char *const *h = rq->headers; h && *h; h++)
		headers = curl_slist_append(headers, *h);
	set_up(rq, &c, headers);
	rc = curl_easy_perform(c.curl);
	curl_easy_getinfo(c.curl, CURLINFO_RESPONSE_CODE, &out->status);
	out->body = str_bytes(arena_copy(&cx->arena, c.body.p, c.body.n), c.body.n);
	buf_free(&c.body);
	curl_slist_free_all(headers);
	curl_easy_cleanup(c.curl);
	if (rc != CURLE_OK)
		return err_set(cx, ERR_BUSY, "%s %s: %s", rq->method, rq->url, curl_easy_strerror(rc));
	return OK;
}

enum err http_call(struct ctx *cx, const struct http_request *rq, struct http_answer *out)
{
	return perform(cx, rq, NULL, out);
}

enum err http_stream(struct ctx *cx, const struct http_request *rq, const struct http_sink *sink, struct http_answer *out)
{
	return perform(cx, rq, sink, out);
}
