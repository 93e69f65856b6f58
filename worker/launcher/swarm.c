#include "worker/launcher/swarm.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/json.h"
#include "worker/launcher/docker.h"
#include "worker/monitor/engine_http.h"
#include "worker/monitor/init_link.h"
#include "worker/monitor/init_orders.h"

enum { ASK_MS = 30000, PROBE_MS = 3000, LIST_MAX = 16 << 20, NAME_DIGITS = 32, GRACE_MORE_S = 10, INIT_MAX = 4 << 20 };
#define LABEL_NODE_FILTER "?filters=%7B%22label%22%3A%5B%22" DOCKER_LABEL_NODE "%22%5D%7D"
/* What the log driver may keep of one job on the disk of its node: head, tail and base64 are less. */
#define LOG_BYTES_FILE "64m"

/* One config for all that have the same stoker-init. */
static enum err name_init(struct ctx *cx, struct launcher *l)
{
	unsigned char digest[SHA256_BYTES];
	char hex[2 * sizeof digest + 1];
	int fd = open(l->init_path, O_RDONLY | O_CLOEXEC);
	char *bytes = malloc(INIT_MAX);
	ssize_t n = fd < 0 || !bytes ? -1 : read(fd, bytes, INIT_MAX);

	if (fd >= 0)
		close(fd);
	if (n > 0)
		crypt_sha256(str_bytes(bytes, (size_t)n), digest);
	free(bytes);
	if (n <= 0)
		return err_errno(cx, "read %s", l->init_path);
	hex_format(digest, sizeof digest, hex);
	snprintf(l->swarm_init, sizeof l->swarm_init, "stoker-init-%.*s", NAME_DIGITS, hex);
	return OK;
}

/* A swarm has many hosts, whose folders may have the same path. */
enum err swarm_open(struct ctx *cx, struct launcher *l)
{
	char host[HOST_NAME_MAX + 1] = "";

	if (!l->opt.engine[LAUNCH_ENGINE_SWARM][0])
		return OK;
	if (gethostname(host, sizeof host - 1))
		return err_errno(cx, "ask for the host's name");
	snprintf(l->swarm_label, sizeof l->swarm_label, "%s:%s", host, l->node_path);
	return name_init(cx, l);
}

/* --- images: NODE/images/swarm-ref-<hex of the id> ------------------------------------------------------ */

enum { REFERENCE_MAX = 512 };
#define REFERENCE_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@"

void swarm_note_reference(const struct launcher *l, const char *id, const char *reference)
{
	char name[96], tmp[112];
	int fd;
	bool done;

	snprintf(name, sizeof name, "swarm-ref-%.64s", id + strlen("sha256:"));
	snprintf(tmp, sizeof tmp, "tmp-%s", name);
	if (!reference || strlen(reference) >= REFERENCE_MAX || strspn(reference, REFERENCE_LETTERS) != strlen(reference)) {
		unlinkat(l->images, name, 0);
		return;
	}
	fd = openat(l->images, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	done = fd >= 0 && write(fd, reference, strlen(reference)) == (ssize_t)strlen(reference);
	if (fd >= 0)
		close(fd);
	if (done)
		renameat(l->images, tmp, l->images, name);
}

/* What its nodes are to call the image: by what a registry has it under, else by its id. */
static const char *image_name(struct ctx *cx, const struct launcher *l, const struct launch_request *rq)
{
	char digest[2 * sizeof rq->digest + 1], name[96], text[REFERENCE_MAX];
	ssize_t n;
	int fd;

	hex_format(rq->digest, sizeof rq->digest, digest);
	snprintf(name, sizeof name, "swarm-ref-%s", digest);
	fd = openat(l->images, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? arena_text(&cx->arena, text) : arena_printf(&cx->arena, "sha256:%s", digest);
}

/* --- the service ---------------------------------------------------------------------------------------- */

static json_t *labels_of(const struct launcher *l, const struct monitor_setup *s)
{
	char task[2 * sizeof s->request.task + 1];

	hex_format(s->request.task, sizeof s->request.task, task);
	return json_pack("{s:s, s:s, s:s}", DOCKER_LABEL_NODE, l->swarm_label, "stoker.attempt", s->id, "stoker.task", task);
}

/* stoker-init puts its own over them, of which owner and number of files are limited, too. */
static json_t *tmpfs(const char *target, uint64_t bytes)
{
	return json_pack("{s:s, s:s, s:{s:I, s:i}}", "Type", "tmpfs", "Target", target, "TmpfsOptions", "SizeBytes", (json_int_t)bytes,
	                 "Mode", 01777);
}

static json_t *container(struct ctx *cx, const struct launcher *l, const struct monitor_setup *s)
{
	const struct launch_request *rq = &s->request;
	char task[2 * sizeof rq->task + 1];
	json_t *c;

	hex_format(rq->task, sizeof rq->task, task);
	c = json_pack("{s:s, s:[s, s], s:s, s:s, s:s, s:[s], s:b, s:s, s:I, s:{s:[s]}, s:s, s:s}",
	              "Image", image_name(cx, l, rq), "Command", INIT_PATH, INIT_ORDERS, "User", "0:0",
	              "Hostname", task, "Dir", "/", "Env", LAUNCH_PATH_DEFAULT, "ReadOnly", 1, "StopSignal", "SIGTERM",
	              "StopGracePeriod", ((json_int_t)rq->grace_ms + GRACE_MORE_S * 1000) * 1000000, "Healthcheck", "Test", "NONE",
	              "Configs", "@config", "Secrets", "@secrets");
	json_object_set_new(c, "Labels", labels_of(l, s));
	json_object_set_new(c, "CapabilityDrop", json_pack("[s]", "ALL"));
	json_object_set_new(c, "CapabilityAdd", json_pack("[s, s, s, s, s]", "CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SETUID", "CAP_SETGID",
	                                                  "CAP_SETPCAP"));
	json_object_set_new(c, "Ulimits", docker_limits(&l->host, rq));
	json_object_set_new(c, "Mounts", json_pack("[o, o, o]", tmpfs("/tmp", rq->scratch_bytes), tmpfs(LAUNCH_TASK_DIR, rq->scratch_bytes),
	                                           tmpfs("/mnt", 65536)));
	return c;
}

static json_t *resources(const struct host *host, const struct launch_request *rq)
{
	json_t *limits = json_object();

	json_object_set_new(limits, "MemoryBytes", json_integer((json_int_t)rq->memory_bytes));
	if (host->has_pids) /* one more for stoker-init */
		json_object_set_new(limits, "Pids", json_integer((json_int_t)rq->pids + 1));
	if (rq->cpu_millis)
		json_object_set_new(limits, "NanoCPUs", json_integer((json_int_t)rq->cpu_millis * 1000000));
	return json_pack("{s:o}", "Limits", limits);
}

static json_t *service(struct ctx *cx, const struct launcher *l, const struct monitor_setup *s)
{
	json_t *task = json_pack("{s:o, s:o, s:{s:s, s:i}, s:{s:s}, s:{s:s, s:{s:s, s:s, s:s}}}",
	                         "ContainerSpec", container(cx, l, s), "Resources", resources(&l->host, &s->request),
	                         "RestartPolicy", "Condition", "none", "MaxAttempts", 0, "Placement", "Constraints", "@constraints",
	                         "LogDriver", "Name", "local", "Options", "max-size", LOG_BYTES_FILE, "max-file", "2", "compress", "false");

	return json_pack("{s:s, s:o, s:o, s:{s:{s:s}}, s:{s:i, s:s}}", "Name", arena_printf(&cx->arena, DOCKER_NAME "%s", s->id),
	                 "Labels", labels_of(l, s), "TaskTemplate", task, "Mode", "Replicated", "Replicas", "@replicas",
	                 "UpdateConfig", "Parallelism", 1, "Order", "stop-first");
}

static void add_text(struct buf *out, json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(j);
	if (!text)
		abort();
	buf_text(out, text);
	free(text);
}

enum err swarm_format(struct ctx *cx, const struct launcher *l, const struct monitor_setup *s, struct buf *out)
{
	buf_printf(out, "%s\n%.*s\n", l->swarm_init, (int)l->parts.bpf.n, l->parts.bpf.p);
	add_text(out, labels_of(l, s));
	buf_char(out, '\n');
	add_text(out, service(cx, l, s));
	return OK;
}

/* --- strays, and what the doctor says --------------------------------------------------------------------------- */

static int ask(const struct launcher *l, const char *method, const char *target, int timeout_ms, char *out, size_t room)
{
	const struct engine_question q = { .socket = l->opt.engine[LAUNCH_ENGINE_SWARM], .method = method, .target = target,
		                           .timeout_ms = timeout_ms };

	return engine_ask(&q, out, room);
}

/* The label is asked for, and compared again: nothing of others is touched whatever the manager makes of filters. */
static bool is_stray(const struct launcher *l, const json_t *labels, const char *id)
{
	const char *node = json_string_value(json_object_get(labels, DOCKER_LABEL_NODE));
	const char *attempt = json_string_value(json_object_get(labels, "stoker.attempt"));

	return id && node && attempt && strcmp(node, l->swarm_label) == 0 && strlen(id) <= 64 && docker_is_stray(l, attempt);
}

static void sweep_kind(const struct launcher *l, const char *kind, char *list)
{
	char target[192], answer[1024];
	json_t *all;

	snprintf(target, sizeof target, "/%s%s", kind, LABEL_NODE_FILTER);
	all = ask(l, "GET", target, ASK_MS, list, LIST_MAX) == 200 ? json_loads(list, 0, NULL) : NULL;
	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *one = json_array_get(all, i);
		const char *id = json_string_value(json_object_get(one, "ID"));

		if (!is_stray(l, json_object_get(json_object_get(one, "Spec"), "Labels"), id))
			continue;
		snprintf(target, sizeof target, "/%s/%s", kind, id);
		ask(l, "DELETE", target, ASK_MS, answer, sizeof answer);
	}
	json_decref(all);
}

/* A swarm leaves it at one try to take a container away. What that left on the manager's own node is asked for again. */
static void sweep_containers(const struct launcher *l, char *list)
{
	static const char *const over[] = { "dead", "removing", "exited" };
	char target[192], answer[1024];
	json_t *all = ask(l, "GET", "/containers/json" LABEL_NODE_FILTER "&all=true", ASK_MS, list, LIST_MAX) == 200 ?
	                      json_loads(list, 0, NULL) : NULL;

	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *one = json_array_get(all, i);
		const char *id = json_string_value(json_object_get(one, "Id")), *state = json_string_value(json_object_get(one, "State"));
		bool is_over = false;

		for (size_t k = 0; state && k < sizeof over / sizeof over[0]; k++)
			is_over |= strcmp(state, over[k]) == 0;
		if (!is_over || !is_stray(l, json_object_get(one, "Labels"), id))
			continue;
		snprintf(target, sizeof target, "/containers/%s?force=true&v=true", id);
		ask(l, "DELETE", target, ASK_MS, answer, sizeof answer);
	}
	json_decref(all);
}

void swarm_sweep(const struct launcher *l)
{
	char *list = malloc(LIST_MAX);

	if (!list)
		return;
	sweep_kind(l, "services", list); /* first: secrets in use cannot be removed */
	sweep_kind(l, "secrets", list);
	sweep_containers(l, list);
	free(list);
}

void swarm_probe(const struct launcher *l, char *text, size_t room)
{
	char answer[65536];
	int status = ask(l, "GET", "/info", PROBE_MS, answer, sizeof answer);
	json_t *info = status == 200 ? json_loads(answer, 0, NULL) : NULL, *swarm = json_object_get(info, "Swarm");
	const char *socket = l->opt.engine[LAUNCH_ENGINE_SWARM];

	if (status < 0)
		snprintf(text, room, "no swarm: %s at %s\n", strerrordesc_np(-status), socket);
	else if (!json_is_true(json_object_get(swarm, "ControlAvailable")))
		snprintf(text, room, "no swarm: the daemon at %s is no manager of a swarm\n", socket);
	else
		snprintf(text, room, "ok swarm: version %s manages a swarm of %lld nodes at %s\n",
		         json_string_value(json_object_get(info, "ServerVersion")),
		         (long long)json_integer_value(json_object_get(swarm, "Nodes")), socket);
	json_decref(info);
}
