#include "fcgi/tail/record.h"

#include <string.h>

enum { VERSION = 1, HEAD_BYTES = 8, PIECE_BYTES = 65528 /* the largest that needs no padding */ };

static unsigned byte_at(struct str s, size_t i)
{
	return (unsigned char)s.p[i];
}

enum record_taken record_take(struct str *in, struct record *out)
{
	size_t content, whole;

	if (in->n && byte_at(*in, 0) != VERSION)
		return RECORD_BROKEN;
	if (in->n < HEAD_BYTES)
		return RECORD_UNFINISHED;
	content = byte_at(*in, 4) << 8 | byte_at(*in, 5);
	whole = HEAD_BYTES + content + byte_at(*in, 6);
	if (in->n < whole)
		return RECORD_UNFINISHED;
	*out = (struct record){ (int)byte_at(*in, 1), (int)(byte_at(*in, 2) << 8 | byte_at(*in, 3)),
		                str_bytes(in->p + HEAD_BYTES, content) };
	*in = str_bytes(in->p + whole, in->n - whole);
	return RECORD_TAKEN;
}

int record_role(struct str begin)
{
	return begin.n < 8 ? 0 : (int)(byte_at(begin, 0) << 8 | byte_at(begin, 1));
}

/* One byte below 128, or four with the highest bit set. */
static bool take_length(struct str *in, size_t *n)
{
	size_t bytes = in->n && byte_at(*in, 0) >> 7 ? 4 : 1;

	if (in->n < bytes)
		return false;
	*n = byte_at(*in, 0) & (bytes == 4 ? 127 : 255);
	for (size_t i = 1; i < bytes; i++)
		*n = *n << 8 | byte_at(*in, i);
	*in = str_bytes(in->p + bytes, in->n - bytes);
	return true;
}

bool record_pair(struct str *rest, struct str *name, struct str *value)
{
	struct str in = *rest;
	size_t n, m;

	if (!take_length(&in, &n) || !take_length(&in, &m) || in.n < n || in.n - n < m)
		return false;
	*name = str_bytes(in.p, n);
	*value = str_bytes(in.p + n, m);
	*rest = str_bytes(in.p + n + m, in.n - n - m);
	return true;
}

static void put_head(struct buf *out, enum record_type type, int request, size_t n)
{
	const unsigned char head[HEAD_BYTES] = { VERSION, (unsigned char)type, (unsigned char)(request >> 8),
		                                 (unsigned char)request, (unsigned char)(n >> 8), (unsigned char)n };

	buf_add(out, head, sizeof head);
}

void record_put_stdout(struct buf *out, int request, struct str bytes)
{
	while (bytes.n) {
		size_t n = bytes.n < PIECE_BYTES ? bytes.n : PIECE_BYTES;

		put_head(out, RECORD_STDOUT, request, n);
		buf_add(out, bytes.p, n);
		bytes = str_bytes(bytes.p + n, bytes.n - n);
	}
}

void record_put_end(struct buf *out, int request, int status)
{
	const unsigned char body[8] = { [4] = (unsigned char)status };

	if (status == RECORD_DONE)
		put_head(out, RECORD_STDOUT, request, 0); /* the stream's end */
	put_head(out, RECORD_END, request, sizeof body);
	buf_add(out, body, sizeof body);
}
