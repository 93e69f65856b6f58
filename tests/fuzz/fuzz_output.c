#include "base/html.h"
#include "base/json.h"
#include "base/text.h"
#include "model/log_lines.h"
#include "model/payload_mask.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* What jobs print and are given, on its way to pages: terminal escapes, lines, secrets, markup. Nothing
 * of it may end a page's element or steer a terminal. */

static void check_visible(struct arena *a, struct str text)
{
	struct str shown = text_visible(a, text);

	must(str_equal(text_utf8(a, shown), shown));
	for (size_t i = 0; i < shown.n; i++)
		must((unsigned char)shown.p[i] >= 0x20 || shown.p[i] == '\t' || shown.p[i] == '\n');
	must(text_cut(shown, shown.n / 2).n <= shown.n / 2);
}

/* The same bytes in two pieces or in one make the same lines. */
static void check_lines(struct arena *a, struct str text)
{
	struct log_lines whole = { .arena = a }, pieces = { .arena = a };
	size_t half = text.n / 2;

	log_lines_begin(&whole, 0, 0);
	log_lines_add(&whole, 0, 1, 0, text);
	log_lines_end(&whole);
	log_lines_begin(&pieces, 0, 0);
	log_lines_add(&pieces, 0, 1, 0, str_bytes(text.p, half));
	log_lines_add(&pieces, (int64_t)half, 1, 0, str_bytes(text.p + half, text.n - half));
	log_lines_end(&pieces);
	must(whole.n == pieces.n && whole.next_byte == pieces.next_byte);
	for (size_t i = 0; i < whole.n; i++) {
		must(whole.lines[i].number == (int64_t)i && whole.lines[i].span_count == pieces.lines[i].span_count);
		for (size_t k = 0; k < whole.lines[i].span_count; k++) {
			char classes[ANSI_CLASSES];

			must(str_equal(whole.lines[i].spans[k].text, pieces.lines[i].spans[k].text));
			must(strlen(ansi_classes(whole.lines[i].spans[k].style, classes)) < ANSI_CLASSES);
		}
	}
	log_lines_release(&whole);
	log_lines_release(&pieces);
}

static void check_mask(struct arena *a, struct str text)
{
	json_t *j = json_pack("{s:o, s:{s:o}}", "password", json_text(text), "a", "text", json_text(text));
	bool masked = false;

	must(j);
	payload_mask(j, STR_LIT("iban\nssn"), &masked);
	must(masked && strcmp(json_string_value(json_object_get(j, "password")), PAYLOAD_MASK) == 0);
	json_decref(j);
	payload_mask_text(a, text, STR_LIT("iban\nssn"), &masked);
	payload_is_secret_key(text, STR_LIT("iban"));
}

static size_t count(struct buf *b, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->p[i] == c;
	return n;
}

static void write_page(struct html_shelf *shelf, struct ctx *cx, struct str text, struct buf *out)
{
	auto_html page = { 0 };
	struct html_at root;

	must(html_open(shelf, cx, "error", &page) == OK);
	root = html_root(&page);
	html_put(root, text);
	html_attr(root, "title", text);
	html_attr(root, "href", text);
	must(html_write_part(root, cx, out) == OK);
}

static void check_markup(struct ctx *cx, struct str text)
{
	static struct html_shelf shelf;
	auto_buf page = { 0 }, plain = { 0 };

	if (!shelf.folder)
		html_shelf_init(&shelf, "www");
	write_page(&shelf, cx, str_starts(text_visible(&cx->arena, text), "/") ? STR_LIT("/x") : STR_LIT("x"), &plain);
	write_page(&shelf, cx, text, &page);
	must(count(&page, '<') == count(&plain, '<') && count(&page, '>') == count(&plain, '>'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_bytes(data, size);
	static struct ctx cx;

	check_visible(&cx.arena, text);
	check_lines(&cx.arena, text);
	check_mask(&cx.arena, text);
	check_markup(&cx, text);
	ctx_release(&cx);
	return 0;
}
