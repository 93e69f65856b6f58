/* stoker-launcher: the privileged half of a node. It is started by the runner's parent with one end of
 * a SOCK_SEQPACKET socket pair as fd 3, answers the requests of launch_request.h, and knows neither
 * network nor database. It ends with the runner; monitors and containers stay. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypt.h"
#include "base/log.h"
#include "worker/launcher/docker.h"
#include "worker/launcher/launcher.h"
#include "worker/monitor/monitor.h"

enum { RUNNER_FD = 3, STARTING_MAX = 64, SWEEP_US = 60000000 };

/* --- options ------------------------------------------------------------------------------------ */

static enum err parse_number(struct ctx *cx, const char *option, const char *text, uint64_t max,
                             uint32_t *out)
{
	int64_t v;

	if (!str_int(str_of(text), &v) || v < 0 || (uint64_t)v > max)
		return err_set(cx, ERR_INPUT, "--%s must be a number from 0 to %llu, not \"%s\"", option,
		               (unsigned long long)max, text);
	*out = (uint32_t)v;
	return OK;
}

/* A name or a path of names below the hierarchies' roots; it becomes "/name". */
static enum err parse_cgroup(struct ctx *cx, const char *text, struct launcher_options *opt)
{
	static const char *const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		                           "._-/";

	text += *text == '/';
	if (!*text || *text == '.' || strstr(text, "..") || strstr(text, "//") ||
	    text[strlen(text) - 1] == '/' || strspn(text, letters) != strlen(text) ||
	    strlen(text) > sizeof opt->cgroup - 2)
		return err_set(cx, ERR_INPUT, "--cgroup must be a name or path of names, not \"%s\"", text);
	snprintf(opt->cgroup, sizeof opt->cgroup, "/%s", text);
	return OK;
}

static enum err parse_engine(struct ctx *cx, const char *name, const char *text, struct launcher_options *opt)
{
	enum launch_engine e = LAUNCH_ENGINE_DOCKER;

	while (strcmp(name, docker_engine_name(e)) != 0)
		e++;
	if (*text != '/' || strlen(text) >= ENGINE_SOCKET_MAX)
		return err_set(cx, ERR_INPUT, "--%s must be a path of at most %d bytes, not \"%s\"", name,
		               ENGINE_SOCKET_MAX - 1, text);
	snprintf(opt->engine[e], ENGINE_SOCKET_MAX, "%s", text);
	return OK;
}

static enum err parse_option(struct ctx *cx, const char *name, const char *text,
                             struct launcher_options *opt)
{
	if (strcmp(name, "probe") == 0) {
		opt->is_probe = true;
		return OK;
	}
	if (strcmp(name, "isolation") == 0) {
		opt->is_strict = strcmp(text, "strict") == 0;
		if (!opt->is_strict && strcmp(text, "usual") != 0)
			return err_set(cx, ERR_INPUT, "--isolation must be usual or strict, not \"%s\"", text);
		return OK;
	}
	if (strcmp(name, "uid") == 0)
		return parse_number(cx, name, text, UINT32_MAX - 1, &opt->runner_uid);
	if (strcmp(name, "gid") == 0)
		return parse_number(cx, name, text, UINT32_MAX - 1, &opt->runner_gid);
	if (strcmp(name, "uid-base") == 0)
		return parse_number(cx, name, text, UINT32_MAX - 1, &opt->uid_base);
	if (strcmp(name, "slots") == 0)
		return parse_number(cx, name, text, 4096, &opt->slots);
	if (strcmp(name, "docker") == 0 || strcmp(name, "podman") == 0 || strcmp(name, "swarm") == 0)
		return parse_engine(cx, name, text, opt);
	if (strcmp(name, "images-mb") == 0)
		return parse_number(cx, name, text, UINT32_MAX - 1, &opt->images_mb);
	if (strcmp(name, "resolvers") == 0 || strcmp(name, "closed") == 0) {
		*(*name == 'r' ? &opt->resolvers : &opt->closed) = text; /* of argv: it stays */
		return OK;
	}
	if (strcmp(name, "cgroup") == 0)
		return parse_cgroup(cx, text, opt);
	if (strcmp(name, "runtime") == 0) {
		if (strcmp(text, "auto") != 0 && strcmp(text, "crun") != 0 && strcmp(text, "runc") != 0)
			return err_set(cx, ERR_INPUT, "--runtime must be auto, crun or runc, not \"%s\"", text);
		snprintf(opt->runtime, sizeof opt->runtime, "%s", text);
		return OK;
	}
	if (strlen(text) >= sizeof opt->node_dir)
		return err_set(cx, ERR_INPUT, "--node is too long");
	snprintf(opt->node_dir, sizeof opt->node_dir, "%s", text);
	return OK;
}

static enum err check_options(struct ctx *cx, const struct launcher_options *opt)
{
	uint64_t end = opt->uid_base + ((uint64_t)opt->slots + 1) * LAUNCH_UID_RANGE;

	if (!opt->node_dir[0] || !opt->cgroup[0])
		return err_set(cx, ERR_INPUT, "--node and --cgroup must be given");
	if (opt->slots < 1)
		return err_set(cx, ERR_INPUT, "--slots must be at least 1");
	if (opt->uid_base < LAUNCH_UID_RANGE)
		return err_set(cx, ERR_INPUT, "--uid-base must be at least 65536: below it are this host's own");
	if (end > UINT32_MAX)
		return err_set(cx, ERR_INPUT, "--uid-base and --slots need ids beyond 32 bits");
	return OK;
}

static enum err options_parse(struct ctx *cx, int argc, char **argv, struct launcher_options *opt)
{
	static const struct option options[] = {
		{ "node", required_argument, NULL, 0 },    { "uid", required_argument, NULL, 0 },
		{ "gid", required_argument, NULL, 0 },     { "uid-base", required_argument, NULL, 0 },
		{ "slots", required_argument, NULL, 0 },   { "cgroup", required_argument, NULL, 0 },
		{ "runtime", required_argument, NULL, 0 }, { "isolation", required_argument, NULL, 0 },
		{ "images-mb", required_argument, NULL, 0 }, { "resolvers", required_argument, NULL, 0 },
		{ "closed", required_argument, NULL, 0 },   { "docker", required_argument, NULL, 0 },
		{ "podman", required_argument, NULL, 0 },   { "swarm", required_argument, NULL, 0 },
		{ "probe", no_argument, NULL, 0 },
		{ NULL, 0, NULL, 0 },
	};
	int index, c;

	*opt = (struct launcher_options){ .uid_base = 1048576, .slots = 16, .images_mb = 20480, .runtime = "auto" };
	while ((c = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (c != 0)
			return err_set(cx, ERR_INPUT, "unknown option; the runner starts this program");
		TRY(parse_option(cx, options[index].name, optarg, opt));
	}
	return check_options(cx, opt);
}

/* --- requests ----------------------------------------------------------------------------------- */

/* What a request asks is judged before a launch begins, so that what fails then is the host's. */
static enum launch_status status_of(uint16_t op, enum err e)
{
	switch (e) {
	case OK:
		return LAUNCH_OK;
	case ERR_INPUT:
		return LAUNCH_REFUSED;
	case ERR_NOT_FOUND:
		return LAUNCH_NO_IMAGE;
	case ERR_CONFLICT:
		return LAUNCH_BUSY;
	case ERR_TOO_LARGE:
		return LAUNCH_FAILED;
	default:
		return op == LAUNCH_LAUNCH || op == LAUNCH_UNPACK || op == LAUNCH_IMAGE ? LAUNCH_NODE : LAUNCH_FAILED;
	}
}

static enum err open_image(struct ctx *cx, const struct launcher *l,
                           const struct launch_request *rq, int *rootfs)
{
	char hex[2 * sizeof rq->digest + 1], name[96];

	hex_format(rq->digest, sizeof rq->digest, hex);
	snprintf(name, sizeof name, "sha256-%s/rootfs", hex);
	*rootfs = openat(l->images, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	snprintf(name, sizeof name, "sha256-%s/fetched", hex); /* its time tells the last use (image_cache.h) */
	if (*rootfs >= 0) {
		utimensat(l->images, name, NULL, AT_SYMLINK_NOFOLLOW);
		return OK;
	}
	if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
		return err_set(cx, ERR_NOT_FOUND, "no image sha256:%s on this node", hex);
	return err_errno(cx, "open the image sha256:%s", hex);
}

/* The runner's own folder: no link in it is followed, it could lead anywhere. */
static enum err open_package(struct ctx *cx, const struct launcher *l,
                             const struct launch_request *rq, int *files)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
	char hex[2 * sizeof rq->package_digest + 1], name[96];

	*files = -1;
	if (!rq->has_package)
		return OK;
	hex_format(rq->package_digest, sizeof rq->package_digest, hex);
	snprintf(name, sizeof name, "sha256-%s/files", hex);
	*files = (int)syscall(SYS_openat2, l->packages, name, &how, sizeof how);
	return *files >= 0 ? OK : err_errno(cx, "open the unpacked package sha256:%s", hex);
}

/* Of a daemon both are its own. */
static enum err open_runtime(struct ctx *cx, struct launcher *l, const struct launch_request *rq, struct attempt *a)
{
	if (l->chosen < 0)
		probe_host(cx, l);
	if (l->chosen < 0)
		return err_set(cx, ERR_INTERNAL, "%s", l->probe.reply.message);
	a->runtime = &l->host.runtimes[l->chosen];
	return open_image(cx, l, rq, &a->rootfs);
}

static enum err do_launch(struct ctx *cx, struct launcher *l, const struct launch_request *rq,
                          const struct launch_fds *fds, int32_t *monitor)
{
	struct attempt a = { .request = rq, .fds = fds, .rootfs = -1, .package = -1, .parent = l->jobs,
		             .lease = l->lease };
	enum err e;

	TRY(request_check(cx, l, rq, fds, a.sizes));
	attempt_name(rq, a.id);
	if (rq->engine == LAUNCH_ENGINE_OCI)
		TRY(open_runtime(cx, l, rq, &a));
	e = open_package(cx, l, rq, &a.package);
	if (!e)
		e = attempt_start(cx, l, &a, monitor);
	if (a.rootfs >= 0)
		close(a.rootfs);
	if (a.package >= 0)
		close(a.package);
	return e;
}

static enum err do_remove(struct ctx *cx, struct launcher *l, const struct launch_request *rq)
{
	char id[40];

	attempt_name(rq, id);
	TRY(attempt_remove(cx, l, l->jobs, id));
	if (l->network.has_table && !attempt_any_is_out(l))
		network_sweep(&l->network);
	return OK;
}

static void put_reply(const struct ctx *cx, const struct launch_request *rq, enum err e,
                      struct launch_reply *r)
{
	r->magic = LAUNCH_MAGIC;
	r->version = LAUNCH_VERSION;
	r->op = rq->op;
	memcpy(r->task, rq->task, sizeof r->task);
	r->attempt = rq->attempt;
	if (rq->op == LAUNCH_PROBE)
		return;
	r->status = status_of(rq->op, e);
	if (e)
		snprintf(r->message, sizeof r->message, "%.*s", (int)sizeof r->message - 1, cx->message);
}

static struct answering *answering_find(struct launcher *l, pid_t pid)
{
	for (size_t i = 0; i < LAUNCH_ANSWERING_MOST; i++)
		if (l->answering[i].pid == pid)
			return &l->answering[i];
	return NULL;
}

/* Asks a child, which answers by itself. */
static enum err ask_child(struct ctx *cx, struct launcher *l, const struct launch_request *rq, const struct launch_fds *fds)
{
	struct answering *a = answering_find(l, 0);
	pid_t pid;

	if (!a)
		return err_set(cx, ERR_INTERNAL, "make an image ready: %d are being made ready", LAUNCH_ANSWERING_MOST);
	TRY(rq->op == LAUNCH_UNPACK ? layers_unpack(cx, l, rq, RUNNER_FD, &pid) : docker_image(cx, l, rq, fds, RUNNER_FD, &pid));
	*a = (struct answering){ pid, *rq };
	return OK;
}

/* One that was killed has not answered, or has at the last moment: the runner takes the first. */
static void answer_for(struct ctx *cx, struct launcher *l, pid_t pid, int status)
{
	struct answering *a = answering_find(l, pid);
	struct launch_reply r = { 0 };

	if (!a)
		return;
	a->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	put_reply(cx, &a->request, err_set(cx, ERR_INTERNAL, "make an image ready: killed (status 0x%x)", (unsigned)status), &r);
	r.status = LAUNCH_NODE;
	launcher_answer(RUNNER_FD, &r, sizeof r);
}

static void answer(struct ctx *cx, struct launcher *l, const struct launch_request *rq,
                   const struct launch_fds *fds)
{
	struct launch_probe out = { 0 };
	size_t n = sizeof out.reply;
	enum err e = OK;

	switch (rq->op) {
	case LAUNCH_PROBE:
		probe_host(cx, l);
		out = l->probe;
		n = sizeof out;
		break;
	case LAUNCH_LAUNCH:
		e = do_launch(cx, l, rq, fds, &out.reply.monitor);
		break;
	case LAUNCH_REMOVE:
		e = do_remove(cx, l, rq);
		break;
	case LAUNCH_UNPACK:
	case LAUNCH_IMAGE:
		e = ask_child(cx, l, rq, fds);
		if (!e)
			return;
		break;
	case LAUNCH_SWEEP:
		docker_sweep(l);
		e = attempt_sweep(cx, l, &out.reply.monitor);
		break;
	default:
		e = err_set(cx, ERR_INPUT, "launch request: unknown op %u", rq->op);
		break;
	}
	put_reply(cx, rq, e, &out.reply);
	if (!launcher_answer(RUNNER_FD, &out, n))
		log_error("answer", "op=%u error=\"%s\"", rq->op, strerror(errno));
}

static void collect_fds(struct msghdr *h, struct launch_fds *fds)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (fds->count < LAUNCH_FDS_MAX)
				fds->fd[fds->count++] = fd;
			else
				close(fd);
		}
	}
}

/* One request; false when the runner is gone. */
static bool serve(struct ctx *cx, struct launcher *l)
{
	struct launch_request rq;
	struct launch_fds fds = { .count = 0 };
	union {
		char bytes[CMSG_SPACE((LAUNCH_FDS_MAX + 1) * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &rq, sizeof rq };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		            .msg_controllen = sizeof control };
	ssize_t n = recvmsg(RUNNER_FD, &h, MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return n < 0 && (errno == EINTR || errno == EAGAIN);
	collect_fds(&h, &fds);
	ctx_reset(cx);
	if (n != (ssize_t)sizeof rq || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
	    rq.magic != LAUNCH_MAGIC || rq.version != LAUNCH_VERSION) {
		rq = (struct launch_request){ 0 }; /* refused as an unknown op */
	}
	answer(cx, l, &rq, &fds);
	for (size_t i = 0; i < fds.count; i++)
		close(fds.fd[i]);
	return true;
}

/* --- life --------------------------------------------------------------------------------------- */

/* Launches that are over, by the end of their pipe. */
static void drop_started(struct launcher *l, const struct pollfd *polls)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->starting_count; i++)
		if (polls[i].revents)
			close(l->starting[i]);
		else
			l->starting[kept++] = l->starting[i];
	l->starting_count = kept;
}

static bool has_daemons(const struct launcher *l)
{
	for (enum launch_engine e = LAUNCH_ENGINE_DOCKER; e < LAUNCH_ENGINE_END; e++)
		if (l->opt.engine[e][0])
			return true;
	return false;
}

static void reap(struct ctx *cx, struct launcher *l)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int i = 0; i < LAUNCH_ENGINE_END; i++)
			if (l->sweeper[i] == pid)
				l->sweeper[i] = 0;
		answer_for(cx, l, pid, status);
	}
}

/* Once a minute, whoever asks or not: what a monitor or a daemon left behind. Milliseconds until the next time. */
static int until_sweep_ms(struct launcher *l)
{
	int64_t now = clock_boot_us();

	if (!has_daemons(l))
		return -1;
	if (now >= l->sweep_us) {
		docker_sweep(l);
		l->sweep_us = now + SWEEP_US;
	}
	return (int)((l->sweep_us - now) / 1000) + 1;
}

/* False when it is time to end. */
static bool turn(struct ctx *cx, struct launcher *l, int signals)
{
	struct pollfd p[2 + STARTING_MAX + 1] = { { .fd = signals, .events = POLLIN } };
	struct signalfd_siginfo info;
	size_t n = l->starting_count;

	/* at the limit requests wait in the socket: runtimes that all start at once start later */
	p[1] = (struct pollfd){ .fd = n < l->starting_max ? RUNNER_FD : -1, .events = POLLIN };
	for (size_t i = 0; i < n; i++)
		p[2 + i] = (struct pollfd){ .fd = l->starting[i], .events = POLLIN };
	if (poll(p, 2 + n, until_sweep_ms(l)) < 0)
		return errno == EINTR;
	drop_started(l, p + 2);
	if (p[0].revents) {
		while (read(signals, &info, sizeof info) == (ssize_t)sizeof info)
			if (info.ssi_signo != SIGCHLD)
				return false;
		reap(cx, l);
	}
	return !p[1].revents || serve(cx, l);
}

static int watch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* What a monitor's descriptors are numbered must be free of ours, and fd 3 must be a socket. */
static enum err reserve_fds(struct ctx *cx, bool is_probe)
{
	int type, fd;
	socklen_t n = sizeof type;

	if (is_probe && dup2(STDERR_FILENO, RUNNER_FD) < 0)
		return err_errno(cx, "prepare fd 3");
	if (!is_probe && (getsockopt(RUNNER_FD, SOL_SOCKET, SO_TYPE, &type, &n) || type != SOCK_SEQPACKET))
		return err_set(cx, ERR_INPUT, "fd 3 is not the runner's socket; the runner starts this program");
	if (fcntl(RUNNER_FD, F_SETFD, FD_CLOEXEC))
		return err_errno(cx, "prepare fd 3");
	close_range(RUNNER_FD + 1, ~0u, 0); /* whatever else was inherited is not ours */
	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd < MONITOR_FD_END - 1);
	return fd >= 0 ? OK : err_errno(cx, "open /dev/null");
}

/* A node of its own inside the real one's folder, so that the same file system is tried and a node
 * that works meanwhile is not touched. */
static enum err probe_options(struct ctx *cx, struct launcher_options *opt)
{
	char node[PATH_MAX], cgroup[sizeof opt->cgroup];
	int pid = (int)getpid();

	if ((size_t)snprintf(node, sizeof node, "%s/doctor-%d", opt->node_dir, pid) >= sizeof node ||
	    (size_t)snprintf(cgroup, sizeof cgroup, "%s-doctor-%d", opt->cgroup, pid) >= sizeof cgroup)
		return err_set(cx, ERR_INPUT, "--node or --cgroup is too long");
	memcpy(opt->node_dir, node, sizeof node);
	memcpy(opt->cgroup, cgroup, sizeof cgroup);
	return OK;
}

static void remove_probe_node(const char *dir)
{
	static const char *const below[] = { "lease", "probe/rootfs", "probe", "images/names", "images",
		                             "packages", "jobs" };
	int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; at >= 0 && i < sizeof below / sizeof below[0]; i++)
		if (unlinkat(at, below[i], 0) && errno == EISDIR)
			unlinkat(at, below[i], AT_REMOVEDIR);
	if (at >= 0)
		close(at);
	rmdir(dir);
}

/* Prints a line for each thing tried; 0 if a job can run here. */
static int probe_for_operator(struct ctx *cx, struct launcher_options *opt)
{
	struct launcher l;
	bool works;

	if (probe_options(cx, opt) || launcher_open(cx, opt, &l)) {
		printf("no probe: %s\n", cx->message);
		remove_probe_node(opt->node_dir);
		return 1;
	}
	probe_host(cx, &l);
	works = l.probe.reply.status == LAUNCH_OK;
	fputs(l.probe.text, stdout);
	launcher_close(&l);
	remove_probe_node(opt->node_dir);
	return works ? 0 : 1;
}

int main(int argc, char **argv)
{
	auto_ctx cx = { 0 };
	struct launcher l;
	struct launcher_options opt;
	int signals;

	log_name("stoker-launcher");
	if (options_parse(&cx, argc, argv, &opt) || reserve_fds(&cx, opt.is_probe)) {
		log_error("start", "error=\"%s\"", cx.message);
		return 2;
	}
	if (opt.is_probe)
		return probe_for_operator(&cx, &opt);
	signals = watch_signals();
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* what a dead monitor leaves behind is ours to bury */
	if (launcher_open(&cx, &opt, &l)) {
		log_error("start", "error=\"%s\"", cx.message);
		return 1;
	}
	if (l.starting_max > STARTING_MAX)
		l.starting_max = STARTING_MAX;
	log_info("start", "node=%s slots=%u cgroup=%s stage=%s", opt.node_dir, opt.slots, opt.cgroup,
	         l.host.stage);
	l.network.has_table = true; /* of a launcher that was killed, perhaps */
	if (!attempt_any_is_out(&l))
		network_sweep(&l.network);
	while (turn(&cx, &l, signals))
		;
	if (l.network.has_table && !attempt_any_is_out(&l))
		network_sweep(&l.network);
	launcher_close(&l);
	log_info("stop", "node=%s", opt.node_dir);
	return 0;
}
