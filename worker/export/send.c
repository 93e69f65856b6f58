/* A batch goes out, by HTTP or by syslog, and is judged. */
#include "worker/export/inside.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BAD_REQUEST = 400, TOO_LARGE = 413, UNPROCESSABLE = 422, REFUSALS_MOST = 5, ANSWER_BYTES = 1 << 20 };

/* --- judging -------------------------------------------------------------------------------------------------- */

static void succeeded(struct batch *b)
{
	struct receiver *r = b->r;

	b->is_sent = true;
	r->refusals = 0;
	r->lines_most = r->lines_most * 2 < BATCH_LINES ? r->lines_most * 2 : BATCH_LINES;
	lane_succeeded(&r->health);
}

static void failed(struct batch *b, const char *why, int retry_after_s)
{
	struct lane *health = &b->r->health;
	uint32_t random;

	crypt_random(&random, sizeof random);
	snprintf(b->error, sizeof b->error, "%s", *why ? why : "it failed");
	if (b->is_ping)
		return;
	lane_failed(health, retry_after_s, clock_boot_us(), random);
	b->pause_s = lane_pause_s(health, clock_boot_us());
	if (b->pause_s < 1)
		b->pause_s = 1;
}

/* It is there, but will not have this: half of it may do, and a single line that it refuses again and again is
 * passed over, lest all that follows waits for ever. */
static void refused(struct batch *b, const char *why)
{
	struct receiver *r = b->r;

	if (b->is_ping || b->lines.n > 1 || ++r->refusals < REFUSALS_MOST) {
		r->lines_most = b->lines.n > 1 ? b->lines.n / 2 : 1;
		failed(b, why, 0);
		if (b->lines.n > 1) {
			lane_succeeded(&r->health);
			b->pause_s = 0;
		}
		return;
	}
	succeeded(b);
	b->refused = b->lines.n;
	snprintf(b->error, sizeof b->error, "a line was passed over: %s", why);
}

static void judge_bulk(struct batch *b, struct str answer)
{
	struct log_bulk_answer bulk = log_bulk_answer(&b->w.cx, answer);

	if (bulk.again) {
		failed(b, "some lines were not taken for now", 0);
		return;
	}
	succeeded(b);
	b->refused = bulk.refused < b->lines.n ? bulk.refused : b->lines.n;
	if (b->refused)
		snprintf(b->error, sizeof b->error, "%zu lines were refused, as its answer says", b->refused);
}

static void on_http(void *arg, const struct http_outcome *how)
{
	struct batch *b = arg;
	char why[300];

	if (how->status)
		snprintf(why, sizeof why, "answered with status %ld: " STR_FMT, how->status,
		         (int)(how->answer.n < 200 ? how->answer.n : 200), how->answer.p);
	else
		snprintf(why, sizeof why, STR_FMT, STR_ARG(how->error));
	if (how->status >= 200 && how->status < 300 && b->to.template == LOG_ELASTICSEARCH)
		judge_bulk(b, how->answer);
	else if (how->status >= 200 && how->status < 300)
		succeeded(b);
	else if (how->status == BAD_REQUEST || how->status == TOO_LARGE || how->status == UNPROCESSABLE)
		refused(b, why);
	else
		failed(b, why, how->retry_after_s);
	batch_sent(b);
}

/* --- by HTTP ---------------------------------------------------------------------------------------------------- */

static void post(struct batch *b)
{
	struct arena *a = &b->w.cx.arena;
	const char *headers[4] = { arena_printf(a, "Content-Type: %s", log_body_type(b->to.template)) };
	size_t n = 1;

	if (b->secret.n)
		headers[n++] = arena_printf(a, "Authorization: %s", log_authorization(a, b->to.template, b->secret));
	if (b->to.tenant.n)
		headers[n++] = arena_printf(a, "X-Scope-OrgID: " STR_FMT, STR_ARG(b->to.tenant));
	http_pool_post(b->r->http, str_c(a, b->to.address), headers, b->body, on_http, b);
}

static bool open_http(struct batch *b)
{
	const struct export_options *o = &b->x->o;
	struct http_pool_options options = {
		.allow_private = o->set->courier.allow_private,
		.allow = o->allow,
		.proxy = o->set->courier.proxy,
		.connect_ms = (int)o->set->courier.connect_timeout_s * 1000,
		.total_ms = (int)o->set->courier.timeout_s * 1000,
		.answer_max = ANSWER_BYTES,
		.answer_kept = ANSWER_BYTES,
		.user_agent = "Stoker/" STOKER_VERSION,
		.ca_file = o->set->courier.ca_file,
		.ca = str_of(b->r->ca),
	};

	if (!b->r->http)
		b->r->http = http_pool_new(b->x->loop, &options);
	return b->r->http != NULL;
}

/* --- by syslog -------------------------------------------------------------------------------------------------- */

static void on_syslog(void *arg, struct syslog_call *call)
{
	struct batch *b = arg;

	b->r->tls = call->tls;
	if (*call->error)
		failed(b, call->error, 0);
	else
		succeeded(b);
	batch_sent(b);
}

static bool call(struct batch *b)
{
	const struct export_options *o = &b->x->o;
	struct syslog_call *c = arena_take(&b->w.cx.arena, sizeof *c);

	*c = (struct syslog_call){
		.to = b->address, .body = b->body, .datagrams = b->datagrams, .n = b->lines.n, .allow = o->allow,
		.allow_private = o->set->courier.allow_private, .connect_ms = (int)o->set->courier.connect_timeout_s * 1000,
		.total_ms = (int)o->set->courier.timeout_s * 1000, .ca = str_of(b->r->ca), .ca_file = o->set->courier.ca_file,
		.tls = b->r->tls };
	return syslog_send(b->x->loop, c, on_syslog, b);
}

static void on_no_means(void *arg)
{
	batch_sent(arg);
}

void batch_send(struct batch *b)
{
	bool is_http = log_scheme_is_http(b->address.scheme);

	if (is_http ? open_http(b) : call(b)) {
		if (is_http)
			post(b);
		return;
	}
	failed(b, strerror(errno), 0);
	loop_start(b->x->loop, &b->again, 0, on_no_means, b);
}
