#include "model/log_lines.h"

#include "base/arena.h"

void log_lines_release(struct log_lines *l)
{
	buf_free(&l->raw);
}

static void new_line(struct log_lines *l, int64_t number)
{
	l->now = (struct log_line){ .number = number, .first_byte = l->byte, .at = TIME_NONE };
	buf_clear(&l->raw);
}

/* Here a reader who comes back later may go on. */
static void mark_next(struct log_lines *l)
{
	l->next_byte = l->byte;
	l->next_line = l->now.number;
	l->next_style = l->style;
}

void log_lines_begin(struct log_lines *l, int64_t first_byte, int64_t first_line)
{
	l->byte = first_byte;
	l->began = true;
	l->raw.ceiling = LOG_LINE_BYTES;
	new_line(l, first_line);
	mark_next(l);
}

static void keep(struct log_lines *l)
{
	if (l->n == l->room) {
		struct log_line *more;

		l->room = l->room ? 2 * l->room : 64;
		more = arena_array(l->arena, l->room, sizeof *more);
		if (l->n)
			memcpy(more, l->lines, l->n * sizeof *more);
		l->lines = more;
	}
	l->lines[l->n++] = l->now;
}

/* The line being read is over (or shown as it stands). */
static void finish_line(struct log_lines *l, bool open)
{
	bool wanted = l->now.number >= l->from_line && l->now.first_byte >= l->from_byte;

	ansi_line(l->arena, &l->style, buf_view(&l->raw), &l->now.spans, &l->now.span_count);
	if (wanted) {
		l->now.open = open;
		l->shown += l->raw.n;
		keep(l);
	}
	l->full = (l->lines_most && l->n >= l->lines_most) || (l->bytes_most && l->shown >= l->bytes_most);
}

/* A line longer than what is kept of it: its rest is counted, not kept. */
static void keep_bytes(struct log_lines *l, struct str bytes)
{
	size_t room = LOG_LINE_BYTES - l->raw.n;

	if (bytes.n > room) {
		l->now.cut = true;
		bytes.n = room;
	}
	buf_str(&l->raw, bytes);
}

static void take(struct log_lines *l, int stream, int64_t at, struct str bytes)
{
	if (!bytes.n)
		return;
	if (l->now.at == TIME_NONE)
		l->now.at = at;
	if (stream == 2)
		l->now.is_err = true;
	keep_bytes(l, bytes);
	l->byte += (int64_t)bytes.n;
}

/* Output was left out here: the line before it stays as it is, and the next begins anew. */
void log_lines_jump(struct log_lines *l, int64_t first_byte, int64_t first_line)
{
	int64_t gap = first_byte - l->byte;

	if (gap <= 0 || l->full)
		return;
	if (l->raw.n)
		finish_line(l, false);
	l->byte = first_byte;
	new_line(l, first_line);
	l->now.gap = gap;
	mark_next(l);
}

/* What lies before from_byte only counts. */
static struct str skip(struct log_lines *l, struct str bytes)
{
	while (bytes.n && l->byte < l->from_byte) {
		l->byte++;
		if (*bytes.p == '\n')
			l->now.number++;
		bytes.p++;
		bytes.n--;
		l->now.first_byte = l->byte;
		mark_next(l);
	}
	return bytes;
}

void log_lines_add(struct log_lines *l, int64_t first_byte, int stream, int64_t at, struct str bytes)
{
	if (l->full)
		return;
	log_lines_jump(l, first_byte, l->now.number + (l->raw.n > 0));
	bytes = skip(l, bytes);
	while (bytes.n && !l->full) {
		const char *end = memchr(bytes.p, '\n', bytes.n);
		size_t n = end ? (size_t)(end - bytes.p) : bytes.n;

		take(l, stream, at, str_bytes(bytes.p, n));
		bytes = str_bytes(bytes.p + n, bytes.n - n);
		if (!end)
			return;
		if (l->now.at == TIME_NONE)
			l->now.at = at;
		l->now.is_err |= stream == 2;
		finish_line(l, false);
		l->byte++;
		bytes = str_bytes(bytes.p + 1, bytes.n - 1);
		new_line(l, l->now.number + 1);
		mark_next(l);
	}
}

void log_lines_end(struct log_lines *l)
{
	if (l->began && !l->full && (l->raw.n || l->now.gap))
		finish_line(l, true);
}

void log_lines_keep_last(struct log_lines *l, size_t most)
{
	if (l->n <= most)
		return;
	l->lines += l->n - most;
	l->n = most;
}
