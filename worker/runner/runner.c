#include "worker/runner/inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "worker/monitor/event.h"

#include <errno.h>
#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { MMAP_FROM_BYTES = 256 << 10 };
enum { HAND_OVER_MOST_US = 6 * SECOND_US, STOP_EXTRA_US = 12 * SECOND_US, DOORBELL_ROOM = 64 };
enum { DESCRIPTORS_A_JOB = 4, DESCRIPTORS_BESIDE = 128 }; /* pidfd, spool, live tail, and the payload while it starts */

/* --- what monitors and the API say ---------------------------------------------------------------- */

static void heard(struct runner *r, const struct monitor_event *e)
{
	struct attempt_key key = { .attempt = e->attempt };
	struct job *j;

	memcpy(key.task.b, e->task, sizeof key.task.b);
	j = job_find(r, &key);
	if (!j || j->is_lost || j->stage != JOB_FOLLOWED)
		return; /* what it said is in its files as well */
	if (e->type == MONITOR_STARTED)
		follow_started(j, (int64_t)e->boottime_us);
	else if (e->type == MONITOR_OUTPUT)
		follow_output(j);
	else if (e->type == MONITOR_EXIT)
		follow_end(j);
}

static void on_event(void *arg, uint32_t events)
{
	struct runner *r = arg;
	struct monitor_event e;

	(void)events;
	while (recv(r->events_fd, &e, sizeof e, MSG_DONTWAIT) == (ssize_t)sizeof e)
		if (e.magic == MONITOR_EVENT_MAGIC)
			heard(r, &e);
}

static void on_doorbell(void *arg, uint32_t events)
{
	struct runner *r = arg;
	char bytes[DOORBELL_ROOM];

	(void)events;
	while (recv(r->doorbell_fd, bytes, sizeof bytes, MSG_DONTWAIT) >= 0)
		;
	claim_ring(r);
	claim_ask_stops(r);
}

static enum err open_events(struct ctx *cx, struct runner *r)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "runner.sock" };

	unlink(at.sun_path);
	r->events_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (r->events_fd < 0 || bind(r->events_fd, (struct sockaddr *)&at, sizeof at) || chmod(at.sun_path, 0600))
		return err_errno(cx, "open %s/runner.sock", r->set->node.dir);
	r->events_watch = loop_add(r->loop, r->events_fd, EPOLLIN, on_event, r);
	return r->events_watch ? OK : err_errno(cx, "watch runner.sock");
}

static enum err find_address(struct ctx *cx, const char *text, struct addrinfo **out)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	char host[256];
	const char *colon = strrchr(text, ':');
	int why;

	if (!colon || (size_t)(colon - text) >= sizeof host)
		return err_set(cx, ERR_INPUT, "node.doorbell: must be ADDRESS:PORT, not \"%s\"", text);
	snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
	if (*host == '[' && host[strlen(host) - 1] == ']') {
		memmove(host, host + 1, strlen(host));
		host[strlen(host) - 1] = '\0';
	}
	why = getaddrinfo(*host ? host : NULL, colon + 1, &hints, out);
	if (why)
		return err_set(cx, ERR_INPUT, "node.doorbell: find %s: %s", text, gai_strerror(why));
	return OK;
}

static enum err bind_doorbell(struct ctx *cx, struct runner *r, const struct addrinfo *a)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof at;
	char host[64], port[16];

	r->doorbell_fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (r->doorbell_fd < 0 || bind(r->doorbell_fd, a->ai_addr, a->ai_addrlen) ||
	    getsockname(r->doorbell_fd, (struct sockaddr *)&at, &len))
		return err_errno(cx, "open the doorbell %s", r->set->node.doorbell);
	if (getnameinfo((struct sockaddr *)&at, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV))
		return err_set(cx, ERR_INTERNAL, "name the doorbell %s", r->set->node.doorbell);
	snprintf(r->doorbell, sizeof r->doorbell, at.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	r->doorbell_watch = loop_add(r->loop, r->doorbell_fd, EPOLLIN, on_doorbell, r);
	return r->doorbell_watch ? OK : err_errno(cx, "watch the doorbell");
}

static enum err open_doorbell(struct ctx *cx, struct runner *r)
{
	struct addrinfo *a;
	enum err e;

	TRY(find_address(cx, r->set->node.doorbell, &a));
	e = bind_doorbell(cx, r, a);
	freeaddrinfo(a);
	return e;
}

/* --- what the engine says -------------------------------------------------------------------------- */

static void on_launched(void *arg, const struct attempt_key *key, enum engine_result how, int monitor, const char *why)
{
	struct job *j = job_find(arg, key);

	if (j)
		launch_answered(arg, j, how, monitor, why);
}

static void on_removed(void *arg, const struct attempt_key *key, enum engine_result how, const char *why)
{
	struct job *j = job_find(arg, key);

	if (j && j->stage == JOB_REMOVING)
		settle_removed(j, how, why);
}

static void on_unpacked(void *arg, const unsigned char digest[12], enum engine_result how, const char *why)
{
	image_unpacked(arg, digest, how, why);
}

static void on_swept(void *arg, int lost)
{
	if (lost > 0)
		log_warn("monitors_lost", "count=%d", lost);
	follow_swept(arg);
}

static void on_broken(void *arg, const char *why)
{
	runner_fail(arg, ERR_INTERNAL, why);
}

static const struct engine_events ENGINE_EVENTS = {
	.launched = on_launched, .removed = on_removed, .swept = on_swept, .unpacked = on_unpacked, .broken = on_broken,
};

/* --- the lease -------------------------------------------------------------------------------------- */

static void lose_all(struct runner *r)
{
	struct job *next;

	for (struct job *j = r->jobs; j; j = next) {
		next = j->next;
		if (!j->is_lost)
			job_lose(j);
	}
}

/* A session begins: with the jobs of the runner before, or with none. */
static void begin_session(struct runner *r)
{
	if (r->held.resumed) {
		adopt_ask(r);
		return;
	}
	lose_all(r);
	r->adopted = true;
	claim_start(r);
}

static void on_lease(void *arg)
{
	struct runner *r = arg;
	enum lease_state was = r->held.state;

	lease_look(r->lease, &r->held);
	if (r->held.state == LEASE_HELD && was != LEASE_HELD && !r->ending)
		begin_session(r);
	if (r->held.state == LEASE_LOST && was != LEASE_LOST) {
		r->adopted = false;
		lose_all(r);
	}
	runner_look_at_end(r);
}

/* --- the end ----------------------------------------------------------------------------------------- */

static void on_guard(void *arg)
{
	struct runner *r = arg;

	log_warn("ended_early", "jobs=%zu why=\"not all could be told to the database in time\"", r->slots_used);
	loop_end(r->loop);
}

static int64_t longest_grace_us(const struct runner *r)
{
	int64_t s = r->set->node.grace_s, most = r->set->node.stop_grace_s;

	for (const struct job *j = r->jobs; j; j = j->next)
		if (j->claim.grace_s > s)
			s = j->claim.grace_s;
	return (s < most ? s : most) * SECOND_US;
}

static void begin_end(struct runner *r, enum runner_end how)
{
	struct job *next;

	if (r->ending >= how)
		return;
	log_info(how == END_STOP ? "stopping" : "handing_over", "jobs=%zu", r->slots_used);
	r->ending = how;
	claim_stop(r);
	package_cache_stop(r->packages);
	images_stop(r);
	r->kill_us = clock_boot_us() + r->set->node.stop_grace_s * SECOND_US;
	if (how == END_STOP)
		for (struct job *j = r->jobs; j; j = next) {
			next = j->next;
			job_stop_for_node(j);
		}
	loop_start(r->loop, &r->guard, how == END_STOP ? longest_grace_us(r) + STOP_EXTRA_US : HAND_OVER_MOST_US, on_guard, r);
	runner_look_at_end(r);
}

void runner_fail(struct runner *r, enum err kind, const char *why)
{
	r->failed = kind;
	snprintf(r->why, sizeof r->why, "%s", why);
	begin_end(r, END_HAND_OVER);
	if (r->ending == END_STOP)
		loop_end(r->loop); /* without the engine nothing more can be removed */
}

void runner_tell(struct runner *r, enum trouble what, enum err now, const char *why)
{
	static const char *const WHAT[TROUBLE_COUNT] = { "claims", "starts", "ends", "logs", "packages" };

	if (now != OK && !r->in_trouble[what])
		log_warn("database_trouble", "with=%s why=\"%s\"", WHAT[what], why);
	else if (now == OK && r->in_trouble[what])
		log_info("database_trouble_over", "with=%s", WHAT[what]);
	r->in_trouble[what] = now != OK;
}

static bool is_at_rest(const struct runner *r)
{
	return r->ending == END_STOP ? !r->jobs && !store_pool_open(r->store) : !store_pool_open(r->store);
}

void runner_look_at_end(struct runner *r)
{
	if (r->held.state == LEASE_LOST && !r->jobs && !r->ending)
		lease_renounce(r->lease);
	if (!r->ending || !is_at_rest(r))
		return;
	if (r->giving) {
		if (r->held.state != LEASE_HELD)
			loop_end(r->loop);
		return;
	}
	r->giving = true;
	if (r->ending == END_STOP)
		lease_leave(r->lease);
	else
		lease_hand_over(r->lease);
}

static void on_signal(void *arg, const struct signalfd_siginfo *info)
{
	begin_end(arg, info->ssi_signo == SIGUSR1 ? END_STOP : END_HAND_OVER);
}

/* --- once a second: what lost datagrams would have said --------------------------------------------- */

static void on_tick(void *arg)
{
	struct runner *r = arg;
	struct job *next;

	loop_start(r->loop, &r->tick, SECOND_US, on_tick, r);
	for (struct job *j = r->jobs; j; j = next) {
		next = j->next;
		if (j->is_lost && !j->monitor_gone)
			r->engine->signal(r->host, &j->key, ENGINE_KILL);
		else if (r->ending == END_STOP)
			job_stop_for_node(j);
		else if (j->cancel_asked)
			job_cancel(j);
		follow_look(j);
	}
	claim_ask_stops(r);
	launch_next(r);
}

/* --- life -------------------------------------------------------------------------------------------- */

static enum err open_engine(struct ctx *cx, struct runner *r, int launcher, struct str *runtime)
{
	struct str rest = str_of(r->set->node.engines), first = { 0 };

	str_cut(&rest, ',', &first);
	r->engine = engine_find(str_trim(first));
	TRY(r->engine->open(cx, r->loop, r->set, launcher, &ENGINE_EVENTS, r, &r->host));
	if (settings_has_engine(r->set, STR_LIT("oci")))
		return ENGINE_OCI.probe(r->host, cx, runtime);
	return r->engine->probe(r->host, cx, runtime);
}

/* Its own limit is raised as far as it may (worker/main.c); beyond that somebody else has to. */
static void tell_short_limit(const struct runner *r)
{
	long long wants = (long long)r->set->node.slots * DESCRIPTORS_A_JOB + DESCRIPTORS_BESIDE;
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &most) == 0 && most.rlim_cur < (rlim_t)wants)
		log_warn("limit_short", "limit=RLIMIT_NOFILE is=%llu slots=%lld want=%lld", (unsigned long long)most.rlim_cur,
		         (long long)r->set->node.slots, wants);
}

static enum err open_all(struct ctx *cx, struct runner *r, int launcher)
{
	static const int SIGNALS[] = { SIGTERM, SIGINT, SIGUSR1, 0 };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct str runtime;

	r->loop = loop_new();
	if (!r->loop || !loop_signals(r->loop, SIGNALS, on_signal, r))
		return err_errno(cx, "make the runner's loop");
	r->jobs_end = &r->jobs;
	r->launching_most = cores > 0 ? 2 * (size_t)cores : 2;
	settle_init(r);
	TRY(open_engine(cx, r, launcher, &runtime)); /* the launcher has made the node's folder by then */
	if (chdir(r->set->node.dir))
		return err_errno(cx, "enter the node's folder %s", r->set->node.dir);
	TRY(open_doorbell(cx, r));
	TRY(lease_start(cx, r->loop, r->set, r->doorbell, str_c(&cx->arena, runtime), on_lease, r, &r->lease));
	TRY(open_events(cx, r));
	r->store = store_pool_new(r->loop, r->set, (int)r->set->runner.store_threads, r);
	if (!r->store)
		return err_errno(cx, "start the store threads");
	TRY(package_open(cx, r));
	TRY(images_open(cx, r));
	adopt_find(r);
	loop_start(r->loop, &r->tick, SECOND_US, on_tick, r);
	tell_short_limit(r);
	log_info("ready", "node=%s slots=%lld doorbell=%s runtime=" STR_FMT, r->set->node.name,
	         (long long)r->set->node.slots, r->doorbell, STR_ARG(runtime));
	return OK;
}

static void close_all(struct runner *r)
{
	if ((r->store && store_pool_open(r->store)) || package_cache_is_busy(r->packages) ||
	    images_are_busy(r))
		_exit(r->failed != OK); /* a thread still waits for the database: nothing of it is ours to wait for */
	while (r->jobs)
		job_free(r->jobs);
	store_pool_free(r->store);
	package_cache_close(r->packages);
	images_close(r);
	envelope_key_free(r->key.key);
	lease_free(r->lease);
	if (r->engine)
		r->engine->close(r->host);
	loop_remove(r->loop, r->events_watch);
	loop_remove(r->loop, r->doorbell_watch);
	if (r->events_fd >= 0)
		close(r->events_fd);
	if (r->doorbell_fd >= 0)
		close(r->doorbell_fd);
	free(r->slots);
	loop_free(r->loop);
}

enum err runner_play(struct ctx *cx, const struct settings *set, int launcher)
{
	struct runner r = { .set = set, .events_fd = -1, .doorbell_fd = -1 };
	enum err e;

	mallopt(M_MMAP_THRESHOLD, MMAP_FROM_BYTES); /* a fixed one: what was large goes back to the system */
	e = open_all(cx, &r, launcher);

	if (e == OK && !loop_run(r.loop))
		e = err_errno(cx, "run the runner's loop");
	if (e == OK && r.failed != OK)
		e = err_set(cx, r.failed, "%s", r.why);
	if (e == OK)
		log_info("ended", "jobs=%zu", r.slots_used);
	close_all(&r);
	return e;
}
