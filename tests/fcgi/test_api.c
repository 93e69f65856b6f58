#include "model/task_json.h"
#include "store/log_store.h"
#include "store/task_store.h"
#include "tests/fcgi/given.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

static size_t count_tasks(void)
{
	auto_asked a = get("P/tasks?per_page=100");

	return json_array_size(json_object_get(a.json, "tasks"));
}

/* --- who may ------------------------------------------------------------------------------------------ */
START_TEST(another_projects_ids_are_not_there)
{
	struct id id = given_task("mine");
	char path[200];

	snprintf(path, sizeof path, "/2/projects/%s/tasks/%s", id_format(&theirs.id).s, id_format(&id).s);
	auto_asked got = ask("GET", path, stranger.s, NULL);
	ck_assert_int_eq(got.status, 404);
	snprintf(path, sizeof path, "/2/projects/%s/tasks/%s/log", id_format(&theirs.id).s, id_format(&id).s);
	auto_asked log = ask("GET", path, stranger.s, NULL);
	ck_assert_int_eq(log.status, 404);
	snprintf(path, sizeof path, "/2/projects/%s/tasks/%s/cancel", id_format(&theirs.id).s, id_format(&id).s);
	auto_asked cancel = ask("POST", path, stranger.s, "{}");
	ck_assert_int_eq(cancel.status, 404);
	auto_asked still = get(task_path(&id, ""));
	ck_assert_str_eq(asked_text(&still, "status"), "queued");
}
END_TEST

START_TEST(a_token_may_stand_in_header_query_or_body)
{
	char path[300], body[300];

	snprintf(path, sizeof path, "P?oauth=%s", developer.s);
	auto_asked query = ask("GET", path, NULL, NULL);
	ck_assert_int_eq(query.status, 200);
	ck_assert_str_eq(asked_text(&query, "name"), "ours");

	given_code("by-body");
	snprintf(body, sizeof body, "{\"oauth\":\"%s\",\"tasks\":[{\"code_name\":\"by-body\"}]}", developer.s);
	auto_asked in_body = ask("POST", "P/tasks", NULL, body);
	ck_assert_int_eq(in_body.status, 200);

	snprintf(body, sizeof body, "{\"oauth\":\"%s\"}", developer.s);
	auto_asked get_with_body = ask("GET", "P/tasks", NULL, body);
	ck_assert_int_eq(get_with_body.status, 200);
}
END_TEST

START_TEST(an_admin_sees_projects_but_none_that_is_not_there)
{
	auto_asked list = ask("GET", "/2/projects", admin.s, NULL);
	auto_asked none = ask("GET", "/2/projects/66aa01c2d3e4f5061728394a/tasks", admin.s, NULL);
	auto_asked odd = ask("GET", "/2/projects/odd/tasks", admin.s, NULL);
	auto_asked mine = ask("GET", "/2/projects", developer.s, NULL);

	ck_assert_uint_eq(json_array_size(json_object_get(list.json, "projects")), 2);
	ck_assert_int_eq(none.status, 404);
	ck_assert_int_eq(odd.status, 404);
	ck_assert_uint_eq(json_array_size(json_object_get(mine.json, "projects")), 1);
}
END_TEST

START_TEST(a_revoked_token_is_out_within_a_second)
{
	auto_ctx cx = { 0 };
	struct token_text token;
	struct id id;

	ck_assert_int_eq(token_store_add(process.db, &cx, STR_LIT("gone"), STR_LIT("t"), &ours.id, ROLE_VIEWER, TIME_NONE,
	                                 STR_LIT(""), &token, &id), OK);
	auto_asked before = ask("GET", "P", token.s, NULL);
	ck_assert_int_eq(before.status, 200);
	ck_assert_int_eq(token_store_revoke(process.db, &cx, &id), OK);
	usleep(1050000);
	auto_asked after = ask("GET", "P", token.s, NULL);
	ck_assert_int_eq(after.status, 401);
}
END_TEST

/* --- codes -------------------------------------------------------------------------------------------- */
START_TEST(a_code_is_registered_updated_and_listed)
{
	auto_asked first = post("P/codes", "{\"name\":\"thumbs\",\"image\":\"a\",\"config\":\"c=1\",\"env_vars\":{\"K\":\"v\"}}");
	auto_asked second = post("P/codes", "{\"name\":\"thumbs\",\"image\":\"b\",\"max_concurrency\":5}");
	char path[100];

	ck_assert_str_eq(asked_msg(&first), "Upload successful.");
	ck_assert_uint_eq(strlen(asked_text(&first, "id")), 24);
	ck_assert_str_eq(asked_text(&first, "id"), asked_text(&second, "id"));
	snprintf(path, sizeof path, "P/codes/%s", asked_text(&first, "id"));
	auto_asked got = get(path);
	ck_assert_int_eq(json_integer_value(json_object_get(got.json, "rev")), 2);
	ck_assert_str_eq(asked_text(&got, "image"), "b");
	ck_assert_str_eq(asked_text(&got, "config"), "c=1");
	ck_assert_int_eq(json_integer_value(json_object_get(got.json, "max_concurrency")), 5);
	auto_asked list = get("P/codes");
	ck_assert_uint_ge(json_array_size(json_object_get(list.json, "codes")), 1);
}
END_TEST

START_TEST(a_code_may_come_urlencoded_or_as_multipart_without_a_file)
{
	auto_asked urlencoded = post("P/codes", "data=%7B%22name%22%3A%22ue%22%2C%22image%22%3A%22i%22%7D&file=");
	auto_asked multipart = post("P/codes", "--x\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n"
	                                       "{\"name\":\"mp\",\"image\":\"i\"}\n\r\n--x--\r\n");
	auto_asked zip = post("P/codes", "--x\nContent-Disposition: form-data; name=\"data\"\n\n{\"name\":\"z\"}\n"
	                                 "--x\nContent-Disposition: form-data; name=\"file\"; filename=\"z.zip\"\n\nPK\n--x--");

	ck_assert_int_eq(urlencoded.status, 200);
	ck_assert_str_eq(asked_text(&urlencoded, "name"), "ue");
	ck_assert_int_eq(multipart.status, 200);
	ck_assert_int_eq(zip.status, 400);
	ck_assert_str_eq(asked_msg(&zip), "field file: the package is not a zip");
}
END_TEST

/* run.sh with "echo hi" in it, stored. */
static const char ZIP[] =
	"\120\113\003\004\024\000\000\000\000\000\000\000\041\000\063\106\256\012\010\000"
	"\000\000\010\000\000\000\006\000\000\000\162\165\156\056\163\150\145\143\150\157"
	"\040\150\151\012\120\113\001\002\024\003\024\000\000\000\000\000\000\000\041\000"
	"\063\106\256\012\010\000\000\000\010\000\000\000\006\000\000\000\000\000\000\000"
	"\000\000\000\000\200\001\000\000\000\000\162\165\156\056\163\150\120\113\005\006"
	"\000\000\000\000\001\000\001\000\064\000\000\000\054\000\000\000\000\000";

START_TEST(a_zip_comes_back_as_it_was_sent_and_only_to_its_project)
{
	auto_buf body = { 0 };
	char path[100];

	buf_text(&body, "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a/z.zip\"\r\n\r\n");
	buf_add(&body, ZIP, sizeof ZIP - 1);
	buf_text(&body, "\r\n--x\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n"
	                "{\"name\":\"zip/ped\",\"runtime\":\"sh\",\"file_name\":\"run.sh\"}\r\n--x--");
	auto_asked made = ask_with(&process, &(struct asking){ .method = "POST", .uri = uri_of("P/codes"), .token = developer.s,
	                                                       .body = buf_view(&body) });
	ck_assert_msg(made.status == 200, "%s", asked_msg(&made));
	ck_assert_str_eq(asked_text(&made, "package_name"), "z.zip");
	snprintf(path, sizeof path, "P/codes/%s/download?revision=1", asked_text(&made, "id"));
	auto_asked got = get(path);
	ck_assert_int_eq(got.status, 200);
	ck_assert(str_equal(got.body, str_bytes(ZIP, sizeof ZIP - 1)));
	ck_assert_ptr_nonnull(strstr(got.headers, "\r\nContent-Disposition: filename=zip_ped_1.zip\r\n"));
	auto_asked foreign = ask_with(&process, &(struct asking){ .method = "GET", .uri = uri_of(path), .token = stranger.s });
	ck_assert_int_eq(foreign.status, 404);
}
END_TEST

START_TEST(a_code_is_paused_and_resumed_once)
{
	static const char *const MSGS[] = { "Paused", "Already paused", "Resumed", "Already resumed" };
	auto_asked code = post("P/codes", "{\"name\":\"pausing\",\"image\":\"a\"}");

	for (int i = 0; i < 4; i++) {
		char path[120];

		snprintf(path, sizeof path, "P/codes/%s/%s_task_queue", asked_text(&code, "id"), i < 2 ? "pause" : "resume");
		auto_asked a = post(path, "{}");
		ck_assert_str_eq(asked_msg(&a), MSGS[i]);
	}
}
END_TEST

/* --- tasks -------------------------------------------------------------------------------------------- */
START_TEST(a_queued_task_reads_as_it_was_queued)
{
	struct id id = given_task("hello");
	auto_asked a = get(task_path(&id, ""));

	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(asked_text(&a, "status"), "queued");
	ck_assert_str_eq(asked_text(&a, "code_name"), "hello");
	ck_assert_str_eq(asked_text(&a, "payload"), "pay");
	ck_assert_str_eq(asked_text(&a, "label"), "l-hello");
	ck_assert_str_eq(asked_text(&a, "cluster"), "default");
	ck_assert_str_eq(asked_text(&a, "start_time"), "0001-01-01T00:00:00Z");
	ck_assert_int_eq(json_integer_value(json_object_get(a.json, "timeout")), 3600);
	ck_assert_int_eq(json_integer_value(json_object_get(a.json, "log_size")), 0);
}
END_TEST

START_TEST(a_batch_is_all_or_nothing)
{
	given_code("batch");
	size_t before = count_tasks();
	auto_asked bad = post("P/tasks", "{\"tasks\":[{\"code_name\":\"batch\"},{\"code_name\":\"nobody\"}]}");
	auto_asked wrong = post("P/tasks", "{\"tasks\":[{\"code_name\":\"batch\"},{\"code_name\":\"batch\",\"delay\":-1}]}");

	ck_assert_int_eq(bad.status, 404);
	ck_assert_ptr_nonnull(strstr(asked_msg(&bad), "nobody"));
	ck_assert_int_eq(wrong.status, 400);
	ck_assert_uint_eq(count_tasks(), before);
	auto_asked good = post("P/tasks", "{\"tasks\":[{\"code_name\":\"batch\"},{\"code_name\":\"batch\"}]}");
	ck_assert_str_eq(asked_msg(&good), "Queued up");
	ck_assert_uint_eq(json_array_size(json_object_get(good.json, "tasks")), 2);
	ck_assert_uint_eq(count_tasks(), before + 2);
}
END_TEST

START_TEST(what_is_not_a_queue_request_is_refused_and_changes_nothing)
{
	static const struct { const char *body, *word; int status; } WRONG[] = {
		{ "{", "JSON", 400 }, { "[]", "object", 400 }, { "7", "object", 400 }, { "{\"tasks\":{}}", "tasks", 400 },
		{ "{}", "tasks", 406 }, { "", "tasks", 406 }, { "{\"tasks\":[]}", "tasks", 406 },
		{ "{\"tasks\":[7]}", "tasks[0]", 400 }, { "{\"tasks\":[{}]}", "code_name", 406 },
		{ "{\"tasks\":[{\"code_name\":{}}]}", "code_name", 400 },
		{ "{\"tasks\":[{\"code_name\":\"nobody\"}]}", "nobody", 404 },
		{ "{\"tasks\":[{\"code_name\":\"x\",\"cluster\":\"moon\"}]}", "", 404 },
		{ "{\"tasks\":[{\"code_name\":\"clustered\"}],\"tasks\":[]}", "tasks", 406 },
	};
	size_t before = count_tasks();

	for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
		auto_asked a = post("P/tasks", WRONG[i].body);

		ck_assert_msg(a.status == WRONG[i].status, "%s: %d %s", WRONG[i].body, a.status, asked_msg(&a));
		ck_assert_msg(strstr(asked_msg(&a), WRONG[i].word), "%s: %s", WRONG[i].body, asked_msg(&a));
	}
	ck_assert_uint_eq(count_tasks(), before);
}
END_TEST

START_TEST(an_unknown_cluster_is_named)
{
	given_code("clustered");
	auto_asked a = post("P/tasks", "{\"tasks\":[{\"code_name\":\"clustered\",\"cluster\":\"moon\"}]}");

	ck_assert_msg(a.status == 400 || a.status == 404, "%d", a.status);
	ck_assert_ptr_nonnull(strstr(asked_msg(&a), "moon"));
}
END_TEST

START_TEST(json_may_be_32_deep_and_no_deeper)
{
	for (int depth = 32; depth <= 33; depth++) {
		auto_buf b = { 0 };

		buf_text(&b, "{\"tasks\":");
		for (int i = 1; i < depth; i++)
			buf_char(&b, '[');
		for (int i = 1; i < depth; i++)
			buf_char(&b, ']');
		buf_char(&b, '}');
		auto_asked a = post("P/tasks", b.p);
		ck_assert_int_eq(a.status, 400);
		ck_assert_int_eq(strstr(asked_msg(&a), "nested") != NULL, depth == 33);
	}
}
END_TEST

START_TEST(bodies_over_the_limit_are_413)
{
	size_t most = 1 << 20;
	char *big = calloc(1, (size_t)set.limits.payload_bytes + 2);

	memset(big, ' ', most + 1);
	auto_asked progress = ask_with(&process, &(struct asking){ .method = "POST",
		.uri = uri_of("P/tasks/66aa01c2d3e4f5061728394a/progress"), .token = developer.s, .body = { big, most + 1 } });
	ck_assert_int_eq(progress.status, 413);
	ck_assert_str_ne(asked_msg(&progress), "");

	given_code("big");
	memset(big, 'x', (size_t)set.limits.payload_bytes + 1);
	auto_asked fits = ask_with(&process, &(struct asking){ .method = "POST",
		.uri = uri_of("P/tasks/webhook?code_name=big"), .token = developer.s,
		.body = { big, (size_t)set.limits.payload_bytes } });
	ck_assert_int_eq(fits.status, 200);
	auto_asked over = ask_with(&process, &(struct asking){ .method = "POST",
		.uri = uri_of("P/tasks/webhook?code_name=big"), .token = developer.s,
		.body = { big, (size_t)set.limits.payload_bytes + 1 } });
	ck_assert_int_eq(over.status, 413);
	auto_asked one = ask_with(&process, &(struct asking){ .method = "GET", .token = developer.s, .uri = arena_printf(
		&settings_arena, "%s/tasks/%s", uri_of("P"), asked_text(&fits, "id")) });
	ck_assert_uint_eq(json_string_length(json_object_get(one.json, "payload")), (size_t)set.limits.payload_bytes);
	free(big);
}
END_TEST

/* The oldest Ruby gem, with more than fits into any other request: up to the limit of one that queues, and behind all of it. */
START_TEST(a_token_in_the_body_alone_is_found_in_whatever_may_be_sent)
{
	auto_ctx cx = { 0 };
	size_t most = (size_t)set.limits.request_bytes;

	given_code("heavy");
	for (size_t over = 0; over < 2; over++) {
		char *head = arena_printf(&cx.arena, "{\"tasks\":[{\"code_name\":\"heavy\",\"payload\":\"x\"}],\"fill\":\"");
		char *end = arena_printf(&cx.arena, "\",\"oauth\":\"%s\"}", developer.s);
		char *body = malloc(most + 1);

		memset(body, '.', most + over);
		memcpy(body, head, strlen(head));
		memcpy(body + most + over - strlen(end), end, strlen(end));
		auto_asked a = ask_with(&process, &(struct asking){ .method = "POST", .uri = uri_of("P/tasks"), .body = { body, most + over } });
		ck_assert_int_eq(a.status, over ? 401 : 200);
		body[most + over - 4] ^= 1; /* of the token's last characters */
		auto_asked wrong = ask_with(&process, &(struct asking){ .method = "POST", .uri = uri_of("P/tasks"), .body = { body, most + over } });
		ck_assert_int_eq(wrong.status, 401);
		free(body);
	}
}
END_TEST

static int queue_payload(const char *bytes, size_t n)
{
	auto_asked a = ask_with(&process, &(struct asking){ .method = "POST", .uri = uri_of("P/tasks/webhook?code_name=roomy"),
		.token = developer.s, .body = { bytes, n } });

	return a.status;
}

/* A hundred at the limit would be 300 MiB. */
START_TEST(the_list_has_all_small_payloads_and_the_first_16_mib_of_large_ones)
{
	size_t most = (size_t)set.limits.payload_bytes;
	char *bytes = malloc(most);

	memset(bytes, 'x', most);
	given_code("roomy");
	ck_assert_int_eq(queue_payload(bytes, 65536), 200);
	ck_assert_int_eq(queue_payload(bytes, 65537), 200);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(queue_payload(bytes, most), 200);
	free(bytes);
	auto_asked list = get("P/tasks?code_name=roomy");
	json_t *tasks = json_object_get(list.json, "tasks");

	ck_assert_uint_eq(json_array_size(tasks), 8);
	for (size_t i = 0; i < 8; i++) { /* newest first: five at the limit are 15 MiB, and there is room for a smaller one */
		json_t *payload = json_object_get(json_array_get(tasks, i), "payload");
		json_t *size = json_object_get(json_array_get(tasks, i), "payload_size");

		ck_assert_int_eq(payload == NULL, i == 5);
		ck_assert_int_eq(size != NULL, i == 5);
		ck_assert_uint_eq(i == 5 ? (size_t)json_integer_value(size) : json_string_length(payload), i < 6 ? most : i == 6 ? 65537 : 65536);
	}
}
END_TEST

START_TEST(a_webhooks_body_is_the_payload_byte_for_byte)
{
	static const char BYTES[] = "a=b&c\0d\xff";
	auto_ctx cx = { 0 };
	struct task task;
	struct id id;

	given_code("hook");
	auto_asked a = ask_with(&process, &(struct asking){ .method = "POST",
		.uri = uri_of("P/tasks/webhook?code_name=hook&delay=5&priority=2&env=x"), .token = developer.s,
		.body = { BYTES, sizeof BYTES - 1 } });
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(asked_msg(&a), "Queued up.");
	ck_assert(id_parse(str_of(asked_text(&a, "id")), &id));
	ck_assert_int_eq(task_store_get(process.db, &cx, &ours.id, &id, &task), OK);
	ck_assert(str_equal(task.payload, str_bytes(BYTES, sizeof BYTES - 1)));
	ck_assert_int_eq(task.priority, 2);
	ck_assert_int_eq(task.delay_s, 5);
	auto_asked none = post("P/tasks/webhook", "x");
	ck_assert_int_eq(none.status, 406);
}
END_TEST

START_TEST(the_list_is_newest_first_filtered_and_clamped)
{
	struct id first = given_task("listed"), second = given_task("listed");
	auto_asked all = get("P/tasks?code_name=listed&per_page=5000");
	auto_asked go = get("P/tasks?code_name=listed&queued=%25%21d%28bool%3Dtrue%29");
	auto_asked none = get("P/tasks?code_name=listed&complete=1");
	auto_asked off = get("P/tasks?code_name=listed&complete=0&error=false&running=");
	auto_asked past = get("P/tasks?code_name=listed&page=100");
	auto_asked empty_name = get("P/tasks?code_name=&per_page=1");
	auto_asked wrong = get("P/tasks?page=x");
	json_t *tasks = json_object_get(all.json, "tasks");

	ck_assert_uint_eq(json_array_size(tasks), 2);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(tasks, 0), "id")), id_format(&second).s);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(tasks, 1), "id")), id_format(&first).s);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(tasks, 1), "payload")), "pay");
	ck_assert_uint_eq(json_array_size(json_object_get(go.json, "tasks")), 2);
	ck_assert_uint_eq(json_array_size(json_object_get(none.json, "tasks")), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(off.json, "tasks")), 2);
	ck_assert_uint_eq(json_array_size(json_object_get(past.json, "tasks")), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(empty_name.json, "tasks")), 1);
	ck_assert_int_eq(wrong.status, 400);
}
END_TEST

START_TEST(cancelling_twice_is_cancelled_once)
{
	struct id id = given_task("cancelled");

	for (int i = 0; i < 2; i++) {
		auto_asked a = post(task_path(&id, "/cancel"), "");

		ck_assert_int_eq(a.status, 200);
		ck_assert_str_eq(asked_msg(&a), "Cancelled");
	}
	auto_asked got = get(task_path(&id, ""));
	ck_assert_str_eq(asked_text(&got, "status"), "cancelled");
	ck_assert_str_eq(asked_msg(&got), "Cancelled via API.");
	auto_asked none = post("P/tasks/66aa01c2d3e4f5061728394a/cancel", "");
	ck_assert_int_eq(none.status, 404);
}
END_TEST

START_TEST(progress_is_set_in_any_state)
{
	struct id id = given_task("progress");
	auto_asked set_it = post(task_path(&id, "/progress"), "{\"percent\":25,\"msg\":\"a quarter\"}");
	auto_asked waits = get(task_path(&id, ""));
	auto_asked cancelled = post(task_path(&id, "/cancel"), "");
	auto_asked again = post(task_path(&id, "/progress"), "{\"percent\":30}");
	auto_asked got = get(task_path(&id, ""));
	auto_asked wrong = post(task_path(&id, "/progress"), "{\"percent\":101}");
	auto_asked negative = post(task_path(&id, "/progress"), "{\"percent\":-1}");

	ck_assert_str_eq(asked_msg(&set_it), "Progress set");
	ck_assert_int_eq(cancelled.status, 200);
	ck_assert_str_eq(asked_msg(&again), "Progress set");
	ck_assert_int_eq(json_integer_value(json_object_get(got.json, "percent")), 30);
	ck_assert_str_eq(asked_msg(&waits), "a quarter");
	ck_assert_str_eq(asked_msg(&got), "Cancelled via API.");
	ck_assert_int_eq(wrong.status, 400);
	ck_assert_int_eq(negative.status, 400);
}
END_TEST

START_TEST(a_retry_is_a_new_task_with_the_old_payload)
{
	struct id id = given_task("again");
	auto_asked a = post(task_path(&id, "/retry"), "{\"delay\":1}");
	json_t *task = json_array_get(json_object_get(a.json, "tasks"), 0);
	struct id fresh;

	ck_assert_str_eq(asked_msg(&a), "Queued up");
	ck_assert(id_parse(str_of(json_string_value(json_object_get(task, "id"))), &fresh));
	ck_assert(!id_equal(&fresh, &id));
	auto_asked got = get(task_path(&fresh, ""));
	ck_assert_str_eq(asked_text(&got, "payload"), "pay");
	ck_assert_int_eq(json_integer_value(json_object_get(got.json, "delay")), 1);
}
END_TEST

/* --- logs --------------------------------------------------------------------------------------------- */
static void given_chunk(const struct id *id, int64_t attempt, int64_t number, int64_t first_byte, const char *out,
                        const char *err)
{
	struct log_piece pieces[] = { { 1, (uint32_t)strlen(out), 1 }, { 2, (uint32_t)strlen(err), 2 } };
	char plain[400];
	struct log_chunk chunk = { .number = number, .first_byte = first_byte, .first_at = 1, .pieces = pieces,
		                   .piece_count = 2, .plain = { plain, 0 } };
	auto_ctx cx = { 0 };
	struct log_head head;

	chunk.plain.n = (size_t)snprintf(plain, sizeof plain, "%s%s", out, err);
	ck_assert_msg(log_store_append(process.logs, &cx, id, attempt, 1, &chunk, &head) == OK, "%s", cx.message);
}

static void given_log(const struct id *id, int64_t attempt)
{
	static const struct id PROJECT = { { 1 } };
	auto_ctx cx = { 0 };

	ck_assert_int_eq(log_store_begin(process.logs, &cx, &PROJECT, id, attempt, 1), OK);
}

static void assert_log(const struct id *id, const char *rest, const char *wanted)
{
	auto_asked a = get(task_path(id, rest));

	ck_assert_int_eq(a.status, 200);
	ck_assert_ptr_nonnull(strstr(a.headers, "Content-Type: text/plain; charset=utf-8\r\n"));
	ck_assert_msg(str_is(a.body, wanted), "%s: '%.*s'", rest, (int)a.body.n, a.body.p);
}

START_TEST(before_there_is_a_log_its_message_says_log)
{
	struct id id = given_task("unlogged");
	auto_asked none = get(task_path(&id, "/log"));
	auto_asked cancelled = post(task_path(&id, "/cancel"), "");

	ck_assert_int_eq(none.status, 404);
	ck_assert_ptr_nonnull(strstr(asked_msg(&none), "log"));
	ck_assert_int_eq(cancelled.status, 200);
	assert_log(&id, "/log", ""); /* it ended without output: nobody need wait for any */
}
END_TEST

START_TEST(a_log_is_served_whole_by_stream_by_range_and_by_attempt)
{
	struct id id = given_task("logged");

	given_log(&id, 1);
	given_chunk(&id, 1, 0, 0, "one\n", "err\n");
	given_chunk(&id, 1, 1, 8, "two\n", "");
	given_log(&id, 2);
	given_chunk(&id, 2, 0, 0, "three\n", "");
	assert_log(&id, "/log", "one\nerr\ntwo\nthree\n");
	assert_log(&id, "/outlog", "one\ntwo\nthree\n");
	assert_log(&id, "/log?attempt=2", "three\n");
	assert_log(&id, "/log?offset=5", "rr\ntwo\nthree\n");
	assert_log(&id, "/log?offset=9", "wo\nthree\n");
	assert_log(&id, "/log?offset=12", "three\n");
	assert_log(&id, "/log?offset=13&limit=3", "hre");
	assert_log(&id, "/log?offset=18", "");
	assert_log(&id, "/log?offset=9000", "");
	assert_log(&id, "/outlog?offset=5", "wo\nthree\n");
	auto_asked none = get(task_path(&id, "/log?attempt=3"));
	ck_assert_int_eq(none.status, 404);
	auto_asked wrong = get(task_path(&id, "/log?offset=-1"));
	ck_assert_int_eq(wrong.status, 400);
}
END_TEST

START_TEST(what_is_left_out_of_a_log_is_said_in_it_and_counted)
{
	struct id id = given_task("long");
	size_t whole;

	given_log(&id, 1);
	given_chunk(&id, 1, 0, 0, "head\n", "");
	given_chunk(&id, 1, 1, 1005, "tail\n", "");
	auto_asked a = get(task_path(&id, "/log"));
	auto_asked task = get(task_path(&id, ""));
	whole = a.body.n;
	ck_assert_uint_gt(whole, 10);
	ck_assert(str_starts(a.body, "head\n") && memcmp(a.body.p + whole - 5, "tail\n", 5) == 0);
	ck_assert_ptr_nonnull(memmem(a.body.p, whole, "1,000", 5));
	ck_assert_int_eq(json_integer_value(json_object_get(task.json, "log_size")), (int64_t)whole);
	for (size_t offset = 0; offset <= whole; offset++) { /* it can be taken up at each byte */
		char rest[40];

		snprintf(rest, sizeof rest, "/log?offset=%zu", offset);
		auto_asked part = get(task_path(&id, rest));
		ck_assert(str_equal(part.body, str_bytes(a.body.p + offset, whole - offset)));
	}
}
END_TEST

START_TEST(a_long_log_comes_whole)
{
	enum { CHUNKS = 300, BYTES = 16384 };
	struct id id = given_task("longer");
	char *plain = malloc(BYTES);
	auto_ctx cx = { 0 };

	given_log(&id, 1);
	for (int i = 0; i < CHUNKS; i++) {
		struct log_piece piece = { 1, BYTES, 1 };
		struct log_chunk chunk = { .number = i, .first_byte = (int64_t)i * BYTES, .first_at = 1, .pieces = &piece,
			                   .piece_count = 1, .plain = { plain, BYTES } };
		struct log_head head;

		memset(plain, 'a' + i % 26, BYTES);
		ck_assert_int_eq(log_store_append(process.logs, &cx, &id, 1, 1, &chunk, &head), OK);
	}
	auto_asked a = get(task_path(&id, "/log"));
	ck_assert_uint_eq(a.body.n, CHUNKS * BYTES);
	for (int i = 0; i < CHUNKS; i++)
		ck_assert_int_eq(a.body.p[i * BYTES + 5], 'a' + i % 26);
	ck_assert_ptr_null(strstr(a.headers, "Content-Length"));
	free(plain);
}
END_TEST

/* --- the rest ----------------------------------------------------------------------------------------- */
/* The answer's header of that name is there once, and each word is in its list. */
static void says_each(const struct asked *a, const char *header, const char *const *words)
{
	const char *at, *value;
	struct str list, one;
	char name[80];

	snprintf(name, sizeof name, "\n%s: ", header);
	at = strstr(a->headers, name);
	ck_assert_msg(at && !strstr(at + 1, name), "%s in %s", header, a->headers);
	value = at + strlen(name);
	for (; *words; words++) {
		bool found = false;

		list = str_bytes(value, strcspn(value, "\r\n"));
		while (str_cut(&list, ',', &one))
			found |= str_is(str_trim(one), *words);
		ck_assert_msg(found, "%s lacks %s", header, *words);
	}
}

static const char *const ASKED_WITH[] = { "Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID",
	"Prefer", "Range", "traceparent", "X-Request-Id", NULL };
static const char *const ANSWERED_WITH[] = { "Allow", "Content-Disposition", "Content-Range", "ETag", "Idempotency-Replayed",
	"Preference-Applied", "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "X-Log-Next", "X-Request-Id",
	"X-Task-Status", NULL };

START_TEST(a_page_of_another_site_may_read_the_headers_of_good_and_bad_answers)
{
	auto_asked good = get("P/tasks"), bad = ask("GET", "/2/nothing", NULL, NULL), outside = ask("GET", "/1/nothing", NULL, NULL);

	says_each(&good, "Access-Control-Expose-Headers", ANSWERED_WITH);
	says_each(&bad, "Access-Control-Expose-Headers", ANSWERED_WITH);
	says_each(&outside, "Access-Control-Expose-Headers", ANSWERED_WITH);
}
END_TEST

START_TEST(a_preflight_needs_no_token)
{
	auto_asked a = ask("OPTIONS", "P/tasks", NULL, NULL);
	auto_asked none = ask("OPTIONS", "/2/nothing", NULL, NULL);

	ck_assert_int_eq(a.status, 200);
	ck_assert_ptr_nonnull(strstr(a.headers, "Access-Control-Allow-Origin: *"));
	ck_assert_ptr_nonnull(strstr(a.headers, "Access-Control-Allow-Methods: GET, HEAD, POST"));
	says_each(&a, "Access-Control-Allow-Headers", ASKED_WITH);
	ck_assert_int_eq(none.status, 404);
}
END_TEST

START_TEST(a_wrong_verb_says_which_would_do)
{
	auto_asked a = ask("DELETE", "P/tasks", developer.s, "{}");
	auto_asked odd = ask("FOO", "/healthz", NULL, NULL);

	ck_assert_int_eq(a.status, 405);
	ck_assert_ptr_nonnull(strstr(a.headers, "Allow: GET, HEAD, POST, OPTIONS"));
	ck_assert_int_eq(odd.status, 405);
	ck_assert_str_ne(asked_msg(&odd), "");
}
END_TEST

START_TEST(head_has_no_body)
{
	auto_asked a = ask("HEAD", "P", developer.s, NULL);

	ck_assert_int_eq(a.status, 200);
	ck_assert_uint_eq(a.body.n, 0);
}
END_TEST

START_TEST(ready_says_that_no_node_is_live)
{
	auto_asked ready = ask("GET", "/readyz", NULL, NULL);
	auto_asked health = ask("GET", "/healthz", NULL, NULL);

	ck_assert_int_eq(ready.status, 503);
	ck_assert_ptr_nonnull(strstr(asked_msg(&ready), "node"));
	ck_assert_int_eq(health.status, 200);
}
END_TEST

START_TEST(what_waited_too_long_is_not_begun)
{
	char msec[60];
	int64_t then = clock_wall_us() - 2500000;

	given_code("late");
	size_t before = count_tasks();
	snprintf(msec, sizeof msec, "REQUEST_MSEC=%lld.%03lld", (long long)(then / 1000000), (long long)(then / 1000 % 1000));
	auto_asked a = ask_with(&process, &(struct asking){ .method = "POST", .uri = uri_of("P/tasks"), .token = developer.s,
		.body = STR_LIT("{\"tasks\":[{\"code_name\":\"late\"}]}"), .more = { msec } });
	ck_assert_int_eq(a.status, 503);
	ck_assert_ptr_nonnull(strstr(a.headers, "Retry-After: "));
	ck_assert_uint_eq(count_tasks(), before);
}
END_TEST

START_TEST(a_stopped_database_is_a_true_503_within_three_seconds)
{
	static const char *const PATHS[] = { "P/tasks", "P/codes", "/2/projects" };
	size_t before;

	given_code("stopped");
	before = count_tasks();
	throwaway_db_stop();
	for (size_t i = 0; i < 4; i++) {
		int64_t begun = clock_boot_us();
		auto_asked a = i ? get(PATHS[i - 1]) : post("P/tasks", "{\"tasks\":[{\"code_name\":\"stopped\"}]}");

		ck_assert_int_eq(a.status, 503);
		ck_assert_ptr_nonnull(strstr(a.headers, "Retry-After: "));
		ck_assert_int_lt(clock_boot_us() - begun, 3000000);
	}
	kill(throwaway_db_pid(), SIGCONT);
	usleep(1100000); /* what was sent to the stopped server has been read by now, and past its deadline */
	ck_assert_uint_eq(count_tasks(), before);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("api");

	tcase_add_test(t, another_projects_ids_are_not_there);
	tcase_add_test(t, a_token_may_stand_in_header_query_or_body);
	tcase_add_test(t, an_admin_sees_projects_but_none_that_is_not_there);
	tcase_add_test(t, a_revoked_token_is_out_within_a_second);
	tcase_add_test(t, a_code_is_registered_updated_and_listed);
	tcase_add_test(t, a_code_may_come_urlencoded_or_as_multipart_without_a_file);
	tcase_add_test(t, a_zip_comes_back_as_it_was_sent_and_only_to_its_project);
	tcase_add_test(t, a_code_is_paused_and_resumed_once);
	tcase_add_test(t, a_queued_task_reads_as_it_was_queued);
	tcase_add_test(t, a_batch_is_all_or_nothing);
	tcase_add_test(t, what_is_not_a_queue_request_is_refused_and_changes_nothing);
	tcase_add_test(t, an_unknown_cluster_is_named);
	tcase_add_test(t, json_may_be_32_deep_and_no_deeper);
	tcase_add_test(t, bodies_over_the_limit_are_413);
	tcase_add_test(t, a_token_in_the_body_alone_is_found_in_whatever_may_be_sent);
	tcase_add_test(t, the_list_has_all_small_payloads_and_the_first_16_mib_of_large_ones);
	tcase_add_test(t, a_webhooks_body_is_the_payload_byte_for_byte);
	tcase_add_test(t, the_list_is_newest_first_filtered_and_clamped);
	tcase_add_test(t, cancelling_twice_is_cancelled_once);
	tcase_add_test(t, progress_is_set_in_any_state);
	tcase_add_test(t, a_retry_is_a_new_task_with_the_old_payload);
	tcase_add_test(t, before_there_is_a_log_its_message_says_log);
	tcase_add_test(t, a_log_is_served_whole_by_stream_by_range_and_by_attempt);
	tcase_add_test(t, what_is_left_out_of_a_log_is_said_in_it_and_counted);
	tcase_add_test(t, a_long_log_comes_whole);
	tcase_add_test(t, a_page_of_another_site_may_read_the_headers_of_good_and_bad_answers);
	tcase_add_test(t, a_preflight_needs_no_token);
	tcase_add_test(t, a_wrong_verb_says_which_would_do);
	tcase_add_test(t, head_has_no_body);
	tcase_add_test(t, ready_says_that_no_node_is_live);
	tcase_add_test(t, what_waited_too_long_is_not_begun);
	tcase_add_test(t, a_stopped_database_is_a_true_503_within_three_seconds);
	return run_api_tests("api", t);
}
