#include "store/project_store.h"
#include "store/token_store.h"

#include "base/clock.h"
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

static const struct str NONE = { "", 0 };

/* A user name that no other test has. */
static struct str fresh_name(void)
{
	struct id id = id_make(clock_wall_us());

	return str_of(arena_text(&f.cx.arena, id_format(&id).s));
}

static struct str given_token(const char *user, const struct id *project, enum role role, int64_t expires_at)
{
	struct token_text text;
	struct id id;

	fine(token_store_add(f.db, &f.cx, user ? str_of(user) : fresh_name(), STR_LIT("test"), project, role, expires_at, NONE,
	                     &text, &id));
	return str_of(arena_text(&f.cx.arena, text.s));
}

static enum err find(struct str token, const struct id *project, struct principal *out)
{
	unsigned char hash[SHA256_BYTES];

	token_hash(token, hash);
	return token_store_find(f.db, &f.cx, hash, project, out);
}

START_TEST(a_token_opens_its_own_project_with_its_role)
{
	struct id mine = given_project(&f), other = given_project(&f);
	struct str token = given_token(NULL, &mine, ROLE_DEVELOPER, TIME_NONE);
	struct principal who;

	fine(find(token, &mine, &who));
	ck_assert_int_eq(who.role, ROLE_DEVELOPER);
	ck_assert(id_equal(&who.project_id, &mine));
	fine(find(token, &other, &who));
	ck_assert_int_eq(who.role, ROLE_NONE);
}
END_TEST

START_TEST(unknown_expired_and_revoked_tokens_and_disabled_users_are_nobody)
{
	struct id project = given_project(&f), id;
	struct token_text text;
	struct principal who;
	struct str token, user = fresh_name();

	ck_assert_int_eq(find(STR_LIT("stk_00000000_no"), &project, &who), ERR_AUTH);
	ck_assert_int_eq(find(given_token(NULL, &project, ROLE_VIEWER, clock_wall_us() - 1000000), &project, &who), ERR_AUTH);
	fine(find(given_token(NULL, &project, ROLE_VIEWER, clock_wall_us() + 60000000), &project, &who));
	fine(token_store_add(f.db, &f.cx, user, STR_LIT("x"), &project, ROLE_VIEWER, TIME_NONE, NONE, &text, &id));
	token = str_of(arena_text(&f.cx.arena, text.s));
	fine(find(token, &project, &who));
	fine(token_store_revoke(f.db, &f.cx, &id));
	ck_assert_int_eq(find(token, &project, &who), ERR_AUTH);
	ck_assert_int_eq(token_store_revoke(f.db, &f.cx, &id), ERR_NOT_FOUND);
	token = given_token(user.p, &project, ROLE_VIEWER, TIME_NONE);
	run_in(&f, f.db, arena_printf(&f.cx.arena, "UPDATE user SET disabled_at = NOW(6) WHERE name = '%s'", user.p));
	ck_assert_int_eq(find(token, &project, &who), ERR_AUTH);
	ck_assert_int_eq(token_store_add(f.db, &f.cx, user, STR_LIT("x"), &project, ROLE_VIEWER, TIME_NONE, NONE, &text, &id),
	                 ERR_CONFLICT);
}
END_TEST

START_TEST(an_admin_rules_every_project_but_none_that_is_not_there)
{
	struct id project = given_project(&f), nowhere = id_make(clock_wall_us());
	struct str token = given_token(NULL, NULL, ROLE_ADMIN, TIME_NONE);
	struct principal who;

	fine(find(token, &project, &who));
	ck_assert_int_eq(who.role, ROLE_ADMIN);
	fine(find(token, NULL, &who));
	ck_assert_int_eq(who.role, ROLE_ADMIN);
	fine(find(token, &nowhere, &who));
	ck_assert_int_eq(who.role, ROLE_NONE);
}
END_TEST

START_TEST(the_role_of_a_token_is_a_ceiling)
{
	struct id project = given_project(&f);
	struct str user = fresh_name(), viewer, operator;
	struct principal who;

	operator = given_token(user.p, &project, ROLE_OPERATOR, TIME_NONE);
	viewer = given_token(user.p, &project, ROLE_VIEWER, TIME_NONE); /* does not lower the member's role */
	fine(find(viewer, &project, &who));
	ck_assert_int_eq(who.role, ROLE_VIEWER);
	fine(find(operator, &project, &who));
	ck_assert_int_eq(who.role, ROLE_OPERATOR);
}
END_TEST

START_TEST(a_token_for_all_of_a_users_projects_goes_by_membership)
{
	struct id mine = given_project(&f), other = given_project(&f), id;
	struct str user = fresh_name(), token;
	struct token_text text;
	struct principal who;
	struct project *list;
	size_t n;

	given_token(user.p, &mine, ROLE_VIEWER, TIME_NONE);
	fine(token_store_add(f.db, &f.cx, user, STR_LIT("all"), NULL, ROLE_OPERATOR, TIME_NONE, NONE, &text, &id));
	token = str_of(text.s);
	fine(find(token, &mine, &who));
	ck_assert_int_eq(who.role, ROLE_VIEWER);
	fine(find(token, &other, &who));
	ck_assert_int_eq(who.role, ROLE_NONE);
	fine(project_store_list(f.db, &f.cx, &who.user_id, &list, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert(id_equal(&list[0].id, &mine));
}
END_TEST

START_TEST(a_token_of_another_system_can_be_brought_along_once)
{
	struct id project = given_project(&f), id;
	struct str foreign = str_of(arena_printf(&f.cx.arena, "iron-" STR_FMT, STR_ARG(fresh_name())));
	struct token_text text;
	struct principal who;

	fine(token_store_add(f.db, &f.cx, fresh_name(), STR_LIT("old"), &project, ROLE_DEVELOPER, TIME_NONE, foreign, &text, &id));
	ck_assert_str_eq(text.s, "");
	fine(find(foreign, &project, &who));
	ck_assert_int_eq(token_store_add(f.db, &f.cx, fresh_name(), STR_LIT("old"), &project, ROLE_DEVELOPER, TIME_NONE, foreign,
	                                 &text, &id), ERR_CONFLICT);
	ck_assert_int_eq(token_store_add(f.db, &f.cx, fresh_name(), STR_LIT("bad"), &project, ROLE_DEVELOPER, TIME_NONE,
	                                 STR_LIT("has a blank"), &text, &id), ERR_INPUT);
	ck_assert_int_eq(token_store_add(f.db, &f.cx, fresh_name(), STR_LIT("bad"), &project, ROLE_ADMIN, TIME_NONE, NONE, &text,
	                                 &id), ERR_INPUT);
}
END_TEST

START_TEST(a_token_is_made_once_wherever_the_connection_breaks)
{
	for (int n = 1; n < 9; n++) {
		for (int after = 0; after < 2; after++) {
			struct id project = given_project(&f), id;
			struct token_text text;
			struct token_row *rows;
			size_t count;

			db_fail_at(f.db, n, after);
			fine(token_store_add(f.db, &f.cx, fresh_name(), STR_LIT("x"), &project, ROLE_VIEWER, TIME_NONE, NONE, &text, &id));
			db_fail_at(f.db, 0, false);
			fine(token_store_list(f.db, &f.cx, &project, &rows, &count));
			ck_assert_uint_eq(count, 1);
			ck_assert(id_equal(&rows[0].id, &id));
			ck_assert_uint_eq(rows[0].prefix.n, 8);
		}
	}
}
END_TEST

START_TEST(the_use_is_noted_by_the_minute)
{
	struct id project = given_project(&f);
	struct str token = given_token(NULL, &project, ROLE_VIEWER, TIME_NONE);
	struct principal who;

	fine(find(token, &project, &who));
	fine(token_store_touch(f.db, &f.cx, &who.token_id));
	ck_assert_int_eq(db_changed(f.db), 1);
	fine(token_store_touch(f.db, &f.cx, &who.token_id));
	ck_assert_int_eq(db_changed(f.db), 0);
	fine(db_set_clock(f.db, &f.cx, clock_wall_us() + 61000000));
	fine(token_store_touch(f.db, &f.cx, &who.token_id));
	ck_assert_int_eq(db_changed(f.db), 1);
}
END_TEST

START_TEST(the_text_of_a_token_is_nowhere_in_the_database)
{
	struct id project = given_project(&f);
	struct str token = given_token(NULL, &project, ROLE_VIEWER, TIME_NONE);

	ck_assert_int_eq(number_in(&f, f.db, arena_printf(&f.cx.arena, "SELECT COUNT(*) FROM token WHERE INSTR(CONCAT_WS('|', HEX(id), prefix,"
	                           " hash, name), '%s')", token.p + 13)), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("token_store");
	Suite *s = suite_create("token_store");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_token_opens_its_own_project_with_its_role);
	tcase_add_test(t, unknown_expired_and_revoked_tokens_and_disabled_users_are_nobody);
	tcase_add_test(t, an_admin_rules_every_project_but_none_that_is_not_there);
	tcase_add_test(t, the_role_of_a_token_is_a_ceiling);
	tcase_add_test(t, a_token_for_all_of_a_users_projects_goes_by_membership);
	tcase_add_test(t, a_token_of_another_system_can_be_brought_along_once);
	tcase_add_test(t, a_token_is_made_once_wherever_the_connection_breaks);
	tcase_add_test(t, the_use_is_noted_by_the_minute);
	tcase_add_test(t, the_text_of_a_token_is_nowhere_in_the_database);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
