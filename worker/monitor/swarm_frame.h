#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the stoker-init of a swarm's container has to say, as lines of its standard output, since the service log
 * is all that comes back from there: "SEQ TYPE A B C D BASE64\n". The log may be asked for again from its begin;
 * the numbers SEQ, without gaps from 1, tell what is known already. */

enum swarm_frame_type {
	SWARM_BEGUN = 'B',
	SWARM_OUTPUT = 'O', /* a: stream; data */
	SWARM_SKIPPED = 'S', /* output that is kept nowhere; a: bytes, b: lines */
	SWARM_FAILED = 'F', /* the job could not begin; a: errno, b: enum init_step */
	SWARM_COUNTS = 'C', /* a: oom kills, b: forks refused, c: peak of memory in bytes, d: CPU microseconds */
	SWARM_STATUS = 'W', /* a: wait status; b: 1 = TERM came from outside before */
	SWARM_END = 'E',    /* nothing of the job is alive, nothing more will be said */
};

enum {
	SWARM_DATA_MAX = 8192, /* Docker cuts lines of its logs at 16 KiB */
	SWARM_LINE_MAX = SWARM_DATA_MAX / 3 * 4 + 4 + 6 * 21 + 2,
};

struct swarm_frame {
	uint64_t seq, n[4];
	char type;
	uint32_t length; /* of data */
	uint8_t data[SWARM_DATA_MAX];
};

/* Writes the line, with its '\n', to out[SWARM_LINE_MAX]; returns its length. */
size_t swarm_frame_format(const struct swarm_frame *f, char *out);

/* Reads a line of `n` bytes without its '\n'; false if it is none. */
bool swarm_frame_parse(const char *line, size_t n, struct swarm_frame *out);

/* Standard base64: returns the bytes written to `out`, which has room for (n + 2) / 3 * 4 of them. */
size_t base64_encode(const uint8_t *in, size_t n, char *out);

/* Returns the bytes written to out[room], or -1 if it is none or has no room. */
long base64_decode(const char *in, size_t n, uint8_t *out, size_t room);
