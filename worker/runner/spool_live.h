#pragma once
#include "worker/runner/spool_read.h"

/* Reads the newest output of an attempt that runs, from its tails (worker/monitor/spool.h), once its head is
 * full. As long as it keeps up it leaves nothing out; who falls behind by SPOOL_LIVE_BEHIND goes on near the end. */
enum { SPOOL_LIVE_BEHIND = 512 << 10 }; /* bytes of files */

struct spool_live {
	struct spool_reader r; /* `fd` and `at` are of the tail in hand */
	int which;             /* tail.0 or tail.1; -1 = none yet */
	uint64_t begins;       /* its first_byte: with another one it was begun anew */
	bool seen_newer;       /* the other one is: what was written to this one was written before */
};

/* Is the head full, and all of it read by `head`? */
bool spool_live_is_due(struct spool_reader *head);
/* From where `head` stands, but not before byte `from` of the output. What `head` masks must outlive it. */
void spool_live_begin(struct spool_live *l, const struct spool_reader *head, int64_t from);
/* The next bytes, at most SPOOL_CHUNK_BYTES; OK with an empty batch: nothing more is there, or not yet. */
enum err spool_live_read(struct spool_live *l, struct ctx *cx, struct spool_batch *out);
/* Bytes of files that wait; 0 = nothing. Cheap. */
int64_t spool_live_waiting(struct spool_live *l);
void spool_live_end(struct spool_live *l);
