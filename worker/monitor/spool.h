#pragma once
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The output of an attempt on disk: what the monitor writes and the runner reads.
 *
 * `head` holds the first head_max bytes as frames, appended with one write each; a frame may be half
 * there while it is being written, so a reader stops at the last whole one and comes back.
 * What follows goes to `tail.0` and `tail.1` in turn: a header, then frames; the one that holds
 * tail_max bytes is left, the other is truncated and filled. The newer one is that with the larger
 * first_byte. The last tail_max bytes are the end of the older, then all of the newer (if the two do
 * not join, first_byte + bytes of the older < first_byte of the newer, only the newer counts).
 * Who reads one while the job runs looks at its header again after he has read: a first_byte that has
 * changed says that it was begun anew meanwhile. In the header a mark follows the end of the file, so that
 * who cannot read all may begin near it. Bytes and lines count over both streams together, as read. */

#define SPOOL_STREAM_OUT 1
#define SPOOL_STREAM_ERR 2
#define SPOOL_DATA_MAX 65536u /* bytes of one frame at most */
#define SPOOL_FRAME_BYTES 16u
#define SPOOL_TAIL_BYTES 32u
#define SPOOL_MARK_BYTES 65536u /* of output; the mark is moved on when so many came behind it */

struct spool_frame { /* before the bytes of each frame; little endian */
	uint32_t len;    /* 1 .. SPOOL_DATA_MAX */
	uint8_t stream;
	uint8_t pad[3];
	uint64_t boottime_us; /* when it was read */
};
_Static_assert(sizeof(struct spool_frame) == SPOOL_FRAME_BYTES, "spool_frame has no holes");

struct spool_tail { /* begin of tail.0 and tail.1; little endian */
	uint64_t first_byte; /* of the output, of the first byte below */
	uint64_t first_line; /* '\n' before that byte */
	uint64_t mark_at;    /* where in the file a frame begins; 0 = no mark */
	uint32_t mark_bytes; /* of output before it in this file, */
	uint32_t mark_lines; /* and '\n' in them */
};
_Static_assert(sizeof(struct spool_tail) == SPOOL_TAIL_BYTES, "spool_tail has no holes");

/* The frame at `at` of `size` bytes: true, its header in host order in `out` and its bytes in `data`
 * (a view into `at`), if it is whole and well formed; the next one is SPOOL_FRAME_BYTES + out->len
 * further. False if more must come first, or if this is no frame (out->len is then 0 or too large). */
static inline bool spool_frame_parse(const void *at, size_t size, struct spool_frame *out,
                                     const uint8_t **data)
{
	struct spool_frame f;

	memset(out, 0, sizeof *out);
	if (size < sizeof f)
		return false;
	memcpy(&f, at, sizeof f);
	*out = f;
	out->len = le32toh(f.len);
	out->boottime_us = le64toh(f.boottime_us);
	if (out->len == 0 || out->len > SPOOL_DATA_MAX || size - sizeof f < out->len)
		return false;
	*data = (const uint8_t *)at + sizeof f;
	return true;
}
