#include "worker/runner/spool_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD, OLDER, NEWER, NOTHING, READ_BYTES = SPOOL_DATA_MAX + 4 * SPOOL_FRAME_BYTES };
/* a piece is not split for less: 1-byte writes would else cost 16 times their bytes */
enum { SAME_PIECE_US = 10000 };

void spool_batch_free(struct spool_batch *b)
{
	buf_free(&b->plain);
	free(b->pieces);
	*b = (struct spool_batch){ 0 };
}

void spool_reader_init(struct spool_reader *r, const char *folder)
{
	*r = (struct spool_reader){ .fd = -1, .tail_of = { -1, -1, -1 } };
	snprintf(r->folder, sizeof r->folder, "%s", folder);
}

void spool_reader_skip(struct spool_reader *r, int64_t byte)
{
	r->skip_to = byte;
}

static void close_file(struct spool_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

void spool_reader_close(struct spool_reader *r)
{
	close_file(r);
	mask_run_free(r->run);
	free(r->waiting);
	r->run = NULL;
	r->waiting = NULL;
	r->waiting_first = r->waiting_count = r->waiting_room = 0;
}

static int open_in(const struct spool_reader *r, const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", r->folder, name);
	return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* --- the tail ----------------------------------------------------------------------------------- */

static const char *tail_name(int which)
{
	return which ? "tail.1" : "tail.0";
}

static bool tail_header(const struct spool_reader *r, int which, struct spool_tail *out)
{
	int fd = open_in(r, tail_name(which));
	bool whole;

	if (fd < 0)
		return false;
	whole = pread(fd, out, sizeof *out, 0) == (ssize_t)sizeof *out;
	close(fd);
	return whole;
}

void spool_reader_end(struct spool_reader *r, const struct exit_file *end)
{
	struct spool_tail t[2];
	bool has[2];
	int64_t from = (int64_t)(end->head + end->missing);

	r->ended = true;
	for (int i = 0; i < 2; i++)
		has[i] = tail_header(r, i, &t[i]);
	if (has[0] && has[1]) {
		bool first = le64toh(t[0].first_byte) < le64toh(t[1].first_byte);

		r->tail_of[OLDER] = first ? 0 : 1;
		r->tail_of[NEWER] = first ? 1 : 0;
	} else if (has[0] || has[1]) {
		r->tail_of[NEWER] = has[0] ? 0 : 1;
	}
	r->gap_from = (int64_t)end->head;
	r->gap_to = from;
}

/* What was read and not given yet. */
static size_t held_bytes(const struct spool_reader *r)
{
	size_t ready;

	return r->run ? mask_run_held(r->run, &ready).n : 0;
}

/* To the next file; what it begins with is known from its header. */
static void next_file(struct spool_reader *r)
{
	struct spool_tail t;
	int which;

	close_file(r);
	do {
		r->file++;
		which = r->file < NOTHING ? r->tail_of[r->file] : -1;
	} while (r->file < NOTHING && (which < 0 || !tail_header(r, which, &t)));
	if (r->file >= NOTHING)
		return;
	r->at = SPOOL_TAIL_BYTES;
	r->into = 0;
	if (held_bytes(r))
		return; /* it joins: let_go */
	if (r->run && r->byte != (int64_t)le64toh(t.first_byte))
		mask_run_end(r->run);
	r->byte = (int64_t)le64toh(t.first_byte);
	r->line = (int64_t)le64toh(t.first_line);
}

/* --- frames --------------------------------------------------------------------------------------- */

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

/* What comes behind a gap is a chunk of its own. */
static bool is_full(const struct spool_reader *r, const struct spool_batch *b)
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

void spool_reader_mask(struct spool_reader *r, const struct output_mask *m)
{
	r->mask = m;
	if (m && !r->run)
		r->run = mask_run_new(m);
}

/* The frame is read whole; what of it may be given now is given by take_decided. */
static void hold_frame(struct spool_reader *r, const struct spool_frame *f, const uint8_t *data)
{
	struct log_piece *last;

	if (r->waiting_first == r->waiting_count)
		r->waiting_first = r->waiting_count = 0;
	if (r->waiting_count == r->waiting_room)
		r->waiting = wider(r->waiting, &r->waiting_room, sizeof *r->waiting);
	last = &r->waiting[r->waiting_count++];
	*last = (struct log_piece){ .stream = f->stream, .bytes = f->len, .at = (int64_t)f->boottime_us };
	mask_run_add(r->run, f->stream, str_bytes(data, f->len));
}

/* True if it took any. */
static bool take_decided(struct spool_reader *r, struct spool_batch *b)
{
	size_t ready, taken = 0;
	struct str held = mask_run_held(r->run, &ready);

	while (taken < ready && !is_full(r, b)) {
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

/* At the end of a file that the next one does not join, nothing may be held any more. */
static bool let_go(struct spool_reader *r)
{
	struct spool_tail t;

	if (!held_bytes(r))
		return false;
	for (int file = r->file + 1; file < NOTHING; file++)
		if (r->tail_of[file] >= 0 && tail_header(r, r->tail_of[file], &t)) {
			if ((int64_t)le64toh(t.first_byte) == r->byte + (int64_t)held_bytes(r))
				return false;
			break;
		}
	mask_run_end(r->run);
	return true;
}

/* Takes what it may of one whole frame; true when all of it is taken. */
static bool take_frame(struct spool_reader *r, struct spool_batch *b, const struct spool_frame *f, const uint8_t *data)
{
	struct log_piece of = { .stream = f->stream, .at = (int64_t)f->boottime_us };

	if (r->run) {
		hold_frame(r, f, data);
		take_decided(r, b);
		return true;
	}
	r->into += take_some(r, b, &of, data + r->into, f->len - r->into);
	return r->into == f->len;
}

/* Takes frames from `raw`; true if it took any. */
static bool take_frames(struct spool_reader *r, struct spool_batch *b, const uint8_t *raw, size_t n)
{
	struct spool_frame f;
	const uint8_t *data;
	bool any = false;

	while (!is_full(r, b) && spool_frame_parse(raw, n, &f, &data)) {
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

static enum err open_file(struct spool_reader *r, struct ctx *cx)
{
	const char *name = r->file == HEAD ? "head" : tail_name(r->tail_of[r->file]);

	r->fd = open_in(r, name);
	if (r->fd < 0 && errno != ENOENT)
		return err_errno(cx, "open %s/%s", r->folder, name);
	return OK;
}

enum err spool_read(struct spool_reader *r, struct ctx *cx, struct spool_batch *out)
{
	static uint8_t raw[READ_BYTES]; /* the loop's one thread; holds any frame whole */

	while (r->file != NOTHING && !is_full(r, out)) {
		ssize_t n = 0;

		if (r->run && take_decided(r, out))
			continue;
		if (r->fd < 0)
			TRY(open_file(r, cx));
		if (r->fd >= 0)
			n = pread(r->fd, raw, sizeof raw, r->at);
		if (n < 0)
			return err_errno(cx, "read the spool of %s", r->folder);
		if (n > 0 && take_frames(r, out, raw, (size_t)n))
			continue;
		if (!r->ended)
			break;
		if (let_go(r))
			continue;
		if (out->plain.n)
			break; /* the next file may not join: a chunk of its own */
		next_file(r);
	}
	return OK;
}

int64_t spool_waiting(struct spool_reader *r)
{
	struct stat st;

	if (r->fd < 0)
		r->fd = r->file == HEAD ? open_in(r, "head") : -1;
	if (r->fd < 0 || fstat(r->fd, &st))
		return 0;
	return st.st_size > r->at ? (int64_t)st.st_size - r->at : 0;
}
