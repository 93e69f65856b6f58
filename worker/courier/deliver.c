/* Calls: which may begin, what they say, what became of them. */
#include "worker/courier/inside.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/fault_point.h"
#include "base/log.h"
#include "model/callback.h"

#include <stdio.h>

enum { TIMEOUT = 408, GONE = 410, TOO_MANY = 429 };

/* --- which may begin ------------------------------------------------------------------------------------------ */

void courier_lane_ready(struct courier *c, struct lane *lane)
{
	int which = lane->proven ? 0 : 1;

	if (lane->ready || !lane->waiting)
		return;
	lane->ready = true;
	lane->next_ready = NULL;
	*c->ready_last[which] = lane;
	c->ready_last[which] = &lane->next_ready;
}

static struct lane *next_ready(struct courier *c, int which)
{
	struct lane *lane = c->ready[which];

	if (!lane)
		return NULL;
	c->ready[which] = lane->next_ready;
	if (!c->ready[which])
		c->ready_last[which] = &c->ready[which];
	lane->ready = false;
	return lane;
}

void courier_wait(struct delivery *d)
{
	struct lane *lane = d->lane;

	d->next = NULL;
	*lane->last = d;
	lane->last = &d->next;
	lane->waiting++;
}

static struct delivery *next_waiting(struct lane *lane)
{
	struct delivery *d = lane->first;

	lane->first = d->next;
	if (!lane->first)
		lane->last = &lane->first;
	lane->waiting--;
	return d;
}

static void release(struct courier *c, struct delivery *d, int64_t next_s, enum outbox_wait waits)
{
	d->out.end = OUTBOX_RELEASED;
	d->out.next_s = next_s;
	d->out.waits = waits;
	courier_tell(c, d);
}

void courier_give_back(struct courier *c, struct lane *lane)
{
	int64_t pause_s = lane_pause_s(lane, clock_boot_us());

	while (lane->waiting) {
		lane->more = true;
		release(c, next_waiting(lane), pause_s, pause_s ? OUTBOX_WAITS_RECEIVER : OUTBOX_WAITS_FOR_NOTHING);
	}
}

/* What waits for a place at the URL of one that was asked to wait goes back; at others of its receiver it stays. */
static void give_back_url(struct courier *c, const struct delivery *asked)
{
	struct lane *lane = asked->lane;

	for (size_t n = lane->waiting; n; n--) {
		struct delivery *d = next_waiting(lane);

		if (str_equal(d->out.row.url, asked->out.row.url))
			release(c, d, asked->out.asked_s, OUTBOX_WAITS_RETRY_AFTER);
		else
			courier_wait(d);
	}
}

/* A place for each of those that fare well; the others leave an eighth to them. */
static bool has_place(const struct courier *c, const struct lane *lane)
{
	size_t most = (size_t)c->set->courier.parallel;

	return http_pool_open(c->http) < most && (lane->proven || c->suspects < most - most / 8);
}

/* --- one call -------------------------------------------------------------------------------------------------- */

static void note_outcome(struct delivery *d, const struct http_outcome *how)
{
	struct outbox_outcome *o = &d->out;

	o->tried = true;
	o->status = how->status;
	o->took_ms = how->took_ms;
	o->lookup_ms = how->lookup_ms;
	o->connect_ms = how->connect_ms;
	o->first_byte_ms = how->first_byte_ms;
	snprintf(d->error, sizeof d->error, STR_FMT, STR_ARG(how->error));
	if (how->status && !retry_is_success(how->status))
		snprintf(d->error, sizeof d->error, "answered with status %ld", how->status);
	snprintf(d->address, sizeof d->address, "%s", how->address);
	memcpy(d->answer, how->answer.p, how->answer.n);
	o->error = str_of(d->error);
	o->address = str_of(d->address);
	o->answer = str_bytes(d->answer, how->answer.n);
	o->answer_headers = str_bytes(arena_copy(&d->fetch->w.cx.arena, how->headers.p, how->headers.n), how->headers.n);
	o->body = d->body;
}

/* It may refuse this call, but it is there and takes others: other paths of it must not wait. */
static bool is_alive(const struct http_outcome *how)
{
	return how->status && how->status < 500 && how->status != TIMEOUT && how->status != TOO_MANY;
}

static void judge(struct courier *c, struct delivery *d, const struct http_outcome *how)
{
	struct outbox_outcome *o = &d->out;
	uint32_t random[2];

	if (retry_is_success(how->status)) {
		o->end = OUTBOX_DELIVERED;
		lane_succeeded(d->lane);
		return;
	}
	crypt_random(random, sizeof random);
	o->next_s = retry_next(&c->plan, o->row.tries - o->row.plan_from, how->status, how->retry_after_s, random[0]);
	o->end = o->next_s < 0 ? OUTBOX_GIVEN_UP : OUTBOX_AGAIN;
	o->gone = how->status == GONE;
	o->waits = how->retry_after_s && o->next_s == how->retry_after_s ? OUTBOX_WAITS_RETRY_AFTER : OUTBOX_WAITS_RETRY;
	o->asked_s = o->gone ? 0 : how->retry_after_s;
	if (is_alive(how))
		lane_succeeded(d->lane);
	else if (!o->asked_s) /* who says when is there, and only this URL of it is to rest */
		lane_failed(d->lane, 0, clock_boot_us(), random[1]);
	log_info("callback_failed", "id=%lld tries=%lld next_s=%lld lane_failures=%lld why=\"%s\"", (long long)o->row.id,
	         (long long)o->row.tries + 1, (long long)o->next_s, (long long)d->lane->failures, d->error);
}

static void on_done(void *arg, const struct http_outcome *how)
{
	struct delivery *d = arg;
	struct courier *c = d->courier;
	struct lane *lane = d->lane;

	lane->open--;
	c->suspects -= d->is_suspect;
	note_outcome(d, how);
	judge(c, d, how);
	if (d->out.asked_s)
		give_back_url(c, d);
	courier_tell(c, d);
	if (lane_pause_s(lane, clock_boot_us()))
		courier_give_back(c, lane);
	courier_lane_ready(c, lane);
	courier_run_lanes(c);
	if (lane->more)
		courier_poll_soon(c, 0);
}

static const char *message_id(struct arena *a, const struct outbox_row *r)
{
	if (!r->is_named)
		return arena_printf(a, "%lld", (long long)r->id);
	return callback_message_id(a, &r->task_id, r->number, r->kind, &r->callback_id);
}

static struct str lines_of(struct arena *a, const char *const *headers)
{
	const char *text = "User-Agent: " USER_AGENT "\n";

	for (; *headers; headers++)
		text = arena_printf(a, "%s%s\n", text, *headers);
	return str_of(text);
}

static void begin(struct courier *c, struct delivery *d)
{
	struct arena *a = &d->fetch->w.cx.arena;
	int64_t now_s = clock_wall_us() / 1000000;
	const char *id = message_id(a, &d->out.row);
	const char *headers[6] = {
		"Content-Type: application/json",
		arena_printf(a, "webhook-id: %s", id),
		arena_printf(a, "webhook-timestamp: %lld", (long long)now_s),
	};
	size_t n = 3;

	if (d->keys.n)
		headers[n++] = arena_printf(a, "webhook-signature: %s", signature_make(a, &d->keys, id, now_s, d->body));
	if (*d->traceparent)
		headers[n++] = arena_printf(a, "traceparent: %s", d->traceparent);
	d->out.request = lines_of(a, headers);
	d->lane->open++;
	d->is_suspect = !d->lane->proven;
	c->suspects += d->is_suspect;
	FAULT_POINT("deliver", "before_post");
	http_pool_post(c->http, str_c(a, d->out.row.url), headers, d->body, on_done, d);
}

/* One that waited so long that it may be somebody else's by now is left to them. */
static bool is_late(const struct courier *c, const struct delivery *d)
{
	return clock_boot_us() - d->fetch->began_us > (HOLD_EXTRA_S - 5) * INT64_C(1000000) || c->ending;
}

static void run_lane(struct courier *c, struct lane *lane)
{
	while (lane->waiting && lane->open < lane_calls(c->lanes, lane, clock_boot_us()) && has_place(c, lane)) {
		struct delivery *d = next_waiting(lane);

		if (is_late(c, d))
			release(c, d, 0, OUTBOX_WAITS_FOR_NOTHING);
		else
			begin(c, d);
	}
}

void courier_run_lanes(struct courier *c)
{
	for (int which = 0; which < 2; which++)
		for (struct lane *lane; (lane = next_ready(c, which));) {
			run_lane(c, lane);
			if (lane->waiting && !has_place(c, lane)) { /* no place: the first in the next round */
				courier_lane_ready(c, lane);
				break;
			}
		}
}
