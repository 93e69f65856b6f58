#include "fcgi/tail/record.h"

#include <check.h>
#include <stdlib.h>

START_TEST(records_are_cut_off_whole)
{
	static const char BYTES[] = "\1\1\1\2\0\x08\0\0" "\0\1\0\0\0\0\0\0" "\1\5\1\2\0\2\3\0" "ab" "pad" "\1\5\1\2\0\0\0\0";
	struct str in;
	struct record r;

	for (size_t cut = 0; cut < 16; cut++) {
		in = str_bytes(BYTES, cut);
		ck_assert_int_eq(record_take(&in, &r), RECORD_UNFINISHED);
		ck_assert_uint_eq(in.n, cut);
	}
	in = str_bytes(BYTES, sizeof BYTES - 1);
	ck_assert_int_eq(record_take(&in, &r), RECORD_TAKEN);
	ck_assert_int_eq(r.type, RECORD_BEGIN);
	ck_assert_int_eq(r.request, 0x102);
	ck_assert_int_eq(record_role(r.content), RECORD_RESPONDER);
	ck_assert_int_eq(record_take(&in, &r), RECORD_TAKEN);
	ck_assert(str_is(r.content, "ab"));
	ck_assert_int_eq(record_take(&in, &r), RECORD_TAKEN);
	ck_assert_uint_eq(r.content.n, 0);
	ck_assert_int_eq(record_take(&in, &r), RECORD_UNFINISHED);
	in = STR_LIT("GET / HTTP/1.0\r\n");
	ck_assert_int_eq(record_take(&in, &r), RECORD_BROKEN);
	ck_assert_int_eq(record_role(STR_LIT("\0\1")), 0);
}
END_TEST

START_TEST(pairs_have_short_and_long_lengths)
{
	char text[4 + 4 + 3 + 300] = "\3\x80\0\1\x2cKEY";
	struct str rest = str_bytes(text, 1 + 4 + 3 + 300), name, value;

	memset(text + 8, 'v', 300);
	ck_assert(record_pair(&rest, &name, &value));
	ck_assert(str_is(name, "KEY"));
	ck_assert_uint_eq(value.n, 300);
	ck_assert(!record_pair(&rest, &name, &value));
	ck_assert_uint_eq(rest.n, 0);
	for (size_t cut = 1; cut < 308; cut++) {
		rest = str_bytes(text, cut);
		ck_assert(!record_pair(&rest, &name, &value));
		ck_assert_uint_eq(rest.n, cut);
	}
	rest = STR_LIT("\xff\xff\xff\xff\xff\xff\xff\xff");
	ck_assert(!record_pair(&rest, &name, &value));
}
END_TEST

/* What is written is read as it was, in records of a legal size. */
START_TEST(an_answer_comes_back_whole)
{
	auto_buf out = { 0 }, back = { 0 }, body = { 0 };
	struct record r = { 0 };
	struct str in;

	for (int i = 0; i < 50000; i++)
		buf_printf(&body, "%d ", i);
	record_put_stdout(&out, 7, buf_view(&body));
	record_put_end(&out, 7, RECORD_DONE);
	in = buf_view(&out);
	while (record_take(&in, &r) == RECORD_TAKEN && r.type == RECORD_STDOUT)
		buf_str(&back, r.content);
	ck_assert(str_equal(buf_view(&back), buf_view(&body)));
	ck_assert_int_eq(r.type, RECORD_END);
	ck_assert_int_eq(r.request, 7);
	ck_assert_uint_eq(in.n, 0);
	buf_clear(&out);
	record_put_end(&out, 1, RECORD_UNKNOWN_ROLE);
	in = buf_view(&out);
	ck_assert_int_eq(record_take(&in, &r), RECORD_TAKEN);
	ck_assert_int_eq(r.type, RECORD_END);
	ck_assert_int_eq(r.content.p[4], RECORD_UNKNOWN_ROLE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("record");
	TCase *c = tcase_create("record");
	SRunner *run;
	int failed;

	tcase_add_test(c, records_are_cut_off_whole);
	tcase_add_test(c, pairs_have_short_and_long_lengths);
	tcase_add_test(c, an_answer_comes_back_whole);
	suite_add_tcase(s, c);
	run = srunner_create(s);
	srunner_run_all(run, CK_ENV);
	failed = srunner_ntests_failed(run);
	srunner_free(run);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
