/* A task's payload (and what its output must not show), from the database straight into the memfd that its job is given: piece by piece
 * and few at once, so that a queue of large payloads costs the runner no memory. One for a cluster
 * with a key is opened on the way: whole and in memory, since its nonce comes last and its tag tells
 * only at the end whether a byte of it may be believed. */
#include "worker/runner/inside.h"

#include "store/cluster_store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { AGAIN_US = 500000 };

struct payload_work {
	struct store_work w;
	struct attempt_key key;
	struct runner *runner;
	struct id project, code;
	bool has_secrets;
	struct output_mask *mask;
	struct arena arena;   /* of what came with the claim */
	struct str text;      /* of a small one */
	int64_t bytes, cluster_id, key_number;
	bool is_unreadable;   /* the task's own fault */
	int fd;
};

/* --- in the store thread: STORE_CLAIM is one ------------------------------------------------------- */

static enum err put(struct ctx *cx, int fd, struct str bytes)
{
	while (bytes.n) {
		ssize_t n = write(fd, bytes.p, bytes.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_errno(cx, "fill the memfd for payload");
		bytes = str_bytes(bytes.p + n, bytes.n - (size_t)n);
	}
	return OK;
}

/* The cluster's key, as new as the claim; what it lacks is this node's to mend. */
static enum err know_key(struct payload_work *p, struct db *tasks)
{
	struct payload_key *known = &p->runner->key;
	struct ctx *cx = &p->w.cx;
	struct str pem = STR_LIT("");
	int64_t number = 0;

	if (known->number == p->key_number)
		return OK;
	envelope_key_free(known->key);
	*known = (struct payload_key){ 0 };
	TRY(cluster_store_key(tasks, cx, p->cluster_id, p->runner->set->secrets.key_file, &number, &pem));
	if (!number) {
		p->is_unreadable = true;
		return err_set(cx, ERR_INPUT, "the cluster's key was taken away after the task was claimed");
	}
	TRY(envelope_key_read(cx, pem, &known->key));
	explicit_bzero((char *)pem.p, pem.n);
	known->number = number;
	return OK;
}

static enum err read_whole(struct payload_work *p, struct db *tasks, struct str *out)
{
	char *text = arena_take(&p->w.cx.arena, (size_t)p->bytes);
	struct str piece;
	auto_ctx cx = { 0 };

	*out = p->text;
	if (out->n)
		return OK;
	for (int64_t at = 0; at < p->bytes; at += (int64_t)piece.n) {
		ctx_reset(&cx);
		if (ready_store_payload(tasks, &cx, &p->key.task, at, &piece))
			return err_set(&p->w.cx, cx.err, "%s", cx.message);
		if (!piece.n || piece.n > (size_t)(p->bytes - at))
			return err_set(&p->w.cx, ERR_NOT_FOUND, "its payload is gone");
		memcpy(text + at, piece.p, piece.n);
	}
	*out = str_bytes(text, (size_t)p->bytes);
	return OK;
}

static enum err open_payload(struct payload_work *p, struct db *tasks)
{
	struct ctx *cx = &p->w.cx;
	struct str text, plain;

	if (know_key(p, tasks) != OK) {
		if (cx->err == ERR_FORBIDDEN) /* the node's key file */
			cx->err = ERR_INTERNAL;
		return err_wrap(cx, "its payload cannot be opened");
	}
	TRY(read_whole(p, tasks, &text));
	if (envelope_open(cx, p->runner->key.key, text, &plain)) {
		p->is_unreadable = true;
		return err_wrap(cx, "its payload does not open with the cluster's key");
	}
	TRY(put(cx, p->fd, plain));
	explicit_bzero((char *)plain.p, plain.n);
	return OK;
}

static enum err payload_run(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct payload_work *p = (struct payload_work *)w;
	struct str piece;

	(void)logs;
	if (p->has_secrets && !p->mask)
		TRY(secrets_read(tasks, &w->cx, p->runner->set->secrets.key_file, &p->project, &p->code, &p->mask));
	if (p->key_number && p->bytes)
		return open_payload(p, tasks);
	if (p->text.n)
		return put(&w->cx, p->fd, p->text);
	for (int64_t at = lseek(p->fd, 0, SEEK_SET); at < p->bytes; at += (int64_t)piece.n) {
		ctx_reset(&w->cx);
		TRY(ready_store_payload(tasks, &w->cx, &p->key.task, at, &piece));
		if (!piece.n)
			return err_set(&w->cx, ERR_NOT_FOUND, "its payload is gone");
		TRY(put(&w->cx, p->fd, piece));
	}
	return OK;
}

/* --- in the loop ----------------------------------------------------------------------------------- */

static void on_again(void *arg)
{
	struct job *j = arg;

	if (j->stage == JOB_FETCHING)
		j->stage = JOB_CLAIMED;
	launch_next(j->runner);
}

/* It may have been cancelled, or lost, meanwhile. */
static void payload_done(void *arg, struct store_work *w)
{
	struct runner *r = arg;
	struct payload_work *p = (struct payload_work *)w;
	struct job *j = job_find(r, &p->key);
	bool waits = j && j->stage == JOB_FETCHING;

	r->fetching--;
	if (!waits || w->err != OK)
		close(p->fd);
	if (waits && w->err == OK) {
		secrets_set(j, p->mask);
		p->mask = NULL;
		launch_with(j, p->fd);
	}
	else if (waits && p->is_unreadable)
		launch_refused(j, CAUSE_DECRYPTION, w->cx.message);
	else if (waits && (w->err == ERR_INTERNAL || w->err == ERR_NOT_FOUND))
		launch_without(j, w->err, w->cx.message);
	else if (waits)
		loop_start(r->loop, &j->again, AGAIN_US, on_again, j);
	output_mask_free(p->mask);
	arena_release(&p->arena);
	store_work_free(w);
	launch_next(r);
	runner_look_at_end(r);
}

static void fetch(struct job *j, int fd)
{
	struct payload_work *p = store_work_new(sizeof *p);

	p->w.run = payload_run;
	p->w.done = payload_done;
	p->key = j->key;
	p->runner = j->runner;
	p->bytes = j->claim.payload_bytes;
	p->cluster_id = j->runner->held.who.cluster_id;
	p->key_number = j->claim.key_number;
	p->has_secrets = j->claim.has_secrets;
	p->project = j->claim.project_id;
	p->code = j->claim.code_id;
	if (j->claim.payload.n)
		p->text = str_bytes(arena_copy(&p->arena, j->claim.payload.p, j->claim.payload.n), j->claim.payload.n);
	p->fd = fd;
	j->runner->fetching++;
	store_pool_add(j->runner->store, STORE_CLAIM, 0, &p->w);
}

void payload_fetch(struct job *j)
{
	auto_ctx cx = { 0 };
	int fd = memfd_create("payload", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	j->stage = JOB_FETCHING;
	if (fd < 0) {
		err_errno(&cx, "make a memfd for payload");
		launch_without(j, cx.err, cx.message);
		return;
	}
	if (j->claim.payload_bytes > READY_PAYLOAD_INLINE || (j->claim.key_number && j->claim.payload_bytes) ||
	    j->claim.has_secrets) {
		fetch(j, fd);
		return;
	}
	if (put(&cx, fd, j->claim.payload) == OK) {
		launch_with(j, fd);
		return;
	}
	close(fd);
	launch_without(j, cx.err, cx.message);
}
