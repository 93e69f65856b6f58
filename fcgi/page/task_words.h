#pragma once
#include "model/task.h"
#include "store/code_store.h"
#include "store/node_store.h"

/* What pages say about a task, as sentences. All in the arena. */

/* Why it waits or why it ended, at most about 80 characters (a list's last column). */
struct str task_words_note(struct arena *a, const struct task *t, int64_t now_us);
/* "Failed after 12.4 s: exit status 1: connection refused" */
char *task_words_headline(struct arena *a, const struct task *t, int64_t now_us);
/* What to try, if something is known of this cause; "" otherwise. */
const char *task_words_advice(const struct task *t);

/* Why a queued task does not run yet, as far as the tables tell. */
struct wait_facts {
	int64_t now_us;
	bool project_paused;
	const struct code *code;  /* NULL = not known */
	const struct node *nodes;
	size_t node_count;
};
enum { WAIT_REASONS_MOST = 6 };
struct wait_reason {
	const char *icon; /* of the sprite */
	const char *text;
};
/* At least one reason; *n of them. */
void task_words_waits(struct arena *a, const struct task *t, const struct wait_facts *f,
                      struct wait_reason out[WAIT_REASONS_MOST], size_t *n);
/* Microseconds it waited, and ran, up to now; -1 = not yet. */
int64_t task_words_waited(const struct task *t, int64_t now_us);
int64_t task_words_ran(const struct task *t, int64_t now_us);
