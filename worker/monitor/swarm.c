#include "worker/monitor/swarm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/monitor/monitor.h"

enum { FINISH_MS = 15000, STEP_MS = 20, AGENT_KILL_AGAIN_US = 500000 };
#define NOT_WAITED_US 2000000u

bool swarm_launch(struct monitor *m, const char *what, size_t n)
{
	int link[2];
	sigset_t none;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link))
		return false;
	m->init = fork();
	if (m->init == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_IGN);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(link[0]);
		swarm_agent(m, link[1], what, n);
	}
	close(link[1]);
	m->link = link[0];
	return m->init > 0;
}

/* The words of init that could not even take its orders; it has none for the job itself. */
static void fail_orders(struct monitor *m, const struct swarm_frame *f)
{
	snprintf(m->failure, sizeof m->failure, "stoker-init in the service's container: %.*s: %s", (int)f->length, f->data,
	         strerrordesc_np((int)f->n[0]) ? strerrordesc_np((int)f->n[0]) : "unknown error");
}

static void take_counts(struct monitor *m, const struct swarm_frame *f)
{
	m->counts = (struct cgroup_counts){ .oom_kills = f->n[0], .pids_hits = f->n[1], .memory_peak = f->n[2], .cpu_us = f->n[3] };
}

static void take_output(struct monitor *m, const struct swarm_frame *f)
{
	size_t n = f->length < sizeof m->buffer.data ? f->length : sizeof m->buffer.data;

	memcpy(m->buffer.data, f->data, n);
	spool_put(&m->spool, f->n[0] == SPOOL_STREAM_ERR ? SPOOL_STREAM_ERR : SPOOL_STREAM_OUT, m->buffer.data, n, now_us());
}

static void take_end(struct monitor *m, const struct swarm_frame *f)
{
	m->has_status = true;
	m->status = (int)f->n[0];
	if (f->n[1])
		m->engine_lost = true;
}

static void take_words(const struct swarm_frame *f, char *out, size_t room)
{
	snprintf(out, room, "%.*s", (int)f->length, f->data);
}

static void take(struct monitor *m, const struct swarm_frame *f)
{
	switch (f->type) {
	case SWARM_FAILED:
		m->failed_errno = (int)f->n[0];
		m->failed_step = (int)f->n[1];
		if (f->n[1] == INIT_STEP_ORDERS)
			fail_orders(m, f);
		__attribute__((fallthrough));
	case SWARM_BEGUN:
		if (!m->started_us)
			monitor_begun(m);
		break;
	case SWARM_OUTPUT:
		take_output(m, f);
		break;
	case SWARM_SKIPPED:
		spool_skip(&m->spool, f->n[0], f->n[1]);
		break;
	case SWARM_COUNTS:
		take_counts(m, f);
		break;
	case SWARM_STATUS:
		take_end(m, f);
		break;
	case SWARM_NEVER:
		m->node_fault = f->n[0];
		take_words(f, m->failure, sizeof m->failure);
		break;
	case SWARM_TAKEN:
		m->engine_lost = true;
		take_words(f, m->taken, sizeof m->taken);
		break;
	case SWARM_END:
		m->swarm_over = true;
		break;
	default:
		break;
	}
}

int swarm_hear(struct monitor *m)
{
	struct swarm_frame f;
	ssize_t n = m->link < 0 ? -1 : recv(m->link, &f, sizeof f, MSG_DONTWAIT);

	if (n == 0 && m->link >= 0) {
		close(m->link);
		m->link = -1;
	}
	if (n < (ssize_t)offsetof(struct swarm_frame, data) || f.length > sizeof f.data)
		return 0;
	take(m, &f);
	return f.type;
}

void swarm_tell(const struct monitor *m, enum swarm_order order)
{
	char byte = (char)order;

	if (m->link >= 0)
		send(m->link, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void swarm_kill(struct monitor *m)
{
	uint64_t now = now_us();

	if (!m->swarm_kill_us)
		m->swarm_kill_us = now;
	swarm_tell(m, SWARM_KILL);
	if (m->init > 0 && now >= m->swarm_kill_us + NOT_WAITED_US && (!m->started_us || m->why == EXIT_FENCED))
		kill(m->init, SIGKILL);
	m->kill_us = now + AGENT_KILL_AGAIN_US;
}

void swarm_finish(struct monitor *m)
{
	for (int i = 0; m->init > 0 && i < FINISH_MS / STEP_MS; i++) {
		if (waitpid(m->init, NULL, WNOHANG) == m->init)
			m->init = -1;
		else
			poll(NULL, 0, STEP_MS);
	}
	if (m->init > 0)
		kill(m->init, SIGKILL);
}
