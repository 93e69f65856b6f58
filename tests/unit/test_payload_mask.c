#include "model/payload_mask.h"

#include <check.h>
#include <stdlib.h>

#include "base/arena.h"

static void check_json(const char *in, const char *want)
{
	json_t *j = json_loads(in, 0, NULL);
	bool masked = false;
	char *got;

	payload_mask(j, STR_LIT("iban\nsocial"), &masked);
	got = json_dumps(j, JSON_COMPACT);
	ck_assert_str_eq(got, want);
	ck_assert(masked == (strcmp(in, want) != 0));
	free(got);
	json_decref(j);
}

START_TEST(values_of_secret_keys_are_masked_at_any_depth)
{
	check_json("{\"a\":1}", "{\"a\":1}");
	check_json("{\"API_KEY\":\"x\",\"n\":[{\"dbPassword\":{\"deep\":1}}]}", "{\"API_KEY\":\"[FILTERED]\",\"n\":[{\"dbPassword\":\"[FILTERED]\"}]}");
	check_json("{\"ConnectionString\":5,\"secret\":null}", "{\"ConnectionString\":\"[FILTERED]\",\"secret\":null}");
	check_json("[[[[{\"my_license\":true}]]]]", "[[[[{\"my_license\":\"[FILTERED]\"}]]]]");
}
END_TEST

START_TEST(json_inside_a_text_is_masked_too)
{
	check_json("{\"a\":\"{\\\"token\\\":\\\"x\\\"}\"}", "{\"a\":\"{\\\"token\\\":\\\"[FILTERED]\\\"}\"}");
	check_json("{\"a\":\"{not json\"}", "{\"a\":\"{not json\"}");
}
END_TEST

static void check_text(const char *in, const char *want)
{
	struct arena a = { 0 };
	bool masked = false;
	struct str got = payload_mask_text(&a, str_of(in), STR_LIT("iban\nsocial"), &masked);

	ck_assert_msg(str_is(got, want), "%.*s", (int)got.n, got.p);
	ck_assert(masked == (strcmp(in, want) != 0));
	arena_release(&a);
}

START_TEST(texts_that_are_no_json_are_masked_by_key)
{
	check_text("just words", "just words");
	check_text("user=ana&password=hunter2&n=1", "user=ana&password=[FILTERED]&n=1");
	check_text("{\"secret\": \"a b\", broken", "{\"secret\": \"[FILTERED]\", broken");
	check_text("api_key: xyz\nnext", "api_key: [FILTERED]\nnext");
	check_text("pass='it is \\' long' n=1", "pass='[FILTERED]' n=1");
	check_text("pass=\"never closed", "pass=\"[FILTERED]");
	check_text("the token", "the token");
	check_text("token=", "token=");
}
END_TEST

START_TEST(a_project_has_words_of_its_own)
{
	struct arena a = { 0 };
	struct str list[] = { STR_LIT(" IBAN "), STR_LIT("social"), STR_LIT("iban") }, words = { 0 };
	char much[PAYLOAD_WORD_MOST + 2];

	check_json("{\"customer\":{\"IbanNumber\":\"DE1\",\"SocialSecurityNo\":7}}",
	           "{\"customer\":{\"IbanNumber\":\"[FILTERED]\",\"SocialSecurityNo\":\"[FILTERED]\"}}");
	check_text("my_iban=DE1&n=1", "my_iban=[FILTERED]&n=1");
	ck_assert(payload_words(&a, list, 3, &words));
	ck_assert(str_is(words, "iban\nsocial"));
	ck_assert(payload_words(&a, list, 0, &words) && !words.n);
	list[0] = STR_LIT("x");
	ck_assert(!payload_words(&a, list, 1, &words));
	list[0] = STR_LIT("a\nb");
	ck_assert(!payload_words(&a, list, 1, &words));
	memset(much, 'x', sizeof much);
	list[0] = str_bytes(much, sizeof much);
	ck_assert(!payload_words(&a, list, 1, &words));
	ck_assert(str_is(payload_masked(&a, STR_LIT(" [ 1 , 2 ] "), words), " [ 1 , 2 ] "));
	ck_assert(str_is(payload_masked(&a, STR_LIT("{ \"iban\": 1 }"), STR_LIT("iban")), "{\"iban\":\"[FILTERED]\"}"));
	/* of a key given twice a reader of JSON sees one value alone */
	ck_assert(str_is(payload_masked(&a, STR_LIT("{\"x\":{\"iban\":\"1\"},\"x\":1}"), STR_LIT("iban")), "{\"x\":{\"iban\":\"[FILTERED]\"},\"x\":1}"));
	ck_assert(str_is(payload_masked(&a, STR_LIT("{broken iban=1"), STR_LIT("iban")), "{broken iban=[FILTERED]"));
	arena_release(&a);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("payload_mask");
	TCase *t = tcase_create("payload_mask");
	SRunner *r;
	int failed;

	tcase_add_test(t, values_of_secret_keys_are_masked_at_any_depth);
	tcase_add_test(t, json_inside_a_text_is_masked_too);
	tcase_add_test(t, texts_that_are_no_json_are_masked_by_key);
	tcase_add_test(t, a_project_has_words_of_its_own);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
