#pragma once
#include "worker/runner/spool_read.h"

/* Inside the readers of a spool (spool_read.c, spool_live.c): frames into batches, masked on the way. */
enum { SPOOL_READ_BYTES = SPOOL_DATA_MAX + 4 * SPOOL_FRAME_BYTES }; /* holds any frame whole */

/* Takes frames from the n bytes `raw` of the file in hand at r->at; true if it took any. */
bool spool_take_frames(struct spool_reader *r, struct spool_batch *b, const uint8_t *raw, size_t n);
/* Takes what the masked run has decided; true if it took any. Only with a run. */
bool spool_take_decided(struct spool_reader *r, struct spool_batch *b);
/* What comes behind a gap is a chunk of its own. */
bool spool_is_full(const struct spool_reader *r, const struct spool_batch *b);
/* Bytes that were read and not given yet. */
size_t spool_held(const struct spool_reader *r);
/* The piece of bytes that a masked run holds already. */
void spool_hold_piece(struct spool_reader *r, const struct log_piece *piece);
/* On at byte and line of a file that does not join what was read: nothing is held. */
void spool_jump(struct spool_reader *r, int64_t byte, int64_t line);

/* A descriptor, -1 with errno. */
int spool_open(const struct spool_reader *r, const char *name);
void spool_close(struct spool_reader *r);
const char *spool_tail_name(int which);
/* False: there is none, or it is just being begun. In host order. */
bool spool_tail_header(const struct spool_reader *r, int which, struct spool_tail *out);
