#pragma once
#include "base/str.h"

struct arena;

/* The one cleaner of foreign bytes (utf8proc decides what is UTF-8: libxml2's check takes
 * surrogates and overlong forms). */

/* The same bytes when they are UTF-8, else a copy in the arena with each bad byte as U+FFFD.
 * Control bytes stay: JSON escapes them. */
struct str text_utf8(struct arena *a, struct str s);
/* Does it hold a control byte (C0, DEL; so NUL, tab and line end too)? Names and labels must not: a
 * NUL would cut them short in sentences, a line end would forge lines of lists. */
bool text_has_controls(struct str s);
/* For pages and terminals: UTF-8 as above, and what could steer a terminal or a reader's eye is
 * made visible: C0 and DEL as U+2400 pictures (tab and newline stay), C1 and bidi controls as
 * U+FFFD. In the arena, or `s` itself when nothing had to change. */
struct str text_visible(struct arena *a, struct str s);
/* The longest front of `s` of at most `bytes` that does not cut a character. */
struct str text_cut(struct str s, size_t bytes);
