#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 16384 };

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	_Alignas(16) unsigned char bytes[];
};

static struct arena_block *block_new(size_t bytes)
{
	struct arena_block *b = malloc(sizeof *b + bytes);

	if (!b)
		abort(); /* documented: out of memory ends the process */
	b->next = NULL;
	b->size = bytes;
	b->used = 0;
	return b;
}

void *arena_take(struct arena *a, size_t bytes)
{
	struct arena_block *b = a->blocks;
	size_t want = (bytes + 15) & ~(size_t)15;
	void *p;

	if (want < bytes)
		abort();
	if (!b || b->size - b->used < want) {
		b = block_new(want > BLOCK_BYTES ? want : BLOCK_BYTES);
		b->next = a->blocks;
		a->blocks = b;
	}
	p = b->bytes + b->used;
	b->used += want;
	a->used += want;
	return memset(p, 0, want);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		abort();
	return arena_take(a, bytes);
}

char *arena_copy(struct arena *a, const void *p, size_t n)
{
	char *copy = arena_take(a, n + 1);

	if (n)
		memcpy(copy, p, n);
	return copy;
}

char *arena_text(struct arena *a, const char *s)
{
	return arena_copy(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list ap, again;
	int n;
	char *out;

	va_start(ap, format);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	if (n < 0)
		abort();
	out = arena_take(a, (size_t)n + 1);
	vsnprintf(out, (size_t)n + 1, format, again);
	va_end(again);
	return out;
}

void arena_reset(struct arena *a)
{
	struct arena_block *keep = NULL, *b = a->blocks;

	while (b) {
		struct arena_block *next = b->next;

		if (!keep && b->size == BLOCK_BYTES)
			keep = b;
		else
			free(b);
		b = next;
	}
	if (keep) {
		keep->next = NULL;
		keep->used = 0;
	}
	a->blocks = keep;
	a->used = 0;
}

void arena_release(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *next = a->blocks->next;

		free(a->blocks);
		a->blocks = next;
	}
	a->used = 0;
}
