#pragma once
#include "store/db.h"

/* One callback that is due. */
struct outbox_row {
	int64_t id, number, tries;
	struct id task_id, project_id;
	struct str url, state; /* state of the event; in the arena */
	int64_t at;            /* of the event */
};
/* Takes at most `most` due rows for `hold_s` seconds (their next_at moves on, SKIP LOCKED): another
 * courier takes them after that if this one dies. */
enum err outbox_store_take(struct db *db, struct ctx *cx, size_t most, int64_t hold_s, struct outbox_row **out, size_t *n);
/* It was answered 2xx: the row turns delivered. */
enum err outbox_store_delivered(struct db *db, struct ctx *cx, int64_t id, int64_t status, int64_t took_ms);
/* It was not: next try in `next_s` seconds, or given up (next_s < 0). */
enum err outbox_store_failed(struct db *db, struct ctx *cx, int64_t id, int64_t status, struct str error, int64_t next_s);
