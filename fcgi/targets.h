#pragma once
#include "store/code_store.h"

/* Where the tasks of a code go, remembered from request to request: a look-up is a third of what an
 * enqueue costs. It is remembered for TARGETS_FRESH_MS at most, by every process of every machine; so
 * whoever has changed a code answers only when that time is over (targets_outlast): a task that is
 * queued after that answer runs what the answer said. */
struct targets;
enum { TARGETS_FRESH_MS = 100 };

struct targets *targets_new(void);
/* NULL is allowed. */
void targets_free(struct targets *t);
/* code_store_target, from memory when that is fresh; texts in the ctx's arena. Without a memory (NULL, as
 * under plain CGI) it is looked up each time. */
enum err targets_find(struct targets *t, struct db *db, struct ctx *cx, const struct id *project,
                      struct str name, struct str cluster, struct code_target *out);
/* The database has just answered. What is remembered is used only for a tenth of a second after that:
 * else a look-up goes first, so that a server that hangs is met by a read, whose 503 is true for sure,
 * and not by the INSERT. */
void targets_heard(struct targets *t);
/* After the commit of a change to what others may remember, before its answer: forgets everything here
 * and waits until nobody's memory can be older than the commit. */
void targets_outlast(struct targets *t);
