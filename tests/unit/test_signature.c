#include "model/callback.h"
#include "model/signature.h"

#include <check.h>
#include <stdlib.h>

static struct ctx cx;

static void tear_down(void)
{
	ctx_release(&cx);
}

/* The vector of the Standard Webhooks libraries. */
START_TEST(it_signs_as_the_published_vector_says)
{
	struct signature_keys keys = { .n = 1 };

	ck_assert(signature_secret_parse(&cx.arena, STR_LIT("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &keys.key[0]));
	ck_assert_str_eq(signature_make(&cx.arena, &keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, STR_LIT("{\"test\": 2432232314}")),
	                 "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
	keys.key[keys.n++] = keys.key[0];
	ck_assert_str_eq(signature_make(&cx.arena, &keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, STR_LIT("{\"test\": 2432232314}")),
	                 "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}
END_TEST

START_TEST(secrets_are_new_each_time_and_of_the_right_form)
{
	char *a = signature_secret_new(&cx.arena), *b = signature_secret_new(&cx.arena);
	struct str key;

	ck_assert_str_ne(a, b);
	ck_assert(signature_secret_parse(&cx.arena, str_of(a), &key));
	ck_assert_uint_eq(key.n, SIGNATURE_KEY_BYTES);
	ck_assert(!signature_secret_parse(&cx.arena, STR_LIT("whsec_"), &key));
	ck_assert(!signature_secret_parse(&cx.arena, STR_LIT("whsec_AAAA"), &key));
	ck_assert(!signature_secret_parse(&cx.arena, STR_LIT("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &key));
	ck_assert(!signature_secret_parse(&cx.arena, STR_LIT("whsec_not base64 at all ------------"), &key));
}
END_TEST

START_TEST(receivers_are_told_apart_by_scheme_host_and_port_in_lower_case)
{
	static const char *const PAIRS[][2] = {
		{ "https://Example.COM/a?b#c", "https://example.com" },
		{ "http://h:8080", "http://h:8080" },
		{ "http://[::1]:80/x", "http://[::1]:80" },
		{ "code:nightly", "code:" },
	};
	struct id one = { { 1 } }, two = { { 2 } };

	for (size_t i = 0; i < sizeof PAIRS / sizeof *PAIRS; i++)
		ck_assert(str_is(callback_origin(&cx.arena, str_of(PAIRS[i][0])), PAIRS[i][1]));
	ck_assert_int_eq(callback_lane(&one, STR_LIT("http://h")), callback_lane(&one, STR_LIT("http://h")));
	ck_assert_int_ne(callback_lane(&one, STR_LIT("http://h")), callback_lane(&two, STR_LIT("http://h")));
	ck_assert_int_ne(callback_lane(&one, STR_LIT("http://h")), callback_lane(&one, STR_LIT("https://h")));
	ck_assert_int_gt(callback_lane(&one, STR_LIT("")), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("signature");
	TCase *t = tcase_create("signature");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, NULL, tear_down);
	tcase_add_test(t, it_signs_as_the_published_vector_says);
	tcase_add_test(t, secrets_are_new_each_time_and_of_the_right_form);
	tcase_add_test(t, receivers_are_told_apart_by_scheme_host_and_port_in_lower_case);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
