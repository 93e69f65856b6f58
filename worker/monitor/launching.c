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

static bool make_channels(struct monitor *m, struct ends *far)
{
	uint32_t uid = m->setup.base + m->setup.request.uid, gid = m->setup.base + m->setup.request.gid;
	int out[2], err[2], link[2], on = 1;

	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link))
		return false;
	/* so that /dev/stdout and /dev/stderr can be opened in the job */
	if (fchown(out[1], uid, gid) || fchown(err[1], uid, gid))
		return false;
	/* init's packets carry its pid as we see it */
	if (setsockopt(link[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on))
		return false;
	if (fcntl(out[0], F_SETFL, O_NONBLOCK) || fcntl(err[0], F_SETFL, O_NONBLOCK) ||
	    fcntl(link[0], F_SETFL, O_NONBLOCK))
		return false;
	m->pipes[0] = out[0];
	m->pipes[1] = err[0];
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

bool monitor_launch(struct monitor *m, const char *config, size_t n)
{
	const char *step = sandbox_make(&m->setup, config, n);
	struct ends far;

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

void monitor_go(struct monitor *m)
{
	const struct launch_request *rq = &m->setup.request;
	struct init_link go = { .type = INIT_GO, .a = rq->argc, .b = rq->envc, .c = m->setup.spec_bytes };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { &go, sizeof go };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		            .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	int spec = MONITOR_FD_SPEC;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof spec);
	memcpy(CMSG_DATA(c), &spec, sizeof spec);
	FAULT_POINT("go", "before_send");
	m->started_us = now_us();
	/* if init is gone, its end says more than this error could */
	if (sendmsg(m->link, &h, MSG_NOSIGNAL) < 0)
		m->failed_errno = errno;
	FAULT_POINT("go", "after_send");
	write_started(m);
	m->start_due = !monitor_tell(m, MONITOR_STARTED);
}
