#include "model/log_lines.h"

#include <check.h>

#include "base/arena.h"

static struct arena arena;

static void end_arena(void)
{
	arena_release(&arena);
}

/* --- ansi ------------------------------------------------------------------------------------- */

/* The line as "text" with "<classes>" before each span that has some. */
static const char *shown(const char *raw)
{
	struct ansi_style style = { 0 };
	struct ansi_span *spans;
	char classes[ANSI_CLASSES], *out = arena_text(&arena, "");
	size_t n;

	ansi_line(&arena, &style, str_of(raw), &spans, &n);
	for (size_t i = 0; i < n; i++) {
		const char *c = ansi_classes(spans[i].style, classes);

		out = arena_printf(&arena, *c ? "%s<%s>" STR_FMT : "%s%s" STR_FMT, out, c, STR_ARG(spans[i].text));
	}
	return out;
}

START_TEST(colours_and_weights_become_classes)
{
	ck_assert_str_eq(shown("plain"), "plain");
	ck_assert_str_eq(shown("\x1b[31mred\x1b[0m and \x1b[1;4;92mgreen\x1b[m."), "<f1>red and <b u f10>green.");
	ck_assert_str_eq(shown("\x1b[41mon red\x1b[49m\x1b[7minverse"), "<g1>on red<v>inverse");
	ck_assert_str_eq(shown("\x1b[38;5;196mx\x1b[38;2;0;200;0my\x1b[38:5:21mz"), "<f9>x<f2>y<f4>z");
}
END_TEST

START_TEST(a_carriage_return_overwrites_and_a_backspace_erases)
{
	ck_assert_str_eq(shown("10 %\r50 %\r100 %\r"), "100 %");
	ck_assert_str_eq(shown("longer\rab"), "abnger");
	ck_assert_str_eq(shown("longer\r\x1b[Kab"), "ab");
	ck_assert_str_eq(shown("ab\bc"), "ac");
	ck_assert_str_eq(shown("\b\bx"), "x");
	ck_assert_str_eq(shown("e\xcc\x81\xe2\x82\xac\b$"), "e\xcc\x81$");
}
END_TEST

START_TEST(other_escapes_are_dropped)
{
	ck_assert_str_eq(shown("\x1b]8;;http://evil/\x07link\x1b]8;;\x1b\\."), "link.");
	ck_assert_str_eq(shown("\x1b[2J\x1b[10;10Ha\x1b(Bb\x1b=c\x1bP1$q\x1b\\d"), "abcd");
	ck_assert_str_eq(shown("cut \x1b["), "cut ");
	ck_assert_str_eq(shown("cut \x1b]0;title"), "cut ");
	ck_assert_str_eq(shown("\x1b"), "");
	ck_assert_str_eq(shown("\x1b[31\x01m"), "\x01m");
}
END_TEST

START_TEST(a_style_goes_on_over_lines_and_packs_into_a_number)
{
	struct ansi_style style = { 0 };
	struct ansi_span *spans;
	char classes[ANSI_CLASSES];
	size_t n;

	ansi_line(&arena, &style, STR_LIT("\x1b[1;35mbegun"), &spans, &n);
	style = ansi_unpack(ansi_pack(style));
	ansi_line(&arena, &style, STR_LIT("goes on"), &spans, &n);
	ck_assert_str_eq(ansi_classes(spans[0].style, classes), "b f5");
	ck_assert_int_eq(ansi_pack(ansi_unpack(-1)), 0);
	ck_assert_int_eq(ansi_pack(ansi_unpack(31)), 0);
	ck_assert_int_eq(ansi_pack(ansi_unpack(INT64_MAX)), 0);
}
END_TEST

/* Any bytes whatever give spans of at most as many bytes, and end. */
START_TEST(noise_is_only_ever_text)
{
	unsigned seed = 7;

	for (int round = 0; round < 2000; round++) {
		struct ansi_style style = { 0 };
		struct ansi_span *spans;
		char raw[97], classes[ANSI_CLASSES];
		size_t n, bytes = 0;

		for (size_t i = 0; i < sizeof raw; i++) {
			seed = seed * 1103515245 + 12345;
			raw[i] = "\x1b[]m;0187\r\b\\\x07K\xc3\xa9\xffxyz"[seed >> 16 & 31 ? seed >> 16 & 15 : 16];
		}
		ansi_line(&arena, &style, str_bytes(raw, sizeof raw), &spans, &n);
		for (size_t i = 0; i < n; i++) {
			bytes += spans[i].text.n;
			ck_assert_uint_lt(strlen(ansi_classes(spans[i].style, classes)), ANSI_CLASSES);
		}
		ck_assert_uint_le(bytes, sizeof raw);
	}
}
END_TEST

/* --- lines ------------------------------------------------------------------------------------- */

static struct log_lines lines;

static void begin(int64_t from_byte, int64_t from_line)
{
	lines = (struct log_lines){ .arena = &arena, .from_byte = from_byte, .from_line = from_line };
	log_lines_begin(&lines, 0, 0);
}

static void end_lines(void)
{
	log_lines_end(&lines);
	log_lines_release(&lines);
}

static struct str text_of(size_t i)
{
	return lines.lines[i].span_count ? lines.lines[i].spans[0].text : STR_LIT("");
}

START_TEST(lines_count_over_both_streams_and_pieces)
{
	begin(0, 0);
	log_lines_add(&lines, 0, 1, 10, STR_LIT("one\ntw"));
	log_lines_add(&lines, 6, 1, 20, STR_LIT("o\n\n"));
	log_lines_add(&lines, 9, 2, 30, STR_LIT("err\n"));
	log_lines_add(&lines, 13, 1, 40, STR_LIT("open"));
	end_lines();
	ck_assert_uint_eq(lines.n, 5);
	ck_assert(str_is(text_of(1), "two"));
	ck_assert_int_eq(lines.lines[1].at, 10);
	ck_assert_int_eq(lines.lines[1].first_byte, 4);
	ck_assert_int_eq(lines.lines[2].at, 20);
	ck_assert(!lines.lines[2].is_err);
	ck_assert(lines.lines[3].is_err);
	ck_assert_int_eq(lines.lines[4].number, 4);
	ck_assert(lines.lines[4].open);
	ck_assert_int_eq(lines.next_byte, 13);
}
END_TEST

START_TEST(a_follower_goes_on_at_the_byte_where_the_open_line_began)
{
	begin(0, 0);
	log_lines_add(&lines, 0, 1, 10, STR_LIT("a\n\x1b[31mb"));
	end_lines();
	ck_assert_int_eq(lines.next_byte, 2);
	begin(2, 0);
	log_lines_add(&lines, 0, 1, 10, STR_LIT("a\n\x1b[31mb\nc\n"));
	end_lines();
	ck_assert_uint_eq(lines.n, 2);
	ck_assert_int_eq(lines.lines[0].number, 1);
	ck_assert(str_is(text_of(0), "b"));
	ck_assert_int_eq(ansi_pack(lines.next_style), 2);
}
END_TEST

START_TEST(what_was_left_out_is_a_gap_and_cuts_the_line_before)
{
	begin(0, 0);
	log_lines_add(&lines, 0, 1, 10, STR_LIT("head, cut her"));
	log_lines_add(&lines, 1000, 1, 20, STR_LIT("tail\n"));
	end_lines();
	ck_assert_uint_eq(lines.n, 2);
	ck_assert_int_eq(lines.lines[1].gap, 987);
	ck_assert(str_is(text_of(1), "tail"));
	ck_assert_int_eq(lines.lines[1].first_byte, 1000);
}
END_TEST

START_TEST(limits_say_where_to_go_on)
{
	begin(0, 1);
	lines.lines_most = 2;
	log_lines_add(&lines, 0, 1, 10, STR_LIT("0\n1\n2\n3\n4\n"));
	end_lines();
	ck_assert_uint_eq(lines.n, 2);
	ck_assert(lines.full);
	ck_assert_int_eq(lines.lines[0].number, 1);
	ck_assert_int_eq(lines.next_line, 3);
	ck_assert_int_eq(lines.next_byte, 6);
}
END_TEST

START_TEST(a_long_line_is_cut_and_counted)
{
	char *big = arena_take(&arena, 100000);

	memset(big, 'x', 100000);
	big[99999] = '\n';
	begin(0, 0);
	for (int64_t at = 0; at < 100000; at += 1000)
		log_lines_add(&lines, at, 1, 10, str_bytes(big + at, 1000));
	log_lines_add(&lines, 100000, 1, 10, STR_LIT("next\n"));
	end_lines();
	ck_assert_uint_eq(lines.n, 2);
	ck_assert(lines.lines[0].cut);
	ck_assert_uint_eq(text_of(0).n, LOG_LINE_BYTES);
	ck_assert_int_eq(lines.lines[1].first_byte, 100000);
	ck_assert(!lines.lines[1].cut);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("log_lines");
	TCase *t = tcase_create("log_lines");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, NULL, end_arena);
	tcase_add_test(t, colours_and_weights_become_classes);
	tcase_add_test(t, a_carriage_return_overwrites_and_a_backspace_erases);
	tcase_add_test(t, other_escapes_are_dropped);
	tcase_add_test(t, a_style_goes_on_over_lines_and_packs_into_a_number);
	tcase_add_test(t, noise_is_only_ever_text);
	tcase_add_test(t, lines_count_over_both_streams_and_pieces);
	tcase_add_test(t, a_follower_goes_on_at_the_byte_where_the_open_line_began);
	tcase_add_test(t, what_was_left_out_is_a_gap_and_cuts_the_line_before);
	tcase_add_test(t, limits_say_where_to_go_on);
	tcase_add_test(t, a_long_line_is_cut_and_counted);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
