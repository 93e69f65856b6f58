#pragma once
#include <jansson.h>

#include "cli/cli.h"

/* What goes to stdout. Texts that came from outside are made harmless (text_visible) when stdout is
 * a terminal, and left as they are otherwise. */
void output_text(struct ctx *cx, struct str s);
/* "name:  value" with a blank column between; nothing for an empty value. */
void output_field(struct ctx *cx, const char *name, struct str value);
/* The document and a newline. */
void output_json(struct ctx *cx, const json_t *j);

/* Rows under headings, columns as wide as they need to be; without a row only a notice on stderr. */
struct table {
	const char *const *heads;
	size_t columns, rows, room;
	struct str *cells;
};
/* Adds a row of `columns` texts, which must live until table_print. */
void table_add(struct ctx *cx, struct table *t, const struct str *cells);
void table_print(const struct cli *c, struct ctx *cx, const struct table *t);

/* Everything is written: ERR_INTERNAL says why not (a full disk). */
enum err output_end(struct ctx *cx);
