#pragma once
#include "base/buf.h"
#include "base/ctx.h"
#include "model/output_mask.h"
#include "store/log_store.h"
#include "worker/monitor/exit_file.h"
#include "worker/monitor/spool.h"

/* Reads the output of an attempt from its job folder (worker/monitor/spool.h), piece by piece: the
 * head while it grows, and once the attempt has ended what is left of it and then the tail. Holds one
 * descriptor and no bytes between calls, so that a flood costs no memory; where secret values are masked,
 * about a frame, and what may yet be part of one is given when it is decided. */
enum {
	SPOOL_CHUNK_BYTES = 65536, /* of one chunk */
	SPOOL_CHUNK_PIECES = 2000,
	SPOOL_LAST_BYTES = 1024,
};

struct spool_reader {
	char folder[64];   /* relative to the current folder: "jobs/<name>" */
	int fd;            /* of the file in hand; -1 = none */
	int file;          /* 0 head, 1 older tail, 2 newer tail, 3 nothing more */
	int tail_of[3];    /* which of tail.0 and tail.1 is the older [1], the newer [2]; -1 = none */
	int64_t at;        /* offset of the next frame in the file in hand */
	size_t into;       /* bytes of that frame already taken */
	int64_t byte, line; /* of the output, of the next byte */
	const struct output_mask *mask; /* NULL = nothing is masked */
	struct mask_run *run;           /* what was read and may be part of a secret value, and the rest of its frame */
	struct log_piece *waiting;      /* whose bytes those are */
	size_t waiting_first, waiting_count, waiting_room;
	int64_t skip_to;   /* bytes before this one were taken already: passed over, lines counted */
	int64_t gap_from, gap_to; /* these were not kept whole: left out, and told as missing */
	bool ended;        /* the attempt has: the tail may be read */
	size_t last_n;
	char last[SPOOL_LAST_BYTES]; /* the newest bytes passed, for the last lines */
};

/* What one call gave: contiguous bytes. `plain` is the caller's buffer. */
struct spool_batch {
	struct buf plain;
	struct log_piece *pieces; /* heap; `at` in CLOCK_BOOTTIME microseconds */
	size_t piece_count, piece_room;
	int64_t first_byte, first_line, line_count, first_at;
};
void spool_batch_free(struct spool_batch *b);

/* From the beginning of `folder` (copied). */
void spool_reader_init(struct spool_reader *r, const char *folder);
/* The bytes below `byte` are stored already. Before the first read. */
void spool_reader_skip(struct spool_reader *r, int64_t byte);
/* Masks what is read; `m` must outlive the reader. Before the first read. */
void spool_reader_mask(struct spool_reader *r, const struct output_mask *m);
/* The attempt has ended: read on into the tail, from the byte that `end` says. */
void spool_reader_end(struct spool_reader *r, const struct exit_file *end);
/* The next bytes, at most SPOOL_CHUNK_BYTES; OK with an empty batch: nothing (more) is there. */
enum err spool_read(struct spool_reader *r, struct ctx *cx, struct spool_batch *out);
/* Bytes of files that wait, at least: 0 = nothing. Cheap; while the head grows. */
int64_t spool_waiting(struct spool_reader *r);
void spool_reader_close(struct spool_reader *r);
