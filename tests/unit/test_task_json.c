#include "base/json.h"
#include "model/callback.h"
#include "model/code_json.h"
#include "model/order_json.h"
#include "model/schedule_json.h"
#include "model/task_json.h"

#include <check.h>
#include <stdlib.h>

static struct ctx cx;
static struct settings set;

static json_t *parsed(const char *text)
{
	json_t *j = NULL;

	ck_assert_int_eq(json_read(&cx, str_of(text), (struct json_limits){ 32, 10000 }, &j), OK);
	return j;
}

static struct task waiting_task(void)
{
	return (struct task){
		.state = TASK_QUEUED, .code_name = STR_LIT("hello"), .cluster_name = STR_LIT("default"), .revision = 3,
		.timeout_s = 60, .created_at = 1000000, .updated_at = 1000000, .due_at = 1000000,
		.started_at = TIME_NONE, .ended_at = TIME_NONE, .exit_code = -1, .payload = STR_LIT(""),
	};
}

static void assert_text(const json_t *j, const char *key, const char *wanted)
{
	ck_assert_msg(json_is_string(json_object_get(j, key)), "%s is no text", key);
	ck_assert_str_eq(json_string_value(json_object_get(j, key)), wanted);
}

static void assert_int(const json_t *j, const char *key, long long wanted)
{
	ck_assert_msg(json_is_integer(json_object_get(j, key)), "%s is no whole number", key);
	ck_assert_int_eq(json_integer_value(json_object_get(j, key)), wanted);
}

START_TEST(a_waiting_task_has_the_types_that_clients_read)
{
	struct task t = waiting_task();
	auto_json *j = task_to_json(&t);

	assert_text(j, "status", "queued");
	assert_text(j, "code_rev", "3");
	assert_text(j, "created_at", "1970-01-01T00:00:01.000Z");
	assert_text(j, "start_time", "0001-01-01T00:00:00Z");
	assert_text(j, "end_time", "0001-01-01T00:00:00Z");
	assert_int(j, "duration", 0);
	assert_int(j, "timeout", 60);
	assert_int(j, "percent", 0);
	assert_text(j, "payload", "");
	ck_assert_ptr_null(json_object_get(j, "msg"));
	ck_assert_ptr_null(json_object_get(j, "retry_task_id"));
}
END_TEST

START_TEST(a_preparing_task_shows_as_queued_and_says_so_in_state)
{
	struct task t = waiting_task();
	auto_json *j = NULL;

	t.state = TASK_PREPARING;
	j = task_to_json(&t);
	assert_text(j, "status", "queued");
	assert_text(j, "state", "preparing");
}
END_TEST

START_TEST(a_task_never_looks_like_a_schedule)
{
	static const char *const KEYS[] = { "start_at", "end_at", "next_start", "last_run_time", "run_count", "run_every" };
	struct task t = waiting_task();

	for (int s = 0; s < TASK_STATE_COUNT; s++) {
		auto_json *j = NULL;

		t.state = (enum task_state)s;
		j = task_to_json(&t);
		for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
			ck_assert_ptr_null(json_object_get(j, KEYS[i]));
	}
}
END_TEST

START_TEST(an_end_says_why_and_a_good_end_says_nothing)
{
	struct task t = waiting_task();

	ck_assert_uint_eq(task_wire_msg(&t).n, 0);
	t.state = TASK_COMPLETE;
	t.note = STR_LIT("exit 0");
	ck_assert_uint_eq(task_wire_msg(&t).n, 0);
	t.msg = STR_LIT("half");
	ck_assert(str_is(task_wire_msg(&t), "half"));
	t.state = TASK_TIMEOUT; /* whatever progress said */
	ck_assert(str_is(task_wire_msg(&t), "Job timed out."));
	t.state = TASK_CANCELLED;
	ck_assert(str_is(task_wire_msg(&t), "Cancelled via API."));
	t.state = TASK_EXPIRED;
	ck_assert(str_is(task_wire_msg(&t), "Expired before it could start."));
	t.state = TASK_ERROR;
	ck_assert(str_is(task_wire_msg(&t), "half"));
	t.msg.n = 0;
	ck_assert(str_is(task_wire_msg(&t), "exit 0"));
}
END_TEST

START_TEST(a_failed_task_has_duration_exit_code_and_error_class)
{
	struct task t = waiting_task();
	auto_json *j = NULL;

	t.state = TASK_ERROR;
	t.exit_code = 7;
	t.started_at = 2000000;
	t.ended_at = 5741999;
	j = task_to_json(&t);
	assert_int(j, "duration", 3741);
	assert_int(j, "exit_code", 7);
	assert_int(j, "run_times", 1);
	assert_text(j, "error_class", "Process Exit 7");
}
END_TEST

START_TEST(a_payload_that_is_not_utf8_is_still_json)
{
	struct task t = waiting_task();
	auto_json *j = NULL;

	t.payload = STR_LIT("a\xff\0b");
	j = task_to_json(&t);
	ck_assert_uint_eq(json_string_length(json_object_get(j, "payload")), 6);
}
END_TEST

/* --- orders ------------------------------------------------------------------------------------- */
static enum err order_of(const char *text, struct task_order *out)
{
	static json_t *kept; /* texts of orders point into it */
	json_t *j = parsed(text);

	if (!kept)
		kept = json_array();
	json_array_append_new(kept, j);
	return order_from_json(&cx, &set, j, out);
}

START_TEST(unset_in_disguise_is_unset)
{
	struct task_order o;

	ck_assert_int_eq(order_of("{\"code_name\":\"x\",\"priority\":-3,\"timeout\":0,\"cluster\":null,\"label\":null,"
	                          "\"delay\":0.0,\"sync\":false,\"name\":\"y\"}", &o), OK);
	ck_assert_int_eq(o.priority, TASK_PRIORITY_UNSET);
	ck_assert_int_eq(o.timeout_s, 0);
	ck_assert_int_eq(o.delay_s, 0);
	ck_assert_uint_eq(o.label.n, 0);
}
END_TEST

START_TEST(a_timeout_may_be_any_number_that_is_not_negative)
{
	static const struct { const char *number; int64_t s; } MANY[] = {
		{ "99999999", 99999999 }, { "8999999999999999", 8999999999999999 }, { "1e300", INT64_MAX },
		{ "9223372036854775807", INT64_MAX }, { "1e-300", 1 }, { "0", 0 }, { "\"60\"", 60 },
	};
	struct task_order o;
	char text[100];

	for (size_t i = 0; i < sizeof MANY / sizeof *MANY; i++) {
		snprintf(text, sizeof text, "{\"code_name\":\"x\",\"timeout\":%s}", MANY[i].number);
		ck_assert_msg(order_of(text, &o) == OK, "%s: %s", MANY[i].number, cx.message);
		ck_assert_int_eq(o.timeout_s, MANY[i].s);
	}
}
END_TEST

START_TEST(a_delay_is_as_long_as_it_likes_until_the_end_of_time)
{
	static const struct { const char *number; int64_t s; } DELAYS[] = {
		{ "604801", 604801 }, { "3153600001", 3153600001 }, { "249299920799", 249299920799 }, { "249299920800", 249299920800 },
		{ "249299920801", 249299920800 }, { "9223372036854775807", 249299920800 }, { "9223372036854775808", 249299920800 },
		{ "1e300", 249299920800 }, { "\"3153600001\"", 3153600001 },
	};
	struct task_order o;
	char text[100];

	for (size_t i = 0; i < sizeof DELAYS / sizeof *DELAYS; i++) {
		snprintf(text, sizeof text, "{\"code_name\":\"x\",\"delay\":%s}", DELAYS[i].number);
		ck_assert_msg(order_of(text, &o) == OK, "%s: %s", DELAYS[i].number, cx.message);
		ck_assert_int_eq(o.delay_s, DELAYS[i].s);
	}
}
END_TEST

START_TEST(a_part_of_a_second_is_one_and_not_the_default)
{
	struct task_order o;
	struct code_order code;
	auto_json *j = parsed("{\"name\":\"x\",\"timeout\":0.2,\"max_concurrency\":0.5}");

	ck_assert_int_eq(order_of("{\"code_name\":\"x\",\"timeout\":0.2}", &o), OK);
	ck_assert_int_eq(o.timeout_s, 1);
	ck_assert_int_eq(order_of("{\"code_name\":\"x\",\"timeout\":1.9}", &o), OK);
	ck_assert_int_eq(o.timeout_s, 1);
	ck_assert_int_eq(order_of("{\"code_name\":\"x\",\"timeout\":-0.0}", &o), OK);
	ck_assert_int_eq(o.timeout_s, 0);
	ck_assert_int_eq(code_order_from_json(&cx, &set, j, &code), OK);
	ck_assert(code.has_timeout && code.timeout_s == 1 && code.max_concurrency == 1);
}
END_TEST

START_TEST(what_is_wrong_is_named)
{
	static const struct { const char *text; enum err kind; const char *word; } WRONG[] = {
		{ "{}", ERR_REQUIRED, "code_name" },
		{ "{\"code_name\":\"\"}", ERR_REQUIRED, "code_name" },
		{ "{\"code_name\":7}", ERR_INPUT, "code_name" },
		{ "{\"code_name\":\"x\",\"payload\":{}}", ERR_INPUT, "payload" },
		{ "{\"code_name\":\"x\",\"priority\":\"high\"}", ERR_INPUT, "priority" },
		{ "{\"code_name\":\"x\",\"timeout\":-1}", ERR_INPUT, "timeout" },
		{ "{\"code_name\":\"x\",\"timeout\":-1e300}", ERR_INPUT, "timeout: must not be negative" },
		{ "{\"code_name\":\"x\",\"delay\":-1}", ERR_INPUT, "delay" },
		{ "{\"code_name\":\"x\",\"delay\":-1e300}", ERR_INPUT, "delay: must not be negative" },
		{ "{\"code_name\":\"x\",\"callback\":\"ftp://h/\"}", ERR_INPUT, "callback" },
		{ "{\"code_name\":\"x\",\"label\":[]}", ERR_INPUT, "label" },
		{ "{\"code_name\":\"hello\\u0000x\"}", ERR_INPUT, "field code_name: must not have control characters" },
		{ "{\"code_name\":\"x\",\"cluster\":\"default\\u0000x\"}", ERR_INPUT, "field cluster: must not have control" },
		{ "{\"code_name\":\"x\",\"label\":\"a\\nb\"}", ERR_INPUT, "field label: must not have control" },
		{ "{\"code_name\":\"x\",\"label\":\"a\\u007fb\"}", ERR_INPUT, "field label: must not have control" },
		{ "[]", ERR_INPUT, "object" },
	};
	struct task_order o;

	for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
		ck_assert_int_eq(order_of(WRONG[i].text, &o), WRONG[i].kind);
		ck_assert_msg(strstr(cx.message, WRONG[i].word), "'%s' does not name %s", cx.message, WRONG[i].word);
	}
}
END_TEST

START_TEST(a_payload_may_have_the_limit_and_not_one_byte_more)
{
	struct task_order o = { .code_name = STR_LIT("x"), .priority = TASK_PRIORITY_UNSET };
	char *bytes = calloc(1, (size_t)set.limits.payload_bytes + 1);

	o.payload = str_bytes(bytes, (size_t)set.limits.payload_bytes);
	ck_assert_int_eq(order_check(&cx, &set, &o), OK);
	o.payload.n++;
	ck_assert_int_eq(order_check(&cx, &set, &o), ERR_TOO_LARGE);
	free(bytes);
}
END_TEST

START_TEST(a_request_is_all_or_nothing_and_keeps_its_order)
{
	auto_json *good = parsed("{\"tasks\":[{\"code_name\":\"a\"},{\"code_name\":\"b\"},{\"code_name\":\"c\"}]}");
	auto_json *bad = parsed("{\"tasks\":[{\"code_name\":\"a\"},{\"code_name\":1}]}");
	auto_json *none = parsed("{\"tasks\":[]}");
	struct task_order *orders;
	size_t n;

	ck_assert_int_eq(orders_from_json(&cx, &set, good, &orders, &n), OK);
	ck_assert_uint_eq(n, 3);
	ck_assert_int_lt(memcmp(&orders[0].id, &orders[1].id, ID_BYTES), 0);
	ck_assert_int_lt(memcmp(&orders[1].id, &orders[2].id, ID_BYTES), 0);
	ck_assert_int_eq(orders_from_json(&cx, &set, bad, &orders, &n), ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(cx.message, "tasks[1]"));
	ck_assert_int_eq(orders_from_json(&cx, &set, none, &orders, &n), ERR_REQUIRED);
}
END_TEST

START_TEST(ten_thousand_tasks_are_taken_and_one_more_is_not)
{
	for (int extra = 0; extra <= 1; extra++) {
		auto_json *j = json_object();
		json_t *tasks = json_array();
		struct task_order *orders;
		size_t n;

		for (int64_t i = 0; i < set.limits.tasks_per_request + extra; i++)
			json_array_append_new(tasks, json_pack("{s:s}", "code_name", "x"));
		json_object_set_new(j, "tasks", tasks);
		ck_assert_int_eq(orders_from_json(&cx, &set, j, &orders, &n), extra ? ERR_INPUT : OK);
	}
}
END_TEST

START_TEST(a_schedule_names_its_code_in_one_line_too)
{
	static const char *const FIELDS[] = { "code_name", "cluster", "label" };
	struct schedule_order o;

	for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
		auto_json *j = json_pack("{s:s%}", FIELDS[i], "a\0b", (size_t)3);

		ck_assert_int_eq(schedule_order_from_json(&cx, &set, j, NULL, &o), ERR_INPUT);
		ck_assert_msg(strstr(cx.message, FIELDS[i]), "'%s' does not name %s", cx.message, FIELDS[i]);
	}
}
END_TEST

/* --- codes -------------------------------------------------------------------------------------- */
START_TEST(a_registration_knows_what_it_did_not_say)
{
	auto_json *j = parsed("{\"image\":\"reg:5000/team/thumbs:3\",\"default_priority\":-1000,\"env_vars\":null,"
	                      "\"retries_delay\":1.5,\"host\":\"true\"}");
	struct code_order o;

	ck_assert_int_eq(code_order_from_json(&cx, &set, j, &o), OK);
	ck_assert(str_is(o.name, "reg:5000/team/thumbs"));
	ck_assert(o.has_image && !o.has_command && !o.has_env && !o.has_priority && o.has_retries_delay);
	ck_assert_int_eq(o.retries_delay_s, 1);
}
END_TEST

START_TEST(names_as_ironworker_users_type_them_are_taken)
{
	static const char *const NAMES[] = { "iron/hello:0.0.1", "busybox", "docker.io/library/x", "reg:5000/t/a_b-c@sha256:12" };
	struct code_order o;

	for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
		auto_json *j = json_pack("{s:s,s:s}", "image", NAMES[i], "command", "sh -c 'echo \"$HOME\"'");

		ck_assert_msg(code_order_from_json(&cx, &set, j, &o) == OK, "%s", cx.message);
	}
}
END_TEST

START_TEST(a_wrong_registration_is_named)
{
	static const struct { const char *text, *word; } WRONG[] = {
		{ "{\"image\":\"x\",\"retries\":11}", "retries" },
		{ "{\"image\":\"x\",\"env_vars\":{\"A=B\":\"1\"}}", "env_vars" },
		{ "{\"image\":\"x\",\"env_vars\":{\"A\":[]}}", "env_vars.A" },
		{ "{\"image\":\"x\",\"env_vars\":[]}", "env_vars" },
		{ "{\"image\":7}", "image" },
		{ "{\"name\":\"x\",\"image\":\"../../etc\"}", "field image" },
		{ "{\"name\":\"x\",\"image\":\"/etc\"}", "field image" },
		{ "{\"name\":\"x\",\"image\":\"a/../b\"}", "field image" },
		{ "{\"name\":\"x\",\"image\":\"a\\nb\"}", "field image: must not have control" },
		{ "{\"name\":\"x\",\"image\":\"docker://busybox\"}", "field image: 'docker://busybox' is no image of a registry" },
		{ "{\"image\":\"x\",\"command\":\"sh -c 'unterminated\"}", "field command: the quote ' is not closed" },
		{ "{\"image\":\"x\",\"command\":\"a\\u0000b\"}", "command" },
		{ "{\"image\":\"x\",\"callback\":\"http://u:p@h/\"}", "callback" },
		{ "{}", "name" },
	};
	struct code_order o;

	for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
		auto_json *j = parsed(WRONG[i].text);

		ck_assert_int_ne(code_order_from_json(&cx, &set, j, &o), OK);
		ck_assert_msg(strstr(cx.message, WRONG[i].word), "'%s' does not name %s", cx.message, WRONG[i].word);
	}
}
END_TEST

START_TEST(a_paused_code_reads_minus_one)
{
	struct code c = { .name = STR_LIT("x"), .max_concurrency = 5, .paused = true, .grace_s = -1,
		          .env = STR_LIT("{\"A\":\"1\"}"), .created_at = 0, .updated_at = 0 };
	auto_json *j = code_to_json(&c);

	assert_int(j, "max_concurrency", -1);
	assert_text(json_object_get(j, "env_vars"), "A", "1");
	assert_text(j, "archived_at", "0001-01-01T00:00:00Z");
}
END_TEST

START_TEST(callbacks_are_http_and_have_a_host)
{
	static const char *const GOOD[] = { "", "http://h", "https://h.example:8443/a?b#c", "HTTP://[::1]:80/" };
	static const char *const BAD[] = { "http://", "https:///x", "http://:80/", "h/x", "http://a b/", "file:///etc",
		                           "http://u@h/" };

	for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++)
		ck_assert_msg(callback_check(&cx, str_of(GOOD[i])) == OK, "%s", GOOD[i]);
	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
		ck_assert_msg(callback_check(&cx, str_of(BAD[i])) == ERR_INPUT, "%s", BAD[i]);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("json forms");
	Suite *s = suite_create("json forms");
	SRunner *r;
	int failed;

	settings_read(&cx, NULL, &set);
	tcase_add_test(t, a_waiting_task_has_the_types_that_clients_read);
	tcase_add_test(t, a_preparing_task_shows_as_queued_and_says_so_in_state);
	tcase_add_test(t, a_task_never_looks_like_a_schedule);
	tcase_add_test(t, an_end_says_why_and_a_good_end_says_nothing);
	tcase_add_test(t, a_failed_task_has_duration_exit_code_and_error_class);
	tcase_add_test(t, a_payload_that_is_not_utf8_is_still_json);
	tcase_add_test(t, unset_in_disguise_is_unset);
	tcase_add_test(t, a_timeout_may_be_any_number_that_is_not_negative);
	tcase_add_test(t, a_delay_is_as_long_as_it_likes_until_the_end_of_time);
	tcase_add_test(t, a_part_of_a_second_is_one_and_not_the_default);
	tcase_add_test(t, what_is_wrong_is_named);
	tcase_add_test(t, a_payload_may_have_the_limit_and_not_one_byte_more);
	tcase_add_test(t, a_request_is_all_or_nothing_and_keeps_its_order);
	tcase_add_test(t, ten_thousand_tasks_are_taken_and_one_more_is_not);
	tcase_add_test(t, a_schedule_names_its_code_in_one_line_too);
	tcase_add_test(t, a_registration_knows_what_it_did_not_say);
	tcase_add_test(t, names_as_ironworker_users_type_them_are_taken);
	tcase_add_test(t, a_wrong_registration_is_named);
	tcase_add_test(t, a_paused_code_reads_minus_one);
	tcase_add_test(t, callbacks_are_http_and_have_a_host);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
