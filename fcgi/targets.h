#pragma once
#include "store/code_store.h"

/* Where the tasks of a code go, remembered from request to request: a look-up is a third of what an
 * enqueue costs. What is remembered need not be true any more: the INSERT itself checks that the
 * revision is still the current one (sql/, 31006), and whoever is told so forgets and looks up anew.
 * What changes without a new revision (the head start of a cluster) is at most a second old. */
struct targets;

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
/* Everything: some of it was found to be old. */
void targets_forget(struct targets *t);
