#include "worker/runner/lease.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/log.h"
#include "store/node_store.h"
#include "store/schema_store.h"
#include "worker/runner/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HAND_OVER_S = 60, RETRY_US = 1000000, OVERDUE_US = 1000000, SECOND = 1000000, SESSION_BYTES = 16 };

enum wish { WISH_HOLD, WISH_HAND_OVER, WISH_LEAVE, WISH_END };

struct lease {
	struct loop *loop;
	struct loop_watch *watch;
	const struct settings *set;
	const char *doorbell, *runtime;
	void (*on_change)(void *arg);
	void *arg;
	int bell, lock_fd;
	volatile uint64_t *file; /* shared with the monitors */
	pthread_t renewer, prober;
	int threads;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t turned;
	enum wish wish;
	bool renounced, has_session;
	int64_t running, renewed_us;
	struct lease_view view;
};

/* --- files ------------------------------------------------------------------------------------- */

static void deadline_set(struct lease *ls, int64_t us)
{
	ls->view.deadline_us = us;
	__atomic_store_n(ls->file, htole64((uint64_t)us), __ATOMIC_RELEASE);
}

static enum err map_file(struct ctx *cx, struct lease *ls)
{
	int fd = open("lease", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	struct stat st;
	void *p = MAP_FAILED;

	if (fd < 0)
		return err_errno(cx, "open the node's lease file");
	if (fstat(fd, &st) == 0 && (st.st_size >= 8 || ftruncate(fd, 8) == 0))
		p = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return err_errno(cx, "map the node's lease file");
	ls->file = p;
	ls->view.deadline_us = (int64_t)le64toh(__atomic_load_n(ls->file, __ATOMIC_ACQUIRE));
	return OK;
}

/* One runner a folder; the kernel lets go of it however the runner ends. */
static enum err lock_folder(struct ctx *cx, struct lease *ls)
{
	ls->lock_fd = open("runner.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (ls->lock_fd < 0)
		return err_errno(cx, "open runner.lock in the node's folder");
	if (flock(ls->lock_fd, LOCK_EX | LOCK_NB))
		return err_set(cx, ERR_BUSY, "another runner serves the folder %s", ls->set->node.dir);
	return OK;
}

static bool session_read(unsigned char out[SESSION_BYTES])
{
	char text[2 * SESSION_BYTES + 1];
	int fd = open("session", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof text);
	close(fd);
	return n >= 2 * SESSION_BYTES && hex_parse(str_bytes(text, 2 * SESSION_BYTES), out, SESSION_BYTES);
}

static enum err session_write(struct ctx *cx, const unsigned char session[SESSION_BYTES])
{
	char text[2 * SESSION_BYTES + 1];
	int fd = open("session.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	bool good;

	if (fd < 0)
		return err_errno(cx, "write the node's session file");
	hex_format(session, SESSION_BYTES, text);
	text[2 * SESSION_BYTES] = '\n';
	good = write(fd, text, sizeof text) == (ssize_t)sizeof text && fsync(fd) == 0;
	close(fd);
	if (!good || rename("session.tmp", "session"))
		return err_errno(cx, "write the node's session file");
	return OK;
}

/* --- renewing ------------------------------------------------------------------------------------ */

/* Under the lock. */
static void change(struct lease *ls, enum lease_state state)
{
	uint64_t one = 1;

	ls->view.state = state;
	pthread_cond_broadcast(&ls->turned);
	if (write(ls->bell, &one, sizeof one) < 0)
		abort();
}

static void held(struct lease *ls, int64_t asked_us, int64_t node, int64_t cluster, bool resumed)
{
	pthread_mutex_lock(&ls->lock);
	ls->view.who = (struct node_claim){ .node_id = node, .cluster_id = cluster };
	ls->view.resumed = resumed;
	ls->view.draining = false;
	ls->has_session = true;
	ls->renewed_us = asked_us;
	deadline_set(ls, asked_us + ls->set->runner.fence_s * SECOND);
	change(ls, LEASE_HELD);
	pthread_mutex_unlock(&ls->lock);
	log_info(resumed ? "session_resumed" : "session_began", "node=%lld cluster=%s", (long long)node, ls->set->node.cluster);
}

static void lost(struct lease *ls)
{
	pthread_mutex_lock(&ls->lock);
	deadline_set(ls, 0);
	change(ls, LEASE_LOST);
	pthread_mutex_unlock(&ls->lock);
	log_warn("session_lost", "why=\"its tasks were given to others\"");
}

static enum err take_over(struct lease *ls, struct db *db, struct ctx *cx)
{
	const struct settings *set = ls->set;
	int64_t asked = clock_boot_us(), node, cluster;
	enum err e = node_store_resume(db, cx, str_bytes(ls->view.session, SESSION_BYTES), set->node.slots,
	                               str_of(ls->doorbell), set->runner.lease_s, &node, &cluster);

	if (e == ERR_NOT_FOUND) {
		lost(ls);
		return OK;
	}
	if (e == OK)
		held(ls, asked, node, cluster, true);
	return e;
}

static enum err begin(struct lease *ls, struct db *db, struct ctx *cx)
{
	const struct settings *set = ls->set;
	unsigned char session[SESSION_BYTES];
	int64_t asked = clock_boot_us(), node, cluster;

	crypt_random(session, sizeof session);
	TRY(node_store_register(db, cx, str_of(set->node.name), str_of(set->node.cluster),
	                        str_bytes(session, sizeof session), set->node.slots, str_of(ls->doorbell),
	                        str_of(ls->runtime), set->runner.lease_s, &node, &cluster));
	TRY(session_write(cx, session));
	pthread_mutex_lock(&ls->lock);
	memcpy(ls->view.session, session, sizeof session);
	pthread_mutex_unlock(&ls->lock);
	held(ls, asked, node, cluster, false);
	return OK;
}

static enum err renew(struct lease *ls, struct db *db, struct ctx *cx, int64_t lease_s)
{
	int64_t asked = clock_boot_us(), running;
	bool draining = false;
	enum err e;

	pthread_mutex_lock(&ls->lock);
	running = ls->running;
	pthread_mutex_unlock(&ls->lock);
	e = node_store_renew(db, cx, ls->view.who.node_id, str_bytes(ls->view.session, SESSION_BYTES), lease_s,
	                     running, &draining);
	if (e == ERR_CONFLICT || e == ERR_NOT_FOUND) {
		lost(ls);
		return OK;
	}
	TRY(e);
	pthread_mutex_lock(&ls->lock);
	ls->renewed_us = asked;
	/* the next runner needs the file as long as the row, less what fencing takes */
	deadline_set(ls, asked + (lease_s - ls->set->runner.lease_s + ls->set->runner.fence_s) * SECOND);
	if (draining != ls->view.draining) {
		ls->view.draining = draining;
		change(ls, LEASE_HELD);
	}
	pthread_mutex_unlock(&ls->lock);
	return OK;
}

static enum err give(struct lease *ls, struct db *db, struct ctx *cx, enum wish wish)
{
	if (wish == WISH_HAND_OVER) {
		TRY(renew(ls, db, cx, HAND_OVER_S));
	} else {
		TRY(node_store_leave(db, cx, ls->view.who.node_id, str_bytes(ls->view.session, SESSION_BYTES)));
		unlink("session");
	}
	pthread_mutex_lock(&ls->lock);
	change(ls, LEASE_GIVEN);
	pthread_mutex_unlock(&ls->lock);
	return OK;
}

/* One round with the database: what the state calls for. */
static enum err round_of(struct lease *ls, struct db *db, struct ctx *cx, enum wish wish)
{
	switch (ls->view.state) {
	case LEASE_NONE:
		TRY(schema_store_check(db, cx));
		return ls->has_session ? take_over(ls, db, cx) : begin(ls, db, cx);
	case LEASE_HELD:
		return wish == WISH_HOLD ? renew(ls, db, cx, ls->set->runner.lease_s) : give(ls, db, cx, wish);
	default:
		return OK; /* it is the loop's turn */
	}
}

/* Waits at most `us`, less if somebody turns to us; under the lock. */
static void rest(struct lease *ls, int64_t us)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += us / SECOND;
	until.tv_nsec += us % SECOND * 1000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&ls->turned, &ls->lock, &until);
}

static void *renewing(void *arg)
{
	struct lease *ls = arg;
	struct db *db = db_new(ls->set, DB_TASKS, DB_WAIT_API_S);
	enum err last = OK;

	pthread_mutex_lock(&ls->lock);
	while (ls->wish != WISH_END) {
		auto_ctx cx = { 0 };
		enum wish wish = ls->wish;
		enum err e;
		int64_t until;

		pthread_mutex_unlock(&ls->lock);
		e = round_of(ls, db, &cx, wish);
		if (e != OK && last == OK)
			log_warn("lease_not_renewed", "why=\"%s\"", cx.message);
		else if (e == OK && last != OK)
			log_info("lease_renewed_again", "node=%lld", (long long)ls->view.who.node_id);
		last = e;
		until = clock_boot_us() + (e == OK ? ls->set->runner.renew_s * SECOND : RETRY_US);
		pthread_mutex_lock(&ls->lock);
		while (ls->wish == wish && !ls->renounced && clock_boot_us() < until)
			rest(ls, until - clock_boot_us());
		if (ls->renounced) {
			ls->renounced = ls->has_session = false;
			ls->view.state = LEASE_NONE;
		}
	}
	pthread_mutex_unlock(&ls->lock);
	db_free(db);
	return NULL;
}

/* --- looking whether the server itself is away ----------------------------------------------------- */

static bool is_overdue(const struct lease *ls)
{
	return ls->has_session && (ls->view.state == LEASE_HELD || ls->view.state == LEASE_NONE) &&
	       clock_boot_us() > ls->renewed_us + ls->set->runner.renew_s * SECOND + OVERDUE_US;
}

/* The server away is not the node away: the jobs run on, however long. */
static void look_at_servers(struct lease *ls)
{
	int64_t began = clock_boot_us(), deadline = began + ls->set->runner.fence_s * SECOND;
	enum server_sight seen = probe_servers(&ls->set->database);

	pthread_mutex_lock(&ls->lock);
	/* a deadline that has passed stays past: monitors have acted on it */
	if (seen == SERVER_AWAY && is_overdue(ls) && began < ls->view.deadline_us && deadline > ls->view.deadline_us)
		deadline_set(ls, deadline);
	pthread_mutex_unlock(&ls->lock);
}

static void *probing(void *arg)
{
	struct lease *ls = arg;

	pthread_mutex_lock(&ls->lock);
	while (ls->wish != WISH_END) {
		if (is_overdue(ls)) {
			pthread_mutex_unlock(&ls->lock);
			look_at_servers(ls);
			pthread_mutex_lock(&ls->lock);
			if (ls->wish != WISH_END)
				rest(ls, SECOND);
			continue;
		}
		rest(ls, SECOND);
	}
	pthread_mutex_unlock(&ls->lock);
	return NULL;
}

/* --- the loop's side ------------------------------------------------------------------------------- */

static void on_bell(void *arg, uint32_t events)
{
	struct lease *ls = arg;
	uint64_t n;

	(void)events;
	if (read(ls->bell, &n, sizeof n) == sizeof n)
		ls->on_change(ls->arg);
}

void lease_look(struct lease *ls, struct lease_view *out)
{
	pthread_mutex_lock(&ls->lock);
	*out = ls->view;
	pthread_mutex_unlock(&ls->lock);
	out->who.session = str_bytes(out->session, SESSION_BYTES);
}

void lease_count(struct lease *ls, int64_t running)
{
	pthread_mutex_lock(&ls->lock);
	ls->running = running;
	pthread_mutex_unlock(&ls->lock);
}

static void turn(struct lease *ls, enum wish wish)
{
	pthread_mutex_lock(&ls->lock);
	ls->wish = wish;
	/* what was never held needs no giving */
	if (wish != WISH_HOLD && wish != WISH_END && ls->view.state != LEASE_HELD)
		change(ls, LEASE_GIVEN);
	pthread_cond_broadcast(&ls->turned);
	pthread_mutex_unlock(&ls->lock);
}

void lease_renounce(struct lease *ls)
{
	pthread_mutex_lock(&ls->lock);
	if (ls->view.state == LEASE_LOST) {
		ls->renounced = true;
		unlink("session");
		pthread_cond_broadcast(&ls->turned);
	}
	pthread_mutex_unlock(&ls->lock);
}

void lease_hand_over(struct lease *ls)
{
	turn(ls, WISH_HAND_OVER);
}

void lease_leave(struct lease *ls)
{
	turn(ls, WISH_LEAVE);
}

static enum err start_threads(struct ctx *cx, struct lease *ls)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&ls->renewer, NULL, renewing, ls);
	if (!err) {
		ls->threads++;
		err = pthread_create(&ls->prober, NULL, probing, ls);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return err_set(cx, ERR_INTERNAL, "start the lease's threads: %s", strerror(err));
	ls->threads++;
	return OK;
}

static enum err open_all(struct ctx *cx, struct lease *ls)
{
	TRY(lock_folder(cx, ls));
	TRY(map_file(cx, ls));
	ls->has_session = session_read(ls->view.session);
	ls->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ls->watch = ls->bell < 0 ? NULL : loop_add(ls->loop, ls->bell, EPOLLIN, on_bell, ls);
	if (!ls->watch)
		return err_errno(cx, "watch the lease");
	return start_threads(cx, ls);
}

enum err lease_start(struct ctx *cx, struct loop *l, const struct settings *set, const char *doorbell,
                     const char *runtime, void (*on_change)(void *arg), void *arg, struct lease **out)
{
	struct lease *ls = calloc(1, sizeof *ls);
	pthread_condattr_t monotonic;
	enum err e;

	if (!ls)
		abort();
	*ls = (struct lease){ .loop = l, .set = set, .doorbell = doorbell, .runtime = runtime,
	                      .on_change = on_change, .arg = arg, .bell = -1, .lock_fd = -1,
	                      .renewed_us = 0 /* overdue at once: jobs of the runner before may be at stake */ };
	pthread_mutex_init(&ls->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&ls->turned, &monotonic);
	pthread_condattr_destroy(&monotonic);
	e = open_all(cx, ls);
	if (e) {
		lease_free(ls);
		return e;
	}
	*out = ls;
	return OK;
}

void lease_free(struct lease *ls)
{
	if (!ls)
		return;
	turn(ls, WISH_END);
	if (ls->threads > 0)
		pthread_join(ls->renewer, NULL);
	if (ls->threads > 1)
		pthread_join(ls->prober, NULL);
	loop_remove(ls->loop, ls->watch);
	if (ls->bell >= 0)
		close(ls->bell);
	if (ls->lock_fd >= 0)
		close(ls->lock_fd);
	if (ls->file)
		munmap((void *)ls->file, 8);
	pthread_cond_destroy(&ls->turned);
	pthread_mutex_destroy(&ls->lock);
	free(ls);
}
