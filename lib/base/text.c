#include "base/text.h"

#include "base/buf.h"

#include "base/arena.h"

#include <utf8proc.h>

static utf8proc_ssize_t next(struct str s, size_t at, utf8proc_int32_t *cp)
{
	return utf8proc_iterate((const utf8proc_uint8_t *)s.p + at, (utf8proc_ssize_t)(s.n - at), cp);
}

/* Bytes that are not part of a character. */
static size_t count_bad(struct str s)
{
	utf8proc_int32_t cp;
	size_t bad = 0;

	for (size_t i = 0; i < s.n;) {
		utf8proc_ssize_t n = 1;

		if ((unsigned char)s.p[i] >= 0x80)
			n = next(s, i, &cp);
		bad += n <= 0;
		i += n > 0 ? (size_t)n : 1;
	}
	return bad;
}

static struct str into_arena(struct arena *a, struct buf *b)
{
	char *p = arena_copy(a, b->p, b->n);

	return str_bytes(p, b->n);
}

bool text_has_controls(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

/* Written where it stays: a body of 32 MiB may become 96. */
struct str text_utf8(struct arena *a, struct str s)
{
	static const char MARK[] = "\xef\xbf\xbd";
	size_t bad = count_bad(s), used = 0;
	utf8proc_int32_t cp;
	char *p;

	if (!bad)
		return s;
	p = arena_take(a, s.n + bad * (sizeof MARK - 2) + 1);
	for (size_t i = 0; i < s.n;) {
		utf8proc_ssize_t n = next(s, i, &cp);
		size_t bytes = n > 0 ? (size_t)n : sizeof MARK - 1;

		memcpy(p + used, n > 0 ? s.p + i : MARK, bytes);
		used += bytes;
		i += n > 0 ? (size_t)n : 1;
	}
	return str_bytes(p, used);
}

static bool is_hidden(utf8proc_int32_t cp)
{
	return (cp >= 0x80 && cp < 0xa0) || cp == 0x061c || cp == 0x200e || cp == 0x200f ||
	       (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff;
}

struct str text_visible(struct arena *a, struct str s)
{
	auto_buf b = { 0 };
	utf8proc_int32_t cp;
	bool changed = false;

	for (size_t i = 0; i < s.n;) {
		utf8proc_ssize_t n = next(s, i, &cp);
		unsigned char c = (unsigned char)s.p[i];

		if (n <= 0 || is_hidden(cp)) {
			buf_text(&b, "\xef\xbf\xbd");
			changed = true;
		} else if (c == 0x7f || (c < 0x20 && c != '\t' && c != '\n')) {
			char picture[4] = "\xe2\x90\x80"; /* U+2400 + c */

			picture[2] = (char)(0x80 + (c == 0x7f ? 0x21 : c));
			buf_text(&b, picture);
			changed = true;
		} else {
			buf_add(&b, s.p + i, (size_t)n);
		}
		i += n > 0 ? (size_t)n : 1;
	}
	return changed ? into_arena(a, &b) : s;
}

struct str text_cut(struct str s, size_t bytes)
{
	if (s.n <= bytes)
		return s;
	while (bytes && ((unsigned char)s.p[bytes] & 0xc0) == 0x80)
		bytes--;
	return str_bytes(s.p, bytes);
}
