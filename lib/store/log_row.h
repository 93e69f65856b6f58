#pragma once
#include "store/log_store.h"

/* Inside lib/store: rows of output. */
#define LOG_HEAD_COLUMNS "attempt, day, next, bytes, `lines`, kept, closed"
void log_head_from_row(const struct val *v, struct log_head *out);
#define LOG_CHUNK_COLUMNS "number, first_byte, first_line, line_count, first_at, pieces, body"
/* Plain bytes and pieces in the arena. */
enum err log_chunk_from_row(struct ctx *cx, const struct val *v, struct log_chunk *out);
