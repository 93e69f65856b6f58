#pragma once
#include "base/id.h"
#include "store/db.h"

/* The log of deliveries: a row of `outbox` each, with its tries. */
struct delivery_entry {
	int64_t id, number, tries, status, took_ms;
	struct id task_id, callback_id; /* zero: of a test; the task's own URL */
	struct str kind, state, url, error;
	int64_t at, next_at, delivered_at;
	bool is_named;                  /* as in outbox_row */
	struct str waiting_for;         /* of one that waits: retry, retry_after, receiver, paused, order, call, turn; else "" */
	int64_t waiting_until;          /* TIME_NONE: nothing but its turn */
	struct id queued_task_id;       /* what a code:NAME queued */
};
struct delivery_try {
	int64_t number, at, status, lookup_ms, connect_ms, first_byte_ms, took_ms;
	struct str address, error, answer; /* answer: raw bytes */
	struct str request, body;          /* headers sent, a line each, "" = nothing was; first bytes of the body */
	int64_t body_bytes;                /* all of it */
	struct str answer_headers;
};
struct delivery_filter {
	struct str state;         /* "" = all, waiting, failing, delivered, exhausted */
	struct id callback_id, task_id; /* zero = all */
	int64_t before;           /* numbers below; 0 = from the newest */
	int64_t from, to;         /* at, TIME_NONE = open */
	int64_t most;
};
/* Newest first; looks at no more than 20,000 rows: *searched_to is the last number looked at when there
 * are further ones, else 0. */
enum err delivery_store_list(struct db *db, struct ctx *cx, const struct id *project, const struct delivery_filter *f,
                             struct delivery_entry **out, size_t *n, int64_t *searched_to);
enum err delivery_store_get(struct db *db, struct ctx *cx, const struct id *project, int64_t id, struct delivery_entry *out,
                            struct delivery_try **tries, size_t *n);
/* Forgets deliveries that are over and older than `days`, oldest first: a page of numbers above *after, in a
 * transaction. *after moves on; *more: there is another page of old ones. */
enum err delivery_store_forget(struct db *db, struct ctx *cx, int64_t days, int64_t *after, bool *more);
/* Due at once, with the whole plan before it, whatever its state and whatever its receiver asked for; a single one even
 * where the receiver rests after failures. *changed: how many there were. */
enum err delivery_store_again(struct db *db, struct ctx *cx, const struct id *project, const int64_t *ids, size_t n, int64_t *changed);
