#pragma once
#include "base/loop.h"
#include "store/db.h"

/* The threads of a role that speak to MariaDB, so that its loop never waits for it. Work goes to a
 * lane; what one lane does is done in order. */
enum store_lane {
	STORE_CLAIM, /* what is taken: tasks (and what the node is asked), callbacks */
	STORE_MOVE,  /* what became of it: starts and settlements, outcomes */
	STORE_LOG,   /* output; by key over the threads that are left */
	STORE_ANY,   /* of a pool without such an order: by key over all threads */
};

/* A piece of work, the first member of a larger struct with its arguments and results. */
struct store_work {
	struct store_work *next;
	struct ctx cx; /* its memory, its sentence */
	enum err err;  /* what `run` gave */
	enum err (*run)(struct store_work *w, struct db *tasks, struct db *logs); /* in the thread */
	void (*done)(void *arg, struct store_work *w); /* in the loop; owns `w` from then on */
};

struct store_pool;
/* `threads` >= 1; `arg` goes to every done. The settings must outlive it. NULL with errno. */
struct store_pool *store_pool_new(struct loop *l, const struct settings *set, int threads, void *arg);
/* Zeroed memory for a piece of work of `bytes`. */
void *store_work_new(size_t bytes);
void store_work_free(struct store_work *w);
/* Hands `w` over. `key` spreads the work of STORE_LOG and STORE_ANY: equal keys keep their order. */
void store_pool_add(struct store_pool *p, enum store_lane lane, uint32_t key, struct store_work *w);
/* Handed over and not done yet. */
size_t store_pool_open(const struct store_pool *p);
/* Ends the threads after what they are doing and frees all; only when nothing is open. */
void store_pool_free(struct store_pool *p);
