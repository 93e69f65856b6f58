#pragma once
#include "store/log_store.h"

/* The newest output of a running attempt behind the part that is kept from its beginning: chunks without a
 * number, known by their first byte. They are for those who follow a log; what is kept of it comes at its end. */
enum { LOG_LIVE_BYTES = 1 << 20, LOG_LIVE_CHUNKS = 512 }; /* about so much stays; of an attempt */

/* ERR_CONFLICT: closed, or not behind what is there: *head says where it stands. */
enum err log_live_append(struct db *db, struct ctx *cx, const struct id *task, int64_t attempt, int64_t day,
                         const struct log_chunk *chunk, struct log_head *head);
/* Those that begin before a byte. */
enum err log_live_forget(struct db *db, struct ctx *cx, const struct id *task, int64_t attempt, int64_t before);
/* The chunk that holds byte `from`, or ends there, or the first behind it, and what follows; at most `most`, and
 * at most twice LOG_LIVE_BYTES or so. Plain bytes in the arena. None when the log is not live. */
enum err log_live_read(struct db *db, struct ctx *cx, const struct id *task, const struct log_head *head, int64_t from, size_t most,
                       struct log_chunk **out, size_t *n);
