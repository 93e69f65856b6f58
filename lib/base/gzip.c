#include "base/gzip.h"

#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16 };

enum err gzip_member(struct ctx *cx, struct str in, struct buf *out)
{
	z_stream z = { .next_in = (unsigned char *)(uintptr_t)in.p, .avail_in = (uInt)in.n };
	char *room;
	int rc;

	if (deflateInit2(&z, 1, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return err_set(cx, ERR_INTERNAL, "start zlib: out of memory");
	z.avail_out = (uInt)deflateBound(&z, (uLong)in.n);
	room = buf_room(out, z.avail_out);
	if (!room) {
		deflateEnd(&z);
		return err_set(cx, ERR_TOO_LARGE, "compress %zu bytes: no room", in.n);
	}
	z.next_out = (unsigned char *)room;
	rc = deflate(&z, Z_FINISH);
	out->n += z.total_out;
	out->p[out->n] = 0;
	deflateEnd(&z);
	return rc == Z_STREAM_END ? OK : err_set(cx, ERR_INTERNAL, "compress: zlib says %d", rc);
}

static enum err inflate_all(struct ctx *cx, z_stream *z, struct buf *out)
{
	unsigned char piece[32768];
	int rc = Z_OK;

	while (z->avail_in || rc == Z_OK) {
		z->next_out = piece;
		z->avail_out = sizeof piece;
		rc = inflate(z, Z_NO_FLUSH);
		if (rc != Z_OK && rc != Z_STREAM_END)
			return err_set(cx, ERR_INPUT, "broken gzip data (zlib says %d)", rc);
		buf_add(out, piece, sizeof piece - z->avail_out);
		if (out->full)
			return err_set(cx, ERR_INPUT, "gzip data is larger than %zu bytes", out->ceiling);
		if (rc == Z_STREAM_END && z->avail_in && inflateReset(z) == Z_OK)
			rc = Z_OK;
	}
	return rc == Z_STREAM_END ? OK : err_set(cx, ERR_INPUT, "gzip data ends early");
}

enum err gzip_read(struct ctx *cx, struct str in, struct buf *out)
{
	z_stream z = { .next_in = (unsigned char *)(uintptr_t)in.p, .avail_in = (uInt)in.n };
	enum err e;

	if (!in.n)
		return OK;
	if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
		return err_set(cx, ERR_INTERNAL, "start zlib: out of memory");
	e = inflate_all(cx, &z, out);
	inflateEnd(&z);
	return e;
}
