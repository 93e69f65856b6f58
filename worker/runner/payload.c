/* A task's payload, from the database straight into the memfd that its job is given: piece by piece
 * and few at once, so that a queue of large payloads costs the runner no memory. */
#include "worker/runner/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { AGAIN_US = 500000 };

struct payload_work {
	struct store_work w;
	struct attempt_key key;
	int64_t bytes;
	int fd;
};

/* --- in the store thread ------------------------------------------------------------------------- */

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

static enum err payload_run(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct payload_work *p = (struct payload_work *)w;
	struct str piece;

	(void)logs;
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
	if (waits && w->err == OK)
		launch_with(j, p->fd);
	else if (waits && (w->err == ERR_INTERNAL || w->err == ERR_NOT_FOUND))
		launch_without(j, w->err, w->cx.message);
	else if (waits)
		loop_start(r->loop, &j->again, AGAIN_US, on_again, j);
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
	p->bytes = j->claim.payload_bytes;
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
	if (j->claim.payload_bytes > READY_PAYLOAD_INLINE) {
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
