#include "base/clock.h"
#include "store/schema_store.h"
#include "store/txn.h"
#include "tests/support/throwaway_db.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>

static struct settings settings;
static struct arena settings_arena;

static struct db *given_connection(struct ctx *cx)
{
	static const struct sql MAKE = {
		"CREATE TABLE IF NOT EXISTS things (id BINARY(12) PRIMARY KEY, n BIGINT, b MEDIUMBLOB, at DATETIME(6))", "" };
	static const struct sql EMPTY = { "DELETE FROM things", "" };
	struct db *db = db_new(&settings, DB_TASKS, 2);

	ck_assert_msg(db_exec(db, cx, &MAKE, NULL, 0) == OK, "%s", cx->message);
	ck_assert_int_eq(db_exec(db, cx, &EMPTY, NULL, 0), OK);
	return db;
}

static const struct sql INSERT = { "INSERT INTO things (id, n, b, at) VALUES (?, ?, ?, ?)", "sist" };
static const struct sql READ = { "SELECT n, b, at, id FROM things ORDER BY id", "" };
static const struct sql COUNT = { "SELECT COUNT(*) FROM things", "" };

static int64_t count(struct db *db, struct ctx *cx)
{
	struct rows r;

	ck_assert_msg(db_query(db, cx, &COUNT, NULL, 0, &r) == OK, "%s", cx->message);
	return val_int(&row(&r, 0)[0]);
}

START_TEST(arrays_carry_every_type_and_null)
{
	auto_ctx cx = { 0 };
	struct db *db = given_connection(&cx);
	struct id ids[3];
	int64_t now = 1795414023123456;
	struct rows r;

	id_make_many(now, ids, 3);
	struct val v[] = {
		v_id(&ids[0]), v_i(-5), v_s(STR_LIT("a\0b")), v_t(now),
		v_id(&ids[1]), v_null(), v_null(), v_t(TIME_NONE),
		v_id(&ids[2]), v_i(INT64_MAX), v_s(STR_LIT("")), v_t(-1000000),
	};
	ck_assert_msg(db_exec_array(db, &cx, &INSERT, v, 3) == OK, "%s", cx.message);
	ck_assert_int_eq(db_changed(db), 3);
	ck_assert_int_eq(db_query(db, &cx, &READ, NULL, 0, &r), OK);
	ck_assert_uint_eq(r.n, 3);
	ck_assert_int_eq(val_int(&row(&r, 0)[0]), -5);
	ck_assert(str_equal(val_str(&row(&r, 0)[1]), STR_LIT("a\0b")));
	ck_assert_int_eq(val_time(&row(&r, 0)[2]), now);
	ck_assert_int_eq(row(&r, 1)[0].type, VAL_NULL);
	ck_assert_int_eq(row(&r, 1)[1].type, VAL_NULL);
	ck_assert_int_eq(val_time(&row(&r, 1)[2]), TIME_NONE);
	ck_assert_int_eq(val_int(&row(&r, 2)[0]), INT64_MAX);
	ck_assert_int_eq(row(&r, 2)[1].type, VAL_BYTES);
	ck_assert_int_eq(val_time(&row(&r, 2)[2]), -1000000);
	db_free(db);
}
END_TEST

START_TEST(one_bad_row_undoes_an_array_insert)
{
	auto_ctx cx = { 0 };
	struct db *db = given_connection(&cx);
	struct id id = id_make(clock_wall_us());
	struct val v[] = { v_id(&id), v_i(1), v_null(), v_null(), v_id(&id), v_i(2), v_null(), v_null() };

	ck_assert_int_eq(db_exec_array(db, &cx, &INSERT, v, 2), ERR_CONFLICT);
	ck_assert_int_eq(count(db, &cx), 0);
	db_free(db);
}
END_TEST

struct pair {
	struct id ids[2];
	int runs;
};

static enum err add_pair(struct db *db, struct ctx *cx, void *arg)
{
	struct pair *p = arg;

	p->runs++;
	for (int i = 0; i < 2; i++)
		TRY(db_exec(db, cx, &INSERT, VALS(v_id(&p->ids[i]), v_i(i), v_null(), v_null())));
	return OK;
}

static enum err pair_is_there(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	static const struct sql FIND = { "SELECT 1 FROM things WHERE id = ?", "s" };
	struct pair *p = arg;
	struct rows r;

	TRY(db_query(db, cx, &FIND, VALS(v_id(&p->ids[0])), &r));
	*yes = r.n == 1;
	return OK;
}

/* Statement n, from START TRANSACTION (1) to COMMIT (4), loses its connection before or after it was
 * done: in every case the pair is there exactly once in the end. */
START_TEST(a_connection_lost_anywhere_leaves_the_work_done_once)
{
	static const struct txn T = { "pair", add_pair, pair_is_there };

	for (int n = 1; n <= 4; n++) {
		for (int after = 0; after < 2; after++) {
			auto_ctx cx = { 0 };
			struct db *db = given_connection(&cx);
			struct pair p = { .runs = 0 };

			id_make_many(clock_wall_us(), p.ids, 2);
			db_fail_at(db, n, after);
			ck_assert_msg(txn_run(db, &cx, &T, &p) == OK, "n=%d after=%d: %s", n, after, cx.message);
			ck_assert_int_eq(count(db, &cx), 2);
			ck_assert_int_eq(p.runs, n == 4 && after ? 1 : n == 1 ? 1 : 2);
			db_free(db);
		}
	}
}
END_TEST

START_TEST(an_error_of_the_work_rolls_back)
{
	static const struct txn T = { "pair", add_pair, NULL };
	auto_ctx cx = { 0 };
	struct db *db = given_connection(&cx);
	struct pair p = { .runs = 0 };

	p.ids[0] = p.ids[1] = id_make(clock_wall_us());
	ck_assert_int_eq(txn_run(db, &cx, &T, &p), ERR_CONFLICT);
	ck_assert_int_eq(p.runs, 1);
	ck_assert_int_eq(count(db, &cx), 0);
	db_free(db);
}
END_TEST

START_TEST(a_stopped_server_costs_at_most_three_seconds)
{
	auto_ctx cx = { 0 };
	struct db *db = given_connection(&cx);
	struct rows r;
	int64_t began;

	throwaway_db_stop();
	for (int i = 0; i < 2; i++) { /* on the old connection, then on a new one */
		began = clock_boot_us();
		ck_assert_int_eq(db_query(db, &cx, &COUNT, NULL, 0, &r), ERR_BUSY);
		ck_assert_int_lt(clock_boot_us() - began, 3000000);
	}
	kill(throwaway_db_pid(), SIGCONT);
	ck_assert_int_eq(count(db, &cx), 0);
	db_free(db);
}
END_TEST

START_TEST(the_sessions_clock_can_be_turned)
{
	auto_ctx cx = { 0 };
	struct db *db = given_connection(&cx);
	int64_t now;

	ck_assert_int_eq(db_set_clock(db, &cx, 1900000000000000), OK);
	ck_assert_int_eq(db_now(db, &cx, &now), OK);
	ck_assert_int_lt(llabs(now - 1900000000000000), 2000000);
	db_free(db);
}
END_TEST

START_TEST(an_empty_database_is_refused_and_the_sentence_says_what_to_do)
{
	auto_ctx cx = { 0 };
	struct db *db = given_connection(&cx);

	ck_assert_int_eq(schema_store_check(db, &cx), ERR_BUSY);
	ck_assert_ptr_nonnull(strstr(cx.message, "stoker admin migrate"));
	db_free(db);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("db");
	Suite *s = suite_create("db");
	struct ctx cx = { 0 };
	SRunner *r;
	int failed;

	setenv("STOKER_DATABASE_SOCKET", throwaway_db_start(), 1);
	setenv("STOKER_DATABASE_USER", "root", 1);
	if (settings_read(&cx, NULL, &settings) != OK)
		return 1;
	settings_arena = cx.arena;
	tcase_set_timeout(t, 30);
	tcase_add_test(t, arrays_carry_every_type_and_null);
	tcase_add_test(t, one_bad_row_undoes_an_array_insert);
	tcase_add_test(t, a_connection_lost_anywhere_leaves_the_work_done_once);
	tcase_add_test(t, an_error_of_the_work_rolls_back);
	tcase_add_test(t, a_stopped_server_costs_at_most_three_seconds);
	tcase_add_test(t, the_sessions_clock_can_be_turned);
	tcase_add_test(t, an_empty_database_is_refused_and_the_sentence_says_what_to_do);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	arena_release(&settings_arena);
	return failed != 0;
}
