#pragma once
#include "base/str.h"

/* The Python client under Python 3 uploads the text that Python prints for bytes, b'PK\x03\x04…'
 * (ironworker-api.md 4.1). Turns that text into the bytes again, while it comes in. */
struct python_bytes {
	char quote;     /* the one it is written in; 0 = not begun */
	bool over;      /* the closing quote was seen: nothing follows */
	char escape[4]; /* an escape that has begun: "\", "\x", "\x4" */
	size_t n;
};

/* Does a file that begins so hold such text? It needs four bytes to tell. */
bool python_bytes_is(struct str beginning);
/* Writes what `in` stands for to `out`, which has room for in.n bytes and may be where `in` is; returns
 * how many bytes that were. Zero-initialised is ready. */
size_t python_bytes_feed(struct python_bytes *p, struct str in, char *out);
