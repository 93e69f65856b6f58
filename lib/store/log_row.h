#pragma once
#include "base/buf.h"
#include "store/log_store.h"

/* Inside lib/store: rows of output. */
#define LOG_HEAD_COLUMNS "attempt, day, next, bytes, `lines`, kept, closed, live"
void log_head_from_row(const struct val *v, struct log_head *out);
#define LOG_CHUNK_VALUES "first_byte, first_line, line_count, first_at, pieces, body"
#define LOG_CHUNK_COLUMNS "number, " LOG_CHUNK_VALUES
/* Plain bytes and pieces in the arena. */
enum err log_chunk_from_row(struct ctx *cx, const struct val *v, struct log_chunk *out);
/* The other way: `pieces` and `body` as they are stored. */
enum err log_chunk_pack(struct ctx *cx, const struct log_chunk *c, struct buf *pieces, struct buf *body);
enum { LOG_REFUSED = 31004, LOG_DUPLICATE = 1062 }; /* what db_errno says of a chunk that came late or twice */
