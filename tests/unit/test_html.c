#include "base/html.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of templates of the test's own. */
static char folder[] = "/tmp/stoker-html-XXXXXX";
static struct html_shelf shelf;
static struct ctx cx;

static void put_file(const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void remove_file(const char *name)
{
	char path[200];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	remove(path);
}

static void open_shelf(void)
{
	char path[200];

	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/page", folder);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	put_file("layout.xml", "<!DOCTYPE html>\n<html lang=\"en\">\n\t<head>\n\t<meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\"/>"
	         "<title fill=\"title\"/></head>\n\t<body><main fill=\"page\"/></body>\n</html>\n");
	put_file("page/list.xml", "<page class=\"narrow\">\n\t<!-- for readers -->\n\t<ul>\n\t\t<li piece=\"row\"><a fill=\"link\">x</a> <b fill=\"text\"/></li>\n\t</ul>\n"
	         "<textarea/><p piece=\"never\"/></page>");
	put_file("page/broken.xml", "<page>\n<p>\n</page>");
	html_shelf_init(&shelf, folder);
	cx = (struct ctx){ 0 };
}

static void close_shelf(void)
{
	html_shelf_release(&shelf);
	ctx_release(&cx);
	remove_file("layout.xml");
	remove_file("page/list.xml");
	remove_file("page/broken.xml");
	remove_file("page");
	rmdir(folder);
}

static const char *written(struct html *h)
{
	auto_buf b = { 0 };

	ck_assert_int_eq(html_write(h, &cx, &b), OK);
	return arena_copy(&cx.arena, b.p, b.n);
}

START_TEST(a_template_is_filled_as_often_as_asked_and_leaves_no_mark)
{
	for (int round = 0; round < 2; round++) {
		auto_html h = { 0 };
		const char *out;

		ck_assert_int_eq(html_open(&shelf, &cx, "list", &h), OK);
		html_text(html_root(&h), "title", STR_LIT("T"));
		for (int i = 0; i < 2; i++)
			html_text(html_piece(html_root(&h), "row"), "text", i ? STR_LIT("two") : STR_LIT("one"));
		out = written(&h);
		ck_assert_str_eq(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\">"
		                 "<title>T</title></head><body><main class=\"narrow\"><ul><li><a>x</a> <b>one</b></li><li><a>x</a> <b>two</b></li></ul>"
		                 "<textarea></textarea></main></body></html>\n");
	}
}
END_TEST

START_TEST(texts_and_attributes_are_escaped_and_cleaned)
{
	auto_html h = { 0 };
	struct html_at row;
	const char *out;

	ck_assert_int_eq(html_open(&shelf, &cx, "list", &h), OK);
	row = html_piece(html_root(&h), "row");
	html_text(row, "text", STR_LIT("<i>&amp;\"\x01\xff\xe2\x80\xae"));
	html_attr(html_find(row, "link"), "title", STR_LIT("\"><script>&'\x1b"));
	out = written(&h);
	ck_assert_ptr_nonnull(strstr(out, "<b>&lt;i&gt;&amp;amp;\"\xe2\x90\x81\xef\xbf\xbd\xef\xbf\xbd</b>"));
	ck_assert_ptr_null(strstr(out, "<script>"));
	ck_assert_ptr_null(strstr(out, "\x1b"));
}
END_TEST

START_TEST(only_paths_and_http_can_be_links)
{
	static const char *const BAD[] = { "javascript:alert(1)", "data:text/html,x", "//evil.example", "/\\evil.example", "ui/p", " /x", "JAVASCRIPT:x", "ftp://x" };
	static const char *const GOOD[] = { "/ui/", "/", "?a=b", "#x", "http://a/", "https://a/b?c=d&e=f" };

	for (size_t i = 0; i < sizeof BAD / sizeof *BAD + sizeof GOOD / sizeof *GOOD; i++) {
		bool good = i >= sizeof BAD / sizeof *BAD;
		auto_html h = { 0 };

		ck_assert_int_eq(html_open(&shelf, &cx, "list", &h), OK);
		html_attr(html_find(html_piece(html_root(&h), "row"), "link"), "href", str_of(good ? GOOD[i - sizeof BAD / sizeof *BAD] : BAD[i]));
		ck_assert((strstr(written(&h), "href=") != NULL) == good);
	}
}
END_TEST

START_TEST(a_broken_template_is_named_with_its_line)
{
	auto_html h = { 0 };

	ck_assert_int_eq(html_open(&shelf, &cx, "broken", &h), ERR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(cx.message, "broken.xml:3"));
	ck_assert_int_eq(html_open(&shelf, &cx, "missing", &h), ERR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(cx.message, "missing.xml"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("html");
	TCase *t = tcase_create("html");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, open_shelf, close_shelf);
	tcase_add_test(t, a_template_is_filled_as_often_as_asked_and_leaves_no_mark);
	tcase_add_test(t, texts_and_attributes_are_escaped_and_cleaned);
	tcase_add_test(t, only_paths_and_http_can_be_links);
	tcase_add_test(t, a_broken_template_is_named_with_its_line);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
