#include "base/arena.h"
#include "base/crypt.h"
#include "base/gzip.h"
#include "base/id.h"
#include "base/text.h"

#include <check.h>
#include <stdlib.h>

START_TEST(clean_text_is_not_copied)
{
	struct arena a = { 0 };
	struct str s = STR_LIT("gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x98\x80\n");

	ck_assert_ptr_eq(text_utf8(&a, s).p, s.p);
	ck_assert_ptr_eq(text_visible(&a, s).p, s.p);
	arena_release(&a);
}
END_TEST

START_TEST(broken_bytes_become_replacement_characters)
{
	struct arena a = { 0 };

	ck_assert(str_is(text_utf8(&a, STR_LIT("a\xff" "b")), "a\xef\xbf\xbd" "b"));
	/* overlong, a surrogate, beyond the last code point, cut short */
	ck_assert(str_find(text_utf8(&a, STR_LIT("\xc0\xaf")), "\xc0") == (size_t)-1);
	ck_assert(str_find(text_utf8(&a, STR_LIT("\xed\xa0\x80")), "\xed") == (size_t)-1);
	ck_assert(str_find(text_utf8(&a, STR_LIT("\xf5\x80\x80\x80")), "\xf5") == (size_t)-1);
	ck_assert(str_is(text_utf8(&a, STR_LIT("x\xe2\x82")), "x\xef\xbf\xbd\xef\xbf\xbd"));
	arena_release(&a);
}
END_TEST

START_TEST(what_steers_terminals_and_eyes_is_made_visible)
{
	struct arena a = { 0 };

	ck_assert(str_is(text_visible(&a, STR_LIT("a\x1b[1mb")), "a\xe2\x90\x9b[1mb"));
	ck_assert(str_equal(text_visible(&a, STR_LIT("a\0b")), STR_LIT("a\xe2\x90\x80" "b")));
	ck_assert(str_is(text_visible(&a, STR_LIT("a\xe2\x80\xae" "b")), "a\xef\xbf\xbd" "b"));
	ck_assert(str_is(text_visible(&a, STR_LIT("\xc2\x9b")), "\xef\xbf\xbd"));
	ck_assert(str_is(text_visible(&a, STR_LIT("\x7f")), "\xe2\x90\xa1"));
	arena_release(&a);
}
END_TEST

START_TEST(cutting_never_splits_a_character)
{
	ck_assert_uint_eq(text_cut(STR_LIT("ab\xc3\xbc"), 3).n, 2);
	ck_assert_uint_eq(text_cut(STR_LIT("ab\xc3\xbc"), 4).n, 4);
}
END_TEST

START_TEST(ids_sort_by_time_and_in_the_order_made)
{
	struct id many[100];
	struct id_text t;
	struct id back;

	id_make_many(1795414023123456, many, 100);
	for (int i = 1; i < 100; i++)
		ck_assert_int_lt(memcmp(&many[i - 1], &many[i], sizeof many[i]), 0);
	ck_assert_int_eq(id_ms(&many[5]), 1795414023123);
	t = id_format(&many[5]);
	ck_assert_uint_eq(strlen(t.s), 24);
	ck_assert(id_parse(str_of(t.s), &back) && id_equal(&back, &many[5]));
	ck_assert(!id_parse(STR_LIT("0123456789abcdef0123456"), &back));
	ck_assert(!id_parse(STR_LIT("0123456789abcdef0123456g"), &back));
}
END_TEST

START_TEST(gzip_members_concatenate_and_are_bounded)
{
	auto_ctx cx = { 0 };
	auto_buf packed = { 0 }, plain = { .ceiling = 100 };

	ck_assert_int_eq(gzip_member(&cx, STR_LIT("hello "), &packed), OK);
	ck_assert_int_eq(gzip_member(&cx, STR_LIT("world"), &packed), OK);
	ck_assert_int_eq(gzip_read(&cx, buf_view(&packed), &plain), OK);
	ck_assert(str_is(buf_view(&plain), "hello world"));
	buf_clear(&plain);
	plain.ceiling = 8;
	ck_assert_int_eq(gzip_read(&cx, buf_view(&packed), &plain), ERR_INPUT);
	buf_clear(&plain);
	plain.ceiling = 100;
	ck_assert_int_eq(gzip_read(&cx, str_bytes(packed.p, packed.n - 3), &plain), ERR_INPUT);
}
END_TEST

START_TEST(base64_comes_back)
{
	struct arena a = { 0 };
	struct str out;

	for (size_t n = 0; n < 40; n++) {
		unsigned char in[40];

		crypt_random(in, n);
		ck_assert(base64_parse(&a, str_of(base64_format(&a, in, n)), &out));
		ck_assert(str_equal(out, str_bytes(in, n)));
	}
	ck_assert(!base64_parse(&a, STR_LIT("abc"), &out));
	ck_assert(!base64_parse(&a, STR_LIT("ab!="), &out));
	arena_release(&a);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("text");
	Suite *s = suite_create("text");
	SRunner *r;
	int failed;

	tcase_add_test(t, clean_text_is_not_copied);
	tcase_add_test(t, broken_bytes_become_replacement_characters);
	tcase_add_test(t, what_steers_terminals_and_eyes_is_made_visible);
	tcase_add_test(t, cutting_never_splits_a_character);
	tcase_add_test(t, ids_sort_by_time_and_in_the_order_made);
	tcase_add_test(t, gzip_members_concatenate_and_are_bounded);
	tcase_add_test(t, base64_comes_back);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
