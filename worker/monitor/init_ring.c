#include "worker/monitor/init_ring.h"

#include <string.h>
#include <sys/mman.h>

enum { HEADER = 3, SPARE = 65536 }; /* length, two bytes, and stream */

bool ring_open(struct ring *r, size_t keep)
{
	*r = (struct ring){ .room = keep + keep / 4 + SPARE, .keep = keep };
	r->bytes = mmap(NULL, r->room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return r->bytes != MAP_FAILED;
}

static void copy_in(struct ring *r, size_t at, const uint8_t *p, size_t n)
{
	size_t first = r->room - at < n ? r->room - at : n;

	memcpy(r->bytes + at, p, first);
	memcpy(r->bytes, p + first, n - first);
}

static void copy_out(const struct ring *r, size_t at, uint8_t *p, size_t n)
{
	size_t first = r->room - at < n ? r->room - at : n;

	memcpy(p, r->bytes + at, first);
	memcpy(p + first, r->bytes, n - first);
}

static size_t length_at(const struct ring *r, size_t at)
{
	uint8_t h[HEADER];

	copy_out(r, at, h, HEADER);
	return (size_t)h[0] << 8 | h[1];
}

size_t ring_take(struct ring *r, uint8_t *stream, uint8_t *out)
{
	uint8_t h[HEADER];
	size_t n;

	if (!r->used)
		return 0;
	copy_out(r, r->from, h, HEADER);
	n = (size_t)h[0] << 8 | h[1];
	*stream = h[2];
	copy_out(r, (r->from + HEADER) % r->room, out, n);
	r->from = (r->from + HEADER + n) % r->room;
	r->used -= HEADER + n;
	r->data -= n;
	return n;
}

static void drop_oldest(struct ring *r)
{
	uint8_t data[RING_RECORD_MAX], stream;
	size_t n = ring_take(r, &stream, data);

	r->dropped_bytes += n;
	for (size_t i = 0; i < n; i++)
		r->dropped_lines += data[i] == '\n';
}

static void make_room(struct ring *r, size_t n)
{
	while (r->used && (r->room - r->used < n + HEADER || r->data - length_at(r, r->from) + n >= r->keep))
		drop_oldest(r);
}

/* Behind what the last record holds already, if it is of the same stream. */
static bool add_to_last(struct ring *r, uint8_t stream, const uint8_t *p, size_t n)
{
	uint8_t h[HEADER];
	size_t length;

	if (!r->used)
		return false;
	copy_out(r, r->last, h, HEADER);
	length = ((size_t)h[0] << 8 | h[1]) + n;
	if (h[2] != stream || length > RING_RECORD_MAX)
		return false;
	h[0] = (uint8_t)(length >> 8);
	h[1] = (uint8_t)length;
	copy_in(r, r->last, h, HEADER);
	copy_in(r, (r->from + r->used) % r->room, p, n);
	r->used += n;
	r->data += n;
	return true;
}

static void put_piece(struct ring *r, uint8_t stream, const uint8_t *p, size_t n)
{
	const uint8_t h[HEADER] = { (uint8_t)(n >> 8), (uint8_t)n, stream };

	make_room(r, n);
	if (add_to_last(r, stream, p, n))
		return;
	r->last = (r->from + r->used) % r->room;
	copy_in(r, r->last, h, HEADER);
	copy_in(r, (r->last + HEADER) % r->room, p, n);
	r->used += HEADER + n;
	r->data += n;
}

void ring_put(struct ring *r, uint8_t stream, const uint8_t *p, size_t n)
{
	while (n) {
		size_t piece = n < RING_RECORD_MAX ? n : RING_RECORD_MAX;

		put_piece(r, stream, p, piece);
		p += piece;
		n -= piece;
	}
}
