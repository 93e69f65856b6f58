#pragma once
#include "base/buf.h"
#include "base/ctx.h"

/* Log chunks are stored as whole gzip members (zlib, level 1), so that a .gz download is plain
 * concatenation of rows. */

/* Appends one gzip member with the bytes of `in` to *out. */
enum err gzip_member(struct ctx *cx, struct str in, struct buf *out);
/* Appends the plain bytes of one or more members to *out; ERR_INPUT if they are broken or if
 * out->ceiling does not hold them. */
enum err gzip_read(struct ctx *cx, struct str in, struct buf *out);
