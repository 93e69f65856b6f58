/* stoker-init: process 1 of every container. It waits for the monitor's go, starts the job as its
 * child, passes TERM to all, reaps, and tells the job's raw wait status. Being process 1, its own end
 * is the end of everything in the container. It runs with the job's own rights, so what it is told
 * goes no further than what the job could do; the job cannot look into it (not dumpable). */
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#include "worker/launcher/launch_request.h"
#include "worker/monitor/init_files.h"
#include "worker/monitor/init_link.h"

struct job {
	char **argv;
	char **envp;
	const char *workdir;
	const char *path; /* value of its PATH */
	char tried[PATH_MAX]; /* the file of which exec said that it is no program */
	pid_t pid;
	int output[2];    /* what becomes its stdout and stderr; -1 = ours */
	bool is_remote;   /* a daemon made the container */
};

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

/* Points `out[n]` at `n` strings from *at; false if they do not end before `end`. */
static bool strings(char **at, char *end, uint32_t n, char **out)
{
	for (uint32_t i = 0; i < n; i++) {
		char *nul = memchr(*at, '\0', (size_t)(end - *at));

		if (!nul)
			return false;
		out[i] = *at;
		*at = nul + 1;
	}
	return true;
}

static const char *find_path(char **envp)
{
	for (; *envp; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return NULL;
}

static void read_spec(const struct init_link *go, int fd, struct job *job)
{
	static char path_default[] = LAUNCH_PATH_DEFAULT;
	size_t pointers = ((size_t)go->a + go->b + 3) * sizeof(char *);
	char *text, *at, *end;
	char **table;

	if (fd < 0 || go->a < 1 || go->a > LAUNCH_STRINGS_MAX || go->b > LAUNCH_STRINGS_MAX)
		give_up(INIT_STEP_SPEC, EINVAL);
	text = mmap(NULL, go->c, PROT_READ, MAP_PRIVATE, fd, 0);
	table = mmap(NULL, pointers, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (text == MAP_FAILED || table == MAP_FAILED)
		give_up(INIT_STEP_SPEC, errno);
	close(fd);
	at = text;
	end = text + go->c;
	job->argv = table;
	job->envp = table + go->a + 1;
	if (!strings(&at, end, go->a, job->argv) || !strings(&at, end, go->b, job->envp) || at >= end ||
	    !memchr(at, '\0', (size_t)(end - at)))
		give_up(INIT_STEP_SPEC, EINVAL);
	job->workdir = *at ? at : "/";
	job->path = find_path(job->envp);
	if (!job->path) {
		job->envp[go->b] = path_default;
		job->path = path_default + 5;
	}
}

/* Engines make a missing working directory; with the job's own rights this can fail, as it should. */
static void enter_workdir(const char *dir)
{
	char path[PATH_MAX];
	size_t n = strlen(dir);

	if (chdir(dir) == 0)
		return;
	if (errno != ENOENT || n >= sizeof path)
		give_up(INIT_STEP_WORKDIR, errno == ENOENT ? ENAMETOOLONG : errno);
	memcpy(path, dir, n + 1);
	for (size_t i = 1; i <= n; i++)
		if (path[i] == '/' || path[i] == '\0') {
			char was = path[i];

			path[i] = '\0';
			mkdir(path, 0755);
			path[i] = was;
		}
	if (chdir(dir))
		give_up(INIT_STEP_WORKDIR, errno);
}

/* Like execve, which only comes back with an error. */
static int exec_file(struct job *job, const char *file)
{
	int err;

	execve(file, job->argv, job->envp);
	err = errno;
	if (err == ENOEXEC)
		snprintf(job->tried, sizeof job->tried, "%s", file);
	return err;
}

/* execvpe without its shell for files that are no program: engines say "exec format error". */
static int exec_job(struct job *job)
{
	const char *name = job->argv[0];
	const char *at = job->path;
	char file[PATH_MAX];
	int err = ENOENT;

	if (*name == '\0')
		return ENOENT;
	if (strchr(name, '/'))
		return exec_file(job, name);
	while (at) {
		const char *end = strchrnul(at, ':');
		size_t dir = (size_t)(end - at), len = strlen(name);

		if (dir + len + 3 <= sizeof file) {
			memcpy(file, dir ? at : ".", dir ? dir : 1);
			dir = dir ? dir : 1;
			file[dir] = '/';
			memcpy(file + dir + 1, name, len + 1);
			int failed = exec_file(job, file);

			if (failed != ENOENT && failed != ENOTDIR)
				err = failed;
		}
		at = *end ? end + 1 : NULL;
	}
	return err;
}

/* The machine that a program is for, by its ELF header; EM_NONE if it is none or for this one. */
static uint32_t foreign_machine(const char *file)
{
#if defined(__x86_64__)
	const uint16_t ours = EM_X86_64;
#elif defined(__aarch64__)
	const uint16_t ours = EM_AARCH64;
#else
	const uint16_t ours = EM_NONE; /* then every program says at least what it is for */
#endif
	Elf64_Ehdr head; /* up to e_machine the same in 32 bits */
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, &head, sizeof head);

	if (fd >= 0)
		close(fd);
	if (n < 20 || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_machine == ours)
		return EM_NONE;
	return head.e_machine;
}

static void start(struct job *job, const sigset_t *before)
{
	volatile int err = 0; /* the child shares our memory until it execs or ends */

	enter_workdir(job->workdir);
	job->pid = vfork();
	if (job->pid == 0) {
		setsid();
		sigprocmask(SIG_SETMASK, before, NULL);
		for (int i = 0; i < 2; i++)
			if (job->output[i] >= 0 && dup2(job->output[i], 1 + i) < 0)
				_exit(127);
		err = exec_job(job);
		_exit(127);
	}
	for (int i = 0; i < 2; i++)
		if (job->output[i] >= 0)
			close(job->output[i]);
	if (job->pid < 0)
		give_up(INIT_STEP_EXEC, errno);
	if (err == ENOEXEC && foreign_machine(job->tried) != EM_NONE)
		give_up(INIT_STEP_PLATFORM, (int)foreign_machine(job->tried));
	if (err)
		give_up(INIT_STEP_EXEC, err);
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
