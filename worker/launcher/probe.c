#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ctx.h"
#include "worker/launcher/docker.h"
#include "worker/launcher/launcher.h"
#include "worker/monitor/exit_file.h"
#include "worker/monitor/init_link.h"
#include "worker/monitor/monitor.h"

enum { PROBE_TIMEOUT_MS = 20000 };
#define PROBE_MEMORY (16ull << 20)
#define PROBE_FOLDER "probe"

static void say(struct launcher *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct launcher *l, const char *format, ...)
{
	size_t n = strlen(l->probe.text);
	va_list ap;

	va_start(ap, format);
	vsnprintf(l->probe.text + n, sizeof l->probe.text - n, format, ap);
	va_end(ap);
}

/* A line of the text, and a part of the one sentence that is told if nothing works. */
static void say_no(struct launcher *l, const char *name, bool is_wanted, const char *why)
{
	size_t n = strlen(l->probe.why);

	say(l, "no %s: %s\n", name, why);
	if (is_wanted)
		snprintf(l->probe.why + n, sizeof l->probe.why - n, "%s%s: %.200s", n ? "; " : "", name, why);
}

/* What a job would have to do without: under --isolation strict there is none then. */
static void say_lack(struct launcher *l, const char *what, const char *cost)
{
	size_t n = strlen(l->probe.why);

	say(l, "no %s: %s\n", what, cost);
	if (l->opt.is_strict)
		snprintf(l->probe.why + n, sizeof l->probe.why - n, "%sisolation is strict, and there is no %s: %s",
		         n ? "; " : "", what, cost);
	l->is_lacking = true;
}

static int sealed_memfd(const void *p, size_t n)
{
	int fd = memfd_create("probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && (write(fd, p, n) != (ssize_t)n ||
	                fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Waits for the monitor's end; one that does not come is killed, and its container with it. */
static enum err wait_monitor(struct ctx *cx, pid_t pid)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	bool ended = p.fd >= 0 && poll(&p, 1, PROBE_TIMEOUT_MS) == 1;

	if (!ended)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (p.fd >= 0)
		close(p.fd);
	return ended ? OK : err_set(cx, ERR_BUSY, "it did not end in %d s", PROBE_TIMEOUT_MS / 1000);
}

static enum err read_exit(struct ctx *cx, int parent, const char *id, struct exit_file *out)
{
	char name[64], text[EXIT_FILE_MAX];
	ssize_t n = -1;
	int fd;

	snprintf(name, sizeof name, "%s/exit", id);
	fd = openat(parent, name, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = read(fd, text, sizeof text);
	if (fd >= 0)
		close(fd);
	if (n <= 0 || !exit_file_parse(text, (size_t)n, out))
		return err_set(cx, ERR_INTERNAL, "its monitor told no end");
	return OK;
}

struct folders {
	int probe, rootfs;
};

static enum err run_attempt(struct ctx *cx, struct launcher *l, struct attempt *a,
                            struct exit_file *out)
{
	enum err e;
	pid_t pid;

	TRY(attempt_remove(cx, l, a->parent, a->id));
	TRY(attempt_start(cx, l, a, &pid));
	close(l->starting[--l->starting_count]); /* its end is waited for right here */
	e = wait_monitor(cx, pid);
	if (!e)
		e = read_exit(cx, a->parent, a->id, out);
	attempt_remove(cx, l, a->parent, a->id);
	return e;
}

/* A whole attempt in a slot behind the jobs', without an image: stoker-init is there anyway. */
static enum err run(struct ctx *cx, struct launcher *l, const struct runtime *runtime,
                    const char *mode, bool on_disk, const struct folders *f, struct exit_file *out)
{
	char spec[128];
	int n = snprintf(spec, sizeof spec, "%s%c%s%c%c", INIT_PATH, 0, mode, 0, 0);
	struct launch_request rq = {
		.slot = l->opt.slots, .memory_bytes = PROBE_MEMORY, .on_disk = on_disk,
		.scratch_bytes = on_disk ? LAUNCH_DISK_MIN : LAUNCH_SCRATCH_MIN,
		.timeout_ms = PROBE_TIMEOUT_MS, .pids = 8, .cpu_millis = 1000, .argc = 2,
	};
	uint64_t forever = UINT64_MAX;
	struct launch_fds fds = { .fd = { sealed_memfd(spec, (size_t)n) }, .count = 1 };
	struct attempt a = { .request = &rq, .fds = &fds, .sizes = { (uint32_t)n }, .runtime = runtime,
		             .parent = f->probe, .rootfs = f->rootfs, .package = -1,
		             .lease = sealed_memfd(&forever, sizeof forever) };
	enum err e;

	attempt_name(&rq, a.id);
	e = fds.fd[0] < 0 || a.lease < 0 ? err_errno(cx, "make a memfd") : run_attempt(cx, l, &a, out);
	if (fds.fd[0] >= 0)
		close(fds.fd[0]);
	if (a.lease >= 0)
		close(a.lease);
	return e;
}

/* NULL, or why not; in the arena. */
static const char *why_not(struct ctx *cx, struct launcher *l, const struct runtime *r, bool on_disk,
                           const struct folders *f)
{
	struct exit_file out;

	if (!r->path[0])
		return "it is not installed";
	if (run(cx, l, r, INIT_PROBE_EXIT, on_disk, f, &out))
		return arena_text(&cx->arena, cx->message);
	if (out.verdict == EXIT_EXITED && out.code == INIT_PROBE_CODE)
		return NULL;
	if (out.verdict == EXIT_LAUNCH_FAILED)
		return arena_printf(&cx->arena, "a test container could not be started: %s", out.message);
	return arena_printf(&cx->arena, "a test container ended as %s %d%s%s", exit_verdict_name(out.verdict),
	                    out.code >= 0 ? out.code : out.signal, out.message[0] ? ": " : "", out.message);
}

/* A limit that is only written down is none: 64 MiB are taken under a limit of 16. */
static bool memory_is_limited(struct ctx *cx, struct launcher *l, const struct runtime *r,
                              const struct folders *f)
{
	struct exit_file out;

	if (!run(cx, l, r, INIT_PROBE_MEMORY, false, f, &out) && out.verdict == EXIT_SIGNALED &&
	    out.oom_kills > 0) {
		say(l, "ok memory: a test container was killed at its limit and counted\n");
		return true;
	}
	say_lack(l, "memory", "a test container was not stopped at its memory limit");
	return false;
}

static void probe_runtimes(struct ctx *cx, struct launcher *l, const struct folders *f)
{
	static const uint32_t bits[RUNTIME_COUNT] = { LAUNCH_HOST_CRUN, LAUNCH_HOST_RUNC };
	static const char *const names[RUNTIME_COUNT] = { "crun", "runc" };

	for (int i = 0; i < RUNTIME_COUNT; i++) {
		struct runtime *r = &l->host.runtimes[i];
		bool is_wanted = strcmp(l->opt.runtime, "auto") == 0 || strcmp(l->opt.runtime, names[i]) == 0;

		const char *why = why_not(cx, l, r, false, f);

		if (why) {
			say_no(l, names[i], is_wanted, why);
			continue;
		}
		say(l, "ok %s: a hardened test container ran\n", r->path);
		l->probe.host |= bits[i];
		if (is_wanted && l->chosen < 0)
			l->chosen = i;
	}
}

static void say_facts(struct launcher *l)
{
	const struct {
		bool is_there;
		uint32_t bit; /* 0 = the runner need not know */
		const char *what, *cost;
	} facts[] = {
		{ l->host.has_memory, LAUNCH_HOST_MEMORY, "cgroup memory", "jobs have no memory limit" },
		{ l->host.has_swap, LAUNCH_HOST_SWAP, "cgroup swap", "a job may swap beyond its limit" },
		{ l->host.has_pids, LAUNCH_HOST_PIDS, "cgroup pids", "jobs have no process limit" },
		{ l->host.has_cpu, LAUNCH_HOST_CPU, "cgroup cpu", "jobs have no cpu limit" },
		{ l->host.can_limit_devices, 0, "device list",
		  "it takes CAP_SYS_RESOURCE on cgroup v2; devices are kept out by mounts and rights alone" },
		{ l->host.can_keep_oom_score, 0, "score for memory",
		  "it takes CAP_SYS_RESOURCE; where the host itself runs short a job may put itself in line with "
		  "the node's programs" },
	};

	say(l, "ok cgroups: %s\n", l->host.cgroup_v2 ? "v2" : "v1 or hybrid");
	l->probe.host |= l->host.cgroup_v2 ? LAUNCH_HOST_CGROUP_V2 : 0;
	for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
		l->probe.host |= facts[i].is_there ? facts[i].bit : 0;
		if (facts[i].is_there)
			say(l, "ok %s\n", facts[i].what);
		else
			say_lack(l, facts[i].what, facts[i].cost);
	}
}

/* Not a lack either: jobs write to memory unless their code says so. */
static void say_disk(struct ctx *cx, struct launcher *l, const struct folders *f)
{
	const char *why = l->chosen < 0 ? "no container can run" : why_not(cx, l, &l->host.runtimes[l->chosen], true, f);

	if (why) {
		say(l, "no disk for scratch: jobs of codes that want one cannot run here: %s\n", why);
		return;
	}
	l->probe.host |= LAUNCH_HOST_DISK;
	say(l, "ok disk for scratch: a test container ran on a file system of its own\n");
}

/* Not a lack: jobs have no network unless their cluster gives them one. */
static void say_network(struct launcher *l)
{
	const struct network *n = &l->network;

	if (n->how == MONITOR_NETWORK_NONE) {
		say(l, "no network outbound: jobs of clusters that let theirs out cannot run here: %s\n", n->why);
		return;
	}
	l->probe.host |= LAUNCH_HOST_NETWORK;
	say(l, "ok network outbound: %s\n", *n->why ? n->why : "IPv4 and IPv6");
	if (!n->resolver_count)
		say(l, "no network resolvers: set [node] resolvers: this host's own listen on loopback alone\n");
}

static enum err open_folders(struct ctx *cx, const struct launcher *l, struct folders *f)
{
	if ((mkdirat(l->node, PROBE_FOLDER, 0700) || mkdirat(l->node, PROBE_FOLDER "/rootfs", 0755)) &&
	    errno != EEXIST)
		return err_errno(cx, "make the folder for test containers");
	f->probe = openat(l->node, PROBE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->rootfs = openat(l->node, PROBE_FOLDER "/rootfs", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (f->probe < 0 || f->rootfs < 0)
		return err_errno(cx, "open the folder for test containers");
	return OK;
}

static void conclude(struct launcher *l)
{
	struct launch_probe *p = &l->probe;

	if (l->opt.is_strict && l->is_lacking)
		l->chosen = -1;
	if (l->chosen >= 0) {
		/* a container ran: what it stands on works */
		p->host |= LAUNCH_HOST_IDMAP | LAUNCH_HOST_SECCOMP;
		p->reply.status = LAUNCH_OK;
		p->why[0] = '\0';
		snprintf(p->runtime, sizeof p->runtime, "%s", l->host.runtimes[l->chosen].path);
		return;
	}
	p->reply.status = LAUNCH_FAILED;
	snprintf(p->reply.message, sizeof p->reply.message, "no container can run on this host: %.180s", p->why);
}

void probe_host(struct ctx *cx, struct launcher *l)
{
	struct folders f = { -1, -1 };

	l->chosen = -1;
	l->is_lacking = false;
	l->probe = (struct launch_probe){ 0 };
	if (open_folders(cx, l, &f))
		say_no(l, "test containers", true, cx->message);
	else
		probe_runtimes(cx, l, &f);
	say_facts(l);
	say_network(l);
	if (l->opt.is_probe) /* nobody else waits for a daemon */
		docker_probe(l, l->probe.text, sizeof l->probe.text);
	say_disk(cx, l, &f);
	if (l->chosen >= 0 && l->host.has_memory &&
	    !memory_is_limited(cx, l, &l->host.runtimes[l->chosen], &f))
		l->probe.host &= ~(uint32_t)LAUNCH_HOST_MEMORY;
	if (f.probe >= 0)
		close(f.probe);
	if (f.rootfs >= 0)
		close(f.rootfs);
	conclude(l);
}
