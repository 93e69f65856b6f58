#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "worker/monitor/spool.h"

/* The writing side of spool.h. A write that fails (a full disk) loses bytes, never the order, and
 * what is lost is counted; the job does not notice. */
struct spool {
	int dir;
	unsigned gid; /* group of the files */
	uint64_t head_max, tail_max;
	uint64_t bytes, lines; /* all that was read so far */
	uint64_t head;         /* of them, in the file `head` */
	uint64_t head_size;    /* of that file */
	bool head_closed;
	int head_fd;           /* -1 until something is written */
	int tail_fd[2];
	int tail;              /* which of the two is being filled */
	uint64_t tail_first[2];
	uint64_t tail_data[2]; /* bytes of output in each */
	uint64_t tail_size[2]; /* of the file */
	uint64_t tail_line;    /* lines before the one being filled */
	uint64_t marked;       /* its bytes before its mark */
};

/* `dir` is the job's folder and stays the caller's. Makes no file yet. */
void spool_init(struct spool *s, int dir, unsigned gid, uint64_t head_max, uint64_t tail_max);

/* Takes `n` bytes (at most SPOOL_DATA_MAX) read from `stream` at `now_us`. The SPOOL_FRAME_BYTES in
 * front of `data` are overwritten, so that a frame goes out in one write. */
void spool_put(struct spool *s, int stream, uint8_t *data, size_t n, uint64_t now_us);

/* Counts output of which the bytes are gone: neither head nor tail goes on over the gap. */
void spool_skip(struct spool *s, uint64_t bytes, uint64_t lines);

/* Bytes that are neither in head nor among the last tail_max. */
uint64_t spool_missing(const struct spool *s);
