#include "base/crypt.h"
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

/* RFC 8032, 7.1, test 1: the key; over our text as `openssl pkeyutl -sign -rawin` signs it. */
START_TEST(a_private_key_signs_as_v1a)
{
	static const char SEED[] = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
	static const char HALF[] = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
	struct signature_keys keys = { .n = 1 };
	unsigned char both[64];
	char *text, *public;
	struct str key;

	ck_assert(hex_parse(str_of(SEED), both, 32) && hex_parse(str_of(HALF), both + 32, 32));
	text = arena_printf(&cx.arena, "whsk_%s", base64_format(&cx.arena, both, 32));
	ck_assert(signature_secret_parse(&cx.arena, str_of(text), &keys.key[0]));
	public = signature_public(&cx.arena, keys.key[0]);
	ck_assert_str_eq(public, arena_printf(&cx.arena, "whpk_%s", base64_format(&cx.arena, both + 32, 32)));
	ck_assert_str_eq(signature_make(&cx.arena, &keys, "msg_1", 1614265330, STR_LIT("{}")), "v1a,hGvhpd3FOe3YsVEIIX1pYKgY77U2Cj/jLClZW2K4VpFr77TQ/Fy9LFlysuLiC06UQhE5GOgPzDr3hPQ7QhqpDw==");
	text = arena_printf(&cx.arena, "whsk_%s", base64_format(&cx.arena, both, 64));
	ck_assert(signature_secret_parse(&cx.arena, str_of(text), &key) && str_equal(key, keys.key[0]));
	both[63] ^= 1;
	text = arena_printf(&cx.arena, "whsk_%s", base64_format(&cx.arena, both, 64));
	ck_assert(!signature_secret_parse(&cx.arena, str_of(text), &key));
	ck_assert(!signature_secret_parse(&cx.arena, STR_LIT("whsk_AAAA"), &key));
	ck_assert(signature_secret_parse(&cx.arena, str_of(signature_private_new(&cx.arena)), &key));
	ck_assert(signature_secret_parse(&cx.arena, str_of(signature_secret_new(&cx.arena)), &key));
	ck_assert_ptr_null(signature_public(&cx.arena, key));
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
	tcase_add_test(t, a_private_key_signs_as_v1a);
	tcase_add_test(t, receivers_are_told_apart_by_scheme_host_and_port_in_lower_case);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
