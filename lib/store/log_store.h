#pragma once
#include "store/db.h"

/* Output, on its own connection (DB_LOGS); no transaction with the task tables. Chunks are numbered
 * per attempt from 0; log_head refuses late, doubled, skipped and closed ones. */
struct log_piece {
	uint8_t stream;  /* 1 stdout, 2 stderr */
	uint32_t bytes;
	int64_t at;      /* microseconds since 1970 */
};
struct log_chunk {
	int64_t number, first_byte, first_line, line_count, first_at;
	const struct log_piece *pieces;
	size_t piece_count;
	struct str plain; /* the bytes; stored as one gzip member */
};
struct log_head {
	int64_t attempt, day, next, bytes, lines; /* bytes: end of the last chunk, counted in what the job wrote */
	int64_t kept;                             /* bytes that are stored */
	int64_t live;                             /* end of the newest output (log_live.h); it counts when it is behind `bytes` */
	bool closed;
};

/* Makes log_head for the attempt, with it a cursor for each destination of its project (log_cursor_store.h),
 * and closes those of earlier attempts. Harmless to repeat. */
enum err log_store_begin(struct db *db, struct ctx *cx, const struct id *project, const struct id *task, int64_t attempt,
                         int64_t day);
/* Adds a chunk. ERR_CONFLICT: closed (stop shipping), or out of turn (*head says where it stands:
 * head->next > number means it was stored already). */
enum err log_store_append(struct db *db, struct ctx *cx, const struct id *task, int64_t attempt, int64_t day,
                          const struct log_chunk *chunk, struct log_head *head);
/* Nothing may be added after this. */
enum err log_store_close(struct db *db, struct ctx *cx, const struct id *task, int64_t attempt);
/* The state of one attempt's log; ERR_NOT_FOUND if none began. */
enum err log_store_head(struct db *db, struct ctx *cx, const struct id *task, int64_t attempt, struct log_head *out);
/* The heads of all attempts of a task, ascending. */
enum err log_store_heads(struct db *db, struct ctx *cx, const struct id *task, struct log_head **out, size_t *n);

/* Stored chunks from chunk `from` on, at most `most` and at most about 4 MiB plain; plain bytes in
 * the arena. */
enum err log_store_read(struct db *db, struct ctx *cx, const struct id *task, const struct log_head *head,
                        int64_t from, size_t most, struct log_chunk **out, size_t *n);
/* The number of the chunk that holds absolute byte `at` (or the first after it); head->next if none. */
enum err log_store_seek(struct db *db, struct ctx *cx, const struct id *task, const struct log_head *head,
                        int64_t at, int64_t *number);
/* The same by line. */
enum err log_store_seek_line(struct db *db, struct ctx *cx, const struct id *task, const struct log_head *head,
                             int64_t line, int64_t *number);
/* Bytes stored for a task over all its attempts, with the notices of left-out output (what /log
 * returns; IronWorker's log_size). */
enum err log_store_size(struct db *db, struct ctx *cx, const struct id *task, int64_t *bytes);
/* The same of these attempts alone. */
enum err log_store_size_of(struct db *db, struct ctx *cx, const struct id *task, const struct log_head *heads, size_t n,
                           int64_t *bytes);
/* --- by the scheduler --- */
/* Makes partitions a week ahead, drops those older than `days`. Does nothing while another scheduler is at it. */
enum err log_store_partitions(struct db *db, struct ctx *cx, int64_t days);
