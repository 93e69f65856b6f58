#pragma once
#include "base/str.h"

/* Growing bytes with a ceiling, on the heap. Once something did not fit, `full` stays true and
 * nothing more is added: check it once at the end. Always NUL-terminated when p is not NULL. */
struct buf {
	char *p;
	size_t n, room;
	size_t ceiling; /* most bytes; 0 = no ceiling of its own */
	bool full;
};

#define auto_buf __attribute__((cleanup(buf_free))) struct buf

void buf_add(struct buf *b, const void *p, size_t n);
void buf_text(struct buf *b, const char *s);
void buf_str(struct buf *b, struct str s);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for `n` more bytes behind the end, to be filled by the caller, who then adds to b->n; NULL
 * when the ceiling forbids it. */
char *buf_room(struct buf *b, size_t n);
/* Empties it and keeps its memory. */
void buf_clear(struct buf *b);
/* Drops the first `n` bytes; `full` stays as it is. */
void buf_drop(struct buf *b, size_t n);
/* Frees its memory; may be used again. */
void buf_free(struct buf *b);
static inline struct str buf_view(const struct buf *b)
{
	return (struct str){ b->p, b->n };
}
