#include "fcgi/route.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/json.h"
#include "fcgi/auth.h"
#include "store/schema_store.h"

enum {
	SMALL_BODY_BYTES = 1 << 20,
	JSON_NODES = 10000,
	NODES_A_TASK = 32, /* a queueing request may have so many values a task */
	FORM_FIELDS = 256,
};
static const int64_t WAITED_US_MOST = 2000000;

/* --- finding the row --------------------------------------------------------------------------- */
static bool is_name(struct str s)
{
	return s.n > 2 && s.p[0] == '{' && s.p[s.n - 1] == '}';
}

/* Does the pattern fit? Then *literal has a bit for each segment that is no {name}, the first
 * segment in the highest: the larger, the more particular. */
static bool fits(const struct request *rq, const char *path, unsigned *literal)
{
	struct str pattern = str_of(path + 1), one;
	size_t i = 0;

	for (*literal = 0; str_cut(&pattern, '/', &one); i++) {
		if (i == rq->segment_count)
			return false;
		if (is_name(one))
			continue;
		if (!str_equal(one, rq->segment[i]))
			return false;
		*literal |= 1u << (REQUEST_SEGMENTS_MOST - i);
	}
	return i == rq->segment_count;
}

static unsigned answered_by(const struct route *r)
{
	return r->method == METHOD_GET ? METHOD_GET | METHOD_HEAD : (unsigned)r->method;
}

enum err route_find(struct request *rq, unsigned *allowed)
{
	unsigned best = 0, literal;
	bool any = false;

	*allowed = 0;
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		const struct route *r = &ROUTES[i];

		if (!fits(rq, r->path, &literal) || (any && literal < best))
			continue;
		if (!any || literal > best) {
			*allowed = 0;
			rq->route = NULL;
		}
		any = true;
		best = literal;
		*allowed |= answered_by(r);
		if (answered_by(r) & (unsigned)rq->method || !rq->route)
			rq->route = r;
	}
	if (!any)
		return err_set(&rq->cx, ERR_NOT_FOUND, "there is nothing at this path");
	*allowed |= METHOD_OPTIONS;
	if (answered_by(rq->route) & (unsigned)rq->method || rq->method == METHOD_OPTIONS)
		return OK;
	return err_set(&rq->cx, ERR_METHOD, "this path does not answer " STR_FMT,
	               STR_ARG(request_env(rq, "REQUEST_METHOD")));
}

/* The row's; for a path without one, that of the rows which begin alike. */
static const struct surface *surface_of(const struct request *rq)
{
	struct str first, path;

	if (rq->route)
		return rq->route->surface;
	for (size_t i = 0; i < ROUTE_COUNT && rq->segment_count; i++) {
		path = str_of(ROUTES[i].path + 1);
		if (str_cut(&path, '/', &first) && str_equal(first, rq->segment[0]))
			return ROUTES[i].surface;
	}
	return &API;
}

/* --- who may ----------------------------------------------------------------------------------- */
static enum err no_project(struct request *rq)
{
	struct str name = request_param(rq, "project");

	return err_set(&rq->cx, ERR_NOT_FOUND, "there is no project '%.*s'", (int)(name.n < 64 ? name.n : 64), name.p);
}

static enum err check_role(struct request *rq, enum role least)
{
	if (rq->who.role == ROLE_NONE) /* the same words for "no such" and "not yours" */
		return no_project(rq);
	if (rq->who.role < least)
		return err_set(&rq->cx, ERR_FORBIDDEN, "this needs the role %s; yours is %s",
		               role_name(least), role_name(rq->who.role));
	return OK;
}

static enum err admit(struct request *rq)
{
	bool has_project = str_find(str_of(rq->route->path), "/{project}") != (size_t)-1;
	bool is_id = has_project && id_parse(request_param(rq, "project"), &rq->project_id);

	TRY(rq->route->surface->identify(rq, is_id ? &rq->project_id : NULL));
	if (has_project && !is_id)
		return no_project(rq);
	switch (rq->route->who) {
	case AUTH_VIEWER:
		return check_role(rq, ROLE_VIEWER);
	case AUTH_DEVELOPER:
		return check_role(rq, ROLE_DEVELOPER);
	case AUTH_OPERATOR:
		return check_role(rq, ROLE_OPERATOR);
	case AUTH_ADMIN:
		if (rq->who.role != ROLE_ADMIN)
			return err_set(&rq->cx, ERR_FORBIDDEN, "this needs the role admin");
		return OK;
	default:
		return OK;
	}
}

/* --- bodies ------------------------------------------------------------------------------------ */
static enum err parse_json(struct request *rq, struct str text, int nodes)
{
	struct json_limits limits = { (int)rq->set->limits.json_depth, nodes };

	TRY(json_read(&rq->cx, text, limits, &rq->json));
	if (!json_is_object(rq->json))
		return err_set(&rq->cx, ERR_INPUT, "the body must be a JSON object");
	return OK;
}

static enum err read_json(struct request *rq, size_t most, int nodes)
{
	TRY(request_read_body(rq, most));
	return parse_json(rq, rq->body, nodes);
}

/* Who has no token but in the JSON is asked for it as soon as that is there; what cannot be read says
 * nothing about who asks. */
static enum err admit_by_data(struct request *rq)
{
	if (parse_json(rq, buf_view(&rq->upload.data), JSON_NODES)) {
		json_decref(rq->json);
		rq->json = NULL;
	}
	return admit(rq);
}

static enum err read_code(struct request *rq, bool is_admitted)
{
	TRY(upload_read(rq, is_admitted ? NULL : admit_by_data));
	return rq->json ? OK : parse_json(rq, buf_view(&rq->upload.data), JSON_NODES);
}

static enum err read_form(struct request *rq)
{
	TRY(request_read_body(rq, SMALL_BODY_BYTES));
	rq->form = arena_array(&rq->cx.arena, FORM_FIELDS, sizeof *rq->form);
	if (request_pairs(&rq->cx, rq->body, rq->form, FORM_FIELDS, &rq->form_count))
		return err_wrap(&rq->cx, "form");
	return OK;
}

static enum err read_body(struct request *rq)
{
	switch (rq->route->body) {
	case BODY_JSON:
		return read_json(rq, SMALL_BODY_BYTES, JSON_NODES);
	case BODY_TASKS:
		return read_json(rq, (size_t)rq->set->limits.request_bytes,
		                 (int)rq->set->limits.tasks_per_request * NODES_A_TASK + JSON_NODES);
	case BODY_CODE:
		return read_code(rq, true);
	case BODY_FORM:
		return read_form(rq);
	case BODY_PAYLOAD:
		return request_read_body(rq, (size_t)rq->set->limits.payload_bytes);
	default:
		return request_read_body(rq, SMALL_BODY_BYTES);
	}
}

/* For a client that says who it is in the body alone (the oldest Ruby library): of somebody nobody knows yet the
 * token is looked for, and no tree is made. */
static enum err admit_by_body(struct request *rq)
{
	const bool is_json = rq->route->body != BODY_PAYLOAD;
	const size_t most = rq->route->body == BODY_TASKS ? (size_t)rq->set->limits.request_bytes : SMALL_BODY_BYTES;
	struct str token;
	enum err e;

	if (is_json && request_read_body(rq, most) == OK && json_peek_text(&rq->cx.arena, rq->body, "oauth", &token))
		rq->json = json_pack("{s:o}", "oauth", json_text(token));
	e = admit(rq);
	json_decref(rq->json);
	rq->json = NULL;
	return e;
}

static enum err admit_and_read(struct request *rq)
{
	struct str token;

	if (rq->route->surface != &API || auth_token(rq, &token)) {
		TRY(admit(rq));
		return read_body(rq);
	}
	if (rq->route->body == BODY_CODE)
		return read_code(rq, false);
	TRY(admit_by_body(rq));
	return read_body(rq); /* by the row's own rules; the bytes are there */
}

/* --- the database, and time -------------------------------------------------------------------- */
/* How long the request stood in line, by the web server's clock ($msec, seconds with decimals). */
static int64_t waited_us(const struct request *rq)
{
	struct str text = request_env(rq, "REQUEST_MSEC"), whole;
	int64_t seconds, millis, us;

	if (!str_cut(&text, '.', &whole) || !str_int(whole, &seconds) || text.n != 3 || !str_int(text, &millis))
		return 0;
	us = clock_wall_us() - (seconds * 1000 + millis) * 1000;
	return us > 0 && us < INT64_C(3600) * 1000000 ? us : 0;
}

static enum err check_load(struct request *rq)
{
	int64_t waited = waited_us(rq);

	if (waited > WAITED_US_MOST)
		return err_set(&rq->cx, ERR_BUSY, "the server is busy, nothing was done: the request waited %lld ms",
		               (long long)(waited / 1000));
	if (!breaker_allows(&rq->process->breaker, clock_boot_us(), waited))
		return err_set(&rq->cx, ERR_BUSY, "the database does not answer; nothing was done");
	return OK;
}

static enum err check_schema(struct request *rq)
{
	if (rq->process->schema_known)
		return OK;
	TRY(schema_store_check(rq->db, &rq->cx));
	rq->process->schema_known = true;
	return OK;
}

static enum err with_database(struct request *rq, struct reply *rp)
{
	TRY(check_schema(rq));
	TRY(admit_and_read(rq));
	if (rq->route->surface->guard && rq->method != METHOD_GET && rq->method != METHOD_HEAD)
		TRY(rq->route->surface->guard(rq));
	return rq->route->handler(rq, rp);
}

static enum err answer(struct request *rq, struct reply *rp, unsigned *allowed)
{
	enum err e;

	TRY(route_find(rq, allowed));
	if (rq->method == METHOD_OPTIONS) /* a browser asks before it lets a page ask: without a token */
		return reply_json(rp, 200, json_object());
	if (rq->route->who == AUTH_NONE) {
		TRY(read_body(rq));
		return rq->route->handler(rq, rp);
	}
	TRY(check_load(rq));
	e = with_database(rq, rp);
	breaker_note(&rq->process->breaker, rq->begun_us, clock_boot_us(), e == ERR_BUSY || e == ERR_UNSURE);
	return e;
}

/* --- the answer -------------------------------------------------------------------------------- */
static struct str methods_text(struct arena *a, unsigned methods)
{
	char *text = "";

	for (unsigned m = 1; m < METHOD_OTHER; m <<= 1)
		if (methods & m)
			text = arena_printf(a, "%s%s%s", text, *text ? ", " : "", method_name((enum method)m));
	return str_of(text);
}

static void say_methods(struct request *rq, struct reply *rp, unsigned allowed)
{
	struct str methods = methods_text(&rq->cx.arena, allowed);

	reply_header(rp, "Allow", methods);
	if (rq->method != METHOD_OPTIONS || surface_of(rq) != &API)
		return;
	reply_header(rp, "Access-Control-Allow-Methods", methods);
	reply_header(rp, "Access-Control-Allow-Headers",
	             STR_LIT("Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, Range, traceparent, X-Request-Id"));
	reply_header(rp, "Access-Control-Max-Age", STR_LIT("86400"));
}

/* --- not sent twice ------------------------------------------------------------------------------ */
static bool is_single(const struct request *rq)
{
	const char *path = rq->route->path;

	return rq->route->surface == &API && path[strlen(path) - 1] == '}' &&
	       (rq->method == METHOD_GET || rq->method == METHOD_HEAD);
}

/* One resource has a tag of what is said of it; who has just this gets no body. */
static void tag(struct request *rq, struct reply *rp)
{
	unsigned char hash[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1];
	const char *etag;
	struct str known;

	crypt_sha256(buf_view(&rp->body), hash);
	hex_format(hash, 16, hex);
	etag = arena_printf(&rq->cx.arena, "\"%s\"", hex);
	reply_header(rp, "ETag", str_of(etag));
	known = request_header(rq, "If-None-Match");
	if (!str_is(str_trim(known), "*") && str_find(known, etag) == (size_t)-1)
		return;
	rp->status = 304;
	buf_clear(&rp->body);
}

static void finish(struct request *rq, struct reply *rp, enum err e, unsigned allowed)
{
	bool tagged;

	if (e != OK) {
		rq->cx.err = e;
		surface_of(rq)->fail(rq, rp);
	}
	tagged = e == OK && rq->route && is_single(rq) && (rp->status == 0 || rp->status == 200) && !rp->more;

	if (tagged)
		tag(rq, rp);
	if (e == ERR_METHOD || rq->method == METHOD_OPTIONS)
		say_methods(rq, rp, allowed);
	if (surface_of(rq) == &API) {
		reply_header(rp, "Access-Control-Allow-Origin", STR_LIT("*"));
		if (rq->method != METHOD_OPTIONS) /* of a preflight nobody reads any */
			reply_header(rp, "Access-Control-Expose-Headers",
			             STR_LIT("Allow, Content-Disposition, Content-Range, ETag, Idempotency-Replayed, Preference-Applied, "
			                     "RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Log-Next, X-Request-Id, X-Task-Status"));
		reply_header(rp, "X-Content-Type-Options", STR_LIT("nosniff"));
		reply_header(rp, "Cache-Control", tagged ? STR_LIT("private, no-cache") : STR_LIT("no-store"));
	}
	if (!rq->body_read) /* whatever was said before anybody looked at it */
		request_drop_body(rq);
}

void route_serve(struct request *rq, struct reply *rp)
{
	unsigned allowed = 0;
	enum err e = answer(rq, rp, &allowed);

	if (e != OK)
		rp->later = NULL;
	if (!rp->later)
		finish(rq, rp, e, allowed);
}

void route_serve_later(struct request *rq, struct reply *rp)
{
	enum err (*later)(struct request *, struct reply *) = rp->later;
	enum err e;

	rp->later = NULL;
	rq->begun_us = clock_boot_us();
	if (!breaker_allows(&rq->process->breaker, rq->begun_us, 0)) {
		e = err_set(&rq->cx, ERR_BUSY, "the database does not answer");
	} else {
		e = later(rq, rp);
		breaker_note(&rq->process->breaker, rq->begun_us, clock_boot_us(), e == ERR_BUSY || e == ERR_UNSURE);
	}
	if (rq->method == METHOD_POST) /* what was done is done: if nothing else, what was built then stands */
		e = OK;
	finish(rq, rp, e, 0);
}
