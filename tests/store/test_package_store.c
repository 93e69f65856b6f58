#include "store/package_store.h"

#include "store/code_store.h"
#include "tests/support/task_fixture.h"

#include <check.h>

static struct store_fixture f;

static void set_up(void)
{
	store_fixture_open(&f);
	run_in(&f, f.db, "DELETE FROM package");
	run_in(&f, f.db, "DELETE FROM package_piece");
	run_in(&f, f.db, "DELETE FROM package_upload");
	run_in(&f, f.db, "UPDATE revision SET package = NULL");
}

static void tear_down(void)
{
	store_fixture_close(&f);
}

#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

static const struct id NOBODY;
static char piece[PACKAGE_PIECE_BYTES];

/* A package of n pieces, all of them but its row; its digest has `mark` in each byte. */
static struct package begun(char mark, int64_t n, struct id *upload)
{
	struct package p = { .bytes = n * PACKAGE_PIECE_BYTES, .pieces = n };

	memset(p.digest, mark, sizeof p.digest);
	memset(p.md5, mark, sizeof p.md5);
	fine(package_store_begin(f.db, &f.cx, &NOBODY, upload));
	for (int64_t i = 0; i < n; i++) {
		memset(piece, mark + (int)i, sizeof piece);
		fine(package_store_add(f.db, &f.cx, upload, i, str_bytes(piece, sizeof piece)));
	}
	return p;
}

static struct package given_package(char mark, int64_t n)
{
	struct id upload;
	struct package p = begun(mark, n, &upload);

	fine(package_store_finish(f.db, &f.cx, &upload, &p));
	return p;
}

static struct str digest_of(const struct package *p)
{
	return str_bytes(p->digest, sizeof p->digest);
}

static bool is_there(const struct package *p)
{
	struct package found;
	enum err e = package_store_find(f.db, &f.cx, digest_of(p), &found);

	ck_assert(e == OK || e == ERR_NOT_FOUND);
	return e == OK;
}

static int64_t count(const char *query)
{
	return number_in(&f, f.db, query);
}

/* Sweeps until nothing is left to do, as the scheduler does. */
static void sweep(void)
{
	bool more = true;

	while (more)
		fine(package_store_sweep(f.db, &f.cx, &more));
}

static void an_hour_passes(void)
{
	run_in(&f, f.db, "UPDATE package SET used_at = NOW(6) - INTERVAL 61 MINUTE");
	run_in(&f, f.db, "UPDATE package_upload SET started_at = NOW(6) - INTERVAL 61 MINUTE");
}

START_TEST(a_package_is_seen_when_it_is_whole_and_comes_back_piece_by_piece)
{
	struct id upload;
	struct package p = begun('a', 3, &upload), found;
	struct str got;

	ck_assert(!is_there(&p));
	ck_assert_int_eq(package_store_piece(f.db, &f.cx, digest_of(&p), 0, &got), ERR_NOT_FOUND);
	fine(package_store_finish(f.db, &f.cx, &upload, &p));
	fine(package_store_find(f.db, &f.cx, digest_of(&p), &found));
	ck_assert_mem_eq(&found, &p, sizeof p);
	for (int i = 0; i < 3; i++) {
		fine(package_store_piece(f.db, &f.cx, digest_of(&p), i, &got));
		ck_assert_uint_eq(got.n, PACKAGE_PIECE_BYTES);
		ck_assert_int_eq(got.p[0], 'a' + i);
		ck_assert_int_eq(got.p[got.n - 1], 'a' + i);
	}
	ck_assert_int_eq(package_store_piece(f.db, &f.cx, digest_of(&p), 3, &got), ERR_NOT_FOUND);
	ck_assert_int_eq(count("SELECT COUNT(*) FROM package_upload"), 0);
}
END_TEST

START_TEST(the_same_package_twice_is_stored_once)
{
	struct package p = given_package('b', 2);
	struct id upload;
	bool there;

	begun('b', 2, &upload);
	fine(package_store_finish(f.db, &f.cx, &upload, &p));
	sweep();
	ck_assert_int_eq(count("SELECT COUNT(*) FROM package"), 1);
	ck_assert_int_eq(count("SELECT COUNT(*) FROM package_piece"), 2);
	ck_assert_int_eq(count("SELECT COUNT(*) FROM package_upload"), 0);
	fine(package_store_keep(f.db, &f.cx, digest_of(&p), &there));
	ck_assert(there);
	fine(package_store_keep(f.db, &f.cx, STR_LIT("01234567890123456789012345678901"), &there));
	ck_assert(!there);
}
END_TEST

START_TEST(a_package_is_shown_whole_or_not_wherever_the_connection_breaks)
{
	for (int n = 1; n < 8; n++) {
		for (int after = 0; after < 2; after++) {
			struct id upload;
			struct package p = begun((char)('c' + 2 * n + after), 1, &upload);
			enum err e;

			db_fail_at(f.db, n, after);
			e = package_store_finish(f.db, &f.cx, &upload, &p);
			db_fail_at(f.db, 0, false);
			ck_assert_msg(e == OK, "%s", f.cx.message);
			ck_assert(is_there(&p));
		}
	}
	sweep();
	ck_assert_int_eq(count("SELECT COUNT(*) FROM package_piece"), count("SELECT COUNT(*) FROM package"));
}
END_TEST

START_TEST(an_upload_that_nobody_finishes_is_swept_and_can_be_finished_no_more)
{
	struct id young, old;
	struct package p = begun('d', 40, &old);

	an_hour_passes();
	begun('e', 1, &young);
	sweep();
	ck_assert_int_eq(count("SELECT COUNT(*) FROM package_piece"), 1);
	ck_assert_int_eq(count("SELECT COUNT(*) FROM package_upload"), 1);
	ck_assert_int_eq(package_store_finish(f.db, &f.cx, &old, &p), ERR_BUSY);
	ck_assert(!is_there(&p));
	fine(package_store_drop(f.db, &f.cx, &young));
	sweep();
	ck_assert_int_eq(count("SELECT COUNT(*) FROM package_piece"), 0);
	ck_assert_int_eq(count("SELECT COUNT(*) FROM package_upload"), 0);
}
END_TEST

/* The newest revision of the code names the package. */
static void name_package(const struct package *p, const struct id *code)
{
	static const struct sql NAME = { "UPDATE revision SET package = ? WHERE code_id = ?", "ss" };

	fine(db_exec(f.db, &f.cx, &NAME, VALS(v_s(digest_of(p)), v_id(code))));
}

START_TEST(a_package_goes_when_no_code_and_nothing_that_waits_names_it)
{
	struct world w = given_world(&f);
	struct package p = given_package('f', 2);
	struct code_target target = target_of(&w, "zipped");
	struct claimed *c;

	name_package(&p, &target.code_id);
	an_hour_passes();
	sweep();
	ck_assert(is_there(&p)); /* a code has it */
	queue(&w, "zipped", 1, (struct task_order){ 0 }, NULL);
	fine(code_store_delete(f.db, &f.cx, &w.project, &target.code_id));
	sweep();
	ck_assert(is_there(&p)); /* a task waits that runs it */
	c = claim(&w, 1, 1);
	ck_assert(str_equal(c->package, digest_of(&p)));
	start(&w, c, 1);
	sweep();
	ck_assert(is_there(&p));
	ck_assert(settle(&w, c, 1, TASK_COMPLETE, CAUSE_EXIT));
	sweep();
	ck_assert(!is_there(&p));
	ck_assert_int_eq(count("SELECT COUNT(*) FROM package_piece"), 0);
}
END_TEST

START_TEST(a_package_that_nobody_names_has_an_hour)
{
	struct package p = given_package('g', 1);
	bool there;

	sweep();
	ck_assert(is_there(&p));
	an_hour_passes();
	fine(package_store_keep(f.db, &f.cx, digest_of(&p), &there));
	ck_assert(there);
	sweep();
	ck_assert(is_there(&p));
	an_hour_passes();
	sweep();
	ck_assert(!is_there(&p));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("package_store");
	Suite *s = suite_create("package_store");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_package_is_seen_when_it_is_whole_and_comes_back_piece_by_piece);
	tcase_add_test(t, the_same_package_twice_is_stored_once);
	tcase_add_test(t, a_package_is_shown_whole_or_not_wherever_the_connection_breaks);
	tcase_add_test(t, an_upload_that_nobody_finishes_is_swept_and_can_be_finished_no_more);
	tcase_add_test(t, a_package_goes_when_no_code_and_nothing_that_waits_names_it);
	tcase_add_test(t, a_package_that_nobody_names_has_an_hour);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
