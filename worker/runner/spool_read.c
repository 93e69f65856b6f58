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

void spool_reader_close(struct spool_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
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
	if (end->missing && from > r->skip_to)
		r->skip_to = from; /* the bytes before it are not whole: left out, and told as missing */
}

/* To the next file; what it begins with is known from its header. */
static void next_file(struct spool_reader *r)
{
	struct spool_tail t;
	int which;

	spool_reader_close(r);
	do {
		r->file++;
		which = r->file < NOTHING ? r->tail_of[r->file] : -1;
	} while (r->file < NOTHING && (which < 0 || !tail_header(r, which, &t)));
	if (r->file >= NOTHING)
		return;
	r->at = SPOOL_TAIL_BYTES;
	r->into = 0;
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

static void add_piece(struct spool_batch *b, const struct spool_frame *f, size_t n)
{
	struct log_piece *last = b->piece_count ? &b->pieces[b->piece_count - 1] : NULL;
	int64_t at = (int64_t)f->boottime_us;

	if (last && last->stream == f->stream && at - last->at < SAME_PIECE_US) {
		last->bytes += (uint32_t)n;
		return;
	}
	if (b->piece_count == b->piece_room) {
		b->piece_room = b->piece_room ? 2 * b->piece_room : 16;
		b->pieces = realloc(b->pieces, b->piece_room * sizeof *b->pieces);
		if (!b->pieces)
			abort();
	}
	b->pieces[b->piece_count++] = (struct log_piece){ .stream = f->stream, .bytes = (uint32_t)n, .at = at };
}

/* Takes what it may of one whole frame; true when all of it is taken. */
static bool take_frame(struct spool_reader *r, struct spool_batch *b, const struct spool_frame *f, const uint8_t *data)
{
	size_t left = f->len - r->into, n = left;
	const uint8_t *p = data + r->into;
	bool skipped = r->byte < r->skip_to;

	if (skipped && n > (size_t)(r->skip_to - r->byte))
		n = (size_t)(r->skip_to - r->byte);
	if (!skipped) {
		size_t room = SPOOL_CHUNK_BYTES - b->plain.n;

		if (n > room)
			n = room;
		if (!b->plain.n) {
			b->first_byte = r->byte;
			b->first_line = r->line;
			b->first_at = (int64_t)f->boottime_us;
		}
		buf_add(&b->plain, p, n);
		add_piece(b, f, n);
		b->line_count += lines_in(p, n);
	}
	r->line += lines_in(p, n);
	r->byte += (int64_t)n;
	remember(r, p, n);
	r->into += n;
	return n == left;
}

static bool is_full(const struct spool_batch *b)
{
	return b->plain.n >= SPOOL_CHUNK_BYTES || b->piece_count >= SPOOL_CHUNK_PIECES;
}

/* Takes frames from `raw`; true if it took any. */
static bool take_frames(struct spool_reader *r, struct spool_batch *b, const uint8_t *raw, size_t n)
{
	struct spool_frame f;
	const uint8_t *data;
	bool any = false;

	while (!is_full(b) && spool_frame_parse(raw, n, &f, &data)) {
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

	while (r->file != NOTHING && !is_full(out)) {
		ssize_t n = 0;

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
