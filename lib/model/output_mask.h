#pragma once
#include "base/str.h"

/* Declared secret values in what a job prints: each of their bytes becomes '*', so that no byte's place
 * changes. A value is looked for line by line, in what both streams write together and in each stream by
 * itself. What comes out depends on the bytes and their streams alone, not on how they were cut. */
enum {
	OUTPUT_MASK_LEAST = 8,   /* bytes of a line of a value that is looked for; shorter ones are not */
	OUTPUT_MASK_MOST = 4096,
	OUTPUT_MASK_PART = 4,    /* of a value that is cut off by an end or a gap: from so many bytes on */
	OUTPUT_MASK_HOLD = 8192, /* a part of a value waits while so many bytes come, then it is masked and given */
};

struct output_mask;
/* Has it a line that can be looked for, and none that is too long? */
bool output_mask_takes(struct str value);
/* NULL when there is nothing to look for. Keeps no views. */
struct output_mask *output_mask_new(const struct str *values, size_t n);
void output_mask_free(struct output_mask *m);

/* The output of one attempt on its way through: what may still turn out to be part of a value is held. */
struct mask_run;
/* The mask must outlive it. */
struct mask_run *mask_run_new(const struct output_mask *m);
void mask_run_free(struct mask_run *r);
/* The next bytes; stream 1 or 2 (any other counts as 2). */
void mask_run_add(struct mask_run *r, int stream, struct str bytes);
/* Nothing follows, or not at once: all is ready. */
void mask_run_end(struct mask_run *r);
/* The same, and before what comes next bytes are missing: its first ones may be the rest of a value. */
void mask_run_gap(struct mask_run *r);
/* One that stands where `r` stands, and goes on by itself. */
struct mask_run *mask_run_copy(const struct mask_run *r);
/* What is held, masked; the first `*ready` bytes of it are decided. Valid until the next call. */
struct str mask_run_held(const struct mask_run *r, size_t *ready);
/* Takes decided bytes off. */
void mask_run_take(struct mask_run *r, size_t n);
