#include "base/str.h"

#include "base/arena.h"

#include <errno.h>
#include <strings.h>

bool str_starts(struct str s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

bool str_is_nocase(struct str a, const char *b)
{
	return a.n == strlen(b) && (a.n == 0 || strncasecmp(a.p, b, a.n) == 0);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
	while (s.n && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool str_cut(struct str *s, char at, struct str *head)
{
	const char *hit;

	if (!s->n)
		return false;
	hit = memchr(s->p, at, s->n);
	if (!hit) {
		*head = *s;
		*s = (struct str){ s->p + s->n, 0 };
		return true;
	}
	*head = (struct str){ s->p, (size_t)(hit - s->p) };
	s->n -= head->n + 1;
	s->p = hit + 1;
	return true;
}

bool str_int(struct str s, int64_t *out)
{
	bool minus = s.n && s.p[0] == '-';
	int64_t value = 0;
	size_t i = minus;

	if (i == s.n)
		return false;
	for (; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, s.p[i] - '0', &value))
			return false;
	}
	if (!minus && value == INT64_MIN)
		return false;
	*out = minus ? value : -value;
	return true;
}

bool str_whole(struct str s, int64_t *out)
{
	struct str rest = s, whole;

	if (!str_cut(&rest, '.', &whole))
		return false;
	for (size_t i = 0; i < rest.n; i++)
		if (rest.p[i] < '0' || rest.p[i] > '9')
			return false;
	return str_int(whole, out);
}

char *str_c(struct arena *a, struct str s)
{
	return arena_copy(a, s.p, s.n);
}

size_t str_find(struct str s, const char *needle)
{
	const char *hit = s.n ? memmem(s.p, s.n, needle, strlen(needle)) : NULL;

	return hit ? (size_t)(hit - s.p) : (size_t)-1;
}
