#include "model/log_batch.h"

#include "base/text.h"
#include "model/log_notice.h"

bool log_batch_is_full(const struct log_batch *b)
{
	return b->n >= b->lines_most || b->bytes >= b->bytes_most;
}

void log_batch_add(struct log_batch *b, struct log_message m)
{
	if (b->n == b->room) {
		struct log_message *all = arena_array(b->arena, b->room ? b->room * 2 : 64, sizeof *all);

		if (b->n)
			memcpy(all, b->messages, b->n * sizeof *all);
		b->messages = all;
		b->room = b->room ? b->room * 2 : 64;
	}
	b->messages[b->n++] = m;
	b->bytes += m.text.n;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void log_gather_begin(struct log_gather *g, struct log_batch *batch, const struct log_source *of, const struct log_position *from)
{
	*g = (struct log_gather){ .batch = batch, .of = of, .from = *from, .to = *from, .chunk = from->chunk,
		                  .byte = least(from->byte[0], from->byte[1]) };
}

static struct str copy(struct arena *a, struct str s)
{
	return str_bytes(arena_copy(a, s.p, s.n), s.n);
}

static void open_add(struct log_open *o, struct arena *a, struct log_open_piece piece, struct str bytes)
{
	if (o->n == o->room) {
		struct log_open_piece *all = arena_array(a, o->room ? o->room * 2 : 8, sizeof *all);

		if (o->n)
			memcpy(all, o->pieces, o->n * sizeof *all);
		o->pieces = all;
		o->room = o->room ? o->room * 2 : 8;
	}
	piece.from = o->raw.n;
	o->pieces[o->n++] = piece;
	buf_str(&o->raw, bytes);
}

/* The first `n` bytes go; what is left begins in the last piece that begins at or before them. */
static void open_drop(struct log_open *o, size_t n)
{
	size_t first = 0, kept = 0;

	buf_drop(&o->raw, n);
	while (first + 1 < o->n && o->pieces[first + 1].from <= n)
		first++;
	for (size_t i = first; i < o->n && o->raw.n; i++) {
		struct log_open_piece *p = &o->pieces[i];
		size_t cut = p->from < n ? n - p->from : 0;

		o->pieces[kept++] = (struct log_open_piece){ p->from + cut - n, p->byte + (int64_t)cut, p->chunk, p->at };
	}
	o->n = kept;
}

/* The first `n` bytes of the unfinished line become a message. */
static void emit(struct log_gather *g, int which, size_t n, bool more)
{
	struct log_open *o = &g->open[which];
	struct str text = str_bytes(o->raw.p, n);

	if (!more && text.n && text.p[text.n - 1] == '\r')
		text.n--;
	log_batch_add(g->batch, (struct log_message){
		.of = g->of, .stream = which ? LOG_ERR : LOG_OUT, .at = o->pieces[0].at, .sequence = ++g->to.sequence,
		.part = more || g->to.part[which] ? g->to.part[which] + 1 : 0, .more = more,
		.text = text_visible(g->batch->arena, copy(g->batch->arena, text)) });
	g->to.part[which] = more ? g->to.part[which] + 1 : 0;
	open_drop(o, n);
}

/* A long line, at a border of characters where there is one near. */
static void cut(struct log_gather *g, int which)
{
	size_t most = g->batch->part_bytes, n = text_cut(buf_view(&g->open[which].raw), most).n;

	emit(g, which, n + 4 > most ? n : most, true);
}

void log_gather_flush(struct log_gather *g, bool more)
{
	for (int i = 0; i < 2; i++)
		if (g->open[i].raw.n)
			emit(g, i, g->open[i].raw.n, more);
		else if (!more && g->to.part[i]) /* its last part ended with the log */
			g->to.part[i] = 0;
}

/* Bytes that are missing: what was unfinished before them will not be finished. */
static void gap(struct log_gather *g, int64_t byte, int64_t at)
{
	struct str text = str_trim(log_notice(g->batch->arena, g->byte, byte));

	log_gather_flush(g, false);
	log_batch_add(g->batch, (struct log_message){ .of = g->of, .stream = LOG_NOTICE, .at = at,
	                                              .sequence = ++g->to.sequence, .text = text });
	g->byte = byte;
}

/* One line or the rest of it; how much of `s` it was. */
static size_t take_line(struct log_gather *g, int which, int64_t byte, int64_t at, struct str s)
{
	const char *end = memchr(s.p, '\n', s.n);
	size_t n = end ? (size_t)(end - s.p) : s.n;

	open_add(&g->open[which], g->batch->arena, (struct log_open_piece){ 0, byte, g->chunk, at }, str_bytes(s.p, n));
	while (g->open[which].raw.n > g->batch->part_bytes)
		cut(g, which);
	if (end)
		emit(g, which, g->open[which].raw.n, false);
	return end ? n + 1 : n;
}

bool log_gather_add(struct log_gather *g, int64_t chunk, int64_t byte, int stream, int64_t at, struct str bytes)
{
	int which = stream == LOG_ERR ? 1 : 0;
	int64_t skip = g->from.byte[which] - byte;

	g->chunk = chunk;
	if (byte > g->byte) {
		if (log_batch_is_full(g->batch))
			return !(g->stopped = true);
		gap(g, byte, at);
	}
	if (skip > 0) {
		size_t n = skip < (int64_t)bytes.n ? (size_t)skip : bytes.n;

		bytes = str_bytes(bytes.p + n, bytes.n - n);
		byte += (int64_t)n;
		g->byte = byte > g->byte ? byte : g->byte;
	}
	while (bytes.n) {
		size_t n;

		if (log_batch_is_full(g->batch))
			return !(g->stopped = true);
		n = take_line(g, which, byte, at, bytes);
		bytes = str_bytes(bytes.p + n, bytes.n - n);
		byte += (int64_t)n;
		g->byte = byte;
	}
	return true;
}

void log_gather_chunk_end(struct log_gather *g, int64_t chunk)
{
	enum { AHEAD_BYTES = 262144 }; /* the other stream goes on: it would be read again and again */

	g->chunk = chunk + 1;
	for (int i = 0; i < 2; i++)
		if (g->open[i].raw.n && g->byte - g->open[i].pieces[0].byte > AHEAD_BYTES)
			emit(g, i, g->open[i].raw.n, true);
}

void log_gather_end(struct log_gather *g, struct log_position *to)
{
	g->to.chunk = g->chunk;
	for (int i = 0; i < 2; i++) {
		bool is_open = g->open[i].raw.n > 0;
		int64_t byte = is_open ? g->open[i].pieces[0].byte : g->byte;

		g->to.byte[i] = byte > g->from.byte[i] ? byte : g->from.byte[i];
		if (is_open)
			g->to.chunk = least(g->to.chunk, g->open[i].pieces[0].chunk);
		buf_free(&g->open[i].raw);
	}
	*to = g->to;
}
