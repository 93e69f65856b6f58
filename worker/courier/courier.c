#include "worker/courier/courier.h"

#include "base/clock.h"
#include "base/log.h"
#include "worker/courier/inside.h"

#include <signal.h>
#include <unistd.h>

enum {
	ANSWER_BYTES = 65536,
	PAUSE_BUSY_US = 2000, PAUSE_LEAST_US = 20000, PAUSE_MOST_US = 1000000,
	END_MOST_US = 5000000, TIDY_US = 60000000,
	STORE_THREADS = 2,
};

/* --- taking at the right time -------------------------------------------------------------------------------- */

static void on_poll(void *arg)
{
	struct courier *c = arg;

	if (c->fetching || c->ending)
		return;
	if (c->held >= HELD_MOST || c->held_bytes >= HELD_BYTES_MOST) {
		courier_poll_soon(c, PAUSE_LEAST_US);
		return;
	}
	courier_fetch(c);
}

/* Quick while there is work, a second at rest. */
void courier_poll_soon(struct courier *c, int64_t in_us)
{
	if (c->fetching || c->ending)
		return;
	if (in_us < 0) {
		in_us = c->pause_us ? c->pause_us : PAUSE_BUSY_US;
		c->pause_us = c->pause_us ? c->pause_us * 2 : PAUSE_LEAST_US;
		if (c->pause_us > PAUSE_MOST_US)
			c->pause_us = PAUSE_MOST_US;
	}
	loop_start(c->loop, &c->poll, in_us, on_poll, c);
}

static void on_tidy(void *arg)
{
	struct courier *c = arg;

	lanes_tidy(c->lanes, clock_boot_us());
	loop_start(c->loop, &c->tidy, TIDY_US, on_tidy, c);
}

/* --- life ------------------------------------------------------------------------------------------------------ */

void courier_look_at_end(struct courier *c)
{
	if (c->ending && !http_pool_open(c->http) && !c->told_n && !store_pool_open(c->store) && export_is_at_rest(c->export))
		loop_end(c->loop);
}

static void on_guard(void *arg)
{
	struct courier *c = arg;

	loop_end(c->loop);
}

static bool give_back(void *arg, struct lane *lane)
{
	courier_give_back(arg, lane);
	return true;
}

/* What waits goes back, what is under way ends and is stored. */
static void on_signal(void *arg, const struct signalfd_siginfo *info)
{
	struct courier *c = arg;

	(void)info;
	c->ending = true;
	lanes_each(c->lanes, give_back, c);
	export_end(c->export);
	loop_start(c->loop, &c->guard, END_MOST_US, on_guard, c);
	courier_look_at_end(c);
}

static enum err open_http(struct courier *c, struct ctx *cx)
{
	struct http_pool_options options = {
		.allow_private = c->set->courier.allow_private,
		.allow = &c->allow,
		.proxy = c->set->courier.proxy,
		.connect_ms = (int)c->set->courier.connect_timeout_s * 1000,
		.total_ms = (int)c->set->courier.timeout_s * 1000,
		.redirects = (int)c->set->courier.redirects,
		.answer_max = ANSWER_BYTES,
		.user_agent = USER_AGENT,
		.ca_file = c->set->courier.ca_file,
	};

	if (egress_list_read(cx, c->set->courier.allow, &c->allow))
		return err_wrap(cx, "courier.allow");
	c->http = http_pool_new(c->loop, &options);
	return c->http ? OK : err_set(cx, ERR_INTERNAL, "start libcurl");
}

static void on_export_rest(void *arg)
{
	courier_look_at_end(arg);
}

static enum err open_all(struct courier *c, struct ctx *cx)
{
	static const int SIGNALS[] = { SIGTERM, SIGINT, SIGUSR1, 0 };

	TRY(retry_plan_parse(cx, c->set->courier.retry_s, &c->plan));
	c->has_key = seal_key_read(cx, c->set->secrets.key_file, &c->key) == OK;
	if (!c->has_key)
		log_warn("unsigned", "why=\"%s\"", cx->message);
	c->loop = loop_new();
	if (!c->loop || !loop_signals(c->loop, SIGNALS, on_signal, c))
		return err_errno(cx, "make the courier's loop");
	TRY(open_http(c, cx));
	c->lanes = lanes_new((size_t)c->set->courier.lane);
	c->store = store_pool_new(c->loop, c->set, STORE_THREADS, c);
	c->export = export_new(c->loop, &(struct export_options){ c->set, c->has_key ? &c->key : NULL, &c->allow, on_export_rest, c });
	return c->store && c->export ? OK : err_errno(cx, "start the courier's store threads");
}

/* Threads may still wait for the database: what they have comes back by itself, and nothing of it is ours to free. */
static void close_all(struct courier *c, enum err e)
{
	http_pool_free(c->http);
	if (!export_free(c->export) || (c->store && store_pool_open(c->store)))
		_exit(e != OK);
	store_pool_free(c->store);
	while (c->told) {
		struct delivery *d = c->told;

		c->told = d->next;
		fetch_release(d);
	}
	lanes_free(c->lanes);
	loop_free(c->loop);
}

enum err courier_play(struct ctx *cx, const struct settings *set, int launcher)
{
	struct courier c = { .set = set };
	enum err e;

	(void)launcher;
	c.told_last = &c.told;
	for (int i = 0; i < 2; i++)
		c.ready_last[i] = &c.ready[i];
	e = open_all(&c, cx);
	if (e == OK) {
		courier_poll_soon(&c, 0);
		loop_start(c.loop, &c.tidy, TIDY_US, on_tidy, &c);
		log_info("ready", "parallel=%lld lane=%lld", (long long)set->courier.parallel, (long long)set->courier.lane);
		e = loop_run(c.loop) ? OK : err_errno(cx, "run the courier's loop");
		if (e == OK)
			log_info("ended", "as=asked");
	}
	close_all(&c, e); /* its threads read the settings */
	return e;
}
