#pragma once
#include <stddef.h>

/* Memory that lives as long as one piece of work. Everything taken from an arena is freed by
 * arena_reset or arena_release together; nothing taken from it is ever freed alone.
 * Running out of memory ends the process: its supervisor starts a new one. */
struct arena_block;
struct arena {
	struct arena_block *blocks; /* newest first */
	size_t used;                /* bytes handed out since the last reset */
};

/* `bytes` of zeroed memory, aligned for any type; never NULL. */
void *arena_take(struct arena *a, size_t bytes);
/* `n` elements of `size` bytes, zeroed; an overflow of n * size ends the process. */
void *arena_array(struct arena *a, size_t n, size_t size);
/* A copy of `n` bytes with a NUL behind it. */
char *arena_copy(struct arena *a, const void *p, size_t n);
/* A copy of a C string. */
char *arena_text(struct arena *a, const char *s);
/* printf into the arena. */
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Forgets everything taken, keeps one block for the next piece of work. */
void arena_reset(struct arena *a);
/* Gives all memory back. The arena may be used again afterwards. */
void arena_release(struct arena *a);
