#include "model/trigger.h"

#include "base/json.h"

#include <check.h>
#include <stdlib.h>

/* Senders as their documentation shows them. */
#define STRIPE_V1 "c137b1b62277d523cf8fed4dfbd0170a9a5b8a380e00cc3711d4bf0652f2ce7a"

static struct ctx cx;

static void tear_down(void)
{
	ctx_release(&cx);
}

struct pair {
	const char *name, *value;
};

static struct str header_of(const void *arg, const char *name)
{
	for (const struct pair *p = arg; p->name; p++)
		if (str_is_nocase(str_of(p->name), name))
			return str_of(p->value);
	return STR_LIT("");
}

static enum err verify(enum trigger_kind kind, const char *secret, const char *options, const struct pair *headers,
                       const char *body, int64_t now_s)
{
	struct trigger_request rq = { header_of, headers, "203.0.113.9", str_of(body), now_s };
	auto_json *j = json_loads(options, 0, NULL);

	return trigger_verify(&cx, kind, str_of(secret), j, &rq);
}

#define HEADERS(...) ((const struct pair[]){ __VA_ARGS__, { NULL, NULL } })

START_TEST(github_as_its_documentation_says)
{
	const char *secret = "It's a Secret to Everybody", *body = "Hello, World!";
	const struct pair *good = HEADERS({ "X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17" });

	ck_assert_int_eq(verify(TRIGGER_GITHUB, secret, "{}", good, body, 0), OK);
	ck_assert_int_eq(verify(TRIGGER_GITHUB, secret, "{}", good, "Hello, World", 0), ERR_AUTH);
	ck_assert_int_eq(verify(TRIGGER_GITHUB, "another", "{}", good, body, 0), ERR_AUTH);
	ck_assert_int_eq(verify(TRIGGER_GITHUB, secret, "{}", HEADERS({ "X-Hub-Signature", "sha1=x" }), body, 0), ERR_AUTH);
	ck_assert_int_eq(verify(TRIGGER_GITHUB, secret, "{}", HEADERS({ "X-Hub-Signature-256", "sha256=" }), body, 0), ERR_AUTH);
}
END_TEST

static const char SLACK_BODY[] =
	"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
	"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
	"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d"
	"10d2c447fce8b6703c";

START_TEST(slack_as_its_documentation_says)
{
	const char *secret = "8f742231b10e8888abcd99yyyzzz85a5";
	const struct pair *good = HEADERS({ "X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503" },
	                                  { "X-Slack-Request-Timestamp", "1531420618" });

	ck_assert_int_eq(verify(TRIGGER_SLACK, secret, "{}", good, SLACK_BODY, 1531420618), OK);
	ck_assert_int_eq(verify(TRIGGER_SLACK, secret, "{}", good, SLACK_BODY, 1531420618 + 300), OK);
	ck_assert_int_eq(verify(TRIGGER_SLACK, secret, "{}", good, SLACK_BODY, 1531420618 + 301), ERR_AUTH);
	ck_assert_int_eq(verify(TRIGGER_SLACK, secret, "{}", good, SLACK_BODY, 1531420618 - 301), ERR_AUTH);
	ck_assert_int_eq(verify(TRIGGER_SLACK, secret, "{}", good, "x", 1531420618), ERR_AUTH);
}
END_TEST

START_TEST(standard_webhooks_as_its_libraries_say)
{
	const char *secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", *body = "{\"test\": 2432232314}";
	const struct pair *good = HEADERS({ "webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek" }, { "webhook-timestamp", "1614265330" },
	                                  { "webhook-signature", "v1,AAAA v2,x v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" });

	ck_assert_int_eq(verify(TRIGGER_STANDARD, secret, "{}", good, body, 1614265330), OK);
	ck_assert_int_eq(verify(TRIGGER_STANDARD, secret, "{}", good, body, 1614265330 + 301), ERR_AUTH);
	ck_assert_int_eq(verify(TRIGGER_STANDARD, secret, "{}", good, "{\"test\": 2432232315}", 1614265330), ERR_AUTH);
	ck_assert_int_eq(verify(TRIGGER_STANDARD, secret, "{}", HEADERS({ "webhook-id", "x" }), body, 1614265330), ERR_AUTH);
}
END_TEST

/* The scheme of its documentation ("t" + "." + body, v1 in hex, others ignored); the number was made with
 * `openssl dgst -sha256 -hmac`. */
START_TEST(stripe_by_the_scheme_of_its_documentation)
{
	const char *secret = "whsec_test_secret", *body = "{\"id\": \"evt_test_webhook\", \"object\": \"event\"}";
	const struct pair *good = HEADERS({ "Stripe-Signature", "t=1492774577,v0=6ffbb59b,v1=0000,v1=" STRIPE_V1 });

	ck_assert_int_eq(verify(TRIGGER_STRIPE, secret, "{}", good, body, 1492774577), OK);
	ck_assert_int_eq(verify(TRIGGER_STRIPE, secret, "{}", good, body, 1492774577 + 301), ERR_AUTH);
	ck_assert_int_eq(verify(TRIGGER_STRIPE, secret, "{}", good, "{}", 1492774577), ERR_AUTH);
	ck_assert_int_eq(verify(TRIGGER_STRIPE, secret, "{}", HEADERS({ "Stripe-Signature", "v1=" STRIPE_V1 }), body, 1492774577), ERR_AUTH);
}
END_TEST

START_TEST(gitlab_basic_and_addresses)
{
	ck_assert_int_eq(verify(TRIGGER_GITLAB, "tok", "{}", HEADERS({ "X-Gitlab-Token", "tok" }), "", 0), OK);
	ck_assert_int_eq(verify(TRIGGER_GITLAB, "tok", "{}", HEADERS({ "X-Gitlab-Token", "tokk" }), "", 0), ERR_AUTH);
	/* RFC 7617, section 2 */
	ck_assert_int_eq(verify(TRIGGER_BASIC, "Aladdin:open sesame", "{}", HEADERS({ "Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" }), "", 0), OK);
	ck_assert_int_eq(verify(TRIGGER_BASIC, "Aladdin:open", "{}", HEADERS({ "Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" }), "", 0), ERR_AUTH);
	ck_assert_int_eq(verify(TRIGGER_BASIC, "Aladdin:open", "{}", HEADERS({ "x", "y" }), "", 0), ERR_AUTH);
	ck_assert_int_eq(verify(TRIGGER_NONE, "", "{\"ips\": \"203.0.113.0/24\"}", HEADERS({ "x", "y" }), "", 0), OK);
	ck_assert_int_eq(verify(TRIGGER_NONE, "", "{\"ips\": \"203.0.112.0/24, 2001:db8::/32\"}", HEADERS({ "x", "y" }), "", 0), ERR_AUTH);
}
END_TEST

/* Its documentation: Idempotency-Key is the same for each try of a delivery, X-Gitlab-Event-UUID for all that one
 * event sets off. */
START_TEST(a_delivery_of_gitlab_is_known_by_what_its_tries_share_alone)
{
	struct trigger_request rq = { header_of, HEADERS({ "X-Gitlab-Event-UUID", "u" }, { "Idempotency-Key", "k" }), "203.0.113.9",
		                      STR_LIT("{}"), 0 };

	ck_assert(str_is(trigger_delivery(&cx, TRIGGER_GITLAB, NULL, &rq, NULL), "k"));
	rq.arg = HEADERS({ "X-Gitlab-Event-UUID", "u" });
	ck_assert_uint_eq(trigger_delivery(&cx, TRIGGER_GITLAB, NULL, &rq, NULL).n, 0);
}
END_TEST

/* RFC 4231, test case 2. */
START_TEST(hmac_in_a_header_of_choice)
{
	const char *hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

	ck_assert_int_eq(verify(TRIGGER_HMAC, "Jefe", "{\"header\": \"X-Sig\"}", HEADERS({ "X-Sig", hex }), "what do ya want for nothing?", 0), OK);
	ck_assert_int_eq(verify(TRIGGER_HMAC, "Jefe", "{\"header\": \"X-Sig\", \"prefix\": \"sha256=\"}", HEADERS({ "X-Sig", hex }),
	                        "what do ya want for nothing?", 0), ERR_AUTH);
	ck_assert_int_eq(verify(TRIGGER_HMAC, "Jefe", "{\"encoding\": \"base64\"}",
	                        HEADERS({ "X-Signature", "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=" }), "what do ya want for nothing?", 0), OK);
	ck_assert_int_eq(verify(TRIGGER_HMAC, "Jeff", "{\"header\": \"X-Sig\"}", HEADERS({ "X-Sig", hex }), "what do ya want for nothing?", 0), ERR_AUTH);
}
END_TEST

/* RFC 6901, section 5. */
START_TEST(pointers_as_the_standard_says)
{
	auto_json *j = json_loads("{\"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2, \"m~n\": 8, \" \": 7}", 0, NULL);

	ck_assert_ptr_eq(trigger_pointer(j, ""), j);
	ck_assert_str_eq(json_string_value(trigger_pointer(j, "/foo/0")), "bar");
	ck_assert_int_eq(json_integer_value(trigger_pointer(j, "/a~1b")), 1);
	ck_assert_int_eq(json_integer_value(trigger_pointer(j, "/c%d")), 2);
	ck_assert_int_eq(json_integer_value(trigger_pointer(j, "/m~0n")), 8);
	ck_assert_int_eq(json_integer_value(trigger_pointer(j, "/ ")), 7);
	ck_assert_ptr_nonnull(trigger_pointer(j, "/"));
	ck_assert_ptr_null(trigger_pointer(j, "/foo/2"));
	ck_assert_ptr_null(trigger_pointer(j, "/foo/bar"));
	ck_assert_ptr_null(trigger_pointer(j, "/none/x"));
}
END_TEST

START_TEST(filters_and_maps_read_the_body)
{
	auto_json *body = json_loads("{\"ref\": \"refs/heads/main\", \"n\": 2, \"deep\": {\"list\": [1, 2]}}", 0, NULL);
	auto_json *o = json_loads("{\"filter\": [{\"pointer\": \"/ref\", \"equals\": \"refs/heads/main\"}, {\"pointer\": \"/n\", \"in\": [1, 2]},"
	                          " {\"pointer\": \"/none\", \"exists\": false}], \"map\": {\"label\": \"/ref\", \"priority\": \"/n\","
	                          " \"payload\": {\"what\": \"/deep/list\", \"no\": \"/none\"}}}", 0, NULL);
	auto_json *never = json_loads("{\"filter\": [{\"pointer\": \"/ref\", \"equals\": \"x\"}]}", 0, NULL);
	auto_json *part = json_loads("{\"map\": {\"payload\": \"/deep\"}}", 0, NULL);
	struct str label = STR_LIT("none");
	int64_t priority = -1, delay = 7;

	ck_assert(trigger_passes(o, body) && !trigger_passes(never, body));
	trigger_map_text(&cx, o, "label", body, &label);
	trigger_map_int(&cx, o, "priority", body, &priority);
	trigger_map_int(&cx, o, "delay", body, &delay);
	ck_assert(str_is(label, "refs/heads/main"));
	ck_assert_int_eq(priority, 2);
	ck_assert_int_eq(delay, 7);
	ck_assert(str_is(trigger_payload(&cx, o, body, STR_LIT("raw")), "{\"what\":[1,2],\"no\":null}"));
	ck_assert(str_is(trigger_payload(&cx, part, body, STR_LIT("raw")), "{\"list\":[1,2]}"));
	ck_assert(str_is(trigger_payload(&cx, never, body, STR_LIT("raw")), "raw"));
}
END_TEST

START_TEST(options_that_make_no_sense_are_refused_by_name)
{
	static const char *const BAD[][2] = {
		{ "{\"encoding\": \"octal\"}", "encoding" }, { "{\"ips\": \"example.com\"}", "ips" }, { "{\"ips\": \"10.0.0.0/99\"}", "ips" },
		{ "{\"filter\": {}}", "filter" }, { "{\"filter\": [{\"pointer\": \"x\", \"equals\": 1}]}", "filter" },
		{ "{\"filter\": [{\"pointer\": \"/x\"}]}", "filter" }, { "{\"map\": []}", "map" }, { "{\"map\": {\"code\": \"/x\"}}", "map" },
		{ "{\"map\": {\"label\": \"x\"}}", "map.label" }, { "{\"map\": {\"payload\": {\"a\": 1}}}", "map.payload" },
	};

	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
		auto_json *j = json_loads(BAD[i][0], 0, NULL);
		struct str out;

		ck_assert_msg(trigger_options_from_json(&cx, j, &out) == ERR_INPUT, "%s", BAD[i][0]);
		ck_assert_ptr_nonnull(strstr(cx.message, BAD[i][1]));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("trigger");
	TCase *t = tcase_create("trigger");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, NULL, tear_down);
	tcase_add_test(t, github_as_its_documentation_says);
	tcase_add_test(t, slack_as_its_documentation_says);
	tcase_add_test(t, standard_webhooks_as_its_libraries_say);
	tcase_add_test(t, stripe_by_the_scheme_of_its_documentation);
	tcase_add_test(t, gitlab_basic_and_addresses);
	tcase_add_test(t, a_delivery_of_gitlab_is_known_by_what_its_tries_share_alone);
	tcase_add_test(t, hmac_in_a_header_of_choice);
	tcase_add_test(t, pointers_as_the_standard_says);
	tcase_add_test(t, filters_and_maps_read_the_body);
	tcase_add_test(t, options_that_make_no_sense_are_refused_by_name);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
