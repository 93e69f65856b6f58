#pragma once
#include "base/buf.h"
#include "base/clock.h"
#include "model/ansi.h"

/* The lines of a log out of its pieces, for people: numbers count over both streams together as
 * read, times and streams are those of the pieces, what was left out is a gap. */
enum { LOG_LINE_BYTES = 16384 }; /* a longer line is cut in pages; its raw bytes are one link away */

struct log_line {
	int64_t number;     /* line ends before it, from 0 */
	int64_t first_byte; /* absolute */
	int64_t at;         /* when its first byte was read */
	int64_t gap;        /* so many bytes are missing before it */
	bool is_err;        /* some of it came from stderr */
	bool cut;           /* longer than LOG_LINE_BYTES */
	bool open;          /* its line end has not come yet */
	struct ansi_span *spans;
	size_t span_count;
};

struct log_lines {
	/* set by the caller; the rest zero */
	struct arena *arena;
	int64_t from_byte;   /* bytes before it are only counted */
	int64_t from_line;   /* lines before it are only counted */
	size_t lines_most;   /* 0 = no limit */
	size_t bytes_most;   /* of shown text; 0 = no limit */
	struct ansi_style style;

	struct log_line *lines;
	size_t n, room, shown;
	bool full;            /* a limit was reached; the rest was not looked at */
	int64_t next_byte;    /* where to go on: the start of the unfinished line, or the end */
	int64_t next_line;
	struct ansi_style next_style; /* as it was at next_byte */

	int64_t byte;         /* position of the next piece's first byte */
	bool began;
	struct log_line now;  /* the line being read, and its bytes */
	struct buf raw;
};
void log_lines_release(struct log_lines *l);
/* The first piece also says how many line ends were before it. */
void log_lines_begin(struct log_lines *l, int64_t first_byte, int64_t first_line);
/* What comes next begins there; if bytes are missing before it, that is a gap. */
void log_lines_jump(struct log_lines *l, int64_t first_byte, int64_t first_line);
/* Bytes of stream 1 or 2 from absolute position `first_byte` on; a jump ahead is a gap. */
void log_lines_add(struct log_lines *l, int64_t first_byte, int stream, int64_t at, struct str bytes);
/* No more pieces for now: an unfinished line is shown as open. */
void log_lines_end(struct log_lines *l);
/* Drops all but the last `most` lines. */
void log_lines_keep_last(struct log_lines *l, size_t most);
