#include "store/code_store.h"

#include "base/clock.h"
#include "store/package_store.h"
#include "tests/support/store_fixture.h"

#include <check.h>

static struct store_fixture f;

static void set_up(void)
{
	store_fixture_open(&f);
}

static void tear_down(void)
{
	store_fixture_close(&f);
}

#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

static struct code_order order_named(const char *name)
{
	return (struct code_order){ .name = str_of(name), .has_image = true, .image = STR_LIT("busybox") };
}

START_TEST(a_first_registration_needs_an_image_and_gets_defaults_and_a_lane)
{
	struct id project = given_project(&f);
	struct code_order order = order_named("hello");
	struct code_target target;
	struct code code;

	order.has_image = false;
	ck_assert_int_eq(code_store_put(f.db, &f.cx, &project, &order, &code), ERR_REQUIRED);
	ck_assert_ptr_nonnull(strstr(f.cx.message, "image"));
	order.has_image = true;
	fine(code_store_put(f.db, &f.cx, &project, &order, &code));
	ck_assert_int_eq(code.revision, 1);
	ck_assert(str_is(code.env, "{}"));
	ck_assert_int_eq(code.grace_s, -1);
	ck_assert_int_eq(code.max_concurrency, 0);
	ck_assert(!id_is_zero(&code.revision_id));
	fine(code_store_target(f.db, &f.cx, &project, STR_LIT("hello"), STR_LIT(""), &target));
	ck_assert_int_gt(target.lane_id, 0);
	ck_assert_int_eq(target.head_start_s, 300);
	ck_assert(id_equal(&target.code_id, &code.id));
}
END_TEST

START_TEST(what_an_update_does_not_send_stays_and_a_change_makes_a_revision)
{
	struct id project = given_project(&f);
	struct code_order order = order_named("hello"), update = { .name = STR_LIT("hello") };
	struct code first, code;

	order.has_command = order.has_retries = order.has_env = true;
	order.command = STR_LIT("echo one");
	order.retries = 2;
	order.env = STR_LIT("{\"A\":\"b\"}");
	fine(code_store_put(f.db, &f.cx, &project, &order, &first));
	update.has_command = true;
	update.command = STR_LIT("echo two");
	fine(code_store_put(f.db, &f.cx, &project, &update, &code));
	ck_assert_int_eq(code.revision, 2);
	ck_assert(id_equal(&code.id, &first.id));
	ck_assert(!id_equal(&code.revision_id, &first.revision_id));
	ck_assert(str_is(code.command, "echo two"));
	ck_assert(str_is(code.image, "busybox"));
	ck_assert(str_is(code.env, "{\"A\":\"b\"}"));
	ck_assert_int_eq(code.retries, 2);
	fine(code_store_put(f.db, &f.cx, &project, &update, &code));
	ck_assert_int_eq(code.revision, 2); /* nothing new */
	fine(code_store_put(f.db, &f.cx, &project, &order, &code));
	ck_assert_int_eq(code.revision, 3); /* a sent image may mean new bytes */
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM revision r JOIN code c ON c.id = r.code_id WHERE r.command = 'echo two'"
	                           " AND r.number = 2"), 1);
}
END_TEST

/* A package of one piece whose digest has `mark` in each byte. */
static struct package given_package(char mark)
{
	struct package p = { .bytes = 3, .pieces = 1 };
	struct id upload;

	memset(p.digest, mark, sizeof p.digest);
	fine(package_store_begin(f.db, &f.cx, &(struct id){ { 0 } }, &upload));
	fine(package_store_add(f.db, &f.cx, &upload, 0, STR_LIT("zip")));
	fine(package_store_finish(f.db, &f.cx, &upload, &p));
	return p;
}

START_TEST(a_package_needs_something_to_run_and_each_revision_keeps_its_own)
{
	struct id project = given_project(&f);
	struct package one = given_package('1'), two = given_package('2');
	struct code_order order = { .name = STR_LIT("zip"), .has_package = true, .package_name = STR_LIT("z.zip") };
	struct code_revision was;
	struct code code;

	order.package = str_bytes(one.digest, sizeof one.digest);
	ck_assert_int_eq(code_store_put(f.db, &f.cx, &project, &order, &code), ERR_REQUIRED);
	ck_assert_ptr_nonnull(strstr(f.cx.message, "field runtime: is missing"));
	order.has_runtime = true;
	order.runtime = STR_LIT("sh");
	ck_assert_int_eq(code_store_put(f.db, &f.cx, &project, &order, &code), ERR_REQUIRED);
	ck_assert_ptr_nonnull(strstr(f.cx.message, "field file_name: is missing"));
	order.has_file_name = true;
	order.file_name = STR_LIT("run.sh");
	fine(code_store_put(f.db, &f.cx, &project, &order, &code));
	ck_assert_int_eq(code.revision, 1);
	ck_assert_int_eq(code.package_bytes, 3);
	fine(code_store_put(f.db, &f.cx, &project, &order, &code));
	ck_assert_int_eq(code.revision, 2); /* a sent package always makes one (IronWorker 4.1) */
	order = (struct code_order){ .name = STR_LIT("zip"), .has_package = true, .package = str_bytes(two.digest, sizeof two.digest),
		                     .package_name = STR_LIT("y.zip") };
	fine(code_store_put(f.db, &f.cx, &project, &order, &code));
	ck_assert(str_is(code.runtime, "sh") && str_is(code.file_name, "run.sh") && str_is(code.package_name, "y.zip"));
	fine(code_store_revision(f.db, &f.cx, &project, &code.id, 2, &code, &was));
	ck_assert(str_equal(was.package, str_bytes(one.digest, sizeof one.digest)));
	fine(code_store_revision(f.db, &f.cx, &project, &code.id, 0, &code, &was));
	ck_assert(str_equal(was.package, str_bytes(two.digest, sizeof two.digest)));
	ck_assert_int_eq(code_store_revision(f.db, &f.cx, &project, &code.id, 4, &code, &was), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_package_that_was_swept_away_is_named_by_nobody)
{
	struct id project = given_project(&f);
	struct code_order order = { .name = STR_LIT("late"), .has_package = true, .has_image = true, .image = STR_LIT("busybox"),
		                    .package = STR_LIT("no package has this digest in it"), .package_name = STR_LIT("") };
	struct code code;

	ck_assert_int_eq(code_store_put(f.db, &f.cx, &project, &order, &code), ERR_BUSY);
	ck_assert_int_eq(code_store_find(f.db, &f.cx, &project, STR_LIT("late"), &code), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_followed_tag_is_looked_up_by_one_for_all_and_again_when_its_time_is_over)
{
	struct id project = given_project(&f);
	struct code_order order = { .name = STR_LIT("follows"), .has_image = true, .image = STR_LIT("docker://registry/a:1"),
		                    .has_follow_tag = true, .follow_tag_s = 60 };
	unsigned char meant[SHA256_BYTES];
	struct followed one, other;
	struct code code;

	memset(meant, 'm', sizeof meant);
	fine(code_store_put(f.db, &f.cx, &project, &order, &code));
	ck_assert_int_eq(code.follow_tag_s, 60);
	fine(code_store_followed(f.db, &f.cx, &code.id, 1, 60, &one));
	ck_assert(one.is_due && !one.is_known);
	fine(code_store_followed(f.db, &f.cx, &code.id, 1, 60, &other)); /* the first answer is waited for */
	ck_assert(!other.is_due && !other.is_known);
	run_in(&f, f.db, "UPDATE revision SET looked_up_at = looked_up_at - INTERVAL 31 SECOND"); /* whoever asked has died */
	fine(code_store_followed(f.db, &f.cx, &code.id, 1, 60, &other));
	ck_assert(other.is_due && !other.is_known);
	fine(code_store_follow(f.db, &f.cx, &code.id, 1, meant));
	fine(code_store_followed(f.db, &f.cx, &code.id, 1, 60, &other));
	ck_assert(!other.is_due && other.is_known && memcmp(other.digest, meant, sizeof meant) == 0);
	run_in(&f, f.db, "UPDATE revision SET looked_up_at = looked_up_at - INTERVAL 61 SECOND");
	fine(code_store_followed(f.db, &f.cx, &code.id, 1, 60, &one));
	fine(code_store_followed(f.db, &f.cx, &code.id, 1, 60, &other));
	ck_assert(one.is_due && one.is_known && !other.is_due);
	fine(code_store_forget(f.db, &f.cx, &code.id, 1)); /* the registry says it is gone */
	fine(code_store_followed(f.db, &f.cx, &code.id, 1, 60, &other));
	ck_assert(other.is_due && !other.is_known);
	order.image = STR_LIT("busybox");
	ck_assert_int_eq(code_store_put(f.db, &f.cx, &project, &order, &code), ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(f.cx.message, "field follow_tag"));
}
END_TEST

START_TEST(a_registration_is_done_once_wherever_the_connection_breaks)
{
	for (int n = 1; n < 10; n++) {
		for (int after = 0; after < 2; after++) {
			struct id project = given_project(&f);
			struct code_order order = order_named("broken");
			struct code code;

			fine(code_store_put(f.db, &f.cx, &project, &order, &code));
			order.has_command = order.has_max_concurrency = true;
			order.command = STR_LIT("new");
			order.max_concurrency = 3;
			db_fail_at(f.db, n, after);
			if (code_store_put(f.db, &f.cx, &project, &order, &code) == OK)
				ck_assert_int_eq(code.revision, 2);
			db_fail_at(f.db, 0, false);
			fine(code_store_find(f.db, &f.cx, &project, STR_LIT("broken"), &code));
			ck_assert_int_eq(code.revision, 2);
			ck_assert_int_eq(code.max_concurrency, 3);
		}
	}
}
END_TEST

START_TEST(another_projects_codes_are_not_found)
{
	struct id mine = given_project(&f), theirs = given_project(&f);
	struct id id = given_code(&f, &theirs, "secret");
	struct code_target target;
	struct code code, *list;
	bool changed;
	size_t n;

	ck_assert_int_eq(code_store_get(f.db, &f.cx, &mine, &id, &code), ERR_NOT_FOUND);
	ck_assert_int_eq(code_store_find(f.db, &f.cx, &mine, STR_LIT("secret"), &code), ERR_NOT_FOUND);
	ck_assert_int_eq(code_store_pause(f.db, &f.cx, &mine, &id, true, &changed), ERR_NOT_FOUND);
	ck_assert_int_eq(code_store_target(f.db, &f.cx, &mine, STR_LIT("secret"), STR_LIT(""), &target), ERR_NOT_FOUND);
	ck_assert_str_eq(f.cx.message, "code 'secret' is not registered in this project");
	fine(code_store_list(f.db, &f.cx, &mine, 0, 100, &list, &n));
	ck_assert_uint_eq(n, 0);
	fine(code_store_get(f.db, &f.cx, &theirs, &id, &code));
	ck_assert(!code.paused);
}
END_TEST

START_TEST(names_are_exact_and_pages_are_newest_first)
{
	struct id project = given_project(&f);
	struct code *list, code;
	struct id last;
	size_t n;

	given_code(&f, &project, "a");
	given_code(&f, &project, "A");
	given_code(&f, &project, "a ");
	fine(code_store_list(f.db, &f.cx, &project, 0, 2, &list, &n));
	ck_assert_uint_eq(n, 2);
	ck_assert_int_gt(memcmp(&list[0].id, &list[1].id, ID_BYTES), 0);
	last = list[1].id;
	fine(code_store_list(f.db, &f.cx, &project, 1, 2, &list, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_int_lt(memcmp(&list[0].id, &last, ID_BYTES), 0);
	fine(code_store_find(f.db, &f.cx, &project, STR_LIT("A"), &code));
}
END_TEST

START_TEST(a_lane_is_made_when_a_code_is_first_named_with_another_cluster)
{
	struct id project = given_project(&f);
	struct code_target here, there, again;

	given_code(&f, &project, "hello");
	run_in(&f, f.db, "INSERT IGNORE INTO cluster (name, head_start_s) VALUES ('far', 60)");
	ck_assert_int_eq(code_store_target(f.db, &f.cx, &project, STR_LIT("hello"), STR_LIT("nowhere"), &there), ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(f.cx.message, "cluster"));
	fine(code_store_target(f.db, &f.cx, &project, STR_LIT("hello"), STR_LIT("default"), &here));
	fine(code_store_target(f.db, &f.cx, &project, STR_LIT("hello"), STR_LIT("far"), &there));
	fine(code_store_target(f.db, &f.cx, &project, STR_LIT("hello"), STR_LIT("far"), &again));
	ck_assert_int_ne(here.lane_id, there.lane_id);
	ck_assert_int_eq(there.lane_id, again.lane_id);
	ck_assert_int_eq(there.head_start_s, 60);
	ck_assert_int_gt(there.lane_id, 0);
}
END_TEST

static int64_t turn_number(void)
{
	return number_in(&f, f.db, "SELECT number FROM turn WHERE cluster_id = 1");
}

START_TEST(pause_resume_and_a_new_limit_take_the_turn_and_close_the_lane)
{
	struct id project = given_project(&f), id = given_code(&f, &project, "hello");
	struct code_order limit = { .name = STR_LIT("hello"), .has_max_concurrency = true, .max_concurrency = 1 };
	int64_t before = turn_number();
	struct code code;
	bool changed;

	fine(code_store_pause(f.db, &f.cx, &project, &id, true, &changed));
	ck_assert(changed);
	ck_assert_int_gt(turn_number(), before);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT open FROM lane ORDER BY id DESC LIMIT 1"), 0);
	fine(code_store_pause(f.db, &f.cx, &project, &id, true, &changed));
	ck_assert(!changed);
	fine(code_store_get(f.db, &f.cx, &project, &id, &code));
	ck_assert(code.paused);
	fine(code_store_pause(f.db, &f.cx, &project, &id, false, &changed));
	ck_assert(changed);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT open FROM lane ORDER BY id DESC LIMIT 1"), 1);
	before = turn_number();
	fine(code_store_put(f.db, &f.cx, &project, &limit, &code));
	ck_assert_int_gt(turn_number(), before);
	ck_assert_int_eq(code.max_concurrency, 1);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("code_store");
	Suite *s = suite_create("code_store");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_first_registration_needs_an_image_and_gets_defaults_and_a_lane);
	tcase_add_test(t, what_an_update_does_not_send_stays_and_a_change_makes_a_revision);
	tcase_add_test(t, a_package_needs_something_to_run_and_each_revision_keeps_its_own);
	tcase_add_test(t, a_package_that_was_swept_away_is_named_by_nobody);
	tcase_add_test(t, a_followed_tag_is_looked_up_by_one_for_all_and_again_when_its_time_is_over);
	tcase_add_test(t, a_registration_is_done_once_wherever_the_connection_breaks);
	tcase_add_test(t, another_projects_codes_are_not_found);
	tcase_add_test(t, names_are_exact_and_pages_are_newest_first);
	tcase_add_test(t, a_lane_is_made_when_a_code_is_first_named_with_another_cluster);
	tcase_add_test(t, pause_resume_and_a_new_limit_take_the_turn_and_close_the_lane);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
