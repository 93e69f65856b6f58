/* The privileged half of a node as it is: launcher, monitor, stoker-init and a container runtime, with
 * neither runner nor database. Needs root and crun. Nothing here waits by sleeping: every wait is for
 * an event, with a deadline. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/tree.h"
#include "worker/launcher/launch_request.h"
#include "worker/monitor/event.h"
#include "worker/monitor/exit_file.h"
#include "worker/monitor/spool.h"

enum {
	WAIT_MS = 20000,
	LEASE_S = 40, /* what a failed test leaves running ends by itself */
	SLOTS = 4,
	RUNNER_UID = 1234,
	GID = 1234,
};
#define MB (1ull << 20)
#define PACKAGE_HEX "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"

struct node {
	char dir[96];
	char cgroup[48];
	pid_t launcher;
	int sock, events;
};

struct job {
	struct launch_request rq;
	struct launch_reply reply;
	char id[40];
	int pidfd; /* of its monitor */
};

struct text {
	uint8_t *p;
	size_t n;
};

static char base_dir[64];
static unsigned uid_base; /* of this program alone: several may run at once */

/* --- a node of the test's own --------------------------------------------------------------------- */

static const char *program(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);

	ck_assert_int_gt(n, 0);
	path[n] = '\0';
	for (int i = 0; i < 3; i++) /* build/tests/worker/test_monitor */
		*strrchr(path, '/') = '\0';
	strncat(path, "/bin/stoker-launcher", 32);
	return path;
}

static uint64_t boot_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void set_lease(const struct node *n, uint64_t until_us)
{
	char path[128];
	uint64_t v = htole64(until_us);
	int fd;

	snprintf(path, sizeof path, "%s/lease", n->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0660);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, &v, sizeof v, 0), sizeof v);
	close(fd);
}

static void start_launcher(struct node *n, const char *runtime)
{
	const char *path = program(); /* here: in the child fd 3 is no longer what Check thinks */
	char base[16], slots[16], gid[16];
	int pair[2];

	snprintf(base, sizeof base, "%u", uid_base);
	snprintf(slots, sizeof slots, "%d", SLOTS);
	snprintf(gid, sizeof gid, "%d", GID);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	n->launcher = fork();
	if (n->launcher == 0) {
		int high = fcntl(pair[1], F_DUPFD, 100);

		dup2(high, 3);
		execl(path, "stoker-launcher", "--node", n->dir, "--uid", "1234", "--gid", gid,
		      "--uid-base", base, "--slots", slots, "--cgroup", n->cgroup, "--runtime", runtime, NULL);
		_exit(127);
	}
	close(pair[1]);
	n->sock = pair[0];
}

static void copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	char block[65536];
	ssize_t n;

	ck_assert_msg(in >= 0 && out >= 0, "copy %s to %s: %s", from, to, strerror(errno));
	while ((n = read(in, block, sizeof block)) > 0)
		ck_assert_int_eq(write(out, block, (size_t)n), n);
	close(in);
	close(out);
}

/* The image of digest 00…00: busybox and what the tests call. */
static void make_image(const struct node *n)
{
	static const char *const applets[] = { "sh", "cat", "dd", "echo", "env", "false", "head", "hostname",
		                               "id", "ip", "kill", "ls", "mkdir", "mount", "printf", "pwd",
		                               "readlink", "rm", "seq", "sleep", "stat", "true", "unshare", "wc", "yes",
		                               "grep", "ps" };
	static const char *const folders[] = { "", "/rootfs", "/rootfs/bin", "/rootfs/etc" };
	char path[256];

	snprintf(path, sizeof path, "%s/images", n->dir);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		snprintf(path, sizeof path, "%s/images/sha256-%064d%s", n->dir, 0, folders[i]);
		ck_assert_int_eq(mkdir(path, 0755), 0);
		chmod(path, 0755); /* whatever the umask is */
	}
	snprintf(path, sizeof path, "%s/images/sha256-%064d/rootfs/bin/busybox", n->dir, 0);
	copy_file("/bin/busybox", path);
	chmod(path, 0755);
	for (size_t i = 0; i < sizeof applets / sizeof applets[0]; i++) {
		snprintf(path, sizeof path, "%s/images/sha256-%064d/rootfs/bin/%s", n->dir, 0, applets[i]);
		ck_assert_int_eq(symlink("busybox", path), 0);
	}
	snprintf(path, sizeof path, "%s/images/sha256-%064d/rootfs/etc/data", n->dir, 0);
	copy_file("/proc/self/comm", path);
	chmod(path, 0644);
}

static void node_open_with(struct node *n, const char *runtime)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	static int count;

	snprintf(n->dir, sizeof n->dir, "%s/%d-%d", base_dir, (int)getpid(), count);
	snprintf(n->cgroup, sizeof n->cgroup, "stoker-test-%d-%d", (int)getpid(), count++);
	ck_assert_int_eq(mkdir(n->dir, 0755), 0);
	set_lease(n, boot_us() + LEASE_S * 1000000u);
	make_image(n);
	n->events = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof a.sun_path, "%s/runner.sock", n->dir);
	ck_assert_int_eq(bind(n->events, (struct sockaddr *)&a, sizeof a), 0);
	start_launcher(n, runtime);
}

static void node_open(struct node *n)
{
	node_open_with(n, "auto");
}

/* --- requests ------------------------------------------------------------------------------------- */

static int memfd_of(const void *p, size_t n, bool sealed)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(write(fd, p, n), n);
	if (sealed)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	return fd;
}

static void ask(const struct node *n, const struct launch_request *rq, const int *fds, size_t count,
                struct launch_probe *out)
{
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)rq, sizeof *rq };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct pollfd p = { .fd = n->sock, .events = POLLIN };

	if (count) {
		struct cmsghdr *c;

		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(n->sock, &h, MSG_NOSIGNAL), sizeof *rq);
	ck_assert_msg(poll(&p, 1, 2 * WAIT_MS) == 1, "the launcher does not answer");
	ck_assert_int_ge(recv(n->sock, out, sizeof *out, 0), sizeof out->reply);
	ck_assert_uint_eq(out->reply.magic, LAUNCH_MAGIC);
	ck_assert_uint_eq(out->reply.op, rq->op);
}

static struct launch_request request(uint16_t op)
{
	static unsigned char last[12];
	struct launch_request rq = {
		.magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION, .op = op, .attempt = 1,
		.memory_bytes = 128 * MB, .scratch_bytes = 64 * MB, .timeout_ms = 3600000,
		.head_max = 5 * MB, .tail_max = 5 * MB, .grace_ms = 10000, .pids = 64,
	};

	crypt_random(last, sizeof last);
	memcpy(rq.task, last, sizeof last);
	return rq;
}

/* The arguments as the spec's strings. */
struct words {
	const char *const *argv;
	const char *const *env;
	const char *workdir;
};

static size_t add_strings(char *spec, size_t n, const char *const *list, uint32_t *count)
{
	for (*count = 0; list && list[*count]; ++*count) {
		memcpy(spec + n, list[*count], strlen(list[*count]) + 1);
		n += strlen(list[*count]) + 1;
	}
	return n;
}

static void launch_words(const struct node *n, struct job *j, const struct words *w,
                         const char *payload)
{
	char spec[65536], task[25];
	size_t len = add_strings(spec, 0, w->argv, &j->rq.argc);
	struct launch_probe out;
	int fds[2];

	len = add_strings(spec, len, w->env, &j->rq.envc);
	len += (size_t)snprintf(spec + len, sizeof spec - len, "%s", w->workdir ? w->workdir : "") + 1;
	fds[0] = memfd_of(spec, len, true);
	j->rq.payload_fd = payload != NULL;
	fds[1] = payload ? memfd_of(payload, strlen(payload), true) : -1;
	ask(n, &j->rq, fds, payload ? 2 : 1, &out);
	close(fds[0]);
	if (payload)
		close(fds[1]);
	j->reply = out.reply;
	hex_format(j->rq.task, sizeof j->rq.task, task);
	snprintf(j->id, sizeof j->id, "%s-%u", task, j->rq.attempt);
	j->pidfd = -1;
	if (out.reply.status == LAUNCH_OK)
		j->pidfd = (int)syscall(SYS_pidfd_open, out.reply.monitor, 0);
}

static struct job job_of(void)
{
	return (struct job){ .rq = request(LAUNCH_LAUNCH), .pidfd = -1 };
}

static void launch(const struct node *n, struct job *j, const char *script)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	launch_words(n, j, &(struct words){ .argv = argv }, NULL);
	ck_assert_msg(j->reply.status == LAUNCH_OK, "launch: %s", j->reply.message);
}

/* --- what came of it ------------------------------------------------------------------------------ */

static struct text slurp(const struct node *n, const char *id, const char *name)
{
	char path[256];
	struct text t = { malloc(16 * MB), 0 };
	ssize_t got;
	int fd;

	snprintf(path, sizeof path, "%s/jobs/%s/%s", n->dir, id, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (got = read(fd, t.p + t.n, 16 * MB - t.n)) > 0)
		t.n += (size_t)got;
	if (fd >= 0)
		close(fd);
	return t;
}

static bool has_file(const struct node *n, const char *id, const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/jobs/%s/%s", n->dir, id, name);
	return access(path, F_OK) == 0;
}

static struct exit_file read_exit(const struct node *n, const struct job *j)
{
	struct text t = slurp(n, j->id, "exit");
	struct exit_file f;

	ck_assert_msg(exit_file_parse((char *)t.p, t.n, &f), "exit file: %.*s", (int)t.n, t.p);
	free(t.p);
	return f;
}

static void wait_gone(int pidfd, const char *who)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	ck_assert_msg(poll(&p, 1, WAIT_MS) == 1, "%s does not end", who);
}

static struct exit_file wait_end(const struct node *n, const struct job *j)
{
	wait_gone(j->pidfd, "the monitor");
	close(j->pidfd);
	return read_exit(n, j);
}

static void wait_event(const struct node *n, const struct job *j, enum monitor_event_type type)
{
	uint64_t until = boot_us() + WAIT_MS * 1000u;
	struct pollfd p = { .fd = n->events, .events = POLLIN };
	struct monitor_event e;

	while (boot_us() < until) {
		if (poll(&p, 1, 100) != 1)
			continue;
		ck_assert_int_eq(recv(n->events, &e, sizeof e, 0), sizeof e);
		ck_assert_uint_eq(e.magic, MONITOR_EVENT_MAGIC);
		if (memcmp(e.task, j->rq.task, sizeof e.task) == 0 && e.type == type)
			return;
	}
	ck_abort_msg("no event %c", type);
}

static void send_ctl(const struct node *n, const struct job *j, char order)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char path[256];

	snprintf(path, sizeof path, "%s/jobs/%s/ctl", n->dir, j->id);
	ck_assert_uint_lt(strlen(path), sizeof a.sun_path);
	memcpy(a.sun_path, path, strlen(path));
	ck_assert_int_eq(sendto(fd, &order, 1, 0, (struct sockaddr *)&a, sizeof a), 1);
	close(fd);
}

/* The bytes of one stream (0: both) in a file of frames from `skip` on. */
static struct text frames(const struct node *n, const struct job *j, const char *file, size_t skip,
                          int stream)
{
	struct text raw = slurp(n, j->id, file), out = { malloc(16 * MB), 0 };
	struct spool_frame f;
	const uint8_t *data;
	size_t at = skip;

	while (at < raw.n && spool_frame_parse(raw.p + at, raw.n - at, &f, &data)) {
		if (stream == 0 || f.stream == stream) {
			memcpy(out.p + out.n, data, f.len);
			out.n += f.len;
		}
		at += SPOOL_FRAME_BYTES + f.len;
	}
	ck_assert_uint_eq(at > raw.n ? 0 : raw.n - (at < skip ? skip : at), 0);
	free(raw.p);
	return out;
}

static void output_is(const struct node *n, const struct job *j, int stream, const char *text,
                      size_t len)
{
	struct text t = frames(n, j, "head", 0, stream);

	ck_assert_msg(t.n == len && memcmp(t.p, text, len) == 0, "stream %d is \"%.*s\", not \"%s\"", stream,
	              (int)t.n, t.p, text);
	free(t.p);
}

/* Living ones: a zombie is only not yet buried by whoever inherited it. */
static bool is_job_process(const char *pid)
{
	char path[300], text[2048];
	unsigned uid = 0;
	ssize_t n = -1;
	char *line;
	int fd;

	snprintf(path, sizeof path, "/proc/%s/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "\nUid:");
	if (line)
		uid = (unsigned)strtoul(line + 5, NULL, 10);
	return uid >= uid_base && uid < uid_base + (SLOTS + 1) * 65536 && !strstr(text, "\nState:\tZ");
}

static int processes_of_jobs(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	int found = 0;

	while ((d = readdir(proc)))
		if (strspn(d->d_name, "0123456789") == strlen(d->d_name))
			found += is_job_process(d->d_name);
	closedir(proc);
	return found;
}

static int cgroups_left(const struct node *n, const char *id)
{
	DIR *root = opendir("/sys/fs/cgroup");
	struct dirent *d;
	int found = 0;

	while ((d = readdir(root))) {
		char path[600];

		snprintf(path, sizeof path, "/sys/fs/cgroup/%s/%s/%s", d->d_name, n->cgroup, id);
		found += d->d_name[0] != '.' && access(path, F_OK) == 0;
		snprintf(path, sizeof path, "/sys/fs/cgroup/%s/%s", n->cgroup, id);
		found += access(path, F_OK) == 0;
	}
	closedir(root);
	return found;
}

static enum launch_status remove_job(const struct node *n, const struct job *j)
{
	struct launch_request rq = { .magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION, .op = LAUNCH_REMOVE,
		                     .attempt = j->rq.attempt };
	struct launch_probe out;

	memcpy(rq.task, j->rq.task, sizeof rq.task);
	ask(n, &rq, NULL, 0, &out);
	return out.reply.status;
}

static void check_nothing_left(const struct node *n, const struct job *j)
{
	ck_assert_int_eq(remove_job(n, j), LAUNCH_OK);
	ck_assert(!has_file(n, j->id, ""));
	ck_assert_int_eq(cgroups_left(n, j->id), 0);
	ck_assert_int_eq(processes_of_jobs(), 0);
}

static void node_close(struct node *n)
{
	int pidfd = (int)syscall(SYS_pidfd_open, n->launcher, 0);

	close(n->sock);
	wait_gone(pidfd, "the launcher");
	waitpid(n->launcher, NULL, 0);
	close(pidfd);
	close(n->events);
	ck_assert_int_eq(cgroups_left(n, ""), 0);
	tree_remove(AT_FDCWD, n->dir);
	ck_assert_int_ne(access(n->dir, F_OK), 0);
}

/* --- how it ended --------------------------------------------------------------------------------- */

START_TEST(exit_codes_and_signals_are_exact)
{
	static const struct {
		const char *script;
		enum exit_verdict verdict;
		int code, signal;
	} rows[] = {
		{ "true", EXIT_EXITED, 0, 0 },
		{ "exit 3", EXIT_EXITED, 3, 0 },
		{ "exit 255", EXIT_EXITED, 255, 0 },
		{ "kill -9 $$", EXIT_SIGNALED, -1, 9 },
		{ "kill -TERM $$", EXIT_SIGNALED, -1, 15 },
		{ "kill -SEGV $$", EXIT_SIGNALED, -1, 11 },
	};
	struct node n;

	node_open(&n);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct job j = job_of();
		struct exit_file f;

		launch(&n, &j, rows[i].script);
		f = wait_end(&n, &j);
		ck_assert_int_eq(f.verdict, rows[i].verdict);
		ck_assert_int_eq(f.code, rows[i].code);
		ck_assert_int_eq(f.signal, rows[i].signal);
		ck_assert_uint_gt(f.started_us, 0);
		ck_assert_uint_ge(f.ended_us, f.started_us);
		ck_assert_uint_gt(f.max_rss, 0);
		ck_assert_uint_gt(f.cpu_us, 0);
		check_nothing_left(&n, &j);
	}
	node_close(&n);
}
END_TEST

START_TEST(what_cannot_be_run_is_126_or_127_and_says_why)
{
	static const struct {
		const char *const argv[2];
		const char *workdir;
		int code;
		const char *says;
	} rows[] = {
		{ { "no-such-program" }, NULL, 127, "no-such-program" },
		{ { "/no/such/path" }, NULL, 127, "/no/such/path" },
		{ { "/etc/data" }, NULL, 126, "Permission denied" },
		{ { "/bin" }, NULL, 126, "/bin" },
		{ { "true" }, "/etc/data", 126, "working directory" },
	};
	struct node n;

	node_open(&n);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct job j = job_of();
		const struct words w = { .argv = rows[i].argv, .workdir = rows[i].workdir };
		struct exit_file f;

		launch_words(&n, &j, &w, NULL);
		ck_assert_int_eq(j.reply.status, LAUNCH_OK);
		f = wait_end(&n, &j);
		ck_assert_int_eq(f.verdict, EXIT_EXITED);
		ck_assert_int_eq(f.code, rows[i].code);
		ck_assert_msg(strstr(f.message, rows[i].says), "message is \"%s\"", f.message);
		check_nothing_left(&n, &j);
	}
	node_close(&n);
}
END_TEST

/* --- packages ------------------------------------------------------------------------------------- */

/* Its folders are there once it answers. */
static void probe_node(const struct node *n)
{
	struct launch_request rq = { .magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION, .op = LAUNCH_PROBE };
	struct launch_probe out;

	ask(n, &rq, NULL, 0, &out);
	ck_assert_msg(out.reply.status == LAUNCH_OK, "%s", out.text);
}

/* The package of digest ee…ee as a runner leaves it: its own files, with the modes of the zip. */
static void make_package(const struct node *n, struct launch_request *rq)
{
	static const struct {
		const char *name, *text;
		mode_t mode;
	} files[] = {
		{ "hello.sh", "#!/bin/sh\necho hello from $PWD\n", 0755 },
		{ "data", "pristine", 0644 },
		{ "task_payload.json", "of the zip", 0644 },
	};
	char path[256], below[320];

	snprintf(path, sizeof path, "%s/packages/sha256-%s", n->dir, PACKAGE_HEX);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	strncat(path, "/files", 8);
	ck_assert(mkdir(path, 0755) == 0 && chown(path, RUNNER_UID, GID) == 0);
	snprintf(below, sizeof below, "%s/sub", path);
	ck_assert(mkdir(below, 0755) == 0 && chown(below, RUNNER_UID, GID) == 0);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		int fd;

		snprintf(below, sizeof below, "%s/%s", path, files[i].name);
		fd = open(below, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		ck_assert(fd >= 0 && write(fd, files[i].text, strlen(files[i].text)) > 0);
		ck_assert(fchown(fd, RUNNER_UID, GID) == 0 && fchmod(fd, files[i].mode) == 0);
		close(fd);
	}
	rq->has_package = 1;
	memset(rq->package_digest, 0xee, sizeof rq->package_digest);
}

static const char SEES[] = "./hello.sh; echo $(stat -c '%u:%g %a' hello.sh data sub) $(cat data); "
	                   "cat task_payload.json /mnt/task/task_payload.json; echo; "
	                   "echo changed >data; echo more >sub/new; rm hello.sh; cat data sub/new; ls";

static void run_in_package(const struct node *n, const struct launch_request *with, uint32_t uid, uint32_t gid)
{
	const struct words w = { .argv = (const char *const[]){ "sh", "-c", SEES, NULL }, .workdir = "/task" };
	struct job j = job_of();
	struct exit_file f;
	char expected[512], owner[16];

	j.rq.has_package = 1;
	memcpy(j.rq.package_digest, with->package_digest, sizeof with->package_digest);
	j.rq.uid = uid;
	j.rq.gid = gid;
	launch_words(n, &j, &w, "of the task");
	ck_assert_msg(j.reply.status == LAUNCH_OK, "launch: %s", j.reply.message);
	f = wait_end(n, &j);
	ck_assert_msg(f.verdict == EXIT_EXITED && f.code == 0, "%d: %s", f.code, f.message);
	snprintf(owner, sizeof owner, "%u:%u", uid, gid);
	snprintf(expected, sizeof expected,
	         "hello from /task\n%s 755 %s 644 %s 755 pristine\nof the taskof the task\nchanged\nmore\n"
	         "data\nsub\ntask_payload.json\n", owner, owner, owner);
	output_is(n, &j, 0, expected, strlen(expected));
	check_nothing_left(n, &j);
}

START_TEST(a_package_is_the_job_s_own_and_pristine_at_each_attempt)
{
	struct launch_request with = { 0 };
	struct node n;

	node_open(&n);
	probe_node(&n);
	make_package(&n, &with);
	run_in_package(&n, &with, 0, 0);
	run_in_package(&n, &with, 1000, 7);
	run_in_package(&n, &with, 0, 0);
	node_close(&n);
}
END_TEST

START_TEST(what_a_job_writes_to_its_package_is_its_scratch)
{
	static const char script[] = "dd if=/dev/zero of=/task/large bs=65536 count=64 2>/dev/null; echo $?; "
		                     "wc -c </task/large; mount -o remount,rw /task 2>/dev/null; echo $?";
	const struct words w = { .argv = (const char *const[]){ "sh", "-c", script, NULL } };
	struct job j = job_of();
	struct exit_file f;
	struct node n;

	node_open(&n);
	probe_node(&n);
	make_package(&n, &j.rq);
	j.rq.scratch_bytes = 2 * MB;
	launch_words(&n, &j, &w, "");
	ck_assert_msg(j.reply.status == LAUNCH_OK, "launch: %s", j.reply.message);
	f = wait_end(&n, &j);
	ck_assert_int_eq(f.code, 0);
	{
		struct text t = frames(&n, &j, "head", 0, 0);
		int full = -1, again = -1;
		unsigned long bytes = 0;

		t.p[t.n] = '\0';
		ck_assert_int_eq(sscanf((char *)t.p, "%d %lu %d", &full, &bytes, &again), 3);
		ck_assert_int_eq(full, 1);
		ck_assert_uint_le(bytes, 2 * MB);
		ck_assert_int_ne(again, 0);
		free(t.p);
	}
	check_nothing_left(&n, &j);
	node_close(&n);
}
END_TEST

START_TEST(a_package_that_is_not_there_is_the_node_s_fault_and_links_are_not_followed)
{
	const struct words w = { .argv = (const char *const[]){ "true", NULL } };
	struct launch_request with = { 0 };
	struct job j = job_of();
	char path[256], moved[256];
	struct node n;

	node_open(&n);
	probe_node(&n);
	j.rq.has_package = 1;
	memset(j.rq.package_digest, 0xdd, sizeof j.rq.package_digest);
	launch_words(&n, &j, &w, "");
	ck_assert_int_eq(j.reply.status, LAUNCH_NODE);
	ck_assert_msg(strstr(j.reply.message, "package"), "%s", j.reply.message);
	make_package(&n, &with);
	memcpy(j.rq.package_digest, with.package_digest, sizeof with.package_digest);
	snprintf(path, sizeof path, "%s/packages/sha256-%s/files", n.dir, PACKAGE_HEX);
	snprintf(moved, sizeof moved, "%s/packages/elsewhere", n.dir);
	ck_assert(rename(path, moved) == 0 && symlink("../elsewhere", path) == 0);
	launch_words(&n, &j, &w, "");
	ck_assert_int_eq(j.reply.status, LAUNCH_NODE);
	ck_assert(!has_file(&n, j.id, ""));
	node_close(&n);
}
END_TEST

/* --- output --------------------------------------------------------------------------------------- */

START_TEST(streams_stay_apart_and_every_byte_is_kept)
{
	struct node n;
	struct job j = job_of();
	struct exit_file f;

	node_open(&n);
	launch(&n, &j, "printf 'a\\0b\\377\\n'; printf 'err\\0' >&2; echo two > /dev/stdout; echo > /dev/stderr");
	wait_event(&n, &j, MONITOR_STARTED);
	wait_event(&n, &j, MONITOR_OUTPUT);
	wait_event(&n, &j, MONITOR_EXIT);
	f = wait_end(&n, &j);
	output_is(&n, &j, SPOOL_STREAM_OUT, "a\0b\377\ntwo\n", 9);
	output_is(&n, &j, SPOOL_STREAM_ERR, "err\0\n", 5);
	ck_assert_uint_eq(f.bytes, 14);
	ck_assert_uint_eq(f.lines, 3);
	ck_assert_uint_eq(f.head, 14);
	ck_assert_uint_eq(f.missing, 0);
	check_nothing_left(&n, &j);
	node_close(&n);
}
END_TEST

/* Byte i of the flood, "0123456789abcde\n" again and again. */
static void is_flood(const uint8_t *p, size_t n, uint64_t first)
{
	size_t wrong = 0;

	for (size_t i = 0; i < n; i++)
		wrong += p[i] != "0123456789abcde\n"[(first + i) % 16];
	ck_assert_uint_eq(wrong, 0);
}

START_TEST(of_a_flood_head_and_tail_are_exact)
{
	struct node n;
	struct job j = job_of();
	struct exit_file f;
	uint64_t end = 0, kept = 0;
	struct text t;

	node_open(&n);
	launch(&n, &j, "yes 0123456789abcde | head -c 209715200");
	f = wait_end(&n, &j);
	ck_assert_int_eq(f.code, 0);
	ck_assert_uint_eq(f.bytes, 200 * MB);
	ck_assert_uint_eq(f.lines, 200 * MB / 16);
	ck_assert_uint_eq(f.head, 5 * MB);
	ck_assert_uint_eq(f.missing, 190 * MB);
	t = frames(&n, &j, "head", 0, SPOOL_STREAM_OUT);
	ck_assert_uint_eq(t.n, 5 * MB);
	is_flood(t.p, t.n, 0);
	free(t.p);
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "tail.1" : "tail.0";
		struct text raw = slurp(&n, j.id, name);
		struct spool_tail h;

		ck_assert_uint_ge(raw.n, sizeof h);
		memcpy(&h, raw.p, sizeof h);
		t = frames(&n, &j, name, sizeof h, SPOOL_STREAM_OUT);
		ck_assert_uint_le(t.n, 5 * MB);
		ck_assert_uint_eq(le64toh(h.first_line), le64toh(h.first_byte) / 16);
		is_flood(t.p, t.n, le64toh(h.first_byte));
		end = le64toh(h.first_byte) + t.n > end ? le64toh(h.first_byte) + t.n : end;
		kept += t.n;
		free(t.p);
		free(raw.p);
	}
	ck_assert_uint_eq(end, 200 * MB);
	ck_assert_uint_ge(kept, 5 * MB);
	check_nothing_left(&n, &j);
	node_close(&n);
}
END_TEST

START_TEST(small_limits_of_output_are_kept_to_the_byte)
{
	struct node n;
	struct job j = job_of();
	struct exit_file f;
	struct text t;

	node_open(&n);
	j.rq.head_max = 10;
	j.rq.tail_max = 0;
	launch(&n, &j, "yes 0123456789abcde | head -c 100000");
	f = wait_end(&n, &j);
	ck_assert_uint_eq(f.bytes, 100000);
	ck_assert_uint_eq(f.head, 10);
	ck_assert_uint_eq(f.missing, 100000 - 10);
	t = frames(&n, &j, "head", 0, 0);
	ck_assert_uint_eq(t.n, 10);
	free(t.p);
	check_nothing_left(&n, &j);
	node_close(&n);
}
END_TEST

START_TEST(a_stray_child_with_the_pipe_does_not_delay_the_end)
{
	struct node n;
	struct job j = job_of();
	struct exit_file f;

	node_open(&n);
	launch(&n, &j, "(trap '' TERM HUP; sleep 3000) & echo bye; exit 4");
	f = wait_end(&n, &j);
	ck_assert_int_eq(f.code, 4);
	ck_assert_uint_lt(f.ended_us - f.started_us, 3000000);
	output_is(&n, &j, SPOOL_STREAM_OUT, "bye\n", 4);
	check_nothing_left(&n, &j);
	node_close(&n);
}
END_TEST

/* --- being ended ---------------------------------------------------------------------------------- */

START_TEST(at_its_deadline_a_job_ends_and_its_term_proof_forks_too)
{
	struct node n;
	struct job j = job_of();
	struct exit_file f;

	node_open(&n);
	j.rq.timeout_ms = 200;
	j.rq.grace_ms = 300;
	launch(&n, &j, "trap '' TERM; for i in 1 2 3 4 5; do (trap '' TERM; while :; do sleep 3000; done) & done;"
	               "while :; do sleep 3000; done");
	f = wait_end(&n, &j);
	ck_assert_int_eq(f.verdict, EXIT_TIMEOUT);
	ck_assert_int_eq(f.signal, 9);
	ck_assert_uint_ge(f.ended_us - f.started_us, 500000);
	ck_assert_int_eq(processes_of_jobs(), 0);
	check_nothing_left(&n, &j);
	node_close(&n);
}
END_TEST

START_TEST(a_job_may_use_its_grace)
{
	struct node n;
	struct job j = job_of();
	struct exit_file f;

	node_open(&n);
	j.rq.timeout_ms = 200;
	launch(&n, &j, "trap 'echo tidy; exit 5' TERM; sleep 3000 & wait");
	f = wait_end(&n, &j);
	ck_assert_int_eq(f.verdict, EXIT_TIMEOUT);
	ck_assert_int_eq(f.code, 5);
	output_is(&n, &j, SPOOL_STREAM_OUT, "tidy\n", 5);
	check_nothing_left(&n, &j);
	node_close(&n);
}
END_TEST

START_TEST(orders_end_a_job_each_with_its_own_verdict)
{
	static const struct {
		char order;
		enum exit_verdict verdict;
		int signal;
	} rows[] = {
		{ MONITOR_CTL_CANCEL, EXIT_CANCELLED, 15 },
		{ MONITOR_CTL_STOP, EXIT_STOPPED, 15 },
		{ MONITOR_CTL_KILL, EXIT_CANCELLED, 9 },
	};
	struct node n;

	node_open(&n);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct job j = job_of();
		struct exit_file f;

		launch(&n, &j, "echo up; exec sleep 3000");
		wait_event(&n, &j, MONITOR_OUTPUT);
		send_ctl(&n, &j, rows[i].order);
		f = wait_end(&n, &j);
		ck_assert_int_eq(f.verdict, rows[i].verdict);
		ck_assert_int_eq(f.signal, rows[i].signal);
		check_nothing_left(&n, &j);
	}
	node_close(&n);
}
END_TEST

START_TEST(a_container_waits_for_go)
{
	struct node n;
	struct job j = job_of(), never = job_of();
	struct exit_file f;

	node_open(&n);
	j.rq.flags = never.rq.flags = LAUNCH_WAIT_FOR_GO;
	launch(&n, &j, "echo went");
	wait_event(&n, &j, MONITOR_CREATED);
	ck_assert(!has_file(&n, j.id, "started"));
	ck_assert(!has_file(&n, j.id, "head"));
	send_ctl(&n, &j, MONITOR_CTL_GO);
	f = wait_end(&n, &j);
	ck_assert_int_eq(f.verdict, EXIT_EXITED);
	output_is(&n, &j, SPOOL_STREAM_OUT, "went\n", 5);
	check_nothing_left(&n, &j);

	never.rq.slot = 1;
	launch(&n, &never, "echo went");
	wait_event(&n, &never, MONITOR_CREATED);
	send_ctl(&n, &never, MONITOR_CTL_CANCEL);
	f = wait_end(&n, &never);
	ck_assert_int_eq(f.verdict, EXIT_CANCELLED);
	ck_assert_uint_eq(f.started_us, 0);
	ck_assert_uint_eq(f.bytes, 0);
	check_nothing_left(&n, &never);
	node_close(&n);
}
END_TEST

/* --- limits --------------------------------------------------------------------------------------- */

static int kill_children(pid_t of)
{
	char path[64];
	int pid, killed = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)of, (int)of);
	f = fopen(path, "re");
	ck_assert_msg(f, "%s: %s", path, strerror(errno));
	while (fscanf(f, "%d", &pid) == 1)
		killed += kill(pid, SIGKILL) == 0;
	fclose(f);
	return killed;
}

START_TEST(who_is_killed_before_the_job_began_did_not_fail)
{
	struct node n;
	struct job j = job_of();
	struct exit_file f;

	node_open(&n);
	j.rq.flags = LAUNCH_WAIT_FOR_GO;
	launch(&n, &j, "echo went");
	wait_event(&n, &j, MONITOR_CREATED);
	ck_assert_int_ge(kill_children(j.reply.monitor), 1);
	f = wait_end(&n, &j);
	ck_assert_int_eq(f.verdict, EXIT_LAUNCH_FAILED);
	ck_assert_uint_eq(f.node_fault, 1);
	check_nothing_left(&n, &j);
	node_close(&n);
}
END_TEST

START_TEST(out_of_memory_is_told_apart_of_the_main_process_and_of_a_child)
{
	struct node n;
	struct job hog = job_of(), child = job_of();
	struct exit_file f;

	node_open(&n);
	hog.rq.memory_bytes = child.rq.memory_bytes = 24 * MB;
	launch(&n, &hog, "x=aaaaaaaa; while :; do x=$x$x; done");
	f = wait_end(&n, &hog);
	ck_assert_int_eq(f.verdict, EXIT_SIGNALED);
	ck_assert_int_eq(f.signal, 9);
	ck_assert_uint_ge(f.oom_kills, 1);
	check_nothing_left(&n, &hog);

	launch(&n, &child, "(x=aaaaaaaa; while :; do x=$x$x; done); exit 7");
	f = wait_end(&n, &child);
	ck_assert_int_eq(f.verdict, EXIT_EXITED);
	ck_assert_int_eq(f.code, 7);
	ck_assert_uint_ge(f.oom_kills, 1);
	ck_assert_uint_le(f.max_rss, 24 * MB);
	check_nothing_left(&n, &child);
	node_close(&n);
}
END_TEST

START_TEST(processes_and_scratch_are_bounded)
{
	struct node n;
	struct job forks = job_of(), writes = job_of();
	struct exit_file f;

	node_open(&n);
	forks.rq.pids = 5;
	launch(&n, &forks, "for i in 1 2 3 4 5 6 7 8 9; do sleep 3000 & done");
	f = wait_end(&n, &forks);
	ck_assert_int_ne(f.code, 0);
	ck_assert_uint_ge(f.pids_hits, 1);
	check_nothing_left(&n, &forks);

	writes.rq.scratch_bytes = 2 * MB;
	launch(&n, &writes, "dd if=/dev/zero of=/tmp/x bs=65536 count=1000 2>/dev/null || "
	                    "wc -c < /tmp/x");
	f = wait_end(&n, &writes);
	ck_assert_int_eq(f.code, 0);
	output_is(&n, &writes, SPOOL_STREAM_OUT, "2097152\n", 8);
	check_nothing_left(&n, &writes);
	node_close(&n);
}
END_TEST

START_TEST(a_job_sees_what_it_is_given_and_has_no_rights)
{
	static const char script[] =
		"id -u; id -g; hostname; pwd; env | grep -v -e ^SHLVL -e ^PWD; cat /task/task_payload.json; echo;"
		"grep -e CapEff -e CapBnd -e NoNewPrivs -e ^Seccomp: /proc/self/status;"
		"(echo x > /task/task_payload.json) 2>/dev/null || echo read-only;"
		"rm /task/task_payload.json 2>/dev/null || echo stays; echo mine > /task/f && cat /task/f;"
		"mount -t tmpfs x /tmp 2>/dev/null || echo no mount; unshare -U true 2>/dev/null || echo no unshare;"
		"ip -o link | wc -l; readlink /proc/self/fd/3 || echo no link; ls /proc/1/root 2>/dev/null || echo no root";
	static const char expected_format[] =
		"1000\n1001\n%s\n/task\nA=b c\nPATH=/bin\n{\"x\": 1}\n"
		"CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"
		"read-only\nstays\nmine\nno mount\nno unshare\n1\nno link\nno root\n";
	const char *const argv[] = { "sh", "-c", script, NULL }, *const env[] = { "A=b c", "PATH=/bin", NULL };
	struct words w = { .argv = argv, .env = env, .workdir = "/task" };
	char expected[512], task[25];
	struct node n;
	struct job j = job_of();

	node_open(&n);
	j.rq.uid = 1000;
	j.rq.gid = 1001;
	launch_words(&n, &j, &w, "{\"x\": 1}");
	wait_end(&n, &j);
	hex_format(j.rq.task, sizeof j.rq.task, task);
	snprintf(expected, sizeof expected, expected_format, task);
	output_is(&n, &j, SPOOL_STREAM_OUT, expected, strlen(expected));
	check_nothing_left(&n, &j);
	node_close(&n);
}
END_TEST

/* --- others die ----------------------------------------------------------------------------------- */

START_TEST(past_its_lease_a_node_s_jobs_die)
{
	struct node n;
	struct job j = job_of(), late = job_of();
	struct exit_file f;
	uint64_t began;

	node_open(&n);
	launch(&n, &j, "trap '' TERM; echo up; while :; do sleep 3000; done");
	wait_event(&n, &j, MONITOR_OUTPUT);
	began = boot_us();
	set_lease(&n, began + 100000);
	f = wait_end(&n, &j);
	ck_assert_int_eq(f.verdict, EXIT_FENCED);
	ck_assert_int_eq(f.signal, 9);
	ck_assert_uint_lt(f.ended_us - began, 2500000);
	check_nothing_left(&n, &j);

	launch(&n, &late, "echo never");
	f = wait_end(&n, &late);
	ck_assert_int_eq(f.verdict, EXIT_FENCED);
	ck_assert_uint_eq(f.started_us, 0);
	check_nothing_left(&n, &late);
	node_close(&n);
}
END_TEST

START_TEST(a_job_outlives_its_launcher)
{
	struct node n;
	struct job j = job_of(), other = job_of();
	struct exit_file f;

	node_open(&n);
	launch(&n, &j, "echo up; while [ ! -e /task/go ]; do sleep 0.05; done; echo down; exit 6");
	wait_event(&n, &j, MONITOR_OUTPUT);
	kill(n.launcher, SIGKILL);
	waitpid(n.launcher, NULL, 0);
	close(n.sock);
	start_launcher(&n, "auto");
	ck_assert_int_eq(remove_job(&n, &j), LAUNCH_BUSY);
	launch_words(&n, &other, &(struct words){ .argv = (const char *const[]){ "true", NULL } }, NULL);
	ck_assert_int_eq(other.reply.status, LAUNCH_REFUSED); /* it found who holds the slot */
	send_ctl(&n, &j, MONITOR_CTL_CANCEL);
	f = wait_end(&n, &j);
	ck_assert_int_eq(f.verdict, EXIT_CANCELLED);
	output_is(&n, &j, SPOOL_STREAM_OUT, "up\n", 3);
	check_nothing_left(&n, &j);
	node_close(&n);
}
END_TEST

START_TEST(a_stopped_launcher_holds_no_job_up)
{
	struct node n;
	struct job j = job_of();
	struct exit_file f;

	node_open(&n);
	launch(&n, &j, "echo up; sleep 0.2; exit 6");
	wait_event(&n, &j, MONITOR_OUTPUT);
	kill(n.launcher, SIGSTOP);
	wait_event(&n, &j, MONITOR_EXIT);
	f = read_exit(&n, &j);
	ck_assert_int_eq(f.code, 6);
	kill(n.launcher, SIGCONT);
	wait_end(&n, &j);
	check_nothing_left(&n, &j);
	node_close(&n);
}
END_TEST

static int sweep(const struct node *n)
{
	struct launch_request rq = { .magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION, .op = LAUNCH_SWEEP };
	struct launch_probe out;

	ask(n, &rq, NULL, 0, &out);
	ck_assert_msg(out.reply.status == LAUNCH_OK, "sweep: %s", out.reply.message);
	return out.reply.monitor;
}

/* The launcher of a runner that was killed may be between folder and monitor. */
START_TEST(a_monitor_that_may_still_come_is_waited_for)
{
	struct timespec old[2] = { { .tv_sec = time(NULL) - 10 }, { .tv_sec = time(NULL) - 10 } };
	struct node n;
	struct job j = job_of();
	char path[256];

	node_open(&n);
	hex_format(j.rq.task, sizeof j.rq.task, j.id);
	snprintf(j.id + strlen(j.id), sizeof j.id - strlen(j.id), "-%u", j.rq.attempt);
	snprintf(path, sizeof path, "%s/jobs/%s", n.dir, j.id);
	ck_assert_int_eq(sweep(&n), 0); /* so that the node's folders are there */
	ck_assert_int_eq(mkdir(path, 0750), 0);
	ck_assert_int_eq(sweep(&n), 0);
	ck_assert(!has_file(&n, j.id, "exit"));
	ck_assert_int_eq(utimensat(AT_FDCWD, path, old, 0), 0);
	ck_assert_int_eq(sweep(&n), 1);
	ck_assert_int_eq(read_exit(&n, &j).verdict, EXIT_LOST);
	ck_assert_int_eq(remove_job(&n, &j), LAUNCH_OK);
	ck_assert(!has_file(&n, j.id, ""));
	node_close(&n);
}
END_TEST

static void kill_child_of(pid_t parent)
{
	uint64_t until = boot_us() + WAIT_MS * 1000ull;
	char path[64], pid[32] = "";

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
	while (!*pid && boot_us() < until) {
		FILE *f = fopen(path, "re");

		ck_assert_ptr_nonnull(f);
		if (fscanf(f, "%31s", pid) != 1)
			sched_yield();
		fclose(f);
	}
	ck_assert_int_eq(kill((pid_t)strtol(pid, NULL, 10), SIGKILL), 0);
}

static void *kill_first_child(void *arg)
{
	kill_child_of(*(pid_t *)arg);
	return NULL;
}

/* What unpacks is another process, and the runner would wait for its answer. */
START_TEST(a_killed_unpacking_is_answered_for)
{
	struct launch_request rq = request(LAUNCH_UNPACK);
	char path[256], hex[2 * sizeof rq.digest + 1];
	struct launch_probe out;
	pthread_t killer;
	struct node n;
	int fd;

	node_open(&n);
	crypt_random(rq.digest, sizeof rq.digest);
	hex_format(rq.digest, sizeof rq.digest, hex);
	snprintf(path, sizeof path, "%s/pulls", n.dir);
	ck_assert_int_eq(sweep(&n), 0); /* so that the node's folders are there */
	ck_assert_int_eq(mkdir(path, 0755), 0);
	snprintf(path, sizeof path, "%s/pulls/%s", n.dir, hex);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	snprintf(path, sizeof path, "%s/pulls/%s/manifest.json", n.dir, hex);
	ck_assert_int_eq(mkfifo(path, 0644), 0); /* whoever reads it waits */
	ck_assert_int_eq(pthread_create(&killer, NULL, kill_first_child, &n.launcher), 0);
	ask(&n, &rq, NULL, 0, &out);
	pthread_join(killer, NULL);
	ck_assert_uint_eq(out.reply.status, LAUNCH_NODE);
	ck_assert_ptr_nonnull(strstr(out.reply.message, "killed"));
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC); /* who still waits, ends */
	if (fd >= 0)
		close(fd);
	node_close(&n);
}
END_TEST

START_TEST(with_its_monitor_a_container_dies_and_a_sweep_tells_it)
{
	struct node n;
	struct job j = job_of(), alive = job_of();
	struct exit_file f;

	node_open(&n);
	launch(&n, &j, "trap '' TERM; echo up; while :; do sleep 3000; done");
	wait_event(&n, &j, MONITOR_OUTPUT);
	alive.rq.slot = 1;
	launch(&n, &alive, "echo up; exec sleep 3000");
	wait_event(&n, &alive, MONITOR_OUTPUT);
	kill(j.reply.monitor, SIGKILL);
	wait_gone(j.pidfd, "the monitor");
	ck_assert_int_eq(sweep(&n), 1);
	ck_assert_int_eq(sweep(&n), 0);
	f = read_exit(&n, &j);
	ck_assert_int_eq(f.verdict, EXIT_LOST);
	ck_assert_uint_gt(f.started_us, 0);
	ck_assert_uint_eq(f.bytes, 3);
	ck_assert_int_eq(cgroups_left(&n, j.id), 0);
	ck_assert_int_eq(remove_job(&n, &j), LAUNCH_OK);
	ck_assert(!has_file(&n, alive.id, "exit"));
	send_ctl(&n, &alive, MONITOR_CTL_KILL);
	wait_end(&n, &alive);
	check_nothing_left(&n, &alive);
	node_close(&n);
}
END_TEST

/* --- a hostile runner ----------------------------------------------------------------------------- */

static void is_refused(const struct node *n, const struct launch_request *rq, const int *fds, size_t count,
                       enum launch_status status)
{
	struct launch_probe out;

	ask(n, rq, fds, count, &out);
	ck_assert_int_eq(out.reply.status, status);
	ck_assert_str_ne(out.reply.message, "");
}

START_TEST(requests_out_of_bounds_are_refused)
{
	static const char spec[] = "true\0"; /* one word, and the empty working directory */
	struct node n;
	int good = memfd_of(spec, 6, true), loose = memfd_of(spec, 6, false), null = open("/dev/null", O_RDWR);
	int many[3] = { good, good, good };
	struct launch_request ok = request(LAUNCH_LAUNCH);

	node_open(&n);
	ok.argc = 1;
#define REFUSED(change)                                                                            \
	do {                                                                                           \
		struct launch_request rq = ok;                                                             \
		rq.change;                                                                                 \
		is_refused(&n, &rq, &good, 1, LAUNCH_REFUSED);                                             \
	} while (0)
	REFUSED(attempt = 0);
	REFUSED(slot = SLOTS);
	REFUSED(flags = 4);
	REFUSED(memory_bytes = 1);
	REFUSED(memory_bytes = UINT64_MAX);
	REFUSED(scratch_bytes = 0);
	REFUSED(timeout_ms = 0);
	REFUSED(head_max = UINT64_MAX);
	REFUSED(grace_ms = UINT32_MAX);
	REFUSED(pids = 0);
	REFUSED(cpu_millis = 1);
	REFUSED(uid = 65536);
	REFUSED(gid = UINT32_MAX);
	REFUSED(argc = 0);
	REFUSED(argc = 2);
	REFUSED(envc = UINT32_MAX);
	REFUSED(payload_fd = 1);
	REFUSED(config_fd = 2);
	REFUSED(reserved[3] = 1);
	REFUSED(has_package = 2);
	REFUSED(package_digest[31] = 1);
	is_refused(&n, &ok, &loose, 1, LAUNCH_REFUSED);
	is_refused(&n, &ok, &null, 1, LAUNCH_REFUSED);
	is_refused(&n, &ok, NULL, 0, LAUNCH_REFUSED);
	is_refused(&n, &ok, many, 3, LAUNCH_REFUSED);
	memset(ok.digest, 0xff, sizeof ok.digest);
	is_refused(&n, &ok, &good, 1, LAUNCH_NO_IMAGE);
	ck_assert(!has_file(&n, "", "../jobs/request"));
	close(good);
	close(loose);
	close(null);
	node_close(&n);
}
END_TEST

START_TEST(an_attempt_is_launched_once_and_removed_only_when_it_is_over)
{
	struct node n;
	struct job j = job_of(), other = job_of();
	struct job again;

	node_open(&n);
	launch(&n, &j, "exec sleep 3000");
	again = j;
	launch_words(&n, &again, &(struct words){ .argv = (const char *const[]){ "true", NULL } }, NULL);
	ck_assert_int_eq(again.reply.status, LAUNCH_BUSY);
	ck_assert_int_eq(remove_job(&n, &j), LAUNCH_BUSY);
	launch_words(&n, &other, &(struct words){ .argv = (const char *const[]){ "true", NULL } }, NULL);
	ck_assert_int_eq(other.reply.status, LAUNCH_REFUSED); /* the slot's ids are the living one's */
	ck_assert_int_eq(sweep(&n), 0);
	send_ctl(&n, &j, MONITOR_CTL_KILL);
	wait_end(&n, &j);
	check_nothing_left(&n, &j);
	ck_assert_int_eq(remove_job(&n, &j), LAUNCH_OK); /* twice is once */
	node_close(&n);
}
END_TEST

/* --- the host ------------------------------------------------------------------------------------- */

START_TEST(a_probe_tells_what_works)
{
	struct launch_request rq = { .magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION, .op = LAUNCH_PROBE };
	struct launch_probe out;
	struct node n;

	node_open(&n);
	ask(&n, &rq, NULL, 0, &out);
	ck_assert_msg(out.reply.status == LAUNCH_OK, "%s", out.text);
	ck_assert(out.host & (LAUNCH_HOST_CRUN | LAUNCH_HOST_RUNC));
	ck_assert(out.host & LAUNCH_HOST_MEMORY);
	ck_assert_int_eq(out.runtime[0], '/');
	ck_assert_ptr_nonnull(strstr(out.text, "ok memory"));
	node_close(&n);
}
END_TEST

START_TEST(an_operator_can_ask_for_the_probe)
{
	const char *path = program();
	char text[4096] = "", name[64];
	struct node n;
	ssize_t got;
	int out[2], status;
	pid_t pid;

	node_open(&n);
	snprintf(name, sizeof name, "%s", n.cgroup);
	ck_assert_int_eq(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], 1);
		execl(path, path, "--probe", "--node", n.dir, "--cgroup", name, NULL);
		_exit(127);
	}
	close(out[1]);
	while ((got = read(out[0], text + strlen(text), sizeof text - 1 - strlen(text))) > 0)
		;
	close(out[0]);
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	ck_assert_ptr_nonnull(strstr(text, "a hardened test container ran"));
	node_close(&n);
}
END_TEST

START_TEST(runc_does_the_same)
{
	struct launch_request with = { 0 };
	struct node n;
	struct job j = job_of();
	struct exit_file f;

	if (access("/usr/sbin/runc", X_OK) && access("/usr/bin/runc", X_OK))
		return;
	node_open_with(&n, "runc");
	launch(&n, &j, "echo out; echo err >&2; exit 9");
	f = wait_end(&n, &j);
	ck_assert_msg(f.verdict == EXIT_EXITED && f.code == 9, "%s", f.message);
	output_is(&n, &j, SPOOL_STREAM_OUT, "out\n", 4);
	output_is(&n, &j, SPOOL_STREAM_ERR, "err\n", 4);
	check_nothing_left(&n, &j);
	make_package(&n, &with);
	run_in_package(&n, &with, 1000, 7);
	node_close(&n);
}
END_TEST

START_TEST(the_monitor_is_small)
{
	struct node n;
	struct job j = job_of();
	char path[64], text[4096];
	char *rss;
	ssize_t got;
	int fd;

	node_open(&n);
	launch(&n, &j, "yes | head -c 1000000; echo up; exec sleep 3000");
	wait_event(&n, &j, MONITOR_OUTPUT);
	snprintf(path, sizeof path, "/proc/%d/status", j.reply.monitor);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = read(fd, text, sizeof text - 1);
	close(fd);
	ck_assert_int_gt(got, 0);
	text[got] = '\0';
	rss = strstr(text, "VmRSS:");
	ck_assert_ptr_nonnull(rss);
	ck_assert_int_lt(strtol(rss + 6, NULL, 10), 1024); /* kB */
	send_ctl(&n, &j, MONITOR_CTL_KILL);
	wait_end(&n, &j);
	check_nothing_left(&n, &j);
	node_close(&n);
}
END_TEST

/* --- around all of them --------------------------------------------------------------------------- */

/* A failed test's jobs end when their lease does; then its folders go. */
static void end_leases(void)
{
	DIR *dir = opendir(base_dir);
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		struct node n;

		if (d->d_name[0] == '.')
			continue;
		snprintf(n.dir, sizeof n.dir, "%s/%.30s", base_dir, d->d_name);
		set_lease(&n, 0);
	}
	if (dir)
		closedir(dir);
}

static void tear_down(void)
{
	struct pollfd none = { .fd = -1 };

	end_leases();
	for (int i = 0; i < 100 && processes_of_jobs(); i++)
		poll(&none, 1, 100);
	tree_remove(AT_FDCWD, base_dir);
}

static void set_up(void)
{
	const char *tmp = getenv("STOKER_TEST_TMP");

	/* the addresses of the sockets below it hold 107 bytes */
	snprintf(base_dir, sizeof base_dir, "%.40s/monitor-XXXXXX",
	         tmp && *tmp && strlen(tmp) <= 40 ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(base_dir));
	uid_base = 900000000u + (unsigned)getpid() % 1000 * (SLOTS + 1) * 65536;
	chmod(base_dir, 0700); /* closed to the container's users: paths must not matter */
}

int main(void)
{
	Suite *suite = suite_create("monitor");
	TCase *t = tcase_create("monitor");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, t);
	tcase_set_timeout(t, 60);
	tcase_add_unchecked_fixture(t, set_up, tear_down);
	tcase_add_test(t, exit_codes_and_signals_are_exact);
	tcase_add_test(t, what_cannot_be_run_is_126_or_127_and_says_why);
	tcase_add_test(t, a_package_is_the_job_s_own_and_pristine_at_each_attempt);
	tcase_add_test(t, what_a_job_writes_to_its_package_is_its_scratch);
	tcase_add_test(t, a_package_that_is_not_there_is_the_node_s_fault_and_links_are_not_followed);
	tcase_add_test(t, streams_stay_apart_and_every_byte_is_kept);
	tcase_add_test(t, of_a_flood_head_and_tail_are_exact);
	tcase_add_test(t, small_limits_of_output_are_kept_to_the_byte);
	tcase_add_test(t, a_stray_child_with_the_pipe_does_not_delay_the_end);
	tcase_add_test(t, at_its_deadline_a_job_ends_and_its_term_proof_forks_too);
	tcase_add_test(t, a_job_may_use_its_grace);
	tcase_add_test(t, orders_end_a_job_each_with_its_own_verdict);
	tcase_add_test(t, a_container_waits_for_go);
	tcase_add_test(t, who_is_killed_before_the_job_began_did_not_fail);
	tcase_add_test(t, out_of_memory_is_told_apart_of_the_main_process_and_of_a_child);
	tcase_add_test(t, processes_and_scratch_are_bounded);
	tcase_add_test(t, a_job_sees_what_it_is_given_and_has_no_rights);
	tcase_add_test(t, past_its_lease_a_node_s_jobs_die);
	tcase_add_test(t, a_job_outlives_its_launcher);
	tcase_add_test(t, a_stopped_launcher_holds_no_job_up);
	tcase_add_test(t, a_monitor_that_may_still_come_is_waited_for);
	tcase_add_test(t, a_killed_unpacking_is_answered_for);
	tcase_add_test(t, with_its_monitor_a_container_dies_and_a_sweep_tells_it);
	tcase_add_test(t, requests_out_of_bounds_are_refused);
	tcase_add_test(t, an_attempt_is_launched_once_and_removed_only_when_it_is_over);
	tcase_add_test(t, a_probe_tells_what_works);
	tcase_add_test(t, an_operator_can_ask_for_the_probe);
	tcase_add_test(t, runc_does_the_same);
	tcase_add_test(t, the_monitor_is_small);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
