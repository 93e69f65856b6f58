/* LAUNCH_IMAGE: what a name means to a daemon. An image that only the node's own store has is given to it. */
#include "worker/launcher/docker.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/json.h"
#include "worker/launcher/swarm.h"
#include "worker/monitor/engine_http.h"

enum { ASK_MS = 30000, LOAD_MS = 600000, ANSWER_MAX = 1 << 20, HEX_ROOM = 65 };
#define GIVEN "stoker-import" /* what the daemon calls them; the tag is the digest in the node's store */

struct question {
	const struct launcher *l;
	enum launch_engine engine;
	char name[LAUNCH_IMAGE_NAME_MAX + 1];
	char answer[ANSWER_MAX];
	struct launch_reply *reply;
};

static uint32_t fail(struct question *q, uint32_t status, const char *what, int http)
{
	char words[160];

	if (http < 0)
		snprintf(words, sizeof words, "%s", strerrordesc_np(-http));
	else
		engine_message(q->answer, words, sizeof words);
	snprintf(q->reply->message, sizeof q->reply->message, "%s: %s", what, words);
	return status;
}

/* The bytes of a name in a URL. */
static void escape(const char *name, char *out)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@";

	for (; *name; name++)
		out += strchr(plain, *name) ? snprintf(out, 2, "%c", *name) : snprintf(out, 4, "%%%02X", (unsigned char)*name);
	*out = '\0';
}

static int inspect(struct question *q, const char *name)
{
	char escaped[3 * LAUNCH_IMAGE_NAME_MAX + 1], target[sizeof escaped + 32];
	const struct engine_question ask = { .socket = q->l->opt.engine[q->engine], .method = "GET", .target = target, .timeout_ms = ASK_MS };

	escape(name, escaped);
	snprintf(target, sizeof target, "/images/%s/json", escaped);
	return engine_ask(&ask, q->answer, sizeof q->answer);
}

/* --- from the node's store ----------------------------------------------------------------------------------- */

/* The folder images/sha256-<hex> that the name stands for; -1 with errno, ENOENT if it stands for none. '/' in the
 * file's name is %2F. */
static int open_stored(const struct question *q, char hex[HEX_ROOM])
{
	char file[3 * LAUNCH_IMAGE_NAME_MAX + 1], text[96], folder[96], *at = file;
	int names = openat(q->l->images, "names", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd, err;
	ssize_t n;

	if (names < 0)
		return -1;

	for (const char *p = q->name; *p; p++)
		at += snprintf(at, 4, *p == '/' ? "%%2F" : "%c", *p);
	*at = '\0';
	errno = ENOENT;
	fd = *file == '.' ? -1 : openat(names, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	err = errno;
	if (fd >= 0)
		close(fd);
	close(names);
	errno = n < 0 ? err : ENOENT;
	if (n < 71 || strncmp(text, "sha256:", 7) != 0)
		return -1;
	snprintf(hex, HEX_ROOM, "%.64s", text + 7);
	if (strspn(hex, "0123456789abcdef") != HEX_ROOM - 1)
		return -1;
	snprintf(folder, sizeof folder, "sha256-%s", hex);
	return openat(q->l->images, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The files as a tar in a file without a name; -1 if that cannot be. */
static int tar_of(const struct question *q, int folder)
{
	int out = openat(q->l->node, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600), status = -1;
	char *const argv[] = { (char *)"tar", (char *)"--numeric-owner", (char *)"-C", (char *)"rootfs", (char *)"-cf", (char *)"-", (char *)".", NULL };
	char *const envp[] = { (char *)LAUNCH_PATH_DEFAULT, NULL };
	pid_t pid = out < 0 ? -1 : fork();

	if (pid == 0) {
		if (fchdir(folder) == 0 && dup2(out, STDOUT_FILENO) >= 0)
			execvpe("tar", argv, envp);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && status == 0)
		return out;
	close(out);
	return -1;
}

/* The id that a daemon tells when an image has come to be: the last "sha256:<64 hex>" of what it says. */
static bool find_id(const char *answer, char id[72])
{
	const char *found = NULL, *at = answer;

	while ((at = strstr(at, "sha256:"))) {
		if (strspn(at + 7, "0123456789abcdef") == 64)
			found = at;
		at += 7;
	}
	if (found)
		snprintf(id, 72, "%.71s", found);
	return found != NULL;
}

/* Podman tells an id as hex alone. */
static void with_kind(const char *id, char out[72])
{
	snprintf(out, 72, "%s%s", strncmp(id, "sha256:", 7) == 0 ? "" : "sha256:", id);
}

/* Given before, for another revision or by another node: a copy for each would fill the daemon's disk. */
static bool was_given(struct question *q, const char *hex, char id[72])
{
	char name[sizeof GIVEN ":" + HEX_ROOM];
	json_t *image;
	const char *found;

	snprintf(name, sizeof name, GIVEN ":%s", hex);
	image = inspect(q, name) == 200 ? json_loads(q->answer, 0, NULL) : NULL;
	found = json_string_value(json_object_get(image, "Id"));
	if (found)
		with_kind(found, id);
	json_decref(image);
	return found;
}

/* Only the files: entrypoint, environment and user are those of our own config.json. */
static uint32_t give(struct question *q, int folder, const char *hex, char id[72])
{
	char target[160];
	struct engine_question load = { .socket = q->l->opt.engine[q->engine], .method = "POST", .target = target,
		                        .type = "application/x-tar", .file = tar_of(q, folder), .timeout_ms = LOAD_MS };
	struct stat st;
	int status;

	if (load.file < 0 || fstat(load.file, &st)) {
		snprintf(q->reply->message, sizeof q->reply->message, "pack the image for the engine: %s", strerrordesc_np(errno));
		return LAUNCH_NODE;
	}
	snprintf(target, sizeof target, "/images/create?fromSrc=-&repo=" GIVEN ":%s", hex);
	load.length = (size_t)st.st_size;
	status = engine_ask(&load, q->answer, sizeof q->answer);
	close(load.file);
	if (status != 200 || !find_id(q->answer, id))
		return fail(q, status < 0 ? LAUNCH_NODE : LAUNCH_FAILED, "give the image to the engine", status);
	return LAUNCH_OK;
}

/* --- what the runner reads: NODE/images/<engine>-<sha256 of the name> ------------------------------------------ */

static bool write_file(const struct question *q, const struct launch_request *rq, const char *text, size_t n)
{
	char hex[2 * sizeof rq->digest + 1], name[96], tmp[112];
	int fd;
	bool done;

	hex_format(rq->digest, sizeof rq->digest, hex);
	snprintf(name, sizeof name, "%s-%s", docker_engine_name(q->engine), hex);
	snprintf(tmp, sizeof tmp, "tmp-%s", name);
	fd = openat(q->l->images, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	done = fd >= 0 && fchown(fd, 0, q->l->opt.runner_gid) == 0 && write(fd, text, n) == (ssize_t)n;
	if (fd >= 0)
		close(fd);
	return done && renameat(q->l->images, tmp, q->l->images, name) == 0;
}

/* { "Id": …, "Config": { Entrypoint, Cmd, Env, WorkingDir, User } } */
static uint32_t put(struct question *q, const struct launch_request *rq, const char *id, json_t *config)
{
	json_t *whole = json_pack("{s:s, s:O}", "Id", id, "Config", config);
	char *text = json_dumps(whole, JSON_COMPACT);
	bool done = text && write_file(q, rq, text, strlen(text));

	json_decref(whole);
	free(text);
	if (done)
		return LAUNCH_OK;
	snprintf(q->reply->message, sizeof q->reply->message, "write what the engine says of the image: %s", strerrordesc_np(errno));
	return LAUNCH_NODE;
}

/* What it declares to be writable would be on the host's disk, without limit. */
static bool has_volumes(const json_t *config)
{
	return json_object_size(json_object_get(config, "Volumes")) > 0;
}

static uint32_t take_answer(struct question *q, const struct launch_request *rq)
{
	json_t *image = json_loads(q->answer, 0, NULL);
	json_t *config = json_object_get(image, "Config");
	const char *id = json_string_value(json_object_get(image, "Id"));
	char with[72];

	if (!id || !json_is_object(config)) {
		snprintf(q->reply->message, sizeof q->reply->message, "the engine's answer about the image makes no sense");
		return LAUNCH_NODE;
	}
	if (has_volumes(config)) {
		snprintf(q->reply->message, sizeof q->reply->message,
		         "the image declares volumes, which the engine %s would keep on the node's disk without a limit",
		         docker_engine_name(q->engine));
		return LAUNCH_FAILED;
	}
	with_kind(id, with);
	if (q->engine == LAUNCH_ENGINE_SWARM)
		swarm_note_reference(q->l, with, json_string_value(json_array_get(json_object_get(image, "RepoDigests"), 0)));
	return put(q, rq, with, config);
}

/* What a node may lack for a while; whatever else is wrong with a name is the name's. */
static bool is_want(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOSPC || err == EIO;
}

static uint32_t take_stored(struct question *q, const struct launch_request *rq)
{
	char id[72], hex[HEX_ROOM], text[65536];
	int folder = open_stored(q, hex), fd;
	uint32_t status = LAUNCH_OK;
	json_t *config = NULL;
	ssize_t n;

	if (folder < 0 && is_want(errno)) {
		snprintf(q->reply->message, sizeof q->reply->message, "look for the image on this node: %s", strerrordesc_np(errno));
		return LAUNCH_NODE;
	}
	if (folder < 0) {
		snprintf(q->reply->message, sizeof q->reply->message, "neither the engine %s nor this node has an image %.100s",
		         docker_engine_name(q->engine), q->name);
		return LAUNCH_FAILED;
	}
	if (!was_given(q, hex, id))
		status = give(q, folder, hex, id);
	fd = openat(folder, "config.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	n = fd < 0 ? -1 : read(fd, text, sizeof text);
	if (n > 0)
		config = json_loadb(text, (size_t)n, 0, NULL);
	return status ? status : put(q, rq, id, config ? config : json_object());
}

/* No daemon can have it, whenever it is asked again: 400 and a redirect of Docker's, 500 with these words of Podman's,
 * which it has for names that are none. */
static bool is_unknown(const struct question *q, int status)
{
	return status == 404 || status == 400 || status / 100 == 3 || (status == 500 && strstr(q->answer, "normalizing image"));
}

static uint32_t find_image(struct question *q, const struct launch_request *rq)
{
	int status = inspect(q, q->name);

	if (status == 200)
		return take_answer(q, rq);
	if (is_unknown(q, status))
		return take_stored(q, rq);
	return fail(q, LAUNCH_NODE, "ask the engine for the image", status);
}

static _Noreturn void image_child(const struct launcher *l, const struct launch_request *rq, int name, int runner)
{
	struct launch_reply r = { .magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION, .op = LAUNCH_IMAGE };
	struct question *q = calloc(1, sizeof *q);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	memcpy(r.task, rq->task, sizeof r.task);
	if (!q || pread(name, q->name, LAUNCH_IMAGE_NAME_MAX, 0) < 0)
		_exit(1);
	q->l = l;
	q->engine = rq->engine;
	q->reply = &r;
	r.status = find_image(q, rq);
	_exit(!launcher_answer(runner, &r, sizeof r));
}

enum err docker_image(struct ctx *cx, const struct launcher *l, const struct launch_request *rq,
                      const struct launch_fds *fds, int runner, pid_t *child)
{
	TRY(request_check_image(cx, l, rq, fds));
	*child = fork();
	if (*child == 0)
		image_child(l, rq, fds->fd[0], runner);
	return *child > 0 ? OK : err_errno(cx, "start the question for an image");
}
