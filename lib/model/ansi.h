#pragma once
#include <stdint.h>

#include "base/str.h"

struct arena;

/* What a terminal would show of a line of output, in one place and with a closed result: text and
 * one of a few styles. Colours (256 and true ones as the nearest of 16), bold, underline, inverse
 * are kept; a carriage return overwrites, a backspace erases, "erase in line" erases; every other
 * escape, and what an OSC carries (links, titles), is dropped. */
struct ansi_style {
	uint8_t fg, bg;  /* 0 = the ground's own, 1..16 = colour 0..15 */
	uint8_t bold, underline, inverse;
};

struct ansi_span {
	struct ansi_style style;
	struct str text; /* in the arena; not cleaned of other control bytes */
};

/* One line without its line end. `style` goes in as the line before left it, and out. */
void ansi_line(struct arena *a, struct ansi_style *style, struct str raw, struct ansi_span **out, size_t *n);

enum { ANSI_CLASSES = 24 };
/* The classes of a style for pages: b u v f0…f15 g0…g15; "" for the plain one. */
const char *ansi_classes(struct ansi_style s, char out[ANSI_CLASSES]);
/* A style as one number, and back; anything that is no style unpacks to the plain one. */
int64_t ansi_pack(struct ansi_style s);
struct ansi_style ansi_unpack(int64_t packed);
