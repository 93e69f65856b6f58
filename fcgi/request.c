#include "fcgi/request.h"

#include <ctype.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "fcgi/route.h"

static const size_t DROPPED_BYTES_MOST = 8u << 20;

static const struct {
	enum method method;
	const char *name;
} METHODS[] = {
	{ METHOD_GET, "GET" },     { METHOD_HEAD, "HEAD" },     { METHOD_POST, "POST" },
	{ METHOD_PUT, "PUT" },     { METHOD_PATCH, "PATCH" },   { METHOD_DELETE, "DELETE" },
	{ METHOD_OPTIONS, "OPTIONS" },
};
enum { METHOD_COUNT = sizeof METHODS / sizeof *METHODS };

const char *method_name(enum method m)
{
	for (size_t i = 0; i < METHOD_COUNT; i++)
		if (METHODS[i].method == m)
			return METHODS[i].name;
	return "OTHER";
}

static enum method method_of(struct str name)
{
	for (size_t i = 0; i < METHOD_COUNT; i++)
		if (str_is(name, METHODS[i].name))
			return METHODS[i].method;
	return METHOD_OTHER;
}

/* --- variables ------------------------------------------------------------------------------- */
struct str request_env(const struct request *rq, const char *name)
{
	size_t n = strlen(name);

	for (char **e = rq->source.env; e && *e; e++)
		if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
			return str_of(*e + n + 1); /* of a name given twice the first wins */
	return STR_LIT("");
}

struct str request_header(const struct request *rq, const char *name)
{
	char variable[80] = "HTTP_";
	size_t n = strlen(variable);

	if (str_is_nocase(str_of(name), "Content-Type"))
		return request_env(rq, "CONTENT_TYPE");
	for (; *name && n < sizeof variable - 1; name++)
		variable[n++] = *name == '-' ? '_' : (char)toupper((unsigned char)*name);
	variable[n] = 0;
	return request_env(rq, variable);
}

struct str request_base(const struct request *rq)
{
	return str_of(rq->set->api.base_path);
}

/* --- decoding -------------------------------------------------------------------------------- */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX into bytes. False for a broken escape or a NUL when `strict`; else such an escape stays. */
static bool decode(struct arena *a, struct str in, bool strict, bool plus_is_blank, struct str *out)
{
	char *p;
	size_t n = 0;

	if (!memchr(in.p ? in.p : "", '%', in.n) && !(plus_is_blank && memchr(in.p ? in.p : "", '+', in.n))) {
		*out = in;
		return true;
	}
	p = arena_take(a, in.n + 1);
	for (size_t i = 0; i < in.n; i++) {
		int high = i + 2 < in.n ? hex_digit(in.p[i + 1]) : -1;
		int low = high < 0 ? -1 : hex_digit(in.p[i + 2]);

		if (in.p[i] == '%' && low >= 0) {
			p[n++] = (char)(high * 16 + low);
			i += 2;
			if (strict && !p[n - 1])
				return false;
		} else if (in.p[i] == '%' && strict) {
			return false;
		} else {
			p[n++] = plus_is_blank && in.p[i] == '+' ? ' ' : in.p[i];
		}
	}
	*out = str_bytes(p, n);
	return true;
}

enum err request_pairs(struct ctx *cx, struct str text, struct request_pair *out, size_t most, size_t *n)
{
	struct str one, name;

	*n = 0;
	while (str_cut(&text, '&', &one)) {
		if (!one.n)
			continue;
		if (*n == most)
			return err_set(cx, ERR_INPUT, "more than %zu fields", most);
		str_cut(&one, '=', &name);
		decode(&cx->arena, name, false, true, &out[*n].name);
		decode(&cx->arena, one, false, true, &out[*n].value);
		out[*n].value = text_utf8(&cx->arena, out[*n].value);
		++*n;
	}
	return OK;
}

/* --- path ------------------------------------------------------------------------------------ */
/* "http://host:port/2/x" → "/2/x": Apache and Ruby's streamed log (rule 27). */
static struct str cut_authority(struct str uri)
{
	size_t at = uri.n && uri.p[0] != '/' ? str_find(uri, "://") : (size_t)-1;

	if (at == (size_t)-1)
		return uri;
	for (at += 3; at < uri.n; at++)
		if (uri.p[at] == '/' || uri.p[at] == '?')
			return str_bytes(uri.p + at, uri.n - at);
	return STR_LIT("/");
}

static struct str cut_base(struct str path, struct str base)
{
	if (base.n && path.n >= base.n && memcmp(path.p, base.p, base.n) == 0 &&
	    (path.n == base.n || path.p[base.n] == '/'))
		return str_bytes(path.p + base.n, path.n - base.n);
	return path;
}

static enum err split_path(struct request *rq)
{
	struct str rest = rq->path, one;

	if (rest.n && rest.p[0] == '/')
		rest = str_bytes(rest.p + 1, rest.n - 1);
	if (rest.n && rest.p[rest.n - 1] == '/') /* a slash at the end says nothing */
		rest.n--;
	while (str_cut(&rest, '/', &one)) {
		if (rq->segment_count == REQUEST_SEGMENTS_MOST)
			return err_set(&rq->cx, ERR_NOT_FOUND, "there is nothing at this path");
		if (!decode(&rq->cx.arena, one, true, false, &rq->segment[rq->segment_count++]))
			return err_set(&rq->cx, ERR_INPUT, "the path has a broken %% escape");
		rq->segment[rq->segment_count - 1] =
			text_utf8(&rq->cx.arena, rq->segment[rq->segment_count - 1]);
	}
	return OK;
}

static enum err read_uri(struct request *rq, struct str uri)
{
	struct str path = { 0 };

	if (!uri.n)
		return err_set(&rq->cx, ERR_INPUT, "the web server sent no REQUEST_URI");
	/* a copy: libfcgi's parameters are gone when the finished request is logged */
	uri = cut_authority(str_of(str_c(&rq->cx.arena, uri)));
	str_cut(&uri, '?', &path);
	rq->query_text = uri;
	rq->path = cut_base(path, request_base(rq));
	if (path.n > REQUEST_PATH_BYTES)
		return err_set(&rq->cx, ERR_INPUT, "the path is longer than %d bytes", REQUEST_PATH_BYTES);
	if (rq->query_text.n > REQUEST_QUERY_BYTES)
		return err_set(&rq->cx, ERR_INPUT, "the query is longer than %d bytes", REQUEST_QUERY_BYTES);
	TRY(split_path(rq));
	if (request_pairs(&rq->cx, rq->query_text, rq->query, REQUEST_QUERY_PAIRS, &rq->query_count))
		return err_wrap(&rq->cx, "query");
	return OK;
}

/* A trace id from in front of us, if it is one of plain characters; else a new one. conf/nginx/stoker_http
 * and conf/apache judge alike, or their own answers would have another. */
static void name_trace(struct request *rq)
{
	struct str given = request_header(rq, "X-Request-Id");
	struct id id;

	for (size_t i = 0; i < given.n; i++)
		if (!isalnum((unsigned char)given.p[i]) && !memchr("-_.:", given.p[i], 4))
			given.n = 0;
	if (given.n && given.n < sizeof rq->cx.trace) {
		memcpy(rq->cx.trace, given.p, given.n);
		rq->cx.trace[given.n] = 0;
		return;
	}
	id = id_make(clock_wall_us());
	snprintf(rq->cx.trace, sizeof rq->cx.trace, "%s", id_format(&id).s);
}

enum err request_init(struct request *rq, struct process *process, const struct request_source *source)
{
	rq->process = process;
	rq->set = process->set;
	rq->db = process->db;
	rq->logs = process->logs;
	rq->source = *source;
	rq->begun_us = clock_boot_us();
	rq->method = method_of(request_env(rq, "REQUEST_METHOD"));
	name_trace(rq);
	return read_uri(rq, request_env(rq, "REQUEST_URI"));
}

void request_forget_body(struct request *rq)
{
	json_decref(rq->json);
	rq->json = NULL;
	buf_free(&rq->raw);
	rq->body = STR_LIT("");
}

void request_release(struct request *rq)
{
	struct ctx cx = rq->cx;
	struct buf raw = rq->raw;

	json_decref(rq->json);
	upload_release(&rq->upload);
	buf_free(&raw);
	ctx_reset(&cx);
	*rq = (struct request){ .cx = cx };
}

/* --- fields ---------------------------------------------------------------------------------- */
static bool find_pair(const struct request_pair *pairs, size_t n, const char *name, struct str *out)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(pairs[i].name, name)) {
			*out = pairs[i].value;
			return true;
		}
	return false;
}

bool request_query(const struct request *rq, const char *name, struct str *out)
{
	return find_pair(rq->query, rq->query_count, name, out);
}

bool request_form(const struct request *rq, const char *name, struct str *out)
{
	return find_pair(rq->form, rq->form_count, name, out);
}

enum err request_query_int(struct request *rq, const char *name, int64_t *out)
{
	struct str text = { 0 };

	if (!request_query(rq, name, &text) || !text.n)
		return OK;
	if (!str_whole(text, out))
		return err_set(&rq->cx, ERR_INPUT, "query field %s: must be a number", name);
	return OK;
}

enum err request_query_amount(struct request *rq, const char *name, int64_t *out)
{
	auto_json *fields = json_object(), *number = NULL;
	struct str text = { 0 };

	if (!request_query(rq, name, &text) || !text.n)
		return OK;
	number = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
	json_object_set_new(fields, name, json_is_number(number) ? json_incref(number) : json_text(text));
	if (json_get_amount(&rq->cx, fields, name, out))
		return err_set(&rq->cx, ERR_INPUT, "query field %s: must be a number", name);
	return OK;
}

static int64_t clamped(int64_t i, int64_t least, int64_t most)
{
	return i < least ? least : i > most ? most : i;
}

enum err request_page(struct request *rq, int64_t *page, int64_t *per_page)
{
	*page = 0;
	*per_page = 0;
	TRY(request_query_int(rq, "page", page));
	TRY(request_query_int(rq, "per_page", per_page));
	*page = clamped(*page, 0, 100);
	*per_page = *per_page ? clamped(*per_page, 1, 100) : 30;
	return OK;
}

enum err request_query_time(struct request *rq, const char *name, int64_t *out)
{
	int64_t seconds = INT64_MIN;

	TRY(request_query_int(rq, name, &seconds));
	if (seconds == INT64_MIN)
		return OK;
	*out = clamped(seconds, 0, INT64_C(253402300799)) * 1000000; /* to the last second of year 9999 */
	return OK;
}

struct str request_param(const struct request *rq, const char *name)
{
	struct str pattern = str_of(rq->route ? rq->route->path + 1 : ""), one;
	size_t n = strlen(name);

	for (size_t i = 0; i < rq->segment_count && str_cut(&pattern, '/', &one); i++)
		if (one.n == n + 2 && one.p[0] == '{' && memcmp(one.p + 1, name, n) == 0)
			return rq->segment[i];
	return STR_LIT("");
}

enum err request_id(struct request *rq, const char *name, const char *what, struct id *out)
{
	struct str text = request_param(rq, name);

	if (id_parse(text, out))
		return OK;
	return err_set(&rq->cx, ERR_NOT_FOUND, "there is no %s '%.*s'", what, (int)(text.n < 64 ? text.n : 64), text.p);
}

/* --- body ------------------------------------------------------------------------------------ */
void request_drop_body(struct request *rq)
{
	char piece[65536];
	size_t dropped = 0;

	rq->body_read = true;
	while (dropped < DROPPED_BYTES_MOST) {
		ssize_t n = rq->source.read(rq->source.arg, piece, sizeof piece);

		if (n <= 0)
			return;
		dropped += (size_t)n;
	}
}

static enum err too_large(struct request *rq, size_t most)
{
	request_drop_body(rq);
	return err_set(&rq->cx, ERR_TOO_LARGE, "the body is longer than %zu bytes", most);
}

/* Reads until `want` bytes are there (want < 0: until the end). */
static enum err fill_body(struct request *rq, int64_t want, size_t most)
{
	while (want < 0 || rq->raw.n < (size_t)want) {
		size_t room = want < 0 ? 65536 : (size_t)want - rq->raw.n;
		char *p = buf_room(&rq->raw, room > 65536 ? 65536 : room);
		ssize_t n = p ? rq->source.read(rq->source.arg, p, room > 65536 ? 65536 : room) : -1;

		if (n < 0)
			return err_set(&rq->cx, ERR_INPUT, "the body broke off after %zu bytes", rq->raw.n);
		if (n == 0)
			break;
		rq->raw.n += (size_t)n;
		if (rq->raw.n > most)
			return too_large(rq, most);
	}
	if (want >= 0 && rq->raw.n < (size_t)want) /* under CGI a broken upload is a clean end */
		return err_set(&rq->cx, ERR_INPUT, "the body ended after %zu of %lld bytes", rq->raw.n, (long long)want);
	return OK;
}

enum err request_read_body(struct request *rq, size_t most)
{
	int64_t want = -1; /* absent or "" with a chunked body */

	if (rq->body_read)
		return OK;
	rq->body_read = true;
	if (str_int(request_env(rq, "CONTENT_LENGTH"), &want) && want < 0)
		return err_set(&rq->cx, ERR_INPUT, "CONTENT_LENGTH is negative");
	if (want > (int64_t)most)
		return too_large(rq, most);
	TRY(fill_body(rq, want, most));
	rq->body = buf_view(&rq->raw);
	return OK;
}
