#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"

/* Messages out of the pieces of logs: one a line and stream, however chunks cut it. A line longer than
 * `part_bytes` is sent in parts; where output was left out a message says so; an unfinished line waits for its
 * end. Texts are UTF-8 without control characters but tabs (text_visible). Pure. */
struct log_source {
	struct id project, task;
	struct str code;
	int64_t attempt;
};
enum log_stream { LOG_NOTICE, LOG_OUT, LOG_ERR }; /* the numbers of stdout and stderr are those of pieces */

struct log_message {
	const struct log_source *of;
	enum log_stream stream;
	int64_t at;       /* when its first byte was read */
	int64_t sequence; /* from 1, in its attempt */
	int64_t part;     /* of a longer line, from 1; 0 = it is a whole line */
	bool more;        /* another part of the line follows */
	struct str text;
};

/* What goes in one piece to a receiver. */
struct log_batch {
	/* set by the caller; the rest zero */
	struct arena *arena;
	size_t lines_most, bytes_most; /* it ends at the line that reaches one of them */
	size_t part_bytes;             /* of a line as the job wrote it */

	struct log_message *messages;
	size_t n, room, bytes;         /* bytes: of the texts */
};
bool log_batch_is_full(const struct log_batch *b);
/* A message of our own. */
void log_batch_add(struct log_batch *b, struct log_message m);

/* How far the log of one attempt was sent. */
struct log_position {
	int64_t chunk;    /* to be read from */
	int64_t byte[2];  /* of stdout, stderr: sent up to here */
	int64_t part[2];  /* parts of the unfinished line at `byte` that were sent */
	int64_t sequence;
};

/* Reads one log into a batch. */
struct log_gather {
	struct log_batch *batch;
	const struct log_source *of;
	struct log_position from, to;
	int64_t byte, chunk; /* all before `byte`, which is in `chunk` or behind it, was looked at */
	int64_t at;          /* time of the last piece */
	struct log_open {
		struct buf raw;    /* of the unfinished line; the other stream may stand between its pieces */
		struct log_open_piece {
			size_t from; /* in raw */
			int64_t byte, chunk, at;
		} *pieces;
		size_t n, room;
	} open[2];
	bool stopped; /* the batch was full: not all was taken */
};
void log_gather_begin(struct log_gather *g, struct log_batch *batch, const struct log_source *of, const struct log_position *from);
/* Bytes of stream 1 or 2 in chunk `chunk`, from absolute position `byte` on. False: the batch is full, the rest
 * was not taken. */
bool log_gather_add(struct log_gather *g, int64_t chunk, int64_t byte, int stream, int64_t at, struct str bytes);
/* Chunk `chunk` is over. A line that is still unfinished after 256 KiB of the other stream is sent in parts. */
void log_gather_chunk_end(struct log_gather *g, int64_t chunk);
/* Unfinished lines are sent as they are: as the last ones, or (`more`) as parts that go on. */
void log_gather_flush(struct log_gather *g, bool more);
/* Where to go on. Frees what it held. */
void log_gather_end(struct log_gather *g, struct log_position *to);
