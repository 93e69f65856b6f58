#include "worker/runner/spool_take.h"

#include <stdlib.h>

/* a piece is not split for less: 1-byte writes would else cost 16 times their bytes */
enum { SAME_PIECE_US = 10000 };

void spool_batch_free(struct spool_batch *b)
{
	buf_free(&b->plain);
	free(b->pieces);
	*b = (struct spool_batch){ 0 };
}

static int64_t lines_in(const uint8_t *p, size_t n)
{
	int64_t lines = 0;

	for (const uint8_t *end = p + n; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
		lines++;
	return lines;
}

static void remember(struct spool_reader *r, const uint8_t *p, size_t n)
{
	size_t keep;

	if (n >= SPOOL_LAST_BYTES) {
		memcpy(r->last, p + n - SPOOL_LAST_BYTES, SPOOL_LAST_BYTES);
		r->last_n = SPOOL_LAST_BYTES;
		return;
	}
	keep = r->last_n < SPOOL_LAST_BYTES - n ? r->last_n : SPOOL_LAST_BYTES - n;
	memmove(r->last, r->last + r->last_n - keep, keep);
	memcpy(r->last + keep, p, n);
	r->last_n = keep + n;
}

static void *wider(void *p, size_t *room, size_t one)
{
	*room = *room ? 2 * *room : 16;
	p = realloc(p, *room * one);
	if (!p)
		abort();
	return p;
}

static void add_piece(struct spool_batch *b, const struct log_piece *of, size_t n)
{
	struct log_piece *last = b->piece_count ? &b->pieces[b->piece_count - 1] : NULL;

	if (last && last->stream == of->stream && of->at - last->at < SAME_PIECE_US) {
		last->bytes += (uint32_t)n;
		return;
	}
	if (b->piece_count == b->piece_room)
		b->pieces = wider(b->pieces, &b->piece_room, sizeof *b->pieces);
	b->pieces[b->piece_count++] = (struct log_piece){ .stream = of->stream, .bytes = (uint32_t)n, .at = of->at };
}

static bool is_in_gap(const struct spool_reader *r)
{
	return r->byte >= r->gap_from && r->byte < r->gap_to;
}

bool spool_is_full(const struct spool_reader *r, const struct spool_batch *b)
{
	return b->plain.n >= SPOOL_CHUNK_BYTES || b->piece_count >= SPOOL_CHUNK_PIECES || (b->plain.n && is_in_gap(r));
}

/* How many of the next n bytes are alike: all passed over, or all taken. */
static size_t alike(const struct spool_reader *r, size_t n, bool *passed)
{
	int64_t until = r->byte < r->gap_from && r->gap_to > r->gap_from ? r->gap_from : INT64_MAX;

	*passed = r->byte < r->skip_to || is_in_gap(r);
	if (r->byte < r->skip_to)
		until = r->skip_to;
	else if (is_in_gap(r))
		until = r->gap_to;
	return (int64_t)n > until - r->byte ? (size_t)(until - r->byte) : n;
}

/* Takes what it may of the next bytes, which are `of` this piece; how many. */
static size_t take_some(struct spool_reader *r, struct spool_batch *b, const struct log_piece *of, const uint8_t *p, size_t n)
{
	bool passed;

	n = alike(r, n, &passed);
	if (!passed) {
		size_t room = SPOOL_CHUNK_BYTES - b->plain.n;

		if (n > room)
			n = room;
		if (!b->plain.n) {
			b->first_byte = r->byte;
			b->first_line = r->line;
			b->first_at = of->at;
		}
		buf_add(&b->plain, p, n);
		add_piece(b, of, n);
		b->line_count += lines_in(p, n);
	}
	r->line += lines_in(p, n);
	r->byte += (int64_t)n;
	remember(r, p, n);
	return n;
}

/* --- masking ------------------------------------------------------------------------------------------ */

void spool_hold_piece(struct spool_reader *r, const struct log_piece *piece)
{
	if (r->waiting_first == r->waiting_count)
		r->waiting_first = r->waiting_count = 0;
	if (r->waiting_count == r->waiting_room)
		r->waiting = wider(r->waiting, &r->waiting_room, sizeof *r->waiting);
	r->waiting[r->waiting_count++] = *piece;
}

/* The frame is read whole; what of it may be given now is given by spool_take_decided. */
static void hold_frame(struct spool_reader *r, const struct log_piece *of, const uint8_t *data)
{
	spool_hold_piece(r, of);
	mask_run_add(r->run, of->stream, str_bytes(data, of->bytes));
}

bool spool_take_decided(struct spool_reader *r, struct spool_batch *b)
{
	size_t ready, taken = 0;
	struct str held = mask_run_held(r->run, &ready);

	while (taken < ready && !spool_is_full(r, b)) {
		struct log_piece *of = &r->waiting[r->waiting_first];
		size_t n = of->bytes < ready - taken ? of->bytes : ready - taken;

		n = take_some(r, b, of, (const uint8_t *)held.p + taken, n);
		taken += n;
		of->bytes -= (uint32_t)n;
		r->waiting_first += of->bytes == 0;
	}
	mask_run_take(r->run, taken);
	return taken > 0;
}

size_t spool_held(const struct spool_reader *r)
{
	size_t ready;

	return r->run ? mask_run_held(r->run, &ready).n : 0;
}

void spool_jump(struct spool_reader *r, int64_t byte, int64_t line)
{
	if (r->run)
		mask_run_gap(r->run);
	r->byte = byte;
	r->line = line;
}

/* Takes what it may of one whole frame; true when all of it is taken. */
static bool take_frame(struct spool_reader *r, struct spool_batch *b, const struct spool_frame *f, const uint8_t *data)
{
	struct log_piece of = { .stream = f->stream, .bytes = f->len, .at = (int64_t)f->boottime_us };

	if (r->run) {
		hold_frame(r, &of, data);
		spool_take_decided(r, b);
		return true;
	}
	r->into += take_some(r, b, &of, data + r->into, f->len - r->into);
	return r->into == f->len;
}

bool spool_take_frames(struct spool_reader *r, struct spool_batch *b, const uint8_t *raw, size_t n)
{
	struct spool_frame f;
	const uint8_t *data;
	bool any = false;

	while (!spool_is_full(r, b) && spool_frame_parse(raw, n, &f, &data)) {
		any = true;
		if (!take_frame(r, b, &f, data))
			continue; /* cut by the chunk's end, or by what is skipped: the rest of it next */
		raw += SPOOL_FRAME_BYTES + f.len;
		n -= SPOOL_FRAME_BYTES + f.len;
		r->at += SPOOL_FRAME_BYTES + f.len;
		r->into = 0;
	}
	return any;
}
