#include "worker/launcher/docker.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/json.h"
#include "worker/launcher/swarm.h"
#include "worker/monitor/engine_http.h"
#include "worker/monitor/init_link.h"

enum { BACKLOG = 4, ASK_MS = 30000, PROBE_MS = 3000, LIST_MAX = 16 << 20, PROCESSES_MOST = 1 << 15 };
#define SECCOMP_FILE "seccomp.json"
#define TASK_OPTIONS "rw,exec,nosuid,nodev"

const char *docker_engine_name(enum launch_engine engine)
{
	static const char *const names[LAUNCH_ENGINE_END] = { "oci", "docker", "podman", "swarm" };

	return names[engine];
}

/* Podman wants a path where Docker wants the text. */
enum err docker_open(struct ctx *cx, struct launcher *l)
{
	int fd;
	bool done;

	if (!l->opt.engine[LAUNCH_ENGINE_PODMAN][0])
		return OK;
	fd = openat(l->node, SECCOMP_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	done = fd >= 0 && write(fd, l->parts.seccomp.p, l->parts.seccomp.n) == (ssize_t)l->parts.seccomp.n;
	if (fd >= 0)
		close(fd);
	return done ? OK : err_errno(cx, "write " SECCOMP_FILE);
}

enum err docker_listen(struct ctx *cx, int dir, int *out)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/link", dir);
	/* for the job's user, whoever that is; nobody else gets through the folder */
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || fchmodat(dir, "link", 0666, 0) || listen(fd, BACKLOG)) {
		if (fd >= 0)
			close(fd);
		return err_errno(cx, "make the socket for stoker-init");
	}
	*out = fd;
	return OK;
}

/* --- the container ------------------------------------------------------------------------------------ */

static json_t *mount_of(const char *source, const char *target, bool is_read_only)
{
	return json_pack("{s:s, s:s, s:s, s:b}", "Type", "bind", "Source", source, "Target", target, "ReadOnly", is_read_only);
}

static json_t *mounts(struct ctx *cx, const struct launcher *l, const char *id)
{
	const char *link = arena_printf(&cx->arena, "%s/jobs/%s/link", l->node_path, id);

	return json_pack("[o, o]", mount_of(l->init_path, INIT_PATH, true), mount_of(link, INIT_LINK_PATH, true));
}

/* Podman knows neither owners nor a number of files, nor takes another /dev; there who is not root needs a /task that is not the image's. */
static json_t *writable(struct ctx *cx, const struct launcher *l, const struct launch_request *rq)
{
	struct arena *a = &cx->arena;
	unsigned long long size = rq->scratch_bytes;
	bool is_podman = rq->engine == LAUNCH_ENGINE_PODMAN;
	const char *files = is_podman ? "" : arena_printf(a, ",nr_inodes=%llu", size / 4096);
	const char *owner = is_podman ? "" : arena_printf(a, ",uid=%u,gid=%u", rq->uid, rq->gid);

	json_t *all;

	(void)l;
	all = json_pack("{s:s, s:s, s:s}",
	                 "/tmp", arena_printf(a, TASK_OPTIONS ",mode=1777,size=%llu%s", size, files),
	                 LAUNCH_TASK_DIR, arena_printf(a, TASK_OPTIONS ",mode=%s,size=%llu%s%s", is_podman ? "1777" : "755", size, files, owner),
	                 "/mnt", arena_printf(a, TASK_OPTIONS ",mode=1777,size=65536%s", owner));
	if (!is_podman) { /* as oci has them */
		json_object_set_new(all, "/dev/shm", json_string("rw,noexec,nosuid,nodev,mode=1777,size=64m,nr_inodes=16384"));
		json_object_set_new(all, "/dev", json_string("rw,dev,noexec,nosuid,strictatime,mode=755,size=512k,nr_inodes=256"));
	}
	return all;
}

static json_t *limit_of(const char *name, unsigned long long soft, unsigned long long hard)
{
	return json_pack("{s:s, s:I, s:I}", "Name", name, "Soft", (json_int_t)soft, "Hard", (json_int_t)hard);
}

/* Podman has a default of its own for processes, which may be more than we could give. */
json_t *docker_limits(const struct host *host, const struct launch_request *rq)
{
	struct file_limits f;
	struct rlimit processes;

	spec_file_limits(host, rq, &f);
	if (getrlimit(RLIMIT_NPROC, &processes) || processes.rlim_max > PROCESSES_MOST)
		processes.rlim_max = PROCESSES_MOST; /* the cgroup's limit is the one that holds */
	return json_pack("[o, o, o, o]", limit_of("nofile", f.open_soft, f.open_hard), limit_of("fsize", f.size, f.size),
	                 limit_of("core", 0, 0), limit_of("nproc", processes.rlim_max, processes.rlim_max));
}

/* Podman's own list of what is masked is shorter, and it does not heed MaskedPaths. */
static const char *podman_masks(struct ctx *cx)
{
	json_t *paths = json_loads("[" SPEC_MASKED_PATHS "]", 0, NULL), *path;
	const char *all = "mask=";
	size_t i;

	json_array_foreach(paths, i, path)
		all = arena_printf(&cx->arena, "%s%s%s", all, i ? ":" : "", json_string_value(path));
	json_decref(paths);
	return all;
}

static json_t *security(struct ctx *cx, const struct launcher *l, const struct launch_request *rq)
{
	if (rq->engine == LAUNCH_ENGINE_PODMAN)
		return json_pack("[s, s, s]", "no-new-privileges", arena_printf(&cx->arena, "seccomp=%s/" SECCOMP_FILE, l->node_path),
		                 podman_masks(cx));
	return json_pack("[s, s]", "no-new-privileges",
	                 arena_printf(&cx->arena, "seccomp=%.*s", (int)l->parts.seccomp.n, l->parts.seccomp.p));
}

static void add_resources(const struct host *host, const struct launch_request *rq, json_t *to)
{
	struct cpu_quota quota;

	spec_cpu_quota(rq->cpu_millis, &quota);
	if (host->has_memory)
		json_object_set_new(to, "Memory", json_integer((json_int_t)rq->memory_bytes));
	if (host->has_memory && host->has_swap)
		json_object_set_new(to, "MemorySwap", json_integer((json_int_t)rq->memory_bytes));
	if (host->has_pids) /* one more for stoker-init */
		json_object_set_new(to, "PidsLimit", json_integer((json_int_t)rq->pids + 1));
	if (host->has_cpu)
		json_object_set_new(to, "CpuShares", json_integer(quota.shares));
	if (host->has_cpu && rq->cpu_millis) {
		json_object_set_new(to, "CpuPeriod", json_integer(quota.period_us));
		json_object_set_new(to, "CpuQuota", json_integer((json_int_t)quota.quota_us));
	}
}

static json_t *host_config(struct ctx *cx, const struct launcher *l, const struct monitor_setup *s)
{
	const struct launch_request *rq = &s->request;
	json_t *h = json_pack("{s:s, s:s, s:s, s:[s], s:b, s:b, s:i, s:i}", "NetworkMode", "none", "IpcMode", "private", "CgroupnsMode", "private", "CapDrop", "ALL",
	                      "ReadonlyRootfs", 1, "Init", 0, "OomScoreAdj", SPEC_OOM_SCORE, "ShmSize", 64 << 20);

	json_object_set_new(h, "SecurityOpt", security(cx, l, rq));
	json_object_set_new(h, "Ulimits", docker_limits(&l->host, rq));
	json_object_set_new(h, "Tmpfs", writable(cx, l, rq));
	json_object_set_new(h, "Mounts", mounts(cx, l, s->id));
	json_object_set_new(h, "MaskedPaths", json_loads("[" SPEC_MASKED_PATHS "]", 0, NULL));
	json_object_set_new(h, "ReadonlyPaths", json_loads("[" SPEC_READONLY_PATHS "]", 0, NULL));
	json_object_set_new(h, "LogConfig", json_pack("{s:s}", "Type", "none")); /* its output is ours alone */
	json_object_set_new(h, "RestartPolicy", json_pack("{s:s}", "Name", "no"));
	add_resources(&l->host, rq, h);
	return h;
}

enum err docker_format(struct ctx *cx, const struct launcher *l, const struct monitor_setup *s, struct buf *out)
{
	const struct launch_request *rq = &s->request;
	char digest[2 * sizeof rq->digest + 1], task[2 * sizeof rq->task + 1];
	char *text;
	json_t *c;

	hex_format(rq->digest, sizeof rq->digest, digest);
	hex_format(rq->task, sizeof rq->task, task);
	/* KILL when the daemon stops: what it says would come too late to matter, since the attempt is given back */
	c = json_pack("{s:s, s:[s, s], s:[], s:s, s:s, s:s, s:[s], s:s, s:{s:[s]}, s:{s:s, s:s}}",
	              "Image", arena_printf(&cx->arena, "sha256:%s", digest), "Entrypoint", INIT_PATH, INIT_CONNECT, "Cmd",
	              "User", arena_printf(&cx->arena, "%u:%u", rq->uid, rq->gid), "Hostname", task, "WorkingDir", "/",
	              "Env", LAUNCH_PATH_DEFAULT, "StopSignal", "SIGKILL", "Healthcheck", "Test", "NONE",
	              "Labels", DOCKER_LABEL_NODE, l->node_path, "stoker.attempt", s->id);
	json_object_set_new(c, "HostConfig", host_config(cx, l, s));
	text = json_dumps(c, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(c);
	if (!text)
		return err_set(cx, ERR_INTERNAL, "write what is asked of the engine: no memory");
	buf_text(out, text);
	free(text);
	return OK;
}

/* --- asking: only in children -------------------------------------------------------------------------- */

static int ask(const struct launcher *l, enum launch_engine engine, const char *method, const char *target, char *out, size_t room)
{
	const struct engine_question q = { .socket = l->opt.engine[engine], .method = method, .target = target, .timeout_ms = ASK_MS };

	return engine_ask(&q, out, room);
}

void docker_probe(const struct launcher *l, char *text, size_t room)
{
	for (enum launch_engine e = LAUNCH_ENGINE_DOCKER; e < LAUNCH_ENGINE_END; e++) {
		const struct engine_question q = { .socket = l->opt.engine[e], .method = "GET", .target = "/version", .timeout_ms = PROBE_MS };
		size_t n = strlen(text);
		char answer[8192];
		json_t *version;
		int status;

		if (!*q.socket)
			continue;
		if (e == LAUNCH_ENGINE_SWARM) {
			swarm_probe(l, text + n, room - n);
			continue;
		}
		status = engine_ask(&q, answer, sizeof answer);
		version = status == 200 ? json_loads(answer, 0, NULL) : NULL;
		if (version)
			snprintf(text + n, room - n, "ok %s: version %s answers at %s\n", docker_engine_name(e),
			         json_string_value(json_object_get(version, "Version")), q.socket);
		else
			snprintf(text + n, room - n, "no %s: %s at %s\n", docker_engine_name(e),
			         status < 0 ? strerrordesc_np(-status) : "no version is told", q.socket);
		json_decref(version);
	}
}

/* --- strays ------------------------------------------------------------------------------------------------ */

/* Of an attempt whose monitor lives it is that one's. */
bool docker_is_stray(const struct launcher *l, const char *id)
{
	int dir = *id && !strchr(id, '/') ? openat(l->jobs, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	bool lives = dir >= 0 && attempt_is_watched(dir);

	if (dir >= 0)
		close(dir);
	return !lives;
}

static void sweep_one(const struct launcher *l, enum launch_engine engine, const json_t *container)
{
	const json_t *labels = json_object_get(container, "Labels");
	const char *id = json_string_value(json_object_get(container, "Id"));
	const char *node = json_string_value(json_object_get(labels, DOCKER_LABEL_NODE));
	const char *attempt = json_string_value(json_object_get(labels, "stoker.attempt"));
	char target[160], answer[1024];

	if (!id || !node || !attempt || strcmp(node, l->node_path) != 0 || strlen(id) > 64 || !docker_is_stray(l, attempt))
		return;
	snprintf(target, sizeof target, "/containers/%s?force=true&v=true", id);
	ask(l, engine, "DELETE", target, answer, sizeof answer);
}

/* The label is asked for, and compared again: nothing of others is touched whatever the daemon makes of filters. */
static _Noreturn void sweep_child(const struct launcher *l, enum launch_engine engine)
{
	char *list;
	json_t *containers;

	if (engine == LAUNCH_ENGINE_SWARM) {
		swarm_sweep(l);
		_exit(0);
	}
	list = malloc(LIST_MAX);
	if (!list || ask(l, engine, "GET", "/containers/json?all=true&filters=%7B%22label%22%3A%5B%22" DOCKER_LABEL_NODE "%22%5D%7D",
	                 list, LIST_MAX) != 200)
		_exit(1);
	containers = json_loads(list, 0, NULL);
	for (size_t i = 0; i < json_array_size(containers); i++)
		sweep_one(l, engine, json_array_get(containers, i));
	_exit(0);
}

void docker_sweep(struct launcher *l)
{
	for (enum launch_engine e = LAUNCH_ENGINE_DOCKER; e < LAUNCH_ENGINE_END; e++) {
		if (!l->opt.engine[e][0] || l->sweeper[e])
			continue;
		l->sweeper[e] = fork();
		if (l->sweeper[e] == 0)
			sweep_child(l, e);
		if (l->sweeper[e] < 0)
			l->sweeper[e] = 0;
	}
}
