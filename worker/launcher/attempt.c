#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/fault_point.h"
#include "worker/launcher/docker.h"
#include "worker/launcher/launcher.h"
#include "worker/launcher/swarm.h"
#include "worker/launcher/userns.h"
#include "worker/monitor/cgroup.h"
#include "worker/monitor/monitor.h"

#define auto_fd __attribute__((cleanup(close_fd))) int

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void attempt_name(const struct launch_request *rq, char out[40])
{
	char task[2 * sizeof rq->task + 1];

	hex_format(rq->task, sizeof rq->task, task);
	snprintf(out, 40, "%s-%u", task, rq->attempt);
}

static enum err write_request(struct ctx *cx, const struct launcher *l, int dir,
                              const struct launch_request *rq)
{
	auto_fd fd = openat(dir, "request", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	if (fd < 0 || fchown(fd, 0, l->opt.runner_gid) ||
	    write(fd, rq, sizeof *rq) != (ssize_t)sizeof *rq)
		return err_errno(cx, "write the request into the job's folder");
	return OK;
}

/* Bound by way of the descriptor: the folder's path may be longer than an address can be. */
static enum err make_ctl(struct ctx *cx, const struct launcher *l, int dir, int *out)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/ctl", dir);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) ||
	    fchownat(dir, "ctl", 0, l->opt.runner_gid, 0) || fchmodat(dir, "ctl", 0660, 0)) {
		if (fd >= 0)
			close(fd);
		return err_errno(cx, "make the monitor's socket");
	}
	*out = fd;
	return OK;
}

static enum err slot_userns(struct ctx *cx, struct launcher *l, uint32_t slot, int *fd)
{
	const struct id_range ids = { 0, l->opt.uid_base + slot * LAUNCH_UID_RANGE, LAUNCH_UID_RANGE };

	if (l->userns[slot] < 0)
		TRY(userns_open(cx, &ids, &ids, &l->userns[slot]));
	*fd = l->userns[slot];
	return OK;
}

/* The runner's files, as those of the job's user. Images of one user are the rule: made once a slot. */
static enum err owner_userns(struct ctx *cx, struct launcher *l, const struct launch_request *rq, int *fd)
{
	/* a daemon has no range of its own for us: there the ids inside are the ids outside */
	uint32_t base = rq->engine == LAUNCH_ENGINE_OCI ? l->opt.uid_base + rq->slot * LAUNCH_UID_RANGE : 0;
	const struct id_range user = { l->opt.runner_uid, base + rq->uid, 1 };
	const struct id_range group = { l->opt.runner_gid, base + rq->gid, 1 };
	struct owner *o = &l->owners[rq->slot];

	if (o->userns >= 0 && (o->uid != base + rq->uid || o->gid != base + rq->gid))
		close_fd(&o->userns);
	if (o->userns < 0) {
		*o = (struct owner){ -1, base + rq->uid, base + rq->gid };
		TRY(userns_open(cx, &user, &group, &o->userns));
	}
	*fd = o->userns;
	return OK;
}

static void fill_setup(const struct launcher *l, const struct attempt *a, const struct monitor_outbound *outbound,
                       struct monitor_setup *s)
{
	*s = (struct monitor_setup){
		.request = *a->request,
		.base = l->opt.uid_base + a->request->slot * LAUNCH_UID_RANGE,
		.runner_gid = l->opt.runner_gid,
		.spec_bytes = a->sizes[0],
		.payload_bytes = a->sizes[1],
		.config_bytes = a->sizes[2],
		.cgroup_v2 = l->host.cgroup_v2,
		.is_crun = a->runtime && a->runtime->is_crun,
		.outbound = *outbound,
	};
	snprintf(s->id, sizeof s->id, "%s", a->id);
	snprintf(s->cgroup, sizeof s->cgroup, "%s/%s", l->opt.cgroup, a->id);
	snprintf(s->runtime, sizeof s->runtime, "%s", a->runtime ? a->runtime->path : "");
	snprintf(s->engine, sizeof s->engine, "%s", l->opt.engine[a->request->engine]);
	snprintf(s->stage, sizeof s->stage, "%s", l->host.stage);
	snprintf(s->mkfs, sizeof s->mkfs, "%s", l->host.mkfs);
}

/* The monitor's orders wait in a pipe: it holds 64 KiB, so the launcher never waits. */
static enum err write_setup(struct ctx *cx, const struct launcher *l, const struct attempt *a,
                            const struct monitor_outbound *outbound, int *out)
{
	auto_buf text = { .ceiling = MONITOR_CONFIG_MAX + sizeof(struct monitor_setup) };
	struct monitor_setup setup;
	int p[2];
	ssize_t n;

	fill_setup(l, a, outbound, &setup);
	buf_add(&text, &setup, sizeof setup);
	if (a->request->engine == LAUNCH_ENGINE_SWARM)
		TRY(swarm_format(cx, l, &setup, &text));
	else if (a->request->engine != LAUNCH_ENGINE_OCI)
		TRY(docker_format(cx, l, &setup, &text));
	else
		spec_format(&l->parts, &l->host, &setup, &text);
	if (text.full)
		return err_set(cx, ERR_TOO_LARGE, "write the container's spec: it is too long");
	if (pipe2(p, O_CLOEXEC | O_NONBLOCK))
		return err_errno(cx, "make the monitor's pipe");
	n = write(p[1], text.p, text.n);
	close(p[1]);
	*out = p[0];
	if (n != (ssize_t)text.n)
		return err_set(cx, ERR_INTERNAL, "write the monitor's orders: the pipe took %zd of %zu bytes", n,
		               text.n);
	if (fcntl(p[0], F_SETFL, 0))
		return err_errno(cx, "make the monitor's pipe");
	return OK;
}

/* "PID STARTTIME\n" of the process itself. In a vfork child: no allocation, no change of state. */
static bool write_pid(int dir, gid_t gid)
{
	char stat[512], text[64];
	auto_fd from = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = from < 0 ? -1 : read(from, stat, sizeof stat - 1);
	auto_fd to = openat(dir, "monitor.pid", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	char *at;
	int len;

	if (n <= 0 || to < 0)
		return false;
	stat[n] = '\0';
	at = strrchr(stat, ')'); /* the name before it may hold anything */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return false;
	len = snprintf(text, sizeof text, "%d %llu\n", (int)getpid(), strtoull(at + 1, NULL, 10));
	return fchown(to, 0, gid) == 0 && write(to, text, (size_t)len) == len;
}

/* Child of vfork. `fds[i]` becomes descriptor i, -1 is closed. *failed is the parent's: errno. */
static _Noreturn void become_monitor(const struct launcher *l, int dir, const int *fds, volatile int *failed)
{
	static char *const argv[] = { (char *)"stoker-monitor", NULL };
	static char *const envp[] = { NULL };
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	errno = 0;
	if (write_pid(dir, l->opt.runner_gid)) {
		bool are_placed = true;

		for (int i = 0; are_placed && i < MONITOR_FD_END; i++)
			if (fds[i] < 0)
				close(i);
			else
				are_placed = dup2(fds[i], i) >= 0;
		if (are_placed)
			execveat(l->monitor, "", argv, envp, AT_EMPTY_PATH);
	}
	*failed = errno ? errno : ENOSPC; /* a write that is cut short sets none */
	_exit(125);
}

struct opened { /* what one start opens besides the folder */
	int setup, ctl, listen, starting[2], null, rules;
};

static void opened_close(struct opened *o)
{
	close_fd(&o->setup);
	close_fd(&o->ctl);
	close_fd(&o->listen);
	close_fd(&o->starting[0]);
	close_fd(&o->starting[1]);
	close_fd(&o->null);
	close_fd(&o->rules);
}

static enum err spawn(struct ctx *cx, struct launcher *l, const struct attempt *a, int dir,
                      pid_t *monitor)
{
	__attribute__((cleanup(opened_close))) struct opened o = { -1, -1, -1, { -1, -1 }, -1, -1 };
	struct monitor_outbound outbound;
	int fds[MONITOR_FD_END];
	volatile int failed = 0;
	int userns = -1, owner = -1;
	size_t next = 1;

	bool is_oci = a->request->engine == LAUNCH_ENGINE_OCI;

	TRY(make_ctl(cx, l, dir, &o.ctl));
	if (is_oci)
		TRY(slot_userns(cx, l, a->request->slot, &userns));
	else if (a->request->engine != LAUNCH_ENGINE_SWARM)
		TRY(docker_listen(cx, dir, &o.listen));
	if (a->package >= 0)
		TRY(owner_userns(cx, l, a->request, &owner));
	TRY(network_prepare(cx, &l->network, &l->opt, a->request, &outbound, &o.rules));
	TRY(write_setup(cx, l, a, &outbound, &o.setup));
	o.null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (o.null < 0 || pipe2(o.starting, O_CLOEXEC))
		return err_errno(cx, "open what a monitor needs");
	for (int i = 0; i < MONITOR_FD_END; i++)
		fds[i] = -1;
	fds[0] = fds[1] = fds[2] = o.null;
	fds[MONITOR_FD_STARTING] = is_oci ? o.starting[1] : o.null; /* a daemon may hang: others wait for none */
	fds[MONITOR_FD_SETUP] = o.setup;
	fds[MONITOR_FD_JOB] = dir;
	fds[MONITOR_FD_NODE] = l->node;
	fds[MONITOR_FD_ROOTFS] = a->rootfs;
	fds[MONITOR_FD_USERNS] = userns;
	fds[MONITOR_FD_PACKAGE] = a->package;
	fds[MONITOR_FD_OWNER] = owner;
	fds[MONITOR_FD_RULES] = o.rules;
	fds[MONITOR_FD_LEASE] = a->lease;
	fds[MONITOR_FD_CTL] = o.ctl;
	fds[MONITOR_FD_INIT] = l->init;
	fds[MONITOR_FD_LISTEN] = o.listen;
	fds[MONITOR_FD_RUNTIME] = is_oci ? a->runtime->fd : -1;
	fds[MONITOR_FD_SPEC] = a->fds->fd[0];
	if (a->request->payload_fd)
		fds[MONITOR_FD_PAYLOAD] = a->fds->fd[next++];
	if (a->request->config_fd)
		fds[MONITOR_FD_CONFIG] = a->fds->fd[next];
	*monitor = vfork();
	if (*monitor == 0)
		become_monitor(l, dir, fds, &failed);
	errno = failed ? failed : errno;
	if (*monitor < 0 || failed)
		return err_errno(cx, "start a monitor");
	if (is_oci) {
		l->starting[l->starting_count++] = o.starting[0];
		o.starting[0] = -1;
	}
	return OK;
}

static bool holds(int parent, const char *id)
{
	auto_fd dir = *id ? openat(parent, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;

	return dir >= 0 && attempt_is_watched(dir);
}

void attempt_find_holders(struct launcher *l)
{
	auto_fd at = openat(l->jobs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = at < 0 ? NULL : fdopendir(dup(at));
	uint8_t bytes[sizeof(struct launch_request)];
	struct launch_request rq;
	struct dirent *d;

	while (list && (d = readdir(list))) {
		auto_fd dir = openat(l->jobs, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		auto_fd fd = dir < 0 ? -1 : openat(dir, "request", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

		ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);

		if (n > 0 && launch_request_parse(bytes, (size_t)n, &rq) && rq.slot < l->opt.slots &&
		    attempt_is_watched(dir)) {
			attempt_name(&rq, l->holder[rq.slot]);
			l->lets_out[rq.slot] = rq.network != LAUNCH_NETWORK_NONE;
		}
	}
	if (list)
		closedir(list);
}

bool attempt_any_is_out(const struct launcher *l)
{
	for (uint32_t i = 0; i < l->opt.slots; i++)
		if (l->lets_out[i] && holds(l->jobs, l->holder[i]))
			return true;
	return false;
}

static void remove_folder(int parent, const char *id);

enum err attempt_start(struct ctx *cx, struct launcher *l, const struct attempt *a, pid_t *monitor)
{
	char *holder = l->holder[a->request->slot];
	auto_fd dir = -1;
	enum err e = OK;

	if (strcmp(holder, a->id) != 0 && holds(a->parent, holder))
		return err_set(cx, ERR_INPUT, "launch request: attempt %s still lives in slot %u", holder,
		               a->request->slot);
	if (mkdirat(a->parent, a->id, 0750)) {
		if (errno == EEXIST)
			return err_set(cx, ERR_CONFLICT, "attempt %s has a folder already", a->id);
		return err_errno(cx, "make the folder of attempt %s", a->id);
	}
	dir = openat(a->parent, a->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fchown(dir, 0, l->opt.runner_gid) || fchmod(dir, 0750))
		e = err_errno(cx, "open the folder of attempt %s", a->id);
	if (!e)
		e = write_request(cx, l, dir, a->request);
	FAULT_POINT("launch", "before_monitor");
	if (!e)
		e = spawn(cx, l, a, dir, monitor);
	FAULT_POINT("launch", "after_monitor");
	if (e) {
		remove_folder(a->parent, a->id);
		return e;
	}
	snprintf(holder, sizeof l->holder[0], "%s", a->id);
	l->lets_out[a->request->slot] = a->request->network != LAUNCH_NETWORK_NONE;
	return OK;
}

/* --- the end ------------------------------------------------------------------------------------ */

static bool read_text(int dir, const char *name, char *out, size_t size)
{
	auto_fd fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	if (n < 0)
		return false;
	out[n] = '\0';
	return true;
}

bool attempt_is_watched(int dir)
{
	char text[64], file[48], stat[512];
	unsigned long long began;
	char *at;
	int pid;

	if (!read_text(dir, "monitor.pid", text, sizeof text) ||
	    sscanf(text, "%d %llu", &pid, &began) != 2 || pid <= 1)
		return false;
	snprintf(file, sizeof file, "/proc/%d/stat", pid);
	if (!read_text(AT_FDCWD, file, stat, sizeof stat) || !(at = strrchr(stat, ')')))
		return false;
	if (at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
		return false; /* dead, only not yet buried */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at && strtoull(at + 1, NULL, 10) == began;
}

/* A job's folder is flat and made by us alone. */
static void remove_folder(int parent, const char *id)
{
	static const char *const files[] = { "request", "monitor.pid", "ctl", "link", "container", "started", "started.tmp",
		                             "head", "tail.0", "tail.1", "exit.tmp", "exit" };
	auto_fd dir = openat(parent, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	/* `exit` last: without it a sweep would call the attempt lost */
	for (size_t i = 0; dir >= 0 && i < sizeof files / sizeof files[0]; i++)
		unlinkat(dir, files[i], 0);
	unlinkat(parent, id, AT_REMOVEDIR);
}

enum { DESTROY_MS = 5000 };

static enum err destroy_cgroup(struct ctx *cx, const struct launcher *l, const char *id)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", l->opt.cgroup, id);
	if (cgroup_destroy(path, l->host.cgroup_v2, DESTROY_MS))
		return OK;
	return err_set(cx, ERR_BUSY, "remove the cgroup %s: what is in it does not die", path);
}

enum err attempt_remove(struct ctx *cx, struct launcher *l, int parent, const char *id)
{
	auto_fd dir = openat(parent, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0 && errno != ENOENT)
		return err_errno(cx, "open the folder of attempt %s", id);
	if (dir >= 0 && attempt_is_watched(dir))
		return err_set(cx, ERR_CONFLICT, "the monitor of attempt %s still lives", id);
	FAULT_POINT("remove", "before_cgroup");
	TRY(destroy_cgroup(cx, l, id));
	FAULT_POINT("remove", "after_cgroup");
	if (dir < 0)
		return OK;
	remove_folder(parent, id);
	FAULT_POINT("remove", "after_folder");
	if (faccessat(parent, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(cx, ERR_INTERNAL, "remove the folder of attempt %s: it holds other files", id);
	return OK;
}
