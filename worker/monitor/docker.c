#include "worker/monitor/docker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault_point.h"
#include "worker/monitor/monitor.h"

enum { ANSWER_MAX = 8192, INSPECT_MAX = 131072, ASK_MS = 30000, PAUSE_MS = 200, AWAY_TRIES = 10, PING_MS = 2000, REMOVE_MS = 10000, CONTAINER_ID = 64 };
#define WATCH_AGAIN_US 1000000u

/* --- start: in a process of its own ---------------------------------------------------------------- */

static int ask(const struct monitor *m, const char *method, const char *target, struct engine_question *body, char *answer)
{
	struct engine_question q = body ? *body : (struct engine_question){ 0 };

	q.socket = m->setup.engine;
	q.method = method;
	q.target = target;
	q.timeout_ms = q.timeout_ms ? q.timeout_ms : ASK_MS;
	return engine_ask(&q, answer, ANSWER_MAX);
}

static int say_why(const char *what, int status, const char *answer)
{
	char words[400];

	if (status < 0) {
		dprintf(STDERR_FILENO, "%s: the engine does not answer: %s\n", what, strerrordesc_np(-status));
		return DOCKER_RUN_AWAY;
	}
	engine_message(answer, words, sizeof words);
	dprintf(STDERR_FILENO, "%s: %s\n", what, words);
	return status == 503 ? DOCKER_RUN_AWAY : 1;
}

/* The node's own want, not what was asked for. */
static int say_want(const char *what)
{
	dprintf(STDERR_FILENO, "%s: %s\n", what, strerrordesc_np(errno));
	return DOCKER_RUN_AWAY;
}

/* Asks until there is an answer, since what is asked for may be asked for again. */
static int ask_until(const struct monitor *m, const char *target, struct engine_question *body, char *answer)
{
	int status = -1;

	for (int i = 0; i < AWAY_TRIES && status < 0; i++) {
		if (i)
			poll(NULL, 0, PAUSE_MS);
		status = ask(m, "POST", target, body, answer);
	}
	return status;
}

/* What is told of a container begins with its id; kept in the job's folder for who comes later. */
static bool keep_id(const char *answer)
{
	static const char key[] = "\"Id\":\"";
	const char *id = strstr(answer, key);
	int fd = id ? openat(MONITOR_FD_JOB, "container", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640) : -1;
	bool done = fd >= 0 && write(fd, id + sizeof key - 1, CONTAINER_ID) == CONTAINER_ID;

	int err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return done;
}

/* "" if there is none that is ours, or with errno if that cannot be known. */
static const char *read_id(char id[CONTAINER_ID + 1])
{
	int fd = openat(MONITOR_FD_JOB, "container", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, id, CONTAINER_ID);
	int err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	id[n == CONTAINER_ID ? n : 0] = '\0';
	return strspn(id, "0123456789abcdef") == CONTAINER_ID ? id : "";
}

/* Of that name there is one already: ours, whose answer was lost, or somebody else's? 1 and 0; -1 with errno: it cannot be
 * known, or not be kept. */
static int is_ours(const struct monitor *m, const char *what, size_t n)
{
	char target[96];
	static const char key[] = "\"" DOCKER_LABEL_NODE "\":";
	const struct engine_question q = { .socket = m->setup.engine, .method = "GET", .target = target, .timeout_ms = ASK_MS };
	const char *wanted = memmem(what, n, key, sizeof key - 1), *found, *end;
	char answer[INSPECT_MAX];

	snprintf(target, sizeof target, "/containers/" DOCKER_NAME "%s/json", m->setup.id);
	int status;

	if (!wanted)
		return 0;
	status = engine_ask(&q, answer, sizeof answer);
	if (status < 0)
		errno = -status;
	if (status != 200)
		return status < 0 ? -1 : 0;
	end = memchr(wanted + sizeof key, '"', n - (size_t)(wanted + sizeof key - what));
	found = strstr(answer, key);
	if (!found || !end || strncmp(wanted, found, (size_t)(end + 1 - wanted)) != 0)
		return 0;
	return keep_id(answer) ? 1 : -1;
}

/* Podman answers 500 where Docker answers 409. */
static bool is_taken(int status, const char *answer)
{
	return status == 409 || (status == 500 && strstr(answer, "already in use"));
}

int docker_run(const struct monitor *m, const char *what, size_t n)
{
	struct engine_question create = { .body = what, .length = n };
	char answer[ANSWER_MAX], target[128], id[CONTAINER_ID + 1];
	int status, kept;

	snprintf(target, sizeof target, "/containers/create?name=" DOCKER_NAME "%s", m->setup.id);
	status = ask_until(m, target, &create, answer);
	FAULT_POINT("container", "after_create");
	kept = status == 201 ? (keep_id(answer) ? 1 : -1) : is_taken(status, answer) ? is_ours(m, what, n) : 0;
	if (kept < 0)
		return say_want("keep the id of the container");
	if (!kept)
		return say_why("create the container", status, answer);
	if (!*read_id(id))
		return say_want("read the id of the container");
	snprintf(target, sizeof target, "/containers/%s/start", id);
	status = ask_until(m, target, NULL, answer);
	if (status != 204 && status != 304) /* 304: it has been started */
		return say_why("start the container", status, answer);
	return 0;
}

/* --- while it runs ----------------------------------------------------------------------------------- */

/* The path of its cgroup, the same in every hierarchy. */
static void find_cgroup(struct monitor *m, pid_t init)
{
	char name[48], text[4096], *at, *end;
	ssize_t n;
	int fd;

	snprintf(name, sizeof name, "/proc/%d/cgroup", (int)init);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, m->setup.cgroup_v2 ? "0::/" : ":memory:/");
	if (!at)
		return;
	at = strchr(at, '/');
	end = strchrnul(at, '\n');
	if ((size_t)(end - at) < sizeof m->cgroup)
		snprintf(m->cgroup, sizeof m->cgroup, "%.*s", (int)(end - at), at);
}

bool docker_accept(struct monitor *m)
{
	struct ucred who;
	socklen_t n = sizeof who;
	int on = 1;

	m->link = accept4(MONITOR_FD_LISTEN, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (m->link < 0)
		return true;
	close(MONITOR_FD_LISTEN); /* nobody else may: the job sees the socket, too */
	m->listens = false;
	unlinkat(MONITOR_FD_JOB, "link", 0);
	if (setsockopt(m->link, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) ||
	    getsockopt(m->link, SOL_SOCKET, SO_PEERCRED, &who, &n) || who.pid <= 0)
		snprintf(m->failure, sizeof m->failure, "the engine's containers are in another pid namespace");
	else if ((m->init_fd = (int)syscall(SYS_pidfd_open, who.pid, 0)) < 0)
		snprintf(m->failure, sizeof m->failure, "watch the container's init: %s", strerrordesc_np(errno));
	else
		find_cgroup(m, who.pid);
	return !m->failure[0];
}

void docker_count(struct monitor *m)
{
	struct cgroup_counts now;

	if (!m->cgroup[0])
		return;
	cgroup_read(m->cgroup, m->setup.cgroup_v2, &now);
	if (now.memory_peak || now.cpu_us) /* else it has gone, and what was read before holds */
		m->counts = now;
}

void docker_kill(struct monitor *m)
{
	docker_count(m);
	if (m->init_fd >= 0)
		syscall(SYS_pidfd_send_signal, m->init_fd, SIGKILL, NULL, 0);
}

/* --- the daemon ---------------------------------------------------------------------------------------- */

void docker_watch(struct monitor *m)
{
	char target[128], id[CONTAINER_ID + 1];
	uint64_t now = now_us();

	if (m->engine >= 0 || m->engine_answered || m->runtime || m->runtime_status || now < m->engine_us)
		return;
	snprintf(target, sizeof target, "/containers/%s/wait", read_id(id));
	m->engine = engine_begin(m->setup.engine, "POST", target);
	m->engine_us = now + WATCH_AGAIN_US;
	m->heard_n = 0;
}

/* The header comes at once, the status with the end. */
void docker_hear(struct monitor *m)
{
	ssize_t n;

	if (m->heard_n == sizeof m->heard - 1)
		m->heard_n = 0;
	n = recv(m->engine, m->heard + m->heard_n, sizeof m->heard - 1 - m->heard_n, MSG_DONTWAIT);
	if (n > 0) {
		m->heard_n += (size_t)n;
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	close(m->engine);
	m->engine = -1;
	m->heard[m->heard_n] = '\0';
	if (strstr(m->heard, "\"StatusCode\""))
		m->engine_answered = true;
	else
		m->engine_lost = true;
}

bool docker_has_restarted(const struct monitor *m)
{
	struct engine_question ping = { .timeout_ms = PING_MS };
	char answer[ANSWER_MAX];

	return m->engine_lost || ask(m, "GET", "/_ping", &ping, answer) < 0;
}

void docker_remove(const struct monitor *m)
{
	struct engine_question q = { .timeout_ms = REMOVE_MS };
	char target[128], answer[ANSWER_MAX], id[CONTAINER_ID + 1];

	if (!*read_id(id))
		return;
	snprintf(target, sizeof target, "/containers/%s?force=true&v=true", id);
	ask(m, "DELETE", target, &q, answer);
}
