#include "base/json.h"
#include "model/log_body.h"

#include <check.h>
#include <jansson.h>

/* How messages are written, and which addresses may be given. Whole bodies are checked at receivers
 * (tests/flow/test_log_destinations.py). */
static struct ctx cx;

static void tear_down(void)
{
	ctx_release(&cx);
}

static struct log_source given_source(const char *code)
{
	struct log_source of = { .code = str_of(code), .attempt = 2 };

	id_parse(STR_LIT("0123456789abcdef01234567"), &of.task);
	id_parse(STR_LIT("aaaaaaaaaaaaaaaaaaaaaaaa"), &of.project);
	return of;
}

static char *syslog_of(struct log_message m)
{
	auto_buf b = { 0 };

	log_syslog(&b, &m, "node one");
	return arena_copy(&cx.arena, b.p, b.n);
}

START_TEST(syslog_is_as_rfc_5424_says)
{
	struct log_source of = given_source("co\"d]e\\\303\244");
	struct log_message m = { &of, LOG_ERR, 1795442446123456, 7, 0, false, STR_LIT("it broke") };

	ck_assert_str_eq(syslog_of(m), "<132>1 2026-11-23T14:00:46.123456Z node_one co\"d]e\\__ 0123456789abcdef01234567 stderr"
	                 " [stoker@32473 project=\"aaaaaaaaaaaaaaaaaaaaaaaa\" code=\"co\\\"d\\]e\\\\\303\244\" task=\"0123456789abcdef01234567\""
	                 " attempt=\"2\" sequence=\"7\"] it broke");
	m = (struct log_message){ &of, LOG_OUT, 0, 8, 3, true, STR_LIT("gr\303\274n") };
	of.code = STR_LIT("");
	ck_assert_str_eq(syslog_of(m), "<134>1 1970-01-01T00:00:00.000000Z node_one - 0123456789abcdef01234567 stdout"
	                 " [stoker@32473 project=\"aaaaaaaaaaaaaaaaaaaaaaaa\" code=\"\" task=\"0123456789abcdef01234567\""
	                 " attempt=\"2\" sequence=\"8\" part=\"3\" more=\"true\"] \357\273\277gr\303\274n");
}
END_TEST

START_TEST(a_counted_message_stands_behind_its_length)
{
	struct log_source of = given_source("code");
	struct log_message m = { &of, LOG_OUT, 0, 1, 0, false, STR_LIT("\303\244") };
	auto_buf plain = { 0 }, counted = { 0 };
	struct str rest, length;
	int64_t n;

	log_syslog(&plain, &m, "h");
	log_syslog_counted(&counted, &m, "h");
	rest = buf_view(&counted);
	ck_assert(str_cut(&rest, ' ', &length) && str_int(length, &n));
	ck_assert_int_eq(n, (int64_t)plain.n);
	ck_assert(str_equal(rest, buf_view(&plain)));
}
END_TEST

START_TEST(loki_gets_a_stream_for_each_set_of_labels)
{
	struct log_source one = given_source("one"), two = given_source("two");
	struct log_batch b = { .arena = &cx.arena, .lines_most = 9, .bytes_most = 999 };
	auto_json *j = NULL;
	json_t *streams;

	log_batch_add(&b, (struct log_message){ &one, LOG_OUT, 1, 1, 0, false, STR_LIT("a") });
	log_batch_add(&b, (struct log_message){ &two, LOG_OUT, 2, 1, 0, false, STR_LIT("b") });
	log_batch_add(&b, (struct log_message){ &one, LOG_ERR, 3, 2, 0, false, STR_LIT("c") });
	log_batch_add(&b, (struct log_message){ &one, LOG_OUT, 4, 3, 0, false, STR_LIT("d") });
	ck_assert_int_eq(json_read(&cx, log_body(&b, LOG_LOKI, "h"), (struct json_limits){ 16, 1000 }, &j), OK);
	streams = json_object_get(j, "streams");
	ck_assert_uint_eq(json_array_size(streams), 3);
	ck_assert_uint_eq(json_array_size(json_object_get(json_array_get(streams, 0), "values")), 2);
}
END_TEST

START_TEST(an_answer_to_a_bulk_says_what_was_taken)
{
	static const struct {
		const char *body;
		bool again;
		size_t refused;
	} ANSWERS[] = {
		{ "{\"took\":1,\"errors\":false,\"items\":[]}", false, 0 },
		{ "{\"errors\":true,\"items\":[{\"create\":{\"status\":201}},{\"create\":{\"status\":409}}]}", false, 0 },
		{ "{\"errors\":true,\"items\":[{\"create\":{\"status\":400}},{\"create\":{\"status\":201}}]}", false, 1 },
		{ "{\"errors\":true,\"items\":[{\"create\":{\"status\":400}},{\"create\":{\"status\":429}}]}", true, 1 },
		{ "{\"errors\":true,\"items\":[{\"create\":{\"status\":503}}]}", true, 0 },
		{ "{\"errors\":true,\"items\":[{\"create\":{\"status\":404}}]}", true, 0 },
		{ "{\"errors\":true,\"items\":[{\"create\":{\"status\":403}},{\"create\":{\"status\":401}}]}", true, 0 },
		{ "{\"errors\":true,\"items\":[{\"create\":{\"status\":413}},{\"create\":{\"status\":422}}]}", false, 2 },
		{ "<html>", true, 0 },
		{ "{}", true, 0 },
	};

	for (size_t i = 0; i < sizeof ANSWERS / sizeof *ANSWERS; i++) {
		struct log_bulk_answer a = log_bulk_answer(&cx, str_of(ANSWERS[i].body));

		ck_assert_msg(a.again == ANSWERS[i].again && a.refused == ANSWERS[i].refused, "%s", ANSWERS[i].body);
	}
}
END_TEST

START_TEST(addresses_are_taken_apart)
{
	static const struct {
		const char *text, *host;
		enum log_scheme scheme;
		int port;
	} GOOD[] = {
		{ "tls://Logs.example:6515", "Logs.example", LOG_TLS, 6515 }, { "tls://logs", "logs", LOG_TLS, 6514 },
		{ "tcp://10.0.0.1", "10.0.0.1", LOG_TCP, 601 },               { "UDP://[::1]:5140", "::1", LOG_UDP, 5140 },
		{ "udp://[fd00::1]", "fd00::1", LOG_UDP, 514 },               { "https://h/_bulk?x=1", "h", LOG_HTTPS, 443 },
		{ "http://h:1", "h", LOG_HTTP, 1 },                           { "tcp://h:601/", "h", LOG_TCP, 601 },
	};
	static const char *const BAD[] = { "", "logs", "ftp://h", "tcp://", "tcp://:601", "tcp://h:0", "tcp://h:65536", "tcp://h:x",
		                           "tcp://a@h", "http://u:p@h/", "tcp://h/path", "tcp://[::1", "tcp://[::1]x", "http://h h/",
		                           "tcp://h\n", "http://\303\244/" };
	struct log_address a;

	for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
		ck_assert_msg(log_address_read(&cx, str_of(GOOD[i].text), &a) == OK, "%s: %s", GOOD[i].text, cx.message);
		ck_assert_str_eq(a.host, GOOD[i].host);
		ck_assert_int_eq(a.scheme, GOOD[i].scheme);
		ck_assert_int_eq(a.port, GOOD[i].port);
	}
	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
		ck_assert_msg(log_address_read(&cx, str_of(BAD[i]), &a) == ERR_INPUT, "%s", BAD[i]);
}
END_TEST

START_TEST(a_secret_is_a_whole_header_or_what_stands_behind_the_templates_word)
{
	ck_assert_str_eq(log_authorization(&cx.arena, LOG_SPLUNK, STR_LIT("abc")), "Splunk abc");
	ck_assert_str_eq(log_authorization(&cx.arena, LOG_ELASTICSEARCH, STR_LIT("abc")), "ApiKey abc");
	ck_assert_str_eq(log_authorization(&cx.arena, LOG_NDJSON, STR_LIT("abc")), "Bearer abc");
	ck_assert_str_eq(log_authorization(&cx.arena, LOG_LOKI, STR_LIT("Basic dTpw")), "Basic dTpw");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("log_body");
	TCase *t = tcase_create("bodies");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, NULL, tear_down);
	tcase_add_test(t, syslog_is_as_rfc_5424_says);
	tcase_add_test(t, a_counted_message_stands_behind_its_length);
	tcase_add_test(t, loki_gets_a_stream_for_each_set_of_labels);
	tcase_add_test(t, an_answer_to_a_bulk_says_what_was_taken);
	tcase_add_test(t, addresses_are_taken_apart);
	tcase_add_test(t, a_secret_is_a_whole_header_or_what_stands_behind_the_templates_word);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
