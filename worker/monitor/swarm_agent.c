/* The agent of a job of a swarm: everything that waits for the manager. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/monitor/engine_http.h"
#include "worker/monitor/init_orders.h"
#include "worker/monitor/monitor.h"
#include "worker/monitor/swarm_api.h"
#include "worker/monitor/swarm_log.h"

enum { LOOK_SOON_MS = 150, LOOK_MS = 1000, BEGIN_S = 60, PULL_S = 600, OLDER_S = 50, QUIET_MS = 1500, CLEAN_S = 10 };
/* What a job may live on where no manager reaches it, beyond its time and grace (init_relay.c), and some more. */
#define OUT_OF_REACH_US 40000000ull

struct agent {
	const struct monitor *m;
	int link;
	struct swarm_api api;
	struct swarm_log log;
	const char *filter;     /* base64 */
	size_t filter_n;
	bool is_scaled;         /* a node may have a container of it */
	bool has_begun, has_end;
	bool is_stopping;       /* we asked for the end */
	bool is_removed;        /* the service: what is left of it ends by itself */
	bool was_away;          /* the manager, or the container's node */
	bool kills, is_kill_told; /* told: to the daemon beside the manager, which may not have the container */
	int watch;              /* a question that has no answer; -1 = none */
	bool is_watched;        /* the manager keeps it open */
	uint64_t go_us, begun_us, look_us, kill_us, over_us;
	char lost[240];         /* why the swarm's node is not believed any more */
	char why[160];          /* what the manager last said of the container */
	struct swarm_task tasks[SWARM_TASKS_MAX];
	size_t task_count;
};

/* --- words ------------------------------------------------------------------------------------------------ */

static void hand_on(void *arg, const struct swarm_frame *f)
{
	struct agent *a = arg;
	struct swarm_frame copy;

	if (f->type == SWARM_BEGUN) {
		a->has_begun = true;
		a->begun_us = now_us();
	}
	if (f->type == SWARM_END) {
		a->has_end = true;
		return; /* told when it is known that the attempt did not go elsewhere */
	}
	copy = *f;
	if (f->type == SWARM_STATUS && a->is_stopping)
		copy.n[1] = 0; /* TERM was ours */
	send(a->link, &copy, offsetof(struct swarm_frame, data) + f->length, MSG_NOSIGNAL);
}

__attribute__((format(printf, 4, 5)))
static void say(struct agent *a, char type, uint64_t n, const char *format, ...)
{
	struct swarm_frame f = { .type = type, .n = { n } };
	va_list args;

	va_start(args, format);
	vsnprintf((char *)f.data, 512, format, args);
	va_end(args);
	f.length = (uint32_t)strlen((char *)f.data);
	send(a->link, &f, offsetof(struct swarm_frame, data) + f.length, MSG_NOSIGNAL);
}

/* Nothing of the job is alive. Service and secrets go, and the swarm takes the container away; what cannot be
 * removed now the launcher's sweep removes. */
static _Noreturn void leave(struct agent *a)
{
	uint64_t until = now_us() + CLEAN_S * 1000000ull;

	while (swarm_remove(&a->api) != 200 && now_us() < until)
		poll(NULL, 0, LOOK_SOON_MS);
	_exit(0);
}

static _Noreturn void over(struct agent *a)
{
	say(a, SWARM_END, 0, "%s", "");
	leave(a);
}

static _Noreturn void never(struct agent *a, bool is_node_fault, const char *what, const char *why)
{
	say(a, SWARM_NEVER, is_node_fault, "%s%s%s", what, *why ? ": " : "", why);
	over(a);
}

/* What a call came to nothing for. */
static _Noreturn void fail(struct agent *a, const char *what, int status)
{
	char words[300];

	if (status < 0) {
		snprintf(words, sizeof words, "the engine does not answer: %s", strerrordesc_np(-status));
		never(a, true, what, words);
	}
	engine_message(a->api.answer, words, sizeof words);
	never(a, status == 503 || status == 500, what, words);
}

/* --- begin -------------------------------------------------------------------------------------------------- */

static const char *line(const char **at, size_t *n)
{
	const char *from = *at, *end = strchrnul(from, '\n');

	*n = (size_t)(end - from);
	*at = *end ? end + 1 : end;
	return from;
}

static void take_text(struct agent *a, const char *what)
{
	struct swarm_api *s = &a->api;
	const char *name;
	size_t n;

	name = line(&what, &n);
	snprintf(s->config_name, sizeof s->config_name, "%.*s", (int)n, name);
	a->filter = line(&what, &a->filter_n);
	s->labels = line(&what, &s->labels_n);
	s->service = what;
	s->socket = a->m->setup.engine;
	snprintf(s->attempt, sizeof s->attempt, "%s", a->m->setup.id);
	snprintf(s->task, sizeof s->task, "%.24s", a->m->setup.id);
	snprintf(s->name, sizeof s->name, DOCKER_NAME "%s", a->m->setup.id);
}

static bool add_file(uint8_t *orders, size_t *n, int fd, size_t size)
{
	ssize_t got = size ? pread(fd, orders + *n, size, 0) : 0;

	*n += size;
	return got == (ssize_t)size;
}

/* NULL: they are more than secrets hold. */
static uint8_t *write_orders(struct agent *a, size_t *n)
{
	const struct monitor_setup *s = &a->m->setup;
	const struct launch_request *rq = &s->request;
	struct init_orders o = {
		.magic = INIT_ORDERS_MAGIC, .argc = rq->argc, .envc = rq->envc, .spec_bytes = s->spec_bytes,
		.payload_bytes = s->payload_bytes, .config_bytes = s->config_bytes, .uid = rq->uid, .gid = rq->gid,
		.grace_ms = rq->grace_ms, .has_payload = rq->payload_fd, .has_config = rq->config_fd, .flags = rq->flags,
		.scratch_bytes = rq->scratch_bytes, .timeout_ms = rq->timeout_ms, .head_max = rq->head_max, .tail_max = rq->tail_max,
	};
	size_t most = (size_t)INIT_ORDERS_PIECE * INIT_ORDERS_PIECES - 1; /* one that is not full ends them */
	size_t size = sizeof o + (size_t)o.spec_bytes + o.payload_bytes + o.config_bytes + a->filter_n;
	uint8_t *all = size > most ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long filter;

	*n = sizeof o;
	if (all == MAP_FAILED || !add_file(all, n, MONITOR_FD_SPEC, o.spec_bytes) ||
	    !add_file(all, n, MONITOR_FD_PAYLOAD, o.payload_bytes) || !add_file(all, n, MONITOR_FD_CONFIG, o.config_bytes))
		return NULL;
	filter = base64_decode(a->filter, a->filter_n, all + *n, size - *n);
	if (filter <= 0)
		return NULL;
	o.filter_bytes = (uint32_t)filter;
	memcpy(all, &o, sizeof o);
	*n += (size_t)filter;
	return all;
}

static void prepare(struct agent *a)
{
	size_t n;
	uint8_t *orders = write_orders(a, &n);
	int status;

	if (!orders)
		never(a, false, "arguments, payload and config are more than the swarm's secrets hold, which is 4.9 MB", "");
	status = swarm_make_config(&a->api, MONITOR_FD_INIT);
	if (status != 201)
		fail(a, "give stoker-init to the swarm", status);
	status = swarm_make_secrets(&a->api, orders, n);
	if (status != 201)
		fail(a, "give the job's orders to the swarm", status);
	status = swarm_make_service(&a->api);
	if (status != 201)
		fail(a, "create the service", status);
}

/* --- the manager's life ----------------------------------------------------------------------------------------- */

/* Events of a kind that there is not: this ends when the manager does, however soon another answers in its place. */
static void watch(struct agent *a)
{
	if (a->watch >= 0)
		return;
	a->is_watched = false;
	a->watch = engine_begin(a->api.socket, "GET", "/events?filters=%7B%22event%22%3A%5B%22none%22%5D%7D");
}

static void hear_watch(struct agent *a)
{
	char head[512] = "";
	ssize_t n = recv(a->watch, head, sizeof head - 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		a->is_watched |= strncmp(head, "HTTP/", 5) == 0 && strstr(head, " 200 ");
		return;
	}
	close(a->watch);
	a->watch = -1;
	a->was_away |= a->is_watched; /* one that was refused says nothing */
}

/* --- never two at once ---------------------------------------------------------------------------------------- */

/* Of an attempt before this one something may still run, on a node that its monitor has lost: it is removed, and
 * seen gone, before this one begins. It cannot be the other way round, since this one's service is there by now: who
 * comes with an older one sees it. */
static void end_older(struct agent *a)
{
	uint64_t until = now_us() + OLDER_S * 1000000ull;
	char node[64] = "";
	bool newer, is_down;
	int status;

	for (;;) {
		size_t alive = 0;

		status = swarm_remove_older(&a->api, &newer);
		if (status == 200 && newer)
			never(a, true, "a later attempt of the task has a service already", "");
		if (status == 200)
			status = swarm_tasks(&a->api, a->tasks, &a->task_count);
		for (size_t i = 0; status == 200 && i < a->task_count; i++)
			alive += a->tasks[i].is_alive && !a->tasks[i].is_ours;
		if (status == 200 && !alive)
			return;
		if (now_us() >= until)
			break;
		poll(NULL, 0, LOOK_SOON_MS);
	}
	if (status != 200)
		fail(a, "look for earlier attempts of the task", status);
	for (size_t i = 0; i < a->task_count; i++)
		if (a->tasks[i].is_alive && !a->tasks[i].is_ours)
			swarm_node_is_down(&a->api, a->tasks[i].node, &is_down, node, sizeof node);
	never(a, true, "an earlier attempt of the task is not known to be dead, on the swarm's node", node);
}

static bool lease_is_past(void)
{
	uint64_t deadline;

	return pread(MONITOR_FD_LEASE, &deadline, sizeof deadline, 0) != (ssize_t)sizeof deadline || le64toh(deadline) <= now_us();
}

static void go(struct agent *a)
{
	int status;

	if (a->is_scaled || a->kills)
		return;
	end_older(a);
	if (lease_is_past())
		never(a, true, "the node's lease is past", "");
	a->is_scaled = true;
	a->go_us = now_us();
	watch(a);
	status = swarm_scale(&a->api, false);
	if (status >= 300)
		fail(a, "start the service", status); /* without an answer it may have been started: that is looked after */
	swarm_log_open(&a->log, a->api.socket, a->api.id, true);
	a->look_us = now_us() + LOOK_SOON_MS * 1000ull;
}

/* --- end --------------------------------------------------------------------------------------------------------- */

static void stop(struct agent *a)
{
	if (a->is_scaled && !a->is_removed && swarm_scale(&a->api, true) == 200)
		a->is_stopping = true;
}

static void remove_service(struct agent *a)
{
	if (!a->is_removed && swarm_remove(&a->api) == 200)
		a->is_removed = true;
}

static struct swarm_task *our_task(struct agent *a)
{
	struct swarm_task *found = NULL;

	for (size_t i = 0; i < a->task_count; i++)
		if (a->tasks[i].is_ours && *a->tasks[i].node)
			found = &a->tasks[i];
	return found;
}

/* True: it dies at once. The manager may not have heard yet which container it is, so that this is done with each look. */
static bool kill_here(struct agent *a, const struct swarm_task *t)
{
	int status = a->is_kill_told || !t || !*t->container ? 0 : swarm_signal_here(&a->api, t, "SIGUSR1");

	a->is_kill_told |= status > 0 && status < 500;
	return status == 204;
}

/* At once only where the manager can reach the container; else it has its grace. */
static void kill_job(struct agent *a)
{
	bool first = !a->kills;

	a->kills = true;
	if (!a->is_scaled)
		over(a);
	if (first)
		a->kill_us = now_us();
	if (!first && now_us() < a->kill_us + (a->m->setup.request.grace_ms + CLEAN_S * 1000ull) * 1000)
		return;
	if (!first || !a->has_begun) {
		remove_service(a);
		return;
	}
	swarm_tasks(&a->api, a->tasks, &a->task_count);
	a->is_stopping = true;
	if (!kill_here(a, our_task(a)))
		stop(a);
}

/* Nothing runs any more, and init could not say how it ended. */
static _Noreturn void end_untold(struct agent *a, const struct swarm_task *t)
{
	int code = t ? t->exit_code : 128 + SIGKILL;
	struct swarm_frame f = { .type = SWARM_STATUS };

	if (!a->has_begun) {
		const char *words = *a->log.words ? a->log.words : t && *t->why ? t->why : "it ended without a word";

		never(a, a->was_away, "start the container", words);
	}
	if (a->was_away && !a->is_stopping) {
		say(a, SWARM_TAKEN, 0, "%s", *a->lost ? a->lost : "the swarm's node or manager restarted, and killed it");
		over(a);
	}
	f.n[0] = code > 128 ? (uint64_t)(code - 128) : code > 0 ? (uint64_t)code << 8 : SIGKILL;
	send(a->link, &f, offsetof(struct swarm_frame, data), MSG_NOSIGNAL);
	over(a);
}

/* What is left of the log when the container has ended: all of it, read once more. */
static void read_rest(struct agent *a)
{
	uint64_t until = now_us() + CLEAN_S * 1000000ull;
	struct pollfd p;

	swarm_log_open(&a->log, a->api.socket, a->api.id, false);
	while (a->log.fd >= 0 && !a->has_end && now_us() < until) {
		p = (struct pollfd){ .fd = a->log.fd, .events = POLLIN };
		poll(&p, 1, QUIET_MS);
		if (!swarm_log_read(&a->log, hand_on, a))
			swarm_log_close(&a->log);
	}
	swarm_log_close(&a->log);
	if (a->has_end)
		over(a);
}

/* --- while it runs ------------------------------------------------------------------------------------------------ */

/* A node that is down may still run it. It is removed, and this attempt lasts until the manager has seen it gone
 * (the node is back, or an operator has removed it from the swarm), or until it must have ended itself. */
static void look_at_node(struct agent *a, const struct swarm_task *t)
{
	char name[64] = "";
	bool is_down;

	if (swarm_node_is_down(&a->api, t->node, &is_down, name, sizeof name) != 200 || !is_down)
		return;
	if (!*a->lost)
		snprintf(a->lost, sizeof a->lost, "the swarm's node %s went down while it ran", name);
	a->was_away = true;
	remove_service(a);
}

static uint64_t last_breath_us(const struct agent *a)
{
	const struct launch_request *rq = &a->m->setup.request;
	uint64_t from = a->has_begun ? a->begun_us : a->go_us + PULL_S * 1000000ull;

	return from + (rq->timeout_ms + rq->grace_ms) * 1000 + OUT_OF_REACH_US;
}

static void look_at_begin(struct agent *a, const struct swarm_task *t)
{
	bool pulls = t && strcmp(t->state, "preparing") == 0;
	uint64_t limit = (pulls ? PULL_S : BEGIN_S) * 1000000ull;

	if (a->has_begun || a->kills || now_us() < a->go_us + limit)
		return;
	for (size_t i = 0; i < a->task_count; i++)
		if (a->tasks[i].is_ours && *a->tasks[i].why)
			snprintf(a->why, sizeof a->why, "%s", a->tasks[i].why);
	snprintf(a->lost, sizeof a->lost, "no node of the swarm has begun it in time%s%s", *a->why ? ": " : "", a->why);
	a->was_away = true;
	remove_service(a);
}

/* An image that no registry has is on those nodes only to which somebody brought it: another one is tried. */
static bool try_elsewhere(struct agent *a, const struct swarm_task *t)
{
	if (a->has_begun || a->is_stopping || !t || strcmp(t->state, "rejected") != 0 || !strstr(t->why, "No such image"))
		return false;
	snprintf(a->why, sizeof a->why, "%s", t->why);
	return !strstr(a->api.passed, t->node) && swarm_pass_over(&a->api, t->node) && swarm_scale(&a->api, false) == 200;
}

/* No node is left for it. */
static bool is_nowhere(const struct agent *a)
{
	bool found = false;

	for (size_t i = 0; i < a->task_count; i++) {
		if (a->tasks[i].is_ours && a->tasks[i].is_alive)
			return false;
		found |= a->tasks[i].is_ours && strcmp(a->tasks[i].state, "pending") == 0 && *a->tasks[i].why;
	}
	return found && *a->api.passed && !a->has_begun;
}

static void look(struct agent *a)
{
	const struct swarm_task *t;
	int status = swarm_tasks(&a->api, a->tasks, &a->task_count);

	a->look_us = now_us() + (a->has_begun && !a->is_stopping && !a->is_removed ? LOOK_MS : LOOK_SOON_MS) * 1000ull;
	if (status != 200) {
		a->was_away = a->was_away || status < 0 || status >= 500;
		return;
	}
	t = our_task(a);
	if (a->kills)
		kill_here(a, t);
	look_at_begin(a, t);
	if (t && t->is_alive) {
		a->over_us = 0;
		look_at_node(a, t);
		if (*a->lost && now_us() >= last_breath_us(a))
			end_untold(a, t);
		return;
	}
	if (a->is_removed) {
		if (!a->has_begun && *a->lost)
			never(a, true, a->lost, "");
		end_untold(a, t);
	}
	if (!t && !a->has_begun && !a->is_stopping)
		return; /* no node has it yet */
	if (is_nowhere(a))
		never(a, false, "start the container", a->why);
	if (try_elsewhere(a, t) || (t && strstr(a->api.passed, t->node) && !a->has_begun))
		return;
	a->over_us = a->over_us ? a->over_us : now_us();
	if (now_us() < a->over_us + QUIET_MS * 1000ull)
		return; /* its last words may be under way */
	read_rest(a);
	end_untold(a, t);
}

static void hear_orders(struct agent *a)
{
	char order;
	ssize_t n;

	while ((n = recv(a->link, &order, 1, MSG_DONTWAIT)) > 0) {
		if (order == SWARM_GO)
			go(a);
		else if (order == SWARM_TERM)
			stop(a);
		else if (order == SWARM_KILL)
			kill_job(a);
	}
	if (n == 0)
		_exit(0);
}

static void turn(struct agent *a)
{
	struct pollfd p[] = { { .fd = a->link, .events = POLLIN }, { .fd = a->log.fd, .events = POLLIN },
		              { .fd = a->watch, .events = POLLIN } };
	uint64_t now = now_us();
	int wait = !a->is_scaled ? -1 : now >= a->look_us ? 0 : (int)((a->look_us - now) / 1000 + 1);

	if (poll(p, sizeof p / sizeof *p, wait) < 0)
		return;
	if (p[2].revents)
		hear_watch(a);
	if (p[1].revents && !swarm_log_read(&a->log, hand_on, a))
		swarm_log_close(&a->log);
	if (a->has_end)
		over(a);
	if (p[0].revents)
		hear_orders(a);
	if (a->is_scaled && now_us() >= a->look_us) {
		look(a);
		watch(a);
		if (a->log.fd < 0 && !a->is_removed)
			swarm_log_open(&a->log, a->api.socket, a->api.id, true);
	}
}

_Noreturn void swarm_agent(const struct monitor *m, int link, const char *what, size_t n)
{
	struct agent *a = mmap(NULL, sizeof *a, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *text = mmap(NULL, n + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (a == MAP_FAILED || text == MAP_FAILED)
		_exit(1);
	memcpy(text, what, n);
	a->m = m;
	a->link = link;
	a->log.fd = a->watch = -1;
	take_text(a, text);
	prepare(a);
	say(a, SWARM_READY, 0, "%s", "");
	for (;;)
		turn(a);
}
