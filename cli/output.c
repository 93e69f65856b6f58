#include "cli/output.h"

#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <unistd.h>

static struct str harmless(struct ctx *cx, struct str s)
{
	return isatty(1) ? text_visible(&cx->arena, s) : s;
}

void output_text(struct ctx *cx, struct str s)
{
	s = harmless(cx, s);
	fwrite(s.p, 1, s.n, stdout);
}

void output_field(struct ctx *cx, const char *name, struct str value)
{
	if (!value.n)
		return;
	printf("%-12s ", name);
	output_text(cx, value);
	putchar('\n');
}

void output_json(struct ctx *cx, const json_t *j)
{
	struct str text = json_write(&cx->arena, j);

	fwrite(text.p, 1, text.n, stdout);
	putchar('\n');
}

void table_add(struct ctx *cx, struct table *t, const struct str *cells)
{
	if (t->rows == t->room) {
		struct str *wider = arena_array(&cx->arena, (t->room * 2 + 16) * t->columns, sizeof *wider);

		if (t->rows)
			memcpy(wider, t->cells, t->rows * t->columns * sizeof *wider);
		t->cells = wider;
		t->room = t->room * 2 + 16;
	}
	memcpy(t->cells + t->rows * t->columns, cells, t->columns * sizeof *cells);
	t->rows++;
}

/* Characters, not bytes, and a cell stays on its line. */
static size_t width(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

static void print_row(const struct table *t, const struct str *cells, const size_t *widths)
{
	for (size_t k = 0; k < t->columns; k++) {
		fwrite(cells[k].p, 1, cells[k].n, stdout);
		if (k + 1 < t->columns)
			printf("%*s", (int)(widths[k] - width(cells[k]) + 2), "");
	}
	putchar('\n');
}

static struct str one_line(struct ctx *cx, struct str s)
{
	char *p = arena_copy(&cx->arena, s.p, s.n);

	for (size_t i = 0; i < s.n; i++)
		if (p[i] == '\n' || p[i] == '\r' || p[i] == '\t')
			p[i] = ' ';
	return harmless(cx, str_bytes(p, s.n));
}

void table_print(const struct cli *c, struct ctx *cx, const struct table *t)
{
	struct str *cells = arena_array(&cx->arena, (t->rows + 1) * t->columns, sizeof *cells);
	size_t *widths = arena_array(&cx->arena, t->columns, sizeof *widths);

	if (!t->rows) {
		cli_say(c, "nothing there");
		return;
	}
	for (size_t k = 0; k < t->columns; k++)
		cells[k] = str_of(t->heads[k]);
	for (size_t i = 0; i < t->rows * t->columns; i++)
		cells[t->columns + i] = one_line(cx, t->cells[i]);
	for (size_t i = 0; i < (t->rows + 1) * t->columns; i++)
		if (width(cells[i]) > widths[i % t->columns])
			widths[i % t->columns] = width(cells[i]);
	for (size_t i = 0; i <= t->rows; i++)
		print_row(t, cells + i * t->columns, widths);
}

enum err output_end(struct ctx *cx)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_errno(cx, "write the output");
	return OK;
}
