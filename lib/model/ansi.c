#include "model/ansi.h"

#include <limits.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"

enum { ESC = 0x1b, BEL = 0x07, PARAMS_MOST = 16 };

/* A character on the line, where its bytes are in `raw`, and how it looks. */
struct cell {
	uint32_t at;
	uint8_t bytes;
	struct ansi_style style;
};

struct screen {
	struct str raw;
	struct cell *cells;
	size_t n, cursor;
	struct ansi_style style;
};

/* --- colours ----------------------------------------------------------------------------------- */

static const uint8_t XTERM[16][3] = {
	{ 0, 0, 0 },       { 205, 0, 0 },   { 0, 205, 0 },   { 205, 205, 0 },
	{ 0, 0, 238 },     { 205, 0, 205 }, { 0, 205, 205 }, { 229, 229, 229 },
	{ 127, 127, 127 }, { 255, 0, 0 },   { 0, 255, 0 },   { 255, 255, 0 },
	{ 92, 92, 255 },   { 255, 0, 255 }, { 0, 255, 255 }, { 255, 255, 255 },
};

/* The nearest of the sixteen, as 1..16. */
static uint8_t nearest(int r, int g, int b)
{
	int best = 0, least = INT_MAX;

	for (int i = 0; i < 16; i++) {
		int dr = r - XTERM[i][0], dg = g - XTERM[i][1], db = b - XTERM[i][2];
		int far = dr * dr + dg * dg + db * db;

		if (far < least) {
			least = far;
			best = i;
		}
	}
	return (uint8_t)(best + 1);
}

static uint8_t colour_256(int n)
{
	static const int STEPS[6] = { 0, 95, 135, 175, 215, 255 };

	if (n < 0 || n > 255)
		return 0;
	if (n < 16)
		return (uint8_t)(n + 1);
	if (n >= 232)
		return nearest(8 + (n - 232) * 10, 8 + (n - 232) * 10, 8 + (n - 232) * 10);
	n -= 16;
	return nearest(STEPS[n / 36], STEPS[n / 6 % 6], STEPS[n % 6]);
}

/* 38 and 48 take further numbers: 5;n or 2;r;g;b. Returns how many were used up behind the first. */
static size_t extended(const int *p, size_t n, uint8_t *out)
{
	if (n >= 3 && p[1] == 5) {
		*out = colour_256(p[2]);
		return 2;
	}
	if (n >= 5 && p[1] == 2) {
		*out = nearest(p[2] & 255, p[3] & 255, p[4] & 255);
		return 4;
	}
	return n;
}

static void one_attribute(struct ansi_style *s, int p)
{
	if (p == 0)
		*s = (struct ansi_style){ 0 };
	else if (p == 1)
		s->bold = 1;
	else if (p == 22)
		s->bold = 0;
	else if (p == 4 || p == 24)
		s->underline = p == 4;
	else if (p == 7 || p == 27)
		s->inverse = p == 7;
	else if (p >= 30 && p <= 37)
		s->fg = (uint8_t)(p - 29);
	else if (p == 39)
		s->fg = 0;
	else if (p >= 40 && p <= 47)
		s->bg = (uint8_t)(p - 39);
	else if (p == 49)
		s->bg = 0;
	else if (p >= 90 && p <= 97)
		s->fg = (uint8_t)(p - 81);
	else if (p >= 100 && p <= 107)
		s->bg = (uint8_t)(p - 91);
}

static void set_attributes(struct ansi_style *s, const int *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == 38)
			i += extended(p + i, n - i, &s->fg);
		else if (p[i] == 48)
			i += extended(p + i, n - i, &s->bg);
		else
			one_attribute(s, p[i]);
	}
}

/* --- escapes ----------------------------------------------------------------------------------- */

static size_t parameters(struct str text, int *out)
{
	size_t n = 1;

	out[0] = 0;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c >= '0' && c <= '9' && out[n - 1] < 10000)
			out[n - 1] = out[n - 1] * 10 + c - '0';
		else if ((c == ';' || c == ':') && n < PARAMS_MOST)
			out[n++] = 0;
	}
	return n;
}

static void erase_in_line(struct screen *sc, int how)
{
	if (how == 0 && sc->cursor < sc->n)
		sc->n = sc->cursor;
	if (how == 2)
		sc->n = sc->cursor = 0;
}

/* Behind "ESC [": returns where the text goes on. */
static size_t control_sequence(struct screen *sc, size_t i)
{
	size_t from = i;
	int p[PARAMS_MOST];
	size_t n;

	while (i < sc->raw.n && sc->raw.p[i] >= 0x20 && sc->raw.p[i] < 0x40)
		i++;
	if (i == sc->raw.n || sc->raw.p[i] < 0x40)
		return i;
	n = parameters(str_bytes(sc->raw.p + from, i - from), p);
	if (sc->raw.p[i] == 'm')
		set_attributes(&sc->style, p, n);
	else if (sc->raw.p[i] == 'K')
		erase_in_line(sc, p[0]);
	return i + 1;
}

/* Behind "ESC ]" and its like: up to BEL or ESC \, or the end of the line. */
static size_t control_string(struct str raw, size_t i)
{
	for (; i < raw.n; i++) {
		if (raw.p[i] == BEL)
			return i + 1;
		if (raw.p[i] == ESC)
			return i + 1 < raw.n && raw.p[i + 1] == '\\' ? i + 2 : i;
	}
	return i;
}

/* `i` is behind the ESC. */
static size_t escape(struct screen *sc, size_t i)
{
	if (i == sc->raw.n)
		return i;
	if (sc->raw.p[i] == '[')
		return control_sequence(sc, i + 1);
	if (strchr("]PX^_", sc->raw.p[i]) && sc->raw.p[i])
		return control_string(sc->raw, i + 1);
	while (i < sc->raw.n && sc->raw.p[i] >= 0x20 && sc->raw.p[i] < 0x30)
		i++;
	return i < sc->raw.n && sc->raw.p[i] >= 0x30 ? i + 1 : i;
}

/* --- the line ------------------------------------------------------------------------------------ */

static size_t character_bytes(struct str raw, size_t i)
{
	unsigned char c = (unsigned char)raw.p[i];
	size_t want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;

	for (size_t k = 1; k < want; k++)
		if (i + k >= raw.n || ((unsigned char)raw.p[i + k] & 0xc0) != 0x80)
			return 1;
	return want;
}

static void put(struct screen *sc, size_t at, size_t bytes)
{
	sc->cells[sc->cursor++] = (struct cell){ (uint32_t)at, (uint8_t)bytes, sc->style };
	if (sc->cursor > sc->n)
		sc->n = sc->cursor;
}

static void back(struct screen *sc)
{
	if (!sc->cursor)
		return;
	if (sc->cursor == sc->n)
		sc->n--;
	sc->cursor--;
}

static void play(struct screen *sc)
{
	for (size_t i = 0; i < sc->raw.n;) {
		char c = sc->raw.p[i];
		size_t bytes;

		if (c == ESC) {
			i = escape(sc, i + 1);
			continue;
		}
		bytes = character_bytes(sc->raw, i);
		if (c == '\r')
			sc->cursor = 0;
		else if (c == '\b')
			back(sc);
		else
			put(sc, i, bytes);
		i += bytes;
	}
}

static bool same_style(struct ansi_style a, struct ansi_style b)
{
	return ansi_pack(a) == ansi_pack(b);
}

static struct ansi_span span_of(struct arena *a, const struct screen *sc, size_t from, size_t to)
{
	struct ansi_span span = { .style = sc->cells[from].style };
	size_t bytes = 0;
	char *p;

	for (size_t i = from; i < to; i++)
		bytes += sc->cells[i].bytes;
	p = arena_take(a, bytes + 1);
	span.text = str_bytes(p, bytes);
	for (size_t i = from; i < to; i++) {
		memcpy(p, sc->raw.p + sc->cells[i].at, sc->cells[i].bytes);
		p += sc->cells[i].bytes;
	}
	return span;
}

static void spans_of(struct arena *a, const struct screen *sc, struct ansi_span **out, size_t *n)
{
	size_t count = 0, from = 0;

	for (size_t i = 1; i <= sc->n; i++)
		count += i == sc->n || !same_style(sc->cells[i].style, sc->cells[i - 1].style);
	*out = arena_array(a, count, sizeof **out);
	*n = 0;
	for (size_t i = 1; i <= sc->n; i++) {
		if (i < sc->n && same_style(sc->cells[i].style, sc->cells[i - 1].style))
			continue;
		(*out)[(*n)++] = span_of(a, sc, from, i);
		from = i;
	}
}

static bool is_plain(struct str raw)
{
	return !memchr(raw.p, ESC, raw.n) && !memchr(raw.p, '\r', raw.n) && !memchr(raw.p, '\b', raw.n);
}

void ansi_line(struct arena *a, struct ansi_style *style, struct str raw, struct ansi_span **out, size_t *n)
{
	struct screen sc = { .raw = raw, .style = *style };

	*out = NULL;
	*n = 0;
	if (!raw.n)
		return;
	if (is_plain(raw)) {
		*out = arena_take(a, sizeof **out);
		**out = (struct ansi_span){ *style, str_bytes(arena_copy(a, raw.p, raw.n), raw.n) };
		*n = 1;
		return;
	}
	sc.cells = arena_array(a, raw.n, sizeof *sc.cells);
	play(&sc);
	spans_of(a, &sc, out, n);
	*style = sc.style;
}

/* --- styles -------------------------------------------------------------------------------------- */

const char *ansi_classes(struct ansi_style s, char out[ANSI_CLASSES])
{
	uint8_t bg = s.inverse ? s.fg : s.bg, fg = s.inverse || bg ? 0 : s.fg;
	int n = 0;

	out[0] = 0;
	if (s.bold)
		n += snprintf(out + n, (size_t)(ANSI_CLASSES - n), " b");
	if (s.underline)
		n += snprintf(out + n, (size_t)(ANSI_CLASSES - n), " u");
	if (bg)
		n += snprintf(out + n, (size_t)(ANSI_CLASSES - n), " g%d", bg - 1);
	else if (s.inverse)
		n += snprintf(out + n, (size_t)(ANSI_CLASSES - n), " v");
	else if (fg)
		n += snprintf(out + n, (size_t)(ANSI_CLASSES - n), " f%d", fg - 1);
	return n ? out + 1 : out;
}

int64_t ansi_pack(struct ansi_style s)
{
	return s.fg | s.bg << 5 | s.bold << 10 | s.underline << 11 | s.inverse << 12;
}

struct ansi_style ansi_unpack(int64_t packed)
{
	struct ansi_style s = { packed & 31, packed >> 5 & 31, packed >> 10 & 1, packed >> 11 & 1, packed >> 12 & 1 };

	if (packed < 0 || packed >= 1 << 13 || s.fg > 16 || s.bg > 16)
		memset(&s, 0, sizeof s);
	return s;
}
