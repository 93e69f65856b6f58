/* stoker-init: process 1 of every container. It waits for the monitor's go, starts the job as its
 * child, passes TERM to all, reaps, and tells the job's raw wait status. Being process 1, its own end
 * is the end of everything in the container. It runs with the job's own rights, so what it is told
 * goes no further than what the job could do; the job cannot look into it (not dumpable). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#include "worker/launcher/launch_request.h"
#include "worker/monitor/init_files.h"
#include "worker/monitor/init_job.h"
#include "worker/monitor/init_orders.h"
#include "worker/monitor/init_link.h"

/* A packet's descriptors. */
struct came {
	int fd[INIT_FDS_MAX];
	size_t count;
};

static void tell(enum init_link_type type, uint32_t a, uint32_t b)
{
	struct init_link m = { .type = type, .a = a, .b = b };

	while (send(INIT_LINK_FD, &m, sizeof m, MSG_NOSIGNAL) < 0 && (errno == EINTR || errno == ENOBUFS || errno == ENOMEM))
		;
}

static _Noreturn void give_up(enum init_step step, int err)
{
	tell(INIT_FAILED, (uint32_t)err, step);
	_exit(125);
}

/* A packet and, with go, its descriptors; the end of the link ends the container. */
static void receive(struct init_link *m, struct came *came)
{
	union {
		char bytes[CMSG_SPACE(INIT_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { m, sizeof *m };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		            .msg_controllen = sizeof control };
	struct cmsghdr *c;
	ssize_t n = recvmsg(INIT_LINK_FD, &h, MSG_CMSG_CLOEXEC);

	came->count = 0;
	if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
		m->type = 0;
		return;
	}
	if (n != (ssize_t)sizeof *m)
		_exit(125);
	c = CMSG_FIRSTHDR(&h);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return;
	came->count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(came->fd, CMSG_DATA(c), came->count * sizeof(int));
}

static void read_spec(const struct init_link *go, int fd, struct job *job)
{
	struct init_failure failed;
	char *text;

	text = fd < 0 ? MAP_FAILED : mmap(NULL, go->c, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		give_up(INIT_STEP_SPEC, fd < 0 ? EINVAL : errno);
	close(fd);
	failed = job_read_spec(job, go->a, go->b, text, go->c);
	if (failed.step)
		give_up(failed.step, failed.err);
}

static void start(struct job *job, const sigset_t *before)
{
	struct init_failure failed = job_start(job, before);

	if (failed.step)
		give_up(failed.step, failed.err);
}

static void reap(struct job *job)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == job->pid) {
			tell(INIT_STATUS, (uint32_t)status, 0);
			if (!job->is_remote)
				_exit(0);
		}
}

/* The spec's first, then what `with` tells of. */
static void take_files(const struct init_link *go, const struct came *came, struct job *job)
{
	uint32_t files = go->with & (INIT_WITH_PAYLOAD | INIT_WITH_CONFIG | INIT_WITH_PACKAGE);
	size_t wanted = 1 + (go->with & INIT_WITH_OUTPUT ? 2 : 0) + (size_t)__builtin_popcount(files), next = 1;
	int err;

	if (came->count != wanted)
		give_up(INIT_STEP_SPEC, EINVAL);
	read_spec(go, came->fd[0], job);
	if (go->with & INIT_WITH_OUTPUT) {
		job->output[0] = came->fd[next++];
		job->output[1] = came->fd[next++];
	}
	err = job->is_remote ? init_copy_files(files, came->fd + next) : 0;
	if (err)
		give_up(INIT_STEP_TASK, err);
}

static void obey(struct job *job, const sigset_t *before)
{
	struct init_link m;
	struct came came;

	receive(&m, &came);
	if (m.type == INIT_GO && job->pid == 0) {
		take_files(&m, &came, job);
		start(job, before);
	} else if (m.type == INIT_TERM) {
		kill(-1, SIGTERM);
		kill(-1, SIGCONT); /* a stopped process must hear it too */
	}
}

static int probe(const char *mode)
{
	char *p;

	if (strcmp(mode, INIT_PROBE_MEMORY) != 0)
		return INIT_PROBE_CODE;
	p = mmap(NULL, INIT_PROBE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; p != MAP_FAILED && i < INIT_PROBE_BYTES; i += 4096)
		p[i] = 1;
	return INIT_PROBE_CODE;
}

int main(int argc, char **argv)
{
	struct pollfd polls[2] = { { .fd = INIT_LINK_FD, .events = POLLIN }, { .events = POLLIN } };
	struct job job = { .output = { -1, -1 } };
	struct signalfd_siginfo info;
	sigset_t all, before;

	if (argc > 1 && strcmp(argv[1], INIT_ORDERS) == 0)
		init_by_orders();
	job.is_remote = argc > 1 && strcmp(argv[1], INIT_CONNECT) == 0;
	if (argc > 1 && !job.is_remote)
		return probe(argv[1]);
	prctl(PR_SET_DUMPABLE, 0);
	if (job.is_remote)
		init_connect();
	fcntl(INIT_LINK_FD, F_SETFD, FD_CLOEXEC);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&before);
	sigemptyset(&all);
	sigaddset(&all, SIGCHLD);
	polls[1].fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (polls[1].fd < 0)
		give_up(INIT_STEP_SPEC, errno);
	tell(INIT_READY, 0, 0);
	for (;;) {
		if (poll(polls, 2, -1) < 0 && errno != EINTR)
			_exit(125);
		if (polls[1].revents) {
			while (read(polls[1].fd, &info, sizeof info) > 0)
				;
			reap(&job);
		}
		if (polls[0].revents)
			obey(&job, &before);
	}
}
