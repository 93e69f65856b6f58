#pragma once
#include "store/task_store.h"

/* The filter of the task list: words such as "state:error code:billing since:24h" (dashboard.md
 * 4.2), a list's one canonical text, and the store's filter. */
struct task_query {
	unsigned states;          /* bit 1 << TASK_…; 0 = all */
	struct str code, label, cluster;
	struct str since, until;  /* as written; "" = open */
	int64_t from, to;         /* what they mean; TIME_NONE = open */
	bool has_id;
	struct id id;
};

/* Reads the words. ERR_INPUT names the first one that is not understood, and why. */
enum err task_query_parse(struct ctx *cx, struct str text, int64_t now_us, struct task_query *out);
/* Sets one word, as a drop-down does: "" takes it away. ERR_INPUT as above. */
enum err task_query_set(struct ctx *cx, struct task_query *q, const char *word, struct str value, int64_t now_us);
/* The words in their one order, in the arena. */
char *task_query_text(struct arena *a, const struct task_query *q);
/* The store's filter, without page and keyset. */
void task_query_filter(const struct task_query *q, struct task_filter *out);
