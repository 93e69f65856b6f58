#include "base/json.h"
#include "base/buf.h"

#include <check.h>
#include <stdlib.h>

static const struct json_limits LIMITS = { 4, 20 };

static enum err read_text(struct ctx *cx, struct str text)
{
	auto_json *j = NULL;

	return json_read(cx, text, LIMITS, &j);
}

START_TEST(a_blank_body_is_an_empty_object)
{
	auto_ctx cx = { 0 };
	auto_json *j = NULL;

	ck_assert_int_eq(json_read(&cx, STR_LIT(" \r\n"), LIMITS, &j), OK);
	ck_assert(json_is_object(j));
}
END_TEST

START_TEST(hostile_documents_are_refused_before_they_become_a_tree)
{
	static const char *const BAD[] = { "{", "[1,2] x", "[[[[[1]]]]]", "nope", "\"abc",
		"[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22]", "[NaN]", "[1e999]" };

	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
		auto_ctx cx = { 0 };

		ck_assert_msg(read_text(&cx, str_of(BAD[i])) == ERR_INPUT, "%s", BAD[i]);
		ck_assert(cx.message[0]);
	}
}
END_TEST

START_TEST(a_number_that_no_integer_holds_is_a_number)
{
	auto_ctx cx = { 0 };
	auto_json *j = NULL;
	int64_t i = 7;

	ck_assert_int_eq(json_read(&cx, STR_LIT("{\"big\":9223372036854775808,\"low\":-1e30,\"i\":5,\"part\":0.2}"), LIMITS, &j), OK);
	ck_assert_int_eq(json_get_int(&cx, j, "big", &i), ERR_INPUT);
	ck_assert_int_eq(json_get_amount(&cx, j, "big", &i), OK);
	ck_assert_int_eq(i, INT64_MAX);
	ck_assert_int_eq(json_get_amount(&cx, j, "low", &i), OK);
	ck_assert_int_eq(i, INT64_MIN);
	ck_assert_int_eq(json_get_amount(&cx, j, "i", &i), OK);
	ck_assert_int_eq(i, 5);
	ck_assert_int_eq(json_get_amount(&cx, j, "part", &i), OK);
	ck_assert_int_eq(i, 1);
}
END_TEST

static void reads_as(const char *text, const char *written)
{
	auto_ctx cx = { 0 };
	auto_json *j = NULL;

	ck_assert_msg(json_read(&cx, str_of(text), LIMITS, &j) == OK, "%s: %s", text, cx.message);
	ck_assert_msg(str_is(json_write(&cx.arena, j), written), "%s", text);
}

START_TEST(halves_of_characters_become_replacement_characters)
{
	reads_as("[\"\\ud800\"]", "[\"\xef\xbf\xbd\"]");
	reads_as("[\"a\\uDFFFb\"]", "[\"a\xef\xbf\xbd" "b\"]");
	reads_as("[\"\\ud83d\\ude00\"]", "[\"\xf0\x9f\x98\x80\"]");
	reads_as("[\"\\ud83d\\ud83d\\ude00\"]", "[\"\xef\xbf\xbd\xf0\x9f\x98\x80\"]");
	reads_as("[\"\\ud83dx\\ude00\"]", "[\"\xef\xbf\xbdx\xef\xbf\xbd\"]");
	reads_as("[\"\\ude00\\ud83d\"]", "[\"\xef\xbf\xbd\xef\xbf\xbd\"]");
	reads_as("[\"\\\\ud800\"]", "[\"\\\\ud800\"]"); /* a backslash, and five letters */
	reads_as("{\"\\ud800\":\"\\\\\\\\\\udc00\"}", "{\"\xef\xbf\xbd\":\"\\\\\\\\\xef\xbf\xbd\"}");
}
END_TEST

START_TEST(half_an_escape_is_no_json)
{
	static const char *const BAD[] = { "[\"\\ud80\"]", "[\"\\ud8", "[\"\\ud800\\u\"]", "[\"\\", "[\\ud800]" };

	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
		auto_ctx cx = { 0 };

		ck_assert_msg(read_text(&cx, str_of(BAD[i])) == ERR_INPUT, "%s", BAD[i]);
	}
}
END_TEST

START_TEST(a_byte_order_mark_is_left_out_once)
{
	auto_ctx cx = { 0 };

	reads_as("\xef\xbb\xbf{\"a\":1}", "{\"a\":1}");
	reads_as("\xef\xbb\xbf \n", "{}");
	ck_assert_int_eq(read_text(&cx, STR_LIT("\xef\xbb\xbf\xef\xbb\xbf{}")), ERR_INPUT);
}
END_TEST

START_TEST(of_a_key_given_twice_the_last_value_counts)
{
	auto_ctx cx = { 0 };
	auto_json *j = NULL;

	reads_as("{\"a\":1,\"a\":2}", "{\"a\":2}");
	ck_assert_int_eq(json_read_unique(&cx, STR_LIT("{\"a\":1,\"a\":2}"), LIMITS, &j), ERR_INPUT);
}
END_TEST

static void peeks(const char *text, const char *want)
{
	struct arena a = { 0 };
	struct str got;
	bool found = json_peek_text(&a, str_of(text), "oauth", &got);

	ck_assert_msg(found == (want != NULL), "%s", text);
	ck_assert_msg(!want || str_is(got, want), "%s", text);
	arena_release(&a);
}

START_TEST(one_text_is_found_without_reading_the_rest)
{
	peeks("{\"oauth\":\"T\"}", "T");
	peeks(" { \"a\" : [ 1 , {\"b\":\"}]\"} ] , \"oauth\"\n:\t\"T\\u0041\" }", "TA");
	peeks("{\"oauth\":\"first\",\"oauth\":\"last\"}", "last");
	peeks("\xef\xbb\xbf{\"oauth\":\"T\", broken", "T");
	peeks("{\"tasks\":[{\"oauth\":\"inner\"}],\"x\":\"oauth\"}", NULL);
	peeks("{\"x\":\"\\\",\\\"oauth\\\":\\\"T\"}", NULL);
	peeks("{\"oauth\":7}", NULL);
	peeks("{\"oauth\":null,\"b\":\"T\"}", NULL);
	peeks("{\"oauth\":\"T", NULL);
	peeks("\"oauth\":\"T\"", NULL);
	peeks("{\"", NULL);
	peeks("", NULL);
}
END_TEST

START_TEST(brackets_inside_texts_do_not_count_as_depth)
{
	auto_ctx cx = { 0 };

	ck_assert_int_eq(read_text(&cx, STR_LIT("[\"[[[[[[[[\\\"[[[[\",1]")), OK);
}
END_TEST

START_TEST(a_million_brackets_cost_nothing)
{
	auto_ctx cx = { 0 };
	auto_buf b = { 0 };

	for (int i = 0; i < 1000000; i++)
		buf_char(&b, '[');
	ck_assert_int_eq(read_text(&cx, buf_view(&b)), ERR_INPUT);
	ck_assert_uint_lt(cx.arena.used, 4096);
}
END_TEST

START_TEST(latin1_from_java_becomes_replacement_characters)
{
	auto_ctx cx = { 0 };
	auto_json *j = NULL;
	struct str name = { 0 };

	ck_assert_int_eq(json_read(&cx, STR_LIT("{\"n\":\"M\xfcller\"}"), LIMITS, &j), OK);
	ck_assert_int_eq(json_get_text(&cx, j, "n", &name), OK);
	ck_assert(str_is(name, "M\xef\xbf\xbdller"));
}
END_TEST

START_TEST(fields_are_typed_and_name_themselves_when_wrong)
{
	auto_ctx cx = { 0 };
	auto_json *j = NULL;
	int64_t i = 5;
	bool yes = false;
	struct str s = STR_LIT("default");

	json_read(&cx, STR_LIT("{\"i\":2.9,\"t\":\"30\",\"s\":7,\"n\":null,\"b\":\"x\"}"), LIMITS, &j);
	ck_assert_int_eq(json_get_int(&cx, j, "i", &i), OK);
	ck_assert_int_eq(i, 2);
	ck_assert_int_eq(json_get_int(&cx, j, "t", &i), OK);
	ck_assert_int_eq(i, 30);
	ck_assert_int_eq(json_get_int(&cx, j, "n", &i), OK);
	ck_assert_int_eq(i, 30);
	ck_assert_int_eq(json_get_text(&cx, j, "absent", &s), OK);
	ck_assert(str_is(s, "default"));
	ck_assert_int_eq(json_get_text(&cx, j, "s", &s), ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(cx.message, "field s"));
	ck_assert_int_eq(json_get_bool(&cx, j, "b", &yes), ERR_INPUT);
	ck_assert_int_eq(json_get_int(&cx, j, "b", &i), ERR_INPUT);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("json");
	Suite *s = suite_create("json");
	SRunner *r;
	int failed;

	tcase_add_test(t, a_blank_body_is_an_empty_object);
	tcase_add_test(t, hostile_documents_are_refused_before_they_become_a_tree);
	tcase_add_test(t, a_number_that_no_integer_holds_is_a_number);
	tcase_add_test(t, one_text_is_found_without_reading_the_rest);
	tcase_add_test(t, halves_of_characters_become_replacement_characters);
	tcase_add_test(t, half_an_escape_is_no_json);
	tcase_add_test(t, a_byte_order_mark_is_left_out_once);
	tcase_add_test(t, of_a_key_given_twice_the_last_value_counts);
	tcase_add_test(t, brackets_inside_texts_do_not_count_as_depth);
	tcase_add_test(t, a_million_brackets_cost_nothing);
	tcase_add_test(t, latin1_from_java_becomes_replacement_characters);
	tcase_add_test(t, fields_are_typed_and_name_themselves_when_wrong);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
