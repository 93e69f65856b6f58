#pragma once
#include "store/attempt_store.h"
#include "store/node_store.h"
#include "store/ready_store.h"
#include "store/task_store.h"
#include "tests/support/store_fixture.h"

/* A world of a test's own: a project, and a cluster with one node that has a long lease. Tests that
 * share a server do not meet: claims stay in their cluster. */
struct world {
	struct store_fixture *f;
	struct id project;
	char cluster[32];
	char session[16];
	struct node_claim node;
};
struct world given_world(struct store_fixture *f);
/* One more node in the world's cluster; `session` is 16 bytes that outlive it. */
struct node_claim given_node(struct world *w, char session[16], int64_t lease_s);

/* Where tasks of this code go in the world's cluster; registers the code when it is new. */
struct code_target target_of(struct world *w, const char *code);
/* Queues n tasks, all of them alike; `out` may be NULL. */
void queue(struct world *w, const char *code, size_t n, struct task_order like, struct id *out);
/* Claims for the world's node; the number is checked unless it is negative. */
struct claimed *claim(struct world *w, size_t most, int expected);
/* As stored. */
struct task stored(struct world *w, const struct id *task);
/* Starts and settles what was claimed with this verdict; true if nothing was lost. */
bool settle(struct world *w, const struct claimed *c, size_t n, enum task_state state, enum cause cause);
void start(struct world *w, const struct claimed *c, size_t n);

/* What must hold at any time when nothing is under way (reliability.md 4.2): the counters of lanes
 * and codes are the rows of `running`; each waiting task has exactly one row in ready or delayed, and
 * no other task has one; running rows are the tasks' own; events are a path of the edge table that
 * ends in the task's state; attempts are there. Fails the test with the name of the law. */
void check_laws(struct store_fixture *f);
