#include "model/task_json.h"
#include "store/credential_store.h"
#include "store/task_store.h"
#include "tests/fcgi/given.h"

#include "base/clock.h"

#include <unistd.h>

/* The rows of IronWorker's API beyond queueing (ironworker-api.md 3, 4.3, 4.4, 6, 7), and what Stoker
 * adds to all of them. */

static const char *code_path(const struct asked *code, const char *rest)
{
	static char path[200];

	snprintf(path, sizeof path, "P/codes/%s%s", asked_text(code, "id"), rest);
	return path;
}

static struct asked asked_with(const char *method, const char *path, const char *body, const char *header)
{
	struct asking a = { .method = method, .uri = uri_of(path), .token = developer.s, .more = { header } };

	if (body)
		a.body = str_of(body);
	return ask_with(&process, &a);
}

static int64_t number(const struct asked *a, const char *key)
{
	return json_integer_value(json_object_get(a->json, key));
}

/* --- codes ------------------------------------------------------------------------------------------ */
START_TEST(a_revision_is_posted_to_the_code_itself)
{
	auto_asked code = post("P/codes", "{\"name\":\"self\",\"image\":\"a\",\"config\":\"one\"}");
	auto_asked next = post(code_path(&code, ""), "{\"name\":\"other\",\"image\":\"b\"}");
	auto_asked form = post(code_path(&code, ""), "--x\nContent-Type: application/json\n\n{\"image\":\"c\"}\n--x--");
	auto_asked none = post("P/codes/66aa01c2d3e4f5061728394a", "{\"image\":\"b\"}");

	ck_assert_int_eq(next.status, 200);
	ck_assert_str_eq(asked_text(&next, "id"), asked_text(&code, "id"));
	ck_assert_str_eq(asked_text(&next, "name"), "self");
	ck_assert_str_eq(asked_text(&next, "config"), "one");
	ck_assert_int_eq(number(&form, "rev"), 3);
	ck_assert_int_eq(none.status, 404);
}
END_TEST

START_TEST(revisions_say_what_a_code_was)
{
	auto_asked code = post("P/codes", "{\"name\":\"past\",\"image\":\"a\"}");
	auto_asked next = post("P/codes", "{\"name\":\"past\",\"image\":\"b\",\"command\":\"run\"}");
	auto_asked list = get(code_path(&code, "/revisions"));
	json_t *all = json_object_get(list.json, "revisions"), *newest = json_array_get(all, 0);

	ck_assert_uint_eq(json_array_size(all), 2);
	ck_assert_int_eq(json_integer_value(json_object_get(newest, "rev")), 2);
	ck_assert_str_eq(json_string_value(json_object_get(newest, "image")), "b");
	ck_assert_str_eq(json_string_value(json_object_get(newest, "id")), asked_text(&next, "latest_history_id"));
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(all, 1), "image")), "a");
	auto_asked one = get(code_path(&code, "/revisions?per_page=1&page=1"));
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(json_object_get(one.json, "revisions"), 0), "rev")), 1);
}
END_TEST

START_TEST(a_deleted_code_is_gone_and_its_tasks_are_not)
{
	struct id task = given_task("doomed");
	auto_asked was = get(task_path(&task, ""));
	char path[100];

	snprintf(path, sizeof path, "P/codes/%s", asked_text(&was, "code_id"));
	auto_asked gone = ask("DELETE", path, developer.s, "{}");
	ck_assert_str_eq(asked_msg(&gone), "Deleted");
	auto_asked again = ask("DELETE", path, developer.s, "{}");
	ck_assert_int_eq(again.status, 404);
	auto_asked got = get(path);
	ck_assert_int_eq(got.status, 404);
	auto_asked still = get(task_path(&task, ""));
	ck_assert_str_eq(asked_text(&still, "code_name"), "doomed");
	auto_asked list = get("P/tasks?code_name=doomed");
	ck_assert_uint_eq(json_array_size(json_object_get(list.json, "tasks")), 1);
	auto_asked refused = post("P/tasks", "{\"tasks\":[{\"code_name\":\"doomed\"}]}");
	ck_assert_int_eq(refused.status, 404);
	auto_asked anew = post("P/codes", "{\"name\":\"doomed\",\"image\":\"a\"}");
	ck_assert_int_eq(anew.status, 200);
	ck_assert_str_ne(asked_text(&anew, "id"), asked_text(&was, "code_id"));
	ck_assert_int_eq(number(&anew, "rev"), 1);
}
END_TEST

START_TEST(cancel_all_cancels_what_waits_and_nothing_else)
{
	struct id other = given_task("spared"), one = given_task("swept");
	auto_asked more = post("P/tasks", "{\"tasks\":[{\"code_name\":\"swept\",\"delay\":900},{\"code_name\":\"swept\"}]}");
	auto_asked task = get(task_path(&one, ""));
	char path[100];

	ck_assert_int_eq(more.status, 200);
	snprintf(path, sizeof path, "P/codes/%s/cancel_all", asked_text(&task, "code_id"));
	auto_asked all = post(path, "{}");
	ck_assert_str_eq(asked_msg(&all), "Cancelled");
	auto_asked cancelled = get("P/tasks?code_name=swept&cancelled=1");
	ck_assert_uint_eq(json_array_size(json_object_get(cancelled.json, "tasks")), 3);
	auto_asked spared = get(task_path(&other, ""));
	ck_assert_str_eq(asked_text(&spared, "status"), "queued");
	auto_asked again = post(path, "");
	ck_assert_str_eq(asked_msg(&again), "Cancelled");
	snprintf(path, sizeof path, "P/codes/%s/stats", asked_text(&task, "code_id"));
	auto_asked stats = get(path);
	ck_assert_int_eq(number(&stats, "cancelled"), 3);
	ck_assert_int_eq(number(&stats, "queued"), 0);
	ck_assert_ptr_nonnull(json_object_get(stats.json, "preparing"));
	ck_assert_ptr_null(json_object_get(stats.json, "expired"));
	snprintf(path, sizeof path, "P/codes/%s/stats?start_date=1&end_date=2", asked_text(&task, "code_id"));
	auto_asked early = get(path);
	ck_assert_int_eq(number(&early, "cancelled"), 0);
}
END_TEST

/* --- schedules -------------------------------------------------------------------------------------- */
START_TEST(a_schedule_is_made_listed_changed_and_cancelled)
{
	given_code("timed");
	auto_asked made = post("P/schedules", "{\"schedules\":[{\"code_name\":\"timed\",\"payload\":\"{}\",\"run_every\":3600,"
	                                      "\"run_times\":2,\"start_at\":\"2031-04-05T06:07:08.1234567+02:00\",\"label\":\"sl\"},"
	                                      "{\"code_name\":\"timed\",\"delay\":60.0,\"end_at\":\"0001-01-01T00:00:00Z\","
	                                      "\"run_times\":0,\"cluster\":\"\",\"name\":\"x\"}]}");
	json_t *ids = json_object_get(made.json, "schedules");
	const char *id = json_string_value(json_object_get(json_array_get(ids, 0), "id"));
	char path[100];

	ck_assert_str_eq(asked_msg(&made), "Scheduled");
	ck_assert_uint_eq(json_array_size(ids), 2);
	snprintf(path, sizeof path, "P/schedules/%s", id);
	auto_asked one = get(path);
	ck_assert_str_eq(asked_text(&one, "status"), "scheduled");
	ck_assert_str_eq(asked_text(&one, "start_at"), "2031-04-05T04:07:08.123Z");
	ck_assert_str_eq(asked_text(&one, "next_start"), "2031-04-05T04:07:08.123Z");
	ck_assert_str_eq(asked_text(&one, "end_at"), "0001-01-01T00:00:00Z");
	ck_assert_str_eq(asked_text(&one, "last_run_time"), "0001-01-01T00:00:00Z");
	ck_assert_int_eq(number(&one, "run_times"), 2);
	auto_asked changed = ask("PUT", path, developer.s, "{\"run_every\":7200}");
	ck_assert_str_eq(asked_msg(&changed), "Updated");
	snprintf(path, sizeof path, "P/schedules/%s/cancel", id);
	auto_asked cancelled = post(path, "{}");
	ck_assert_str_eq(asked_msg(&cancelled), "Cancelled");
	auto_asked list = get("P/schedules?per_page=100");
	json_t *last = json_array_get(json_object_get(list.json, "schedules"), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(last, "run_every")), 7200);
	ck_assert_str_eq(json_string_value(json_object_get(last, "status")), "cancelled");
	ck_assert_str_eq(json_string_value(json_object_get(last, "label")), "sl");
}
END_TEST

START_TEST(schedules_are_made_all_or_none)
{
	static const struct { const char *fields; int status; } WRONG[] = {
		{ "\"code_name\":\"nobody\"", 404 }, { "\"run_every\":60", 406 }, { "\"code_name\":\"timing\",\"run_every\":-1", 400 },
		{ "\"code_name\":\"timing\",\"start_at\":\"soon\"", 400 }, { "\"code_name\":\"timing\",\"run_every\":0.5", 400 },
		{ "\"code_name\":\"timing\",\"cron\":\"*/61 * * * *\"", 400 }, { "\"code_name\":\"timing\",\"cron\":\"0 9 * * *\\n\"", 400 },
		{ "\"code_name\":\"timing\",\"cron\":\"@daily\",\"run_every\":60", 400 }, { "\"code_name\":\"timing\",\"cluster\":\"moon\"", 400 },
		{ "\"code_name\":\"timing\",\"start_at\":\"2031-01-01T00:00:00Z\",\"end_at\":\"2030-01-01T00:00:00Z\"", 400 },
	};

	static const char *const WHOLE[] = { "run_every", "run_times", "jitter", "misfire_window", "misfire_after", "misfire_limit",
		                             "retries" };

	given_code("timing");
	auto_asked before = get("P/schedules?per_page=100");
	for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
		char body[300];

		snprintf(body, sizeof body, "{\"schedules\":[{\"code_name\":\"timing\"},{%s}]}", WRONG[i].fields);
		auto_asked a = post("P/schedules", body);
		ck_assert_msg(a.status == WRONG[i].status, "%s: %d %s", body, a.status, asked_msg(&a));
	}
	for (size_t i = 0; i < sizeof WHOLE / sizeof *WHOLE; i++) {
		char body[300];

		snprintf(body, sizeof body, "{\"schedules\":[{\"code_name\":\"timing\",\"run_every\":60,\"%s\":1.5}]}", WHOLE[i]);
		auto_asked a = post("P/schedules", body);
		ck_assert_msg(a.status == 400 && strstr(asked_msg(&a), WHOLE[i]), "%s: %d %s", body, a.status, asked_msg(&a));
	}
	auto_asked none = post("P/schedules", "{}");
	ck_assert_int_eq(none.status, 406);
	set.limits.run_every_min = 60;
	auto_asked often = post("P/schedules", "{\"schedules\":[{\"code_name\":\"timing\",\"run_every\":59}]}");
	ck_assert_int_eq(often.status, 400);
	auto_asked seconds = post("P/schedules", "{\"schedules\":[{\"code_name\":\"timing\",\"cron\":\"*/30 * * * * *\"}]}");
	ck_assert_int_eq(seconds.status, 400);
	ck_assert_ptr_nonnull(strstr(asked_msg(&seconds), "field cron: two of its times are only 30 s apart"));
	auto_asked minutes = post("P/schedules/preview", "{\"cron\":\"*\\t*\\t* * *\",\"run_times\":2.0,\"n\":9}");
	ck_assert_int_eq(minutes.status, 200);
	ck_assert_uint_eq(json_array_size(json_object_get(minutes.json, "times")), 2);
	auto_asked whole = post("P/schedules/preview", "{\"run_every\":60.0,\"n\":2}");
	ck_assert_int_eq(whole.status, 200);
	set.limits.schedules = 0;
	auto_asked many = post("P/schedules", "{\"schedules\":[{\"code_name\":\"timing\"}]}");
	ck_assert_int_eq(many.status, 403);
	ck_assert_ptr_nonnull(strstr(many.headers, "\nRateLimit: \"schedules\";r=0\r"));
	auto_asked after = get("P/schedules?per_page=100");
	ck_assert(json_equal(before.json, after.json));
}
END_TEST

/* --- clusters --------------------------------------------------------------------------------------- */
static struct json_t *cluster_of(const struct asked *a)
{
	return json_object_get(a->json, "cluster");
}

START_TEST(a_cluster_is_made_seen_changed_and_deleted_by_id_and_name)
{
	struct token_text olga = token_with("olga", &ours, ROLE_OPERATOR, TIME_NONE), otto = token_with("otto", &ours, ROLE_OPERATOR, TIME_NONE);
	auto_asked made = ask("POST", "/2/clusters", olga.s, "{\"name\":\"gpu\",\"memory\":268435456,\"disk\":1073741824}");
	char path[100];

	ck_assert_str_eq(asked_msg(&made), "Cluster created");
	ck_assert_uint_eq(strlen(asked_text(&made, "id")), 24);
	snprintf(path, sizeof path, "/2/clusters/%s", asked_text(&made, "id"));
	auto_asked by_id = ask("GET", path, olga.s, NULL);
	auto_asked by_name = ask("GET", "/2/clusters/gpu", olga.s, NULL);
	ck_assert(json_equal(by_id.json, by_name.json));
	ck_assert_int_eq(json_integer_value(json_object_get(cluster_of(&by_id), "memory")), 268435456);
	ck_assert_int_eq(json_integer_value(json_object_get(cluster_of(&by_id), "disk_space")), 1073741824);
	ck_assert(json_is_array(json_object_get(cluster_of(&by_id), "machines")));
	auto_asked again = ask("POST", "/2/clusters", otto.s, "{\"name\":\"gpu\"}");
	ck_assert_int_eq(again.status, 409);
	auto_asked hidden = ask("GET", path, otto.s, NULL);
	ck_assert_int_eq(hidden.status, 404);
	auto_asked shared = ask("POST", "/2/clusters/gpu/share", olga.s, "{\"emails\":[\"otto\"]}");
	ck_assert_int_eq(shared.status, 200);
	auto_asked seen = ask("GET", path, otto.s, NULL);
	ck_assert_int_eq(seen.status, 200);
	auto_asked list = ask("GET", "/2/clusters/shared", otto.s, NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(list.json, "clusters")), 1);
	auto_asked forbidden = ask("DELETE", path, otto.s, NULL);
	ck_assert_int_eq(forbidden.status, 403);
	auto_asked unshared = ask("POST", "/2/clusters/gpu/unshare/otto", olga.s, "{}");
	ck_assert_int_eq(unshared.status, 200);
	auto_asked changed = ask("PUT", path, olga.s, "{\"autoscale\":{\"runners_min\":3}}");
	ck_assert_str_eq(asked_msg(&changed), "Cluster updated");
	auto_asked scaled = ask("GET", path, olga.s, NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(cluster_of(&scaled), "autoscale"), "runners_min")), 3);
	auto_asked gone = ask("DELETE", path, olga.s, "{}");
	ck_assert_str_eq(asked_msg(&gone), "Cluster deleted");
	auto_asked after = ask("GET", path, olga.s, NULL);
	ck_assert_int_eq(after.status, 404);
	auto_asked anew = ask("POST", "/2/clusters", otto.s, "{\"name\":\"gpu\"}");
	ck_assert_int_eq(anew.status, 200);
}
END_TEST

static size_t clusters_in(const char *query, const char *token)
{
	auto_asked list = ask("GET", query, token, NULL);

	ck_assert_int_eq(list.status, 200);
	return json_array_size(json_object_get(list.json, "clusters"));
}

/* One's own, those shared with one, and everybody's, of which there is "default". */
START_TEST(lists_of_clusters_have_what_is_asked_for)
{
	struct token_text lena = token_with("lena", &ours, ROLE_OPERATOR, TIME_NONE), lars = token_with("lars", &ours, ROLE_OPERATOR, TIME_NONE);
	auto_asked first = ask("POST", "/2/clusters", lena.s, "{\"name\":\"listed\"}");
	auto_asked second = ask("POST", "/2/clusters", lars.s, "{\"name\":\"listed-too\"}");
	auto_asked shared = ask("POST", "/2/clusters/listed/share", lena.s, "{\"user_id\":\"lars\"}");

	ck_assert_int_eq(first.status + second.status + shared.status, 600);
	ck_assert_uint_eq(clusters_in("/2/clusters", lars.s), 2);
	ck_assert_uint_eq(clusters_in("/2/clusters?shared=true", lars.s), 3);
	ck_assert_uint_eq(clusters_in("/2/clusters?shared=true&internal=true", lars.s), 3);
	ck_assert_uint_eq(clusters_in("/2/clusters?internal=true&shared=false", lars.s), 2);
	ck_assert_uint_eq(clusters_in("/2/clusters?internal=false", lars.s), 1);
	ck_assert_uint_eq(clusters_in("/2/clusters?shared=1&internal=0", lars.s), 2);
	ck_assert_uint_eq(clusters_in("/2/clusters/shared", lars.s), 1);
	ck_assert_uint_eq(clusters_in("/2/clusters/shared", lena.s), 0);
}
END_TEST

/* By name and by id; another project's tasks only when it is shared with one of its members. */
START_TEST(a_cluster_runs_what_its_people_queue)
{
	struct token_text vera = token_with("vera", &ours, ROLE_OPERATOR, TIME_NONE);
	auto_asked made = ask("POST", "/2/clusters", vera.s, "{\"name\":\"private\"}");
	char codes[100], tasks[100], by_name[120], by_id[160], filter[120];

	snprintf(codes, sizeof codes, "/2/projects/%s/codes", id_format(&theirs.id).s);
	snprintf(tasks, sizeof tasks, "/2/projects/%s/tasks", id_format(&theirs.id).s);
	snprintf(by_name, sizeof by_name, "{\"tasks\":[{\"code_name\":\"placed\",\"cluster\":\"private\"}]}");
	snprintf(by_id, sizeof by_id, "{\"tasks\":[{\"code_name\":\"placed\",\"cluster\":\"%s\"}]}", asked_text(&made, "id"));
	snprintf(filter, sizeof filter, "P/tasks?cluster=%s", asked_text(&made, "id"));
	given_code("placed");
	auto_asked named = post("P/tasks", by_name);
	auto_asked numbered = post("P/tasks", by_id);
	ck_assert_int_eq(named.status, 200);
	ck_assert_int_eq(numbered.status, 200);
	auto_asked found = get(filter);
	ck_assert_uint_eq(json_array_size(json_object_get(found.json, "tasks")), 2);
	auto_asked code = ask("POST", codes, stranger.s, "{\"name\":\"placed\",\"image\":\"busybox\"}");
	ck_assert_int_eq(code.status, 200);
	auto_asked hidden = ask("POST", tasks, stranger.s, by_name);
	auto_asked hidden_too = ask("POST", tasks, stranger.s, by_id);
	ck_assert_int_eq(hidden.status, 400);
	ck_assert_ptr_nonnull(strstr(asked_msg(&hidden), "there is no cluster 'private'"));
	ck_assert_int_eq(hidden_too.status, 400);
	auto_asked shared = ask("POST", "/2/clusters/private/share", vera.s, "{\"emails\":[\"stan\"]}");
	ck_assert_int_eq(shared.status, 200);
	auto_asked seen = ask("POST", tasks, stranger.s, by_name);
	auto_asked seen_too = ask("POST", tasks, stranger.s, by_id);
	ck_assert_int_eq(seen.status, 200);
	ck_assert_int_eq(seen_too.status, 200);
}
END_TEST

START_TEST(a_cluster_in_use_stays)
{
	struct token_text olga = token_with("odile", &ours, ROLE_OPERATOR, TIME_NONE);
	auto_asked made = ask("POST", "/2/clusters", olga.s, "{\"name\":\"busy\"}");

	given_code("clusterful");
	auto_asked queued = post("P/tasks", "{\"tasks\":[{\"code_name\":\"clusterful\",\"cluster\":\"busy\"}]}");
	ck_assert_int_eq(queued.status, 200);
	auto_asked refused = ask("DELETE", "/2/clusters/busy", olga.s, NULL);
	ck_assert_int_eq(refused.status, 409);
	auto_asked tasks = ask("GET", "/2/clusters/busy/tasks?queued=1&per_page=5", olga.s, NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(tasks.json, "tasks")), 1);
	auto_asked stats = ask("GET", "/2/clusters/busy/stats", olga.s, NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(cluster_of(&stats), "queued")), 1);
	ck_assert(json_is_integer(json_object_get(cluster_of(&stats), "ewma")));
	auto_asked standard = ask("DELETE", "/2/clusters/default", admin.s, NULL);
	ck_assert_int_eq(standard.status, 409);
	auto_asked not_mine = ask("PUT", "/2/clusters/default", olga.s, "{\"memory\":1}");
	ck_assert_int_eq(not_mine.status, 403);
	auto_asked viewers = ask("POST", "/2/clusters", developer.s, "{\"name\":\"no\"}");
	ck_assert_int_eq(viewers.status, 403);
	auto_asked ended = ask("POST", "/2/clusters/busy/terminate", olga.s, "{\"instance_ids\":[\"99\"]}");
	ck_assert_str_eq(asked_msg(&ended), "Instances scheduled for terminated");
	ck_assert_int_eq(made.status, 200);
}
END_TEST

/* --- secrets ---------------------------------------------------------------------------------------- */
/* {"username":"u","password":"hunter2","serveraddress":"reg.example"} */
#define AUTH "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6Imh1bnRlcjIiLCJzZXJ2ZXJhZGRyZXNzIjoicmVnLmV4YW1wbGUifQ=="

START_TEST(a_registry_login_is_sealed_and_never_shown)
{
	auto_ctx cx = { 0 };
	static const struct sql SEALED = { "SELECT sealed FROM credential WHERE server = 'reg.example'", "" };
	struct seal_key key;
	struct str login;
	struct rows r;

	auto_asked refused = post("P/credentials", "{\"auth\":\"" AUTH "\"}");
	ck_assert_int_eq(refused.status, 403);
	given_key();
	auto_asked added = post("P/credentials", "{\"auth\":\"" AUTH "\"}");
	ck_assert_str_eq(asked_msg(&added), "Credentials added.");
	auto_asked again = post("P/credentials", "{\"auth\":\"" AUTH "\"}");
	ck_assert_int_eq(again.status, 200);
	ck_assert_int_eq(db_query(process.db, &cx, &SEALED, NULL, 0, &r), OK);
	ck_assert_uint_eq(r.n, 1);
	ck_assert_ptr_null(memmem(val_str(&row(&r, 0)[0]).p, val_str(&row(&r, 0)[0]).n, "hunter2", 7));
	ck_assert_int_eq(seal_key_read(&cx, set.secrets.key_file, &key), OK);
	ck_assert_int_eq(credential_store_get(process.db, &cx, &ours.id, &key, STR_LIT("reg.example"), &login), OK);
	ck_assert_ptr_nonnull(memmem(login.p, login.n, "hunter2", 7));
	key.b[0] ^= 1;
	ck_assert_int_eq(credential_store_get(process.db, &cx, &ours.id, &key, STR_LIT("reg.example"), &login), ERR_INTERNAL);
}
END_TEST

START_TEST(what_is_no_login_is_refused)
{
	static const char *const WRONG[] = { "{\"auth\":\"%\"}", "{\"auth\":\"bm8=\"}", "{\"auth\":\"e30=\"}", "{\"auth\":7}" };

	given_key();
	for (size_t i = 0; i < 4; i++) {
		auto_asked a = post("P/credentials", WRONG[i]);
		ck_assert_msg(a.status == 400, "%s: %d", WRONG[i], a.status);
	}
	auto_asked none = post("P/credentials", "{}");
	ck_assert_int_eq(none.status, 406);
	auto_asked token = ask("GET", "/2/clusters/default/credentials", admin.s, NULL);
	ck_assert_str_ne(asked_text(&token, "token"), "");
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(cluster_of(&token), "tokens"), 0)), asked_text(&token, "token"));
}
END_TEST

START_TEST(stacks_are_an_array)
{
	set.runtimes.images = arena_text(&settings_arena, "python=python:3.11, sh=busybox");
	auto_asked a = get("/2/stacks");

	ck_assert_uint_eq(json_array_size(a.json), 2);
	ck_assert_str_eq(json_string_value(json_array_get(a.json, 1)), "sh");
}
END_TEST

/* --- people ----------------------------------------------------------------------------------------- */
START_TEST(people_are_made_sign_in_and_go)
{
	auto_asked made = ask("POST", "/1/users", admin.s, "{\"email\":\"a@b.c\",\"password\":\"correct horse\"}");
	auto_asked shorter = ask("POST", "/1/users", admin.s, "{\"email\":\"d@b.c\",\"password\":\"short\"}");
	auto_asked twice = ask("POST", "/1/users", admin.s, "{\"email\":\"a@b.c\"}");
	auto_asked in = ask("POST", "/1/authentication", NULL, "{\"email\":\"a@b.c\",\"password\":\"correct horse\"}");
	const char *token = json_string_value(json_object_get(json_array_get(json_object_get(in.json, "tokens"), 0), "token"));

	ck_assert_uint_eq(strlen(asked_text(&made, "id")), 24);
	ck_assert_int_eq(shorter.status, 400);
	ck_assert_int_eq(twice.status, 409);
	ck_assert_int_eq(in.status, 200);
	ck_assert_str_eq(asked_text(&in, "email"), "a@b.c");
	auto_asked known = ask("GET", "/1/authentication", token, NULL);
	ck_assert_int_eq(known.status, 200);
	auto_asked self = ask("GET", "/1/users/a@b.c", token, NULL);
	ck_assert_int_eq(self.status, 200);
	auto_asked other = ask("GET", "/1/users/root", token, NULL);
	ck_assert_int_eq(other.status, 404);
	auto_asked changed = ask("PATCH", "/1/users/a@b.c", token, "{\"password\":\"battery staple\"}");
	ck_assert_str_eq(asked_msg(&changed), "Updated");
	auto_asked wrong = ask("POST", "/1/authentication", NULL, "{\"email\":\"a@b.c\",\"password\":\"correct horse\"}");
	ck_assert_int_eq(wrong.status, 401);
	auto_asked at_once = ask("POST", "/1/authentication", NULL, "{\"email\":\"a@b.c\",\"password\":\"battery staple\"}");
	ck_assert_int_eq(at_once.status, 429);
	auto_asked gone = ask("DELETE", "/1/users/a@b.c", admin.s, NULL);
	ck_assert_str_eq(asked_msg(&gone), "Deleted");
	process.sign_in_failed_us = 0;
	auto_asked out = ask("POST", "/1/authentication", NULL, "{\"email\":\"a@b.c\",\"password\":\"battery staple\"}");
	ck_assert_int_eq(out.status, 401);
	auto_asked list = ask("GET", "/1/users?per_page=100", admin.s, NULL);
	ck_assert_uint_ge(json_array_size(json_object_get(list.json, "users")), 4);
}
END_TEST

START_TEST(nobody_gives_more_than_they_have)
{
	struct token_text free_one = token_with("dora", NULL, ROLE_DEVELOPER, TIME_NONE);
	char path[100];

	auto_asked bound = ask("POST", "/1/tokens", developer.s, "{}");
	ck_assert_int_eq(bound.status, 403);
	auto_asked more = ask("POST", "/1/tokens", free_one.s, "{\"role\":\"operator\"}");
	ck_assert_int_eq(more.status, 403);
	auto_asked less = ask("POST", "/1/tokens", free_one.s, "{\"role\":\"viewer\",\"name\":\"ci\"}");
	ck_assert_int_eq(less.status, 200);
	auto_asked reads = ask("GET", "P", asked_text(&less, "token"), NULL);
	ck_assert_int_eq(reads.status, 200);
	auto_asked writes = ask("POST", "P/tasks", asked_text(&less, "token"), "{}");
	ck_assert_int_eq(writes.status, 403);
	snprintf(path, sizeof path, "/1/tokens/%s", asked_text(&less, "id"));
	auto_asked strangers = ask("DELETE", path, stranger.s, NULL);
	ck_assert_int_eq(strangers.status, 404);
	auto_asked ended = ask("DELETE", path, free_one.s, NULL);
	ck_assert_str_eq(asked_msg(&ended), "Deleted");
	snprintf(path, sizeof path, "/1/authentication?project_id=%s", id_format(&theirs.id).s);
	auto_asked not_there = ask("GET", path, developer.s, NULL);
	ck_assert_int_eq(not_there.status, 403);
}
END_TEST

START_TEST(the_zero_project_is_nobodys)
{
	const char *zero = "/2/projects/000000000000000000000000";
	char path[100];

	snprintf(path, sizeof path, "%s/codes", zero);
	for (int i = 0; i < 2; i++) { /* the token is in the cache, once without and once with a project */
		auto_asked without = ask("GET", "/2/clusters", developer.s, NULL);
		auto_asked list = ask("GET", path, developer.s, NULL);
		auto_asked code = ask("POST", path, developer.s, "{\"name\":\"nobodys\",\"image\":\"busybox\"}");
		auto_asked checked = ask("GET", "/1/authentication?project_id=000000000000000000000000", developer.s, NULL);
		auto_asked page = ask("GET", zero, developer.s, NULL);

		ck_assert_int_eq(without.status, 200);
		ck_assert_int_eq(list.status, 404);
		ck_assert_int_eq(code.status, 404);
		ck_assert_int_eq(checked.status, 403);
		ck_assert_int_eq(page.status, 404);
	}
}
END_TEST

START_TEST(a_project_is_shared_and_ended)
{
	auto_asked made = ask("POST", "/1/projects", admin.s, "{\"name\":\"short-lived\"}");
	struct token_text guest = token_with("gustav", NULL, ROLE_DEVELOPER, TIME_NONE);
	char path[100], share[120];

	ck_assert_uint_eq(strlen(asked_text(&made, "id")), 24);
	snprintf(path, sizeof path, "/1/projects/%s", asked_text(&made, "id"));
	snprintf(share, sizeof share, "%s/share", path);
	auto_asked hidden = ask("GET", path, guest.s, NULL);
	ck_assert_int_eq(hidden.status, 404);
	auto_asked shared = ask("PATCH", share, admin.s, "{\"emails\":[\"gustav\"]}");
	ck_assert_int_eq(shared.status, 200);
	usleep(1050000);
	auto_asked seen = ask("GET", path, guest.s, NULL);
	ck_assert_int_eq(seen.status, 200);
	auto_asked members = ask("GET", share, guest.s, NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(members.json, "users")), 2);
	auto_asked forbidden = ask("DELETE", path, guest.s, NULL);
	ck_assert_int_eq(forbidden.status, 403);
	auto_asked ended = ask("DELETE", path, admin.s, NULL);
	ck_assert_str_eq(asked_msg(&ended), "Deleted");
	auto_asked in_use = ask("DELETE", "/1/projects", admin.s, NULL);
	ck_assert_int_eq(in_use.status, 405);
}
END_TEST

/* --- further ---------------------------------------------------------------------------------------- */
START_TEST(a_task_names_its_revision_and_its_trace)
{
	static const char TRACE[] = "HTTP_TRACEPARENT=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

	given_code("traced");
	auto_asked code = get("P/codes");
	auto_asked queued = asked_with("POST", "P/tasks", "{\"tasks\":[{\"code_name\":\"traced\"}]}", TRACE);
	auto_asked odd = asked_with("POST", "P/tasks", "{\"tasks\":[{\"code_name\":\"traced\"}]}", "HTTP_TRACEPARENT=00-x");
	const json_t *first = json_array_get(json_object_get(code.json, "codes"), 0);
	struct id id;

	ck_assert(id_parse(str_of(json_string_value(json_object_get(
		json_array_get(json_object_get(queued.json, "tasks"), 0), "id"))), &id));
	auto_asked task = get(task_path(&id, ""));
	ck_assert_str_eq(asked_text(&task, "code_history_id"), json_string_value(json_object_get(first, "latest_history_id")));
	ck_assert_str_eq(asked_text(&task, "traceparent"), strchr(TRACE, '=') + 1);
	ck_assert_int_eq(odd.status, 200);
}
END_TEST

START_TEST(the_same_key_and_body_is_done_once)
{
	static const char KEY[] = "HTTP_IDEMPOTENCY_KEY=order-17";
	static const char BODY[] = "{\"tasks\":[{\"code_name\":\"once\"},{\"code_name\":\"once\"}]}";

	given_code("once");
	auto_asked first = asked_with("POST", "P/tasks", BODY, KEY);
	auto_asked second = asked_with("POST", "P/tasks", BODY, KEY);
	auto_asked other = asked_with("POST", "P/tasks", "{\"tasks\":[{\"code_name\":\"once\"}]}", KEY);
	auto_asked elsewhere = asked_with("POST", "P/tasks/webhook?code_name=once", BODY, KEY);
	auto_asked again = asked_with("POST", "P/tasks/webhook?code_name=once", BODY, KEY);
	auto_asked later = asked_with("POST", "P/tasks/webhook?code_name=once&delay=9", BODY, KEY);
	auto_asked by_query = asked_with("POST", "P/tasks/webhook?oauth=another&code_name=once", BODY, KEY);

	ck_assert_int_eq(first.status, 200);
	ck_assert(json_equal(first.json, second.json));
	ck_assert_ptr_nonnull(strstr(second.headers, "Idempotency-Replayed: true"));
	ck_assert_ptr_null(strstr(first.headers, "\nIdempotency-Replayed: "));
	ck_assert_int_eq(other.status, 422);
	ck_assert_str_eq(asked_msg(&elsewhere), "Queued up.");
	ck_assert(json_equal(elsewhere.json, again.json));
	ck_assert_int_eq(later.status, 422);
	ck_assert(json_equal(elsewhere.json, by_query.json)); /* a token is no part of what is asked */
	auto_asked list = get("P/tasks?code_name=once");
	ck_assert_uint_eq(json_array_size(json_object_get(list.json, "tasks")), 3);
}
END_TEST

static const struct sql KEYS_AGE = {
	"UPDATE idempotency SET created_at = UTC_TIMESTAMP(6) - INTERVAL ? SECOND WHERE project_id = ?", "is" };
static const struct sql KEYS_HELD = {
	"SELECT COUNT(*), SUM(created_at < UTC_TIMESTAMP(6) - INTERVAL 1 DAY) FROM idempotency WHERE project_id = ?", "s" };

/* All keys of the project were used so long ago. */
static void keys_are_old(int64_t seconds)
{
	auto_ctx cx = { 0 };

	must(&cx, db_exec(process.db, &cx, &KEYS_AGE, VALS(v_i(seconds), v_id(&ours.id))));
}

START_TEST(a_key_is_kept_for_a_day_and_not_for_ever)
{
	static const char KEY[] = "HTTP_IDEMPOTENCY_KEY=daily", OTHER[] = "HTTP_IDEMPOTENCY_KEY=other";
	static const char BODY[] = "{\"tasks\":[{\"code_name\":\"daily\"}]}";
	auto_ctx cx = { 0 };
	struct rows r;

	given_code("daily");
	auto_asked first = asked_with("POST", "P/tasks", BODY, KEY);
	auto_asked other = asked_with("POST", "P/tasks", BODY, OTHER);
	ck_assert_int_eq(other.status, 200);
	keys_are_old(86400 - 60);
	auto_asked still = asked_with("POST", "P/tasks", BODY, KEY);
	auto_asked mismatch = asked_with("POST", "P/tasks", "{\"tasks\":[{\"code_name\":\"daily\",\"delay\":1}]}", KEY);
	keys_are_old(86400 + 1);
	auto_asked next = asked_with("POST", "P/tasks", "{\"tasks\":[{\"code_name\":\"daily\",\"delay\":1}]}", KEY);
	auto_asked again = asked_with("POST", "P/tasks", "{\"tasks\":[{\"code_name\":\"daily\",\"delay\":1}]}", KEY);

	ck_assert(json_equal(first.json, still.json));
	ck_assert_ptr_nonnull(strstr(still.headers, "\nIdempotency-Replayed: true"));
	ck_assert_int_eq(mismatch.status, 422);
	ck_assert_int_eq(next.status, 200);
	ck_assert_ptr_null(strstr(next.headers, "\nIdempotency-Replayed: "));
	ck_assert(!json_equal(first.json, next.json));
	ck_assert(json_equal(next.json, again.json));
	auto_asked list = get("P/tasks?code_name=daily");
	ck_assert_uint_eq(json_array_size(json_object_get(list.json, "tasks")), 3);
	/* a new key has taken the old ones away, not only its own */
	must(&cx, db_query(process.db, &cx, &KEYS_HELD, VALS(v_id(&ours.id)), &r));
	ck_assert_int_eq(val_int(&row(&r, 0)[0]), 1);
	ck_assert_int_eq(val_int(&row(&r, 0)[1]), 0);
}
END_TEST

START_TEST(a_timeout_over_the_limit_is_cut_and_that_is_said)
{
	given_code("patient");
	auto_asked at = post("P/tasks", "{\"tasks\":[{\"code_name\":\"patient\",\"timeout\":86400}]}");
	auto_asked over = post("P/tasks", "{\"tasks\":[{\"code_name\":\"patient\",\"timeout\":86401}]}");
	struct id id;

	ck_assert_ptr_null(json_object_get(at.json, "warnings"));
	ck_assert_uint_eq(json_array_size(json_object_get(over.json, "warnings")), 1);
	ck_assert(id_parse(str_of(json_string_value(json_object_get(
		json_array_get(json_object_get(over.json, "tasks"), 0), "id"))), &id));
	auto_asked task = get(task_path(&id, ""));
	ck_assert_int_eq(number(&task, "timeout"), 86400);
}
END_TEST

START_TEST(a_project_may_have_so_many_waiting_tasks)
{
	static const char BODY[] = "{\"tasks\":[{\"code_name\":\"crowd\"}]}";
	auto_ctx cx = { 0 };
	int64_t waiting;

	given_code("crowd");
	auto_asked free_one = post("P/tasks", BODY);
	ck_assert_ptr_null(strstr(free_one.headers, "\nRateLimit: "));
	ck_assert_int_eq(task_store_waiting(process.db, &cx, &ours.id, 100000, &waiting), OK);
	set.limits.waiting = waiting + 2;
	auto_asked first = post("P/tasks", BODY); /* counted after its answer */
	ck_assert_int_eq(first.status, 200);
	ck_assert_ptr_nonnull(strstr(first.headers, "RateLimit-Policy: \"waiting\";q="));
	auto_asked last = post("P/tasks", BODY);
	ck_assert_int_eq(last.status, 200);
	ck_assert_ptr_nonnull(strstr(last.headers, "RateLimit: \"waiting\";r=0"));
	auto_asked over = post("P/tasks", BODY);
	ck_assert_int_eq(over.status, 429);
	ck_assert_ptr_nonnull(strstr(over.headers, "Retry-After: "));
	ck_assert_ptr_nonnull(strstr(over.headers, "RateLimit-Policy: \"waiting\";q="));
	ck_assert_ptr_nonnull(strstr(over.headers, "RateLimit: \"waiting\";r=0"));
	auto_asked hook = post("P/tasks/webhook?code_name=crowd", "x");
	ck_assert_int_eq(hook.status, 429);
	set.limits.waiting++;
	auto_asked room = post("P/tasks", BODY);
	ck_assert_int_eq(room.status, 200);
}
END_TEST

START_TEST(the_list_of_schedules_has_large_payloads_too)
{
	enum { MOST = 3 << 20 };
	static const char head[] = "{\"schedules\":[{\"code_name\":\"laden\",\"delay\":900,\"payload\":\"", end[] = "\"}]}";
	auto_buf body = { 0 };
	size_t given[2] = { MOST, 65537 }, have = 0;

	given_code("laden");
	for (int i = 0; i < 7; i++) { /* six at the limit are 18 MiB */
		size_t n = given[i == 6];
		char *room;

		buf_clear(&body);
		buf_text(&body, head);
		room = buf_room(&body, n);
		memset(room, 'x', n);
		body.n += n;
		buf_text(&body, end);
		buf_char(&body, 0);
		auto_asked made = post("P/schedules", body.p);
		ck_assert_int_eq(made.status, 200);
	}
	auto_asked list = get("P/schedules?per_page=7");
	json_t *schedules = json_object_get(list.json, "schedules");
	for (size_t i = 0; i < 7; i++) {
		json_t *payload = json_object_get(json_array_get(schedules, i), "payload");

		have += payload != NULL;
		ck_assert_uint_eq(payload ? json_string_length(payload)
		                          : (size_t)json_integer_value(json_object_get(json_array_get(schedules, i), "payload_size")), given[i == 0]);
	}
	ck_assert_uint_eq(have, 6);
}
END_TEST

START_TEST(what_is_left_of_a_projects_schedules_is_said_without_a_word_of_configuration)
{
	static const char TWO[] = "{\"schedules\":[{\"code_name\":\"slots\",\"delay\":900},{\"code_name\":\"slots\",\"delay\":900}]}";
	long long had = 0, left = 0;
	const char *at;

	given_code("slots");
	auto_asked first = post("P/schedules", TWO);
	ck_assert_ptr_nonnull(strstr(first.headers, "\nRateLimit-Policy: \"schedules\";q=100000\r"));
	ck_assert((at = strstr(first.headers, "\nRateLimit: ")) && sscanf(at, "\nRateLimit: \"schedules\";r=%lld", &had) == 1);
	set.limits.schedules = 100000 - had + 3;
	auto_asked fits = post("P/schedules", TWO);
	ck_assert_int_eq(fits.status, 200);
	auto_asked over = post("P/schedules", TWO);
	ck_assert_int_eq(over.status, 403);
	const struct asked *const answers[] = { &fits, &over };
	for (size_t i = 0; i < 2; i++) { /* a refusal takes nothing */
		at = strstr(answers[i]->headers, "\nRateLimit: ");
		ck_assert(at && sscanf(at, "\nRateLimit: \"schedules\";r=%lld", &left) == 1);
		ck_assert_int_eq(left, 1);
	}
}
END_TEST

START_TEST(a_refused_request_does_not_use_its_key_up)
{
	static const char KEY[] = "HTTP_IDEMPOTENCY_KEY=order-18";
	static const char BODY[] = "{\"tasks\":[{\"code_name\":\"later\"}]}";
	auto_asked refused = asked_with("POST", "P/tasks", BODY, KEY);

	ck_assert_int_eq(refused.status, 404);
	given_code("later");
	auto_asked done = asked_with("POST", "P/tasks", BODY, KEY);
	ck_assert_int_eq(done.status, 200);
	ck_assert_ptr_null(strstr(done.headers, "\nIdempotency-Replayed: "));
}
END_TEST

START_TEST(who_has_the_newest_gets_it_not_again)
{
	struct id id = given_task("tagged");
	auto_asked first = get(task_path(&id, ""));
	char header[100] = "HTTP_IF_NONE_MATCH=", tag[50];

	ck_assert_int_eq(sscanf(strstr(first.headers, "ETag: "), "ETag: %48s", tag), 1);
	strncat(header, tag, sizeof header - strlen(header) - 1);
	auto_asked same = asked_with("GET", task_path(&id, ""), NULL, header);
	ck_assert_int_eq(same.status, 304);
	ck_assert_uint_eq(same.body.n, 0);
	auto_asked set_it = post(task_path(&id, "/progress"), "{\"percent\":5}");
	ck_assert_int_eq(set_it.status, 200);
	auto_asked changed = asked_with("GET", task_path(&id, ""), NULL, header);
	ck_assert_int_eq(changed.status, 200);
	auto_asked list = get("P/tasks");
	ck_assert_ptr_null(strstr(list.headers, "ETag: "));
}
END_TEST

START_TEST(errors_outside_of_ironworkers_paths_are_problem_details)
{
	auto_asked outside = get("/nothing");
	auto_asked inside = get("/2/nothing");

	ck_assert_ptr_nonnull(strstr(outside.headers, "Content-Type: application/problem+json"));
	ck_assert_int_eq(number(&outside, "status"), 404);
	ck_assert_str_eq(asked_text(&outside, "title"), "Not Found");
	ck_assert_str_ne(asked_text(&outside, "detail"), "");
	auto_asked users = get("/1/users/nobody");
	auto_asked lacking = post("/1/authentication", "{}");

	ck_assert_ptr_nonnull(strstr(inside.headers, "Content-Type: application/json"));
	ck_assert_uint_eq(json_object_size(inside.json), 1);
	/* IronAuth's paths have problems, too, and msg for who reads that */
	ck_assert_ptr_nonnull(strstr(users.headers, "Content-Type: application/problem+json"));
	ck_assert_int_eq(number(&users, "status"), users.status);
	ck_assert_ptr_nonnull(strstr(lacking.headers, "Content-Type: application/problem+json"));
	ck_assert_str_eq(asked_text(&lacking, "title"), "Not Acceptable");
	ck_assert_str_eq(asked_text(&lacking, "detail"), asked_msg(&lacking));
}
END_TEST

START_TEST(too_long_a_path_or_query_is_told_as_its_place_tells)
{
	char path[10000];
	const int n = (int)sizeof path - 20;

	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "/%s%s%0*d", i & 1 ? "2/projects" : "nothing", i & 2 ? "?x=" : "/", n, 0);
		auto_asked long_one = get(path);

		ck_assert_int_eq(long_one.status, 400);
		ck_assert_ptr_nonnull(strstr(long_one.headers, i & 1 ? "application/json" : "application/problem+json"));
		ck_assert_ptr_nonnull(strstr(asked_msg(&long_one), "is longer than"));
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("wire");

	tcase_add_test(t, a_revision_is_posted_to_the_code_itself);
	tcase_add_test(t, revisions_say_what_a_code_was);
	tcase_add_test(t, a_deleted_code_is_gone_and_its_tasks_are_not);
	tcase_add_test(t, cancel_all_cancels_what_waits_and_nothing_else);
	tcase_add_test(t, a_schedule_is_made_listed_changed_and_cancelled);
	tcase_add_test(t, schedules_are_made_all_or_none);
	tcase_add_test(t, a_cluster_is_made_seen_changed_and_deleted_by_id_and_name);
	tcase_add_test(t, lists_of_clusters_have_what_is_asked_for);
	tcase_add_test(t, a_cluster_runs_what_its_people_queue);
	tcase_add_test(t, a_cluster_in_use_stays);
	tcase_add_test(t, a_registry_login_is_sealed_and_never_shown);
	tcase_add_test(t, what_is_no_login_is_refused);
	tcase_add_test(t, stacks_are_an_array);
	tcase_add_test(t, people_are_made_sign_in_and_go);
	tcase_add_test(t, nobody_gives_more_than_they_have);
	tcase_add_test(t, the_zero_project_is_nobodys);
	tcase_add_test(t, a_project_is_shared_and_ended);
	tcase_add_test(t, a_task_names_its_revision_and_its_trace);
	tcase_add_test(t, the_same_key_and_body_is_done_once);
	tcase_add_test(t, a_key_is_kept_for_a_day_and_not_for_ever);
	tcase_add_test(t, a_timeout_over_the_limit_is_cut_and_that_is_said);
	tcase_add_test(t, a_project_may_have_so_many_waiting_tasks);
	tcase_add_test(t, the_list_of_schedules_has_large_payloads_too);
	tcase_add_test(t, what_is_left_of_a_projects_schedules_is_said_without_a_word_of_configuration);
	tcase_add_test(t, a_refused_request_does_not_use_its_key_up);
	tcase_add_test(t, who_has_the_newest_gets_it_not_again);
	tcase_add_test(t, errors_outside_of_ironworkers_paths_are_problem_details);
	tcase_add_test(t, too_long_a_path_or_query_is_told_as_its_place_tells);
	return run_api_tests("wire", t);
}
