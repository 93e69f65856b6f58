#include "fcgi/python_bytes.h"

enum { HEX_DIGITS = 2 };

bool python_bytes_is(struct str beginning)
{
	return str_starts(beginning, "b'PK") || str_starts(beginning, "b\"PK");
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One more character of an escape; how many bytes it gave. */
static size_t escaped(struct python_bytes *p, char c, char *out)
{
	static const char LETTERS[] = "nrt\\'\"", MEAN[] = "\n\r\t\\'\"";
	const char *letter = p->n == 1 ? memchr(LETTERS, c, sizeof LETTERS - 1) : NULL;

	if (letter) {
		*out = MEAN[letter - LETTERS];
		p->n = 0;
		return 1;
	}
	if (p->n == 1 ? c == 'x' : hex(c) >= 0)
		p->escape[p->n++] = c;
	else
		p->n = 0; /* Python writes none of these */
	if (p->n < 2 + HEX_DIGITS)
		return 0;
	*out = (char)(hex(p->escape[2]) * 16 + hex(p->escape[3]));
	p->n = 0;
	return 1;
}

size_t python_bytes_feed(struct python_bytes *p, struct str in, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n && !p->over; i++) {
		char c = in.p[i];

		if (p->quote && p->n)
			n += escaped(p, c, out + n);
		else if (p->quote && c == '\\')
			p->escape[p->n++] = c;
		else if (p->quote && c == p->quote)
			p->over = true;
		else if (p->quote)
			out[n++] = c;
		else if (c != 'b')
			p->quote = c;
	}
	return n;
}
