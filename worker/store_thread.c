#include "worker/store_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct queue {
	struct store_work *first, **last;
};

struct store_thread {
	struct store_pool *pool;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct queue pending;
	bool ending;
};

struct store_pool {
	struct loop *loop;
	struct loop_watch *watch;
	const struct settings *set;
	void *arg;
	int bell; /* eventfd: something is done */
	size_t open;
	pthread_mutex_t lock;
	struct queue done;
	int n;
	struct store_thread threads[];
};

static void push(struct queue *q, struct store_work *w)
{
	w->next = NULL;
	if (!q->first)
		q->last = &q->first;
	*q->last = w;
	q->last = &w->next;
}

static struct store_work *take(struct store_thread *t)
{
	struct store_work *w;

	pthread_mutex_lock(&t->lock);
	while (!t->pending.first && !t->ending)
		pthread_cond_wait(&t->filled, &t->lock);
	w = t->pending.first;
	if (w)
		t->pending.first = w->next;
	pthread_mutex_unlock(&t->lock);
	return w;
}

static void tell(struct store_pool *p, struct store_work *w)
{
	uint64_t one = 1;

	pthread_mutex_lock(&p->lock);
	push(&p->done, w);
	pthread_mutex_unlock(&p->lock);
	if (write(p->bell, &one, sizeof one) < 0)
		abort(); /* an eventfd takes 2^64 - 2 of these */
}

static void *work(void *arg)
{
	struct store_thread *t = arg;
	struct db *tasks = db_new(t->pool->set, DB_TASKS, DB_WAIT_WORKER_S);
	struct db *logs = db_new(t->pool->set, DB_LOGS, DB_WAIT_WORKER_S);

	for (struct store_work *w; (w = take(t));) {
		w->err = w->run(w, tasks, logs);
		tell(t->pool, w);
	}
	db_free(tasks);
	db_free(logs);
	return NULL;
}

static void on_bell(void *arg, uint32_t events)
{
	struct store_pool *p = arg;
	struct store_work *w;
	uint64_t n;

	(void)events;
	if (read(p->bell, &n, sizeof n) < 0)
		return;
	pthread_mutex_lock(&p->lock);
	w = p->done.first;
	p->done.first = NULL;
	pthread_mutex_unlock(&p->lock);
	while (w) {
		struct store_work *next = w->next;

		p->open--;
		w->done(p->arg, w);
		w = next;
	}
}

static bool start(struct store_thread *t)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&t->thread, NULL, work, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = err;
	return err == 0;
}

struct store_pool *store_pool_new(struct loop *l, const struct settings *set, int threads, void *arg)
{
	struct store_pool *p = calloc(1, sizeof *p + (size_t)threads * sizeof p->threads[0]);

	if (!p)
		abort();
	*p = (struct store_pool){ .loop = l, .set = set, .arg = arg };
	pthread_mutex_init(&p->lock, NULL);
	p->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->watch = p->bell < 0 ? NULL : loop_add(l, p->bell, EPOLLIN, on_bell, p);
	if (!p->watch) {
		free(p);
		return NULL;
	}
	for (int i = 0; i < threads; i++) {
		struct store_thread *t = &p->threads[i];

		t->pool = p;
		pthread_mutex_init(&t->lock, NULL);
		pthread_cond_init(&t->filled, NULL);
		if (!start(t)) {
			store_pool_free(p);
			return NULL;
		}
		p->n++;
	}
	return p;
}

void *store_work_new(size_t bytes)
{
	void *w = calloc(1, bytes);

	if (!w)
		abort();
	return w;
}

void store_work_free(struct store_work *w)
{
	if (!w)
		return;
	ctx_release(&w->cx);
	free(w);
}

static int thread_of(const struct store_pool *p, enum store_lane lane, uint32_t key)
{
	if (lane == STORE_ANY)
		return (int)(key % (uint32_t)p->n);
	if (lane == STORE_CLAIM || p->n == 1)
		return 0;
	if (lane == STORE_MOVE || p->n == 2)
		return 1;
	return 2 + (int)(key % (uint32_t)(p->n - 2));
}

void store_pool_add(struct store_pool *p, enum store_lane lane, uint32_t key, struct store_work *w)
{
	struct store_thread *t = &p->threads[thread_of(p, lane, key)];

	p->open++;
	pthread_mutex_lock(&t->lock);
	push(&t->pending, w);
	pthread_cond_signal(&t->filled);
	pthread_mutex_unlock(&t->lock);
}

size_t store_pool_open(const struct store_pool *p)
{
	return p->open;
}

void store_pool_free(struct store_pool *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->n; i++) {
		struct store_thread *t = &p->threads[i];

		pthread_mutex_lock(&t->lock);
		t->ending = true;
		pthread_cond_signal(&t->filled);
		pthread_mutex_unlock(&t->lock);
		pthread_join(t->thread, NULL);
		pthread_cond_destroy(&t->filled);
		pthread_mutex_destroy(&t->lock);
	}
	loop_remove(p->loop, p->watch);
	close(p->bell);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
