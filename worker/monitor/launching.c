#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault_point.h"
#include "worker/monitor/monitor.h"
#include "worker/monitor/sandbox.h"

bool monitor_is_node_fault(int err)
{
	static const int faults[] = { ENOSPC, EDQUOT, ENOMEM, EMFILE, ENFILE, EAGAIN, EROFS, EIO };

	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		if (faults[i] == err)
			return true;
	return false;
}

static bool fail_launch(struct monitor *m, const char *step)
{
	m->node_fault = monitor_is_node_fault(errno);
	snprintf(m->failure, sizeof m->failure, "%s: %s", step, strerrordesc_np(errno));
	return false;
}

struct ends { /* what the container gets */
	int out, err, link;
};

/* A pipe of its own, unless both are to be one: then the order of what is written is that of the bytes. */
static bool make_err(const struct monitor *m, const int out[2], int err[2])
{
	if (!(m->setup.request.flags & LAUNCH_MERGED_OUTPUT))
		return pipe2(err, O_CLOEXEC) == 0;
	err[0] = -1;
	err[1] = fcntl(out[1], F_DUPFD_CLOEXEC, 0);
	return err[1] >= 0;
}

static bool make_channels(struct monitor *m, struct ends *far)
{
	uint32_t base = m->is_remote ? 0 : m->setup.base; /* a daemon's ids are those of the host */
	uint32_t uid = base + m->setup.request.uid, gid = base + m->setup.request.gid;
	int out[2], err[2], link[2], on = 1;

	if (pipe2(out, O_CLOEXEC) || !make_err(m, out, err) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link))
		return false;
	/* so that /dev/stdout and /dev/stderr can be opened in the job */
	if (fchown(out[1], uid, gid) || fchown(err[1], uid, gid))
		return false;
	/* init's packets carry its pid as we see it */
	if (setsockopt(link[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on))
		return false;
	if (fcntl(out[0], F_SETFL, O_NONBLOCK) || (err[0] >= 0 && fcntl(err[0], F_SETFL, O_NONBLOCK)) ||
	    fcntl(link[0], F_SETFL, O_NONBLOCK))
		return false;
	m->pipes[0] = out[0];
	m->pipes[1] = err[0];
	if (m->is_remote) { /* it connects */
		close(link[0]);
		close(link[1]);
		link[0] = link[1] = -1;
	}
	m->link = link[0];
	*far = (struct ends){ out[1], err[1], link[1] };
	return true;
}

/* In the child, which shares our memory until exec: no change but to file descriptors and signals. */
static _Noreturn void become_runtime(const struct monitor_setup *setup, const struct ends *far,
                                     char *const argv[], char *const envp[])
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	umask(022);
	if (dup2(far->out, 1) < 0 || dup2(far->err, 2) < 0 || dup2(far->link, INIT_LINK_FD) < 0)
		_exit(125);
	/* a sealed copy spares crun the copy of itself that it makes at each start */
	execveat(MONITOR_FD_RUNTIME, "", argv, envp, AT_EMPTY_PATH);
	execve(setup->runtime, argv, envp);
	dprintf(2, "cannot run %s: %s\n", setup->runtime, strerrordesc_np(errno));
	_exit(125);
}

static bool spawn_runtime(struct monitor *m, const struct ends *far)
{
	struct monitor_setup *s = &m->setup;
	char state[64], bundle[64];
	char *crun[] = { s->runtime, "--root", state, "--cgroup-manager=cgroupfs", "run", "--detach",
		         "--bundle", bundle, "--preserve-fds", "1", s->id, NULL };
	char *runc[] = { s->runtime, "--root", state, "run", "--detach", "--bundle", bundle,
		         "--preserve-fds", "1", s->id, NULL };
	char *envp[] = { (char *)LAUNCH_PATH_DEFAULT, NULL };

	snprintf(state, sizeof state, "%s/" STAGE_STATE, s->stage);
	snprintf(bundle, sizeof bundle, "%s/" STAGE_BUNDLE, s->stage);
	m->runtime = vfork();
	if (m->runtime == 0)
		become_runtime(s, far, s->is_crun ? crun : runc, envp);
	return m->runtime > 0;
}

/* As spawn_runtime, of a daemon: what asks it is a process like a runtime, and may be killed like one. */
static bool spawn_question(struct monitor *m, const struct ends *far, const char *what, size_t n)
{
	sigset_t none;

	if (m->setup.request.has_package && (m->package = sandbox_package()) < 0)
		return false;
	m->far[0] = far->out;
	m->far[1] = far->err;
	m->runtime = fork();
	if (m->runtime != 0)
		return m->runtime > 0;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(far->err, STDERR_FILENO) < 0)
		_exit(125);
	_exit(docker_run(m, what, n));
}

static bool launch_remote(struct monitor *m, const char *what, size_t n)
{
	struct ends far;

	if (!make_channels(m, &far))
		return fail_launch(m, "make the job's pipes");
	FAULT_POINT("container", "before_create");
	if (!spawn_question(m, &far, what, n))
		return fail_launch(m, "ask the engine for a container");
	m->launch_us = now_us() + MONITOR_START_TIMEOUT_MS * 1000ull;
	return true;
}

bool monitor_launch(struct monitor *m, const char *config, size_t n)
{
	const char *step;
	struct ends far;

	if (m->is_remote)
		return launch_remote(m, config, n);
	if (m->is_swarm) {
		m->launch_us = now_us() + MONITOR_START_TIMEOUT_MS * 1000ull;
		return swarm_launch(m, config, n) || fail_launch(m, "start the process that speaks with the swarm's manager");
	}
	step = sandbox_make(&m->setup, config, n);
	if (step)
		return fail_launch(m, step);
	if (!make_channels(m, &far))
		return fail_launch(m, "make the job's pipes");
	FAULT_POINT("container", "before_create");
	if (!spawn_runtime(m, &far))
		return fail_launch(m, "start the container runtime");
	FAULT_POINT("container", "after_create");
	close(far.out);
	close(far.err);
	close(far.link);
	m->launch_us = now_us() + MONITOR_START_TIMEOUT_MS * 1000ull;
	return true;
}

/* The true start, for a runner that missed the datagram. */
static void write_started(const struct monitor *m)
{
	char text[32];
	int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)m->started_us);
	int fd = openat(MONITOR_FD_JOB, "started.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	if (fd < 0)
		return;
	if (fchown(fd, (uid_t)-1, m->setup.runner_gid) == 0 && write(fd, text, (size_t)n) == n)
		renameat(MONITOR_FD_JOB, "started.tmp", MONITOR_FD_JOB, "started");
	close(fd);
}

/* What a daemon could not hand to its container. */
static size_t add_files(const struct monitor *m, struct init_link *go, int fds[INIT_FDS_MAX])
{
	const struct launch_request *rq = &m->setup.request;
	size_t n = 1;

	fds[n++] = m->far[0];
	fds[n++] = m->far[1];
	if (rq->payload_fd)
		fds[n++] = MONITOR_FD_PAYLOAD;
	if (rq->config_fd)
		fds[n++] = MONITOR_FD_CONFIG;
	if (m->package >= 0)
		fds[n++] = m->package;
	go->with = INIT_WITH_OUTPUT | (rq->payload_fd ? INIT_WITH_PAYLOAD : 0) |
	           (rq->config_fd ? INIT_WITH_CONFIG : 0) | (m->package >= 0 ? INIT_WITH_PACKAGE : 0);
	return n;
}

void monitor_begun(struct monitor *m)
{
	m->started_us = now_us();
	write_started(m);
	m->start_due = !monitor_tell(m, MONITOR_STARTED);
}

static void give_go(struct monitor *m)
{
	const struct launch_request *rq = &m->setup.request;
	struct init_link go = { .type = INIT_GO, .a = rq->argc, .b = rq->envc, .c = m->setup.spec_bytes };
	union {
		char bytes[CMSG_SPACE(INIT_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { &go, sizeof go };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };
	struct cmsghdr *c;
	int fds[INIT_FDS_MAX] = { MONITOR_FD_SPEC };
	size_t count = m->is_remote ? add_files(m, &go, fds) : 1;

	h.msg_controllen = CMSG_SPACE(count * sizeof(int));
	c = CMSG_FIRSTHDR(&h);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	FAULT_POINT("go", "before_send");
	m->started_us = now_us();
	/* if init is gone, its end says more than this error could */
	if (sendmsg(m->link, &h, MSG_NOSIGNAL) < 0)
		m->failed_errno = errno;
	FAULT_POINT("go", "after_send");
	for (size_t i = 1; i < count; i++)
		close(fds[i]);
	m->far[0] = m->far[1] = m->package = -1;
	write_started(m);
	m->start_due = !monitor_tell(m, MONITOR_STARTED);
}

void monitor_go(struct monitor *m)
{
	if (m->is_swarm)
		swarm_tell(m, SWARM_GO); /* it begins when a node of the swarm has it */
	else
		give_go(m);
}
