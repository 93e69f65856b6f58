#include "base/http_pool.h"

#include "base/clock.h"
#include "base/egress.h"
#include "base/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <sys/socket.h>

struct exchange {
	struct http_pool *pool;
	struct exchange *next, **back;
	CURL *curl;
	struct curl_slist *headers;
	http_pool_done *done;
	void *arg;
	int64_t began_us;
	size_t answered, headers_read; /* bytes */
	int retry_after_s;
	bool refused;    /* by the egress guard */
	bool cut;        /* as much of the answer was read as we want */
	char error[CURL_ERROR_SIZE];
	size_t lines_n;
	char lines[HTTP_POOL_LINES_BYTES]; /* of its headers */
	size_t kept;     /* bytes of room in `first` */
	char first[];    /* bytes of the answer */
};

struct http_pool {
	struct loop *loop;
	struct http_pool_options options;
	CURLM *multi;
	struct loop_timer timer;
	struct exchange *first;
	size_t open;
};

/* What curl wants watched: one a socket. */
struct watched {
	struct http_pool *pool;
	struct loop_watch *watch;
	curl_socket_t fd;
};

/* --- answers -------------------------------------------------------------------------------------- */

static void forget(struct exchange *x)
{
	curl_multi_remove_handle(x->pool->multi, x->curl);
	curl_easy_cleanup(x->curl);
	curl_slist_free_all(x->headers);
	*x->back = x->next;
	if (x->next)
		x->next->back = x->back;
	x->pool->open--;
	free(x);
}

static struct str reason(const struct exchange *x, CURLcode rc)
{
	if (x->refused)
		return STR_LIT("its address is not a public one (courier.allow)");
	if (x->headers_read > HTTP_POOL_HEADER_BYTES)
		return STR_LIT("the headers of its answer are over 16 KiB");
	return str_of(x->error[0] ? x->error : curl_easy_strerror(rc));
}

static int64_t milliseconds(const struct exchange *x, CURLINFO what)
{
	curl_off_t us = 0;

	curl_easy_getinfo(x->curl, what, &us);
	return us / 1000;
}

static void finish(struct exchange *x, CURLcode rc)
{
	struct http_outcome how = { .retry_after_s = x->retry_after_s, .error = STR_LIT(""), .address = "",
		                    .took_ms = (clock_boot_us() - x->began_us) / 1000 };
	char *address = NULL;

	if (rc == CURLE_OK || (rc == CURLE_WRITE_ERROR && x->cut))
		curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &how.status);
	else
		how.error = reason(x, rc);
	how.answer = str_bytes(x->first, x->answered < x->kept ? x->answered : x->kept);
	how.headers = str_bytes(x->lines, x->lines_n);
	how.lookup_ms = milliseconds(x, CURLINFO_NAMELOOKUP_TIME_T);
	how.connect_ms = milliseconds(x, CURLINFO_CONNECT_TIME_T);
	how.first_byte_ms = milliseconds(x, CURLINFO_STARTTRANSFER_TIME_T);
	if (curl_easy_getinfo(x->curl, CURLINFO_PRIMARY_IP, &address) == CURLE_OK && address)
		how.address = address;
	x->done(x->arg, &how);
	forget(x);
}

static void reap(struct http_pool *p)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(p->multi, &left))) {
		struct exchange *x;
		CURLcode rc = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&x);
		finish(x, rc);
	}
}

/* --- curl's sockets and timer in our loop ----------------------------------------------------------- */

static void on_socket(void *arg, uint32_t events)
{
	struct watched *w = arg;
	struct http_pool *p = w->pool;
	int what = 0, running;

	if (events & EPOLLIN)
		what |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		what |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		what |= CURL_CSELECT_ERR;
	curl_multi_socket_action(p->multi, w->fd, what, &running);
	reap(p);
}

static void on_timer(void *arg)
{
	struct http_pool *p = arg;
	int running;

	curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(p);
}

static int want_timer(CURLM *multi, long ms, void *arg)
{
	struct http_pool *p = arg;

	(void)multi;
	if (ms < 0)
		loop_stop(p->loop, &p->timer);
	else
		loop_start(p->loop, &p->timer, ms * 1000, on_timer, p);
	return 0;
}

static int want_socket(CURL *curl, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct http_pool *p = arg;
	struct watched *w = of_socket;
	uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);

	(void)curl;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			loop_remove(p->loop, w->watch);
		free(w);
		return 0;
	}
	if (w) {
		loop_change(p->loop, w->watch, events);
		return 0;
	}
	w = calloc(1, sizeof *w);
	if (!w)
		abort();
	*w = (struct watched){ .pool = p, .fd = fd };
	w->watch = loop_add(p->loop, fd, events, on_socket, w);
	curl_multi_assign(p->multi, fd, w);
	return 0;
}

/* --- one exchange ------------------------------------------------------------------------------------ */

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	size_t most = x->pool->options.answer_max, got = size * n;

	if (x->answered < x->kept)
		memcpy(x->first + x->answered, bytes, got < x->kept - x->answered ? got : x->kept - x->answered);
	x->answered += got;
	x->cut = most && x->answered >= most;
	return x->cut ? 0 : got;
}

/* Whole lines, as long as there is room. Cookies are the receiver's own. */
static void keep_line(struct exchange *x, struct str line)
{
	struct str name, rest = line;
	size_t n = str_trim(line).n;

	if (!str_cut(&rest, ':', &name) || !rest.n || str_is_nocase(name, "set-cookie") || n + 1 > sizeof x->lines - x->lines_n)
		return;
	memcpy(x->lines + x->lines_n, str_trim(line).p, n);
	x->lines_n += n;
	x->lines[x->lines_n++] = '\n';
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	struct str line = str_bytes(bytes, size * n), name;

	x->headers_read += line.n;
	if (x->headers_read > HTTP_POOL_HEADER_BYTES)
		return 0;
	if (str_starts(line, "HTTP/"))
		x->retry_after_s = 0, x->lines_n = 0; /* what counts is said by the last of redirected answers */
	else
		keep_line(x, line);
	if (str_cut(&line, ':', &name) && str_is_nocase(name, "retry-after"))
		x->retry_after_s = http_retry_after_s(str_trim(line));
	return size * n;
}

/* Of the URL that is called now, as curl reads it; NULL if none. Freed by curl_free. */
static char *host_of(CURL *curl)
{
	CURLU *u = curl_url();
	char *host = NULL, *url = NULL;

	if (u && curl_easy_getinfo(curl, CURLINFO_EFFECTIVE_URL, &url) == CURLE_OK && url &&
	    curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK)
		curl_url_get(u, CURLUPART_HOST, &host, 0);
	curl_url_cleanup(u);
	return host;
}

static bool may_connect(const struct exchange *x, const struct sockaddr *to)
{
	static const struct egress_list NOTHING;
	const struct http_pool_options *o = &x->pool->options;
	char *host;
	bool may;

	if (o->allow_private || (o->proxy && *o->proxy))
		return true;
	host = host_of(x->curl);
	may = egress_may(o->allow ? o->allow : &NOTHING, host ? host : "", to);
	curl_free(host);
	return may;
}

/* The egress guard: the last moment at which the address is known and nothing is sent. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct exchange *x = arg;

	(void)purpose;
	if (!may_connect(x, &to->addr)) {
		x->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static void set_up(struct exchange *x, const char *url, struct str body)
{
	const struct http_pool_options *o = &x->pool->options;
	CURL *c = x->curl;

	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, o->redirects > 0 ? 1L : 0L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)o->redirects);
	curl_easy_setopt(c, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL);
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, strncasecmp(url, "https:", 6) == 0 ? "https" : "http,https");
	curl_easy_setopt(c, CURLOPT_PROXY, o->proxy ? o->proxy : ""); /* never the environment's */
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	if (o->ca.n) {
		struct curl_blob blob = { (void *)(uintptr_t)o->ca.p, o->ca.n, CURL_BLOB_NOCOPY };

		curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
		curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	} else if (o->ca_file) {
		curl_easy_setopt(c, CURLOPT_CAINFO, o->ca_file);
		curl_easy_setopt(c, CURLOPT_CAPATH, NULL); /* with a folder curl 7.88 keeps nothing of what it read */
	}
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_ms);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)o->total_ms);
	curl_easy_setopt(c, CURLOPT_USERAGENT, o->user_agent);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, x->headers);
	curl_easy_setopt(c, CURLOPT_POST, 1L);
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
	curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, body.p);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, x);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->error);
	curl_easy_setopt(c, CURLOPT_PRIVATE, (char *)x);
}

void http_pool_post(struct http_pool *p, const char *url, const char *const *headers, struct str body,
                    http_pool_done *done, void *arg)
{
	size_t kept = p->options.answer_kept ? p->options.answer_kept : HTTP_POOL_ANSWER_BYTES;
	struct exchange *x = calloc(1, sizeof *x + kept);

	if (!x || !(x->curl = curl_easy_init()) || !(x->headers = curl_slist_append(NULL, "Expect:")))
		abort();
	x->pool = p;
	x->kept = kept;
	x->done = done;
	x->arg = arg;
	x->began_us = clock_boot_us();
	for (; headers && *headers; headers++)
		curl_slist_append(x->headers, *headers);
	set_up(x, url, body);
	x->next = p->first;
	x->back = &p->first;
	if (x->next)
		x->next->back = &x->next;
	p->first = x;
	p->open++;
	curl_multi_add_handle(p->multi, x->curl); /* begins from its timer, in the loop */
}

size_t http_pool_open(const struct http_pool *p)
{
	return p->open;
}

struct http_pool *http_pool_new(struct loop *l, const struct http_pool_options *options)
{
	struct http_pool *p = calloc(1, sizeof *p);

	if (!p)
		abort();
	*p = (struct http_pool){ .loop = l, .options = *options, .multi = curl_multi_init() };
	if (!p->multi) {
		free(p);
		return NULL;
	}
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	return p;
}

void http_pool_free(struct http_pool *p)
{
	if (!p)
		return;
	while (p->first)
		forget(p->first);
	curl_multi_cleanup(p->multi);
	loop_stop(p->loop, &p->timer);
	free(p);
}
