#include "worker/engine/launcher_link.h"

#include "base/buf.h"
#include "base/crypt.h"
#include "base/fault_point.h"
#include "model/relaxation.h"
#include "worker/launcher/launch_request.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PROBE_MS_MAX = 60000 };

/* A request that waits for room in the socket. */
struct ask {
	struct ask *next;
	struct launch_request rq;
	int fds[LAUNCH_FDS_MAX], fd_count;
};

struct engine {
	struct loop *loop;
	struct loop_watch *watch;
	int channel, ctl;
	struct ask *first, **last;
	const struct engine_events *events;
	void *arg;
};

/* --- sending ------------------------------------------------------------------------------------ */

static void ask_free(struct ask *a)
{
	for (int i = 0; i < a->fd_count; i++)
		close(a->fds[i]);
	free(a);
}

static struct ask *ask_new(enum launch_op op, const struct attempt_key *key)
{
	struct ask *a = calloc(1, sizeof *a);

	if (!a)
		abort();
	a->rq = (struct launch_request){ .magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION, .op = (uint16_t)op };
	if (key) {
		memcpy(a->rq.task, key->task.b, sizeof a->rq.task);
		a->rq.attempt = key->attempt;
	}
	return a;
}

static bool send_one(struct engine *e, struct ask *a)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * LAUNCH_FDS_MAX)];
	} control = { 0 };
	struct iovec v = { &a->rq, sizeof a->rq };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	if (a->fd_count) {
		struct cmsghdr *c;

		m.msg_control = control.room;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)a->fd_count);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)a->fd_count);
		memcpy(CMSG_DATA(c), a->fds, sizeof(int) * (size_t)a->fd_count);
	}
	FAULT_POINT("ask_launcher", "before_send");
	if (sendmsg(e->channel, &m, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof a->rq)
		return false;
	FAULT_POINT("ask_launcher", "after_send");
	return true;
}

/* No room in the socket, or no memory for the moment. */
static bool is_passing(int err)
{
	return err == EAGAIN || err == EINTR || err == ETOOMANYREFS || err == ENOBUFS || err == ENOMEM;
}

/* Sends what fits; the rest goes when the socket has room. A broken socket shows when it is read. */
static void flush(struct engine *e)
{
	while (e->first) {
		struct ask *a = e->first;

		if (!send_one(e, a) && is_passing(errno))
			break;
		e->first = a->next;
		if (!e->first)
			e->last = &e->first;
		ask_free(a);
	}
	if (e->watch)
		loop_change(e->loop, e->watch, e->first ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void ask(struct engine *e, struct ask *a)
{
	*e->last = a;
	e->last = &a->next;
	flush(e);
}

/* --- what the job is given: sealed memfds ------------------------------------------------------- */

static enum err filled(struct ctx *cx, const char *name, struct str bytes, int *out)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_errno(cx, "make a memfd for %s", name);
	for (size_t done = 0; done < bytes.n;) {
		ssize_t n = write(fd, bytes.p + done, bytes.n - done);

		if (n <= 0) {
			close(fd);
			return err_errno(cx, "fill the memfd for %s", name);
		}
		done += (size_t)n;
	}
	*out = fd;
	return OK;
}

/* The request's from here on, also if it cannot be sealed. */
static enum err add_memfd(struct ctx *cx, struct ask *a, const char *name, int fd)
{
	a->fds[a->fd_count++] = fd;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
		return err_errno(cx, "seal the memfd for %s", name);
	return OK;
}

static enum err add_sealed(struct ctx *cx, struct ask *a, const char *name, struct str bytes)
{
	int fd;

	TRY(filled(cx, name, bytes, &fd));
	return add_memfd(cx, a, name, fd);
}

static enum err add_word(struct ctx *cx, struct buf *spec, struct str word, const char *what)
{
	if (word.n && memchr(word.p, '\0', word.n))
		return err_set(cx, ERR_INPUT, "%s holds a NUL byte", what);
	buf_str(spec, word);
	buf_char(spec, '\0');
	return OK;
}

static enum err add_spec(struct ctx *cx, struct ask *a, const struct engine_launch *what)
{
	auto_buf spec = { .ceiling = LAUNCH_SPEC_MAX };

	for (size_t i = 0; i < what->argc; i++)
		TRY(add_word(cx, &spec, what->argv[i], "an argument"));
	for (size_t i = 0; i < what->envc; i++)
		TRY(add_word(cx, &spec, what->env[i], "an environment variable"));
	TRY(add_word(cx, &spec, what->workdir, "the working directory"));
	if (spec.full || what->argc > LAUNCH_STRINGS_MAX || what->envc > LAUNCH_STRINGS_MAX)
		return err_set(cx, ERR_INPUT, "arguments and environment are larger than %u bytes or %u words",
		               LAUNCH_SPEC_MAX, LAUNCH_STRINGS_MAX);
	return add_sealed(cx, a, "spec", buf_view(&spec));
}

#define X(name, word) _Static_assert((int)LAUNCH_RELAX_##name == (int)RELAX_##name, "one list");
RELAXATIONS(X)
#undef X
_Static_assert((int)LAUNCH_RELAX_COUNT == (int)RELAX_COUNT, "one list");

static void fill(struct launch_request *rq, const struct engine_launch *w)
{
	rq->slot = w->slot;
	memcpy(rq->digest, w->digest, sizeof rq->digest);
	rq->has_package = w->package != NULL;
	if (w->package)
		memcpy(rq->package_digest, w->package, sizeof rq->package_digest);
	rq->memory_bytes = (uint64_t)w->memory_bytes;
	rq->scratch_bytes = (uint64_t)w->scratch_bytes;
	rq->timeout_ms = (uint64_t)w->timeout_ms;
	rq->head_max = (uint64_t)w->head_max;
	rq->tail_max = (uint64_t)w->tail_max;
	rq->grace_ms = (uint32_t)w->grace_ms;
	rq->pids = (uint32_t)w->pids;
	rq->cpu_millis = (uint32_t)w->cpu_millis;
	rq->network = (uint8_t)w->network;
	rq->on_disk = w->is_on_disk;
	rq->flags = w->is_merged ? LAUNCH_MERGED_OUTPUT : 0;
	rq->relaxed = (uint16_t)w->relaxed;
	rq->uid = w->uid;
	rq->gid = w->gid;
	rq->argc = (uint32_t)w->argc;
	rq->envc = (uint32_t)w->envc;
	rq->payload_fd = 1;
	rq->config_fd = w->config.p != NULL;
}

enum err link_launch(struct engine *e, struct ctx *cx, const struct engine_launch *what, enum launch_engine engine)
{
	struct ask *a = ask_new(LAUNCH_LAUNCH, &what->key);
	enum err err;

	fill(&a->rq, what);
	a->rq.engine = (uint8_t)engine;
	err = add_spec(cx, a, what);
	if (err)
		close(what->payload);
	else
		err = add_memfd(cx, a, "payload", what->payload);
	if (!err && what->config.p)
		err = add_sealed(cx, a, "config", what->config);
	if (err) {
		ask_free(a);
		return err;
	}
	ask(e, a);
	return OK;
}

void link_remove(struct engine *e, const struct attempt_key *key)
{
	ask(e, ask_new(LAUNCH_REMOVE, key));
}

void link_unpack(struct engine *e, const unsigned char digest[SHA256_BYTES])
{
	struct ask *a = ask_new(LAUNCH_UNPACK, NULL);

	memcpy(a->rq.digest, digest, sizeof a->rq.digest);
	memcpy(a->rq.task, digest, sizeof a->rq.task);
	ask(e, a);
}

enum err link_image(struct engine *e, struct ctx *cx, struct str name, const unsigned char key[SHA256_BYTES],
                    enum launch_engine engine)
{
	struct ask *a = ask_new(LAUNCH_IMAGE, NULL);
	enum err err;

	crypt_sha256(name, a->rq.digest);
	memcpy(a->rq.task, key, sizeof a->rq.task);
	a->rq.engine = (uint8_t)engine;
	err = add_sealed(cx, a, "the image's name", name);
	if (err)
		ask_free(a);
	else
		ask(e, a);
	return err;
}

void link_sweep(struct engine *e)
{
	ask(e, ask_new(LAUNCH_SWEEP, NULL));
}

bool link_signal(struct engine *e, const struct attempt_key *key, enum engine_signal what)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char name[ATTEMPT_NAME], byte = (char)what;

	attempt_name(key, name);
	snprintf(to.sun_path, sizeof to.sun_path, "jobs/%s/ctl", name);
	return sendto(e->ctl, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to) == 1;
}

/* --- answers -------------------------------------------------------------------------------------- */

static enum engine_result result_of(uint32_t status)
{
	switch (status) {
	case LAUNCH_OK: return ENGINE_DONE;
	case LAUNCH_NO_IMAGE: return ENGINE_NO_IMAGE;
	case LAUNCH_BUSY: return ENGINE_BUSY;
	case LAUNCH_NODE: return ENGINE_NODE;
	default: return ENGINE_FAILED;
	}
}

static void answered(struct engine *e, const struct launch_reply *r)
{
	struct attempt_key key = { .attempt = r->attempt };
	char why[sizeof r->message + 1] = "";

	memcpy(key.task.b, r->task, sizeof r->task);
	memcpy(why, r->message, sizeof r->message);
	if (r->op == LAUNCH_LAUNCH)
		e->events->launched(e->arg, &key, result_of(r->status), r->monitor, why);
	else if (r->op == LAUNCH_REMOVE)
		e->events->removed(e->arg, &key, result_of(r->status), why);
	else if (r->op == LAUNCH_UNPACK || r->op == LAUNCH_IMAGE)
		e->events->unpacked(e->arg, r->task, result_of(r->status), why);
	else if (r->op == LAUNCH_SWEEP)
		e->events->swept(e->arg, r->monitor);
}

static void on_channel(void *arg, uint32_t events)
{
	struct engine *e = arg;
	struct launch_probe packet;
	ssize_t n;

	if (events & EPOLLOUT)
		flush(e);
	while ((n = recv(e->channel, &packet, sizeof packet, MSG_DONTWAIT)) > 0)
		if (n >= (ssize_t)sizeof packet.reply && packet.reply.magic == LAUNCH_MAGIC)
			answered(e, &packet.reply);
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		loop_remove(e->loop, e->watch);
		e->watch = NULL;
		e->events->broken(e->arg, n == 0 ? "the launcher has ended" : strerror(errno));
	}
}

enum err link_probe(struct engine *e, struct ctx *cx, struct str *runtime)
{
	struct pollfd p = { .fd = e->channel, .events = POLLIN };
	struct launch_probe answer = { 0 };
	ssize_t n;

	ask(e, ask_new(LAUNCH_PROBE, NULL));
	if (poll(&p, 1, PROBE_MS_MAX) != 1)
		return err_set(cx, ERR_INTERNAL, "ask the launcher what this host can do: no answer in %d s",
		               PROBE_MS_MAX / 1000);
	n = recv(e->channel, &answer, sizeof answer, 0);
	if (n != (ssize_t)sizeof answer || answer.reply.magic != LAUNCH_MAGIC || answer.reply.op != LAUNCH_PROBE)
		return err_set(cx, ERR_INTERNAL, "ask the launcher what this host can do: %s",
		               n == 0 ? "it has ended" : "its answer makes no sense");
	answer.reply.message[sizeof answer.reply.message - 1] = '\0';
	answer.why[sizeof answer.why - 1] = '\0';
	answer.runtime[sizeof answer.runtime - 1] = '\0';
	if (answer.reply.status != LAUNCH_OK)
		return err_set(cx, ERR_INTERNAL, "no container can run on this host: %s", answer.why);
	*runtime = str_of(arena_text(&cx->arena, answer.runtime));
	return OK;
}

/* --- life ------------------------------------------------------------------------------------------ */

void link_close(struct engine *e)
{
	if (!e)
		return;
	loop_remove(e->loop, e->watch);
	while (e->first) {
		struct ask *a = e->first;

		e->first = a->next;
		ask_free(a);
	}
	if (e->ctl >= 0)
		close(e->ctl);
	close(e->channel);
	free(e);
}

enum err link_open(struct ctx *cx, struct loop *l, const struct settings *set, int channel,
                         const struct engine_events *events, void *arg, struct engine **out)
{
	struct engine *e = calloc(1, sizeof *e);

	(void)set;
	if (!e)
		abort();
	*e = (struct engine){ .loop = l, .channel = channel, .events = events, .arg = arg };
	e->last = &e->first;
	e->ctl = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	e->watch = channel < 0 || e->ctl < 0 ? NULL : loop_add(l, channel, EPOLLIN, on_channel, e);
	if (!e->watch) {
		enum err err = channel < 0 ?
			err_set(cx, ERR_INTERNAL, "open the launcher's channel: the runner was not started by root") :
			err_errno(cx, "watch the launcher's channel");

		link_close(e);
		return err;
	}
	*out = e;
	return OK;
}
