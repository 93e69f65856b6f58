#include "base/json.h"
#include "model/schedule_json.h"

#include <check.h>
#include <stdlib.h>

static struct ctx cx;
static struct settings set;

static enum err read(const char *text, struct schedule_order *out)
{
	json_t *j = NULL; /* the order keeps views into it */

	ck_assert_int_eq(json_read(&cx, str_of(text), (struct json_limits){ 32, 10000 }, &j), OK);
	return schedule_order_from_json(&cx, &set, j, NULL, out);
}

/* Ruby's, Python's, PHP's, Node's, ironcli's and go-hsdp-api's schedules as they were seen (ironworker-api.md 12). */
static const char *const OF_CLIENTS[] = {
	"{\"code_name\":\"n\",\"payload\":\"{}\",\"start_at\":\"2031-04-05T06:07:08+00:00\",\"run_every\":3600,\"run_times\":2,\"label\":\"sl\"}",
	"{\"run_every\":7200}",
	"{\"name\":\"n\",\"code_name\":\"n\",\"payload\":\"...\",\"priority\":0,\"delay\":0,\"label\":null,\"cluster\":null,\"sync\":false,"
	"\"run_every\":3600,\"run_times\":2,\"start_at\":\"2031-04-05T06:07:08.309097+00:00\",\"timeout\":3600}",
	"{\"name\":\"n\",\"code_name\":\"n\",\"payload\":\"{}\",\"start_at\":\"2031-04-05T06:07:08+00:00\",\"label\":\"sl\",\"run_every\":3600,"
	"\"run_times\":2,\"priority\":1}",
	"{\"cluster\":\"\",\"code_name\":\"z\",\"delay\":0,\"label\":\"\",\"name\":\"\",\"payload\":\"x\",\"run_every\":3600,\"run_times\":0,"
	"\"start_at\":\"2031-01-01T00:00:00-04:00\",\"timeout\":0}",
	"{\"code_name\":\"n\",\"payload\":\"{}\",\"delay_type\":\"x\",\"max_concurrency\":3,\"task_delay\":1,\"end_at\":\"2031-01-01T00:00:00Z\"}",
	"{\"code_name\":\"n\",\"payload\":\"{}\",\"wait\":true,\"encryptionKey\":\"k\",\"encryptionKeyFile\":\"f\"}",
	"{\"code_name\":\"n\"}",
};

START_TEST(what_ironworkers_clients_send_is_taken_and_nothing_told_of_it)
{
	struct schedule_order o;

	ck_assert_msg(read(OF_CLIENTS[_i], &o) == OK, "%s", cx.message);
	ck_assert_ptr_null(o.ignored);
}
END_TEST

static const struct {
	const char *body, *says;
} REFUSED[] = {
	{ "{\"code_name\":\"n\",\"crons\":\"* * * * *\"}", "field crons: is not known here: did you mean cron?" },
	{ "{\"code_name\":\"n\",\"cron_expression\":\"* * * * *\",\"start_at\":\"2031-01-01T00:00:00Z\"}", "did you mean cron?" },
	{ "{\"code_name\":\"n\",\"Cron\":\"* * * * *\"}", "field Cron: is not known here: did you mean cron?" },
	{ "{\"code_name\":\"n\",\"runEvery\":60}", "did you mean run_every?" },
	{ "{\"code_name\":\"n\",\"run_evry\":60,\"start_at\":\"2031-01-01T00:00:00Z\"}", "did you mean run_every?" },
	{ "{\"code_name\":\"n\",\"cron\":\"* * * * *\",\"timezone\":\"Europe/Berlin\"}", "did you mean time_zone?" },
	{ "{\"code_name\":\"n\",\"run_every\":60,\"misfire_windows\":1}", "did you mean misfire_window?" },
	{ "{\"code_name\":\"n\",\"run_every\":60,\"cluster_id\":\"x\"}", "did you mean cluster?" },
	{ "{\"code_name\":\"n\",\"delays\":60}", "did you mean delay?" },
	{ "{\"code_name\":\"n\",\"schedule\":\"* * * * *\"}", "field schedule: is not known here" },
	{ "{\"code_name\":\"n\",\"every\":60,\"start_at\":null}", "field every: is not known here" },
	{ "{\"code_name\":\"n\",\"cron\":\"* * * * *\",\"tz\":\"Europe/Berlin\"}", "field tz: is not known here" },
	{ "{\"code_name\":\"n\",\"run_every\":60,\"overlap\":\"skip\",\"on_error\":\"x\"}", "field on_error: is not known here" },
	{ "{\"code_name\":\"n\",\"cron\":\"\"}", "field cron: is empty" },
	{ "{\"code_name\":\"n\",\"cron\":\"\",\"start_at\":\"2031-01-01T00:00:00Z\"}", "field cron: is empty" },
};

START_TEST(what_is_misspelt_is_named)
{
	struct schedule_order o;

	ck_assert_int_eq(read(REFUSED[_i].body, &o), ERR_INPUT);
	ck_assert_msg(strstr(cx.message, REFUSED[_i].says), "'%s' is not in '%s'", REFUSED[_i].says, cx.message);
}
END_TEST

START_TEST(a_stranger_s_key_in_a_schedule_of_ironworkers_kind_is_passed_over_and_told)
{
	struct schedule_order o;

	ck_assert_int_eq(read("{\"code_name\":\"n\",\"start_at\":\"2031-01-01T00:00:00Z\",\"my_app\":1,\"other\":2}", &o), OK);
	ck_assert_str_eq(o.ignored, "my_app");
	ck_assert_int_eq(read("{\"code_name\":\"n\",\"delay\":0,\"x\":1}", &o), OK);
	ck_assert_str_eq(o.ignored, "x");
}
END_TEST

START_TEST(an_answer_may_be_sent_back)
{
	for (int kind = 0; kind < 3; kind++) {
		struct schedule s = schedule_default();
		struct schedule_order o;

		s.code_name = STR_LIT("n");
		s.start_at = s.created_at = s.updated_at = s.next_at = 1000000;
		s.run_every_s = kind == 1 ? 60 : 0;
		s.cron = kind == 2 ? STR_LIT("0 9 * * *") : STR_LIT("");
		s.paused_at = kind == 1 ? 2000000 : TIME_NONE;
		s.resumed_at = kind == 2 ? 2000000 : TIME_NONE;
		s.msg = STR_LIT("said");
		ck_assert_msg(read(str_c(&cx.arena, json_write(&cx.arena, schedule_to_json(&s))), &o) == OK, "%s", cx.message);
		ck_assert_ptr_null(o.ignored);
		ck_assert_int_eq(o.value.run_every_s, s.run_every_s);
		ck_assert(str_equal(o.value.cron, s.cron));
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("schedules");
	Suite *s = suite_create("schedules");
	SRunner *r;
	int failed;

	settings_read(&cx, NULL, &set);
	tcase_add_loop_test(t, what_ironworkers_clients_send_is_taken_and_nothing_told_of_it, 0, sizeof OF_CLIENTS / sizeof *OF_CLIENTS);
	tcase_add_loop_test(t, what_is_misspelt_is_named, 0, sizeof REFUSED / sizeof *REFUSED);
	tcase_add_test(t, a_stranger_s_key_in_a_schedule_of_ironworkers_kind_is_passed_over_and_told);
	tcase_add_test(t, an_answer_may_be_sent_back);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
