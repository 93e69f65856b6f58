#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct arena;

/* A view of bytes that somebody else owns; NUL bytes are ordinary. p may be NULL when n is 0. */
struct str {
	const char *p;
	size_t n;
};

#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p
#define STR_LIT(text) ((struct str){ text, sizeof(text) - 1 })

static inline struct str str_of(const char *s)
{
	return (struct str){ s, s ? strlen(s) : 0 };
}
static inline struct str str_bytes(const void *p, size_t n)
{
	return (struct str){ p, n };
}
static inline bool str_is(struct str a, const char *b)
{
	return a.n == strlen(b) && (a.n == 0 || memcmp(a.p, b, a.n) == 0);
}
static inline bool str_equal(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
bool str_starts(struct str s, const char *prefix);
/* ASCII letters in either case count as equal. */
bool str_is_nocase(struct str a, const char *b);
/* Cuts blanks, tabs and line ends off both sides. */
struct str str_trim(struct str s);
/* Cuts `s` at the first `at`: the part before it goes to *head, the part behind stays in *s.
 * Without `at` all of *s goes to *head and *s is left empty; false when *s was empty already. */
bool str_cut(struct str *s, char at, struct str *head);
/* The whole view as a decimal number, with an optional minus; false on anything else or overflow. */
bool str_int(struct str s, int64_t *out);
/* The whole view as a decimal number with an optional fraction, cut towards zero (IronWorker's
 * clients send seconds as floats); false on anything else. */
bool str_whole(struct str s, int64_t *out);
/* A C string with the same bytes; bytes behind a NUL are there but unseen. */
char *str_c(struct arena *a, struct str s);
/* The position of `needle` in `s`, or (size_t)-1. */
size_t str_find(struct str s, const char *needle);
