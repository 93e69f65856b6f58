#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The end of a job's output, as far as it is to be kept: at most `keep` bytes, and some more where they come in
 * small pieces of both streams by turns. What it drops is counted. */
struct ring {
	uint8_t *bytes;
	size_t room, from, used; /* records: header, data */
	size_t keep, data;
	size_t last;             /* place of the last record, if there is one */
	uint64_t dropped_bytes, dropped_lines;
};

enum { RING_RECORD_MAX = 4096 }; /* data of one record */

/* Takes its memory only as it is used. False: there is none. */
bool ring_open(struct ring *r, size_t keep);
void ring_put(struct ring *r, uint8_t stream, const uint8_t *p, size_t n);
/* The oldest record, taken out; 0 if there is none. out[RING_RECORD_MAX]. */
size_t ring_take(struct ring *r, uint8_t *stream, uint8_t *out);
