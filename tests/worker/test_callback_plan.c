/* The plan of tries against the database: its clock is turned, nobody waits for days. */
#include "base/clock.h"
#include "base/crypt.h"
#include "store/outbox_store.h"
#include "tests/support/store_fixture.h"
#include "worker/courier/retry.h"

#include <check.h>

static struct store_fixture f;

/* Issue and documentation: 5 s, 5 min, 30 min, 2, 5, 10, 14, 20, 24 h. */
static const int64_t PAUSES_S[] = { 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400 };
enum { PAUSE_COUNT = sizeof PAUSES_S / sizeof *PAUSES_S, HOLD_S = 1 };

static bool take(struct outbox_row *out)
{
	struct outbox_want want = { .room_of_unknown = 10, .most = 10, .hold_s = HOLD_S };
	struct outbox_taken taken;

	ck_assert_msg(outbox_store_take(f.db, &f.cx, &want, &taken) == OK, "%s", f.cx.message);
	if (taken.n)
		*out = taken.rows[0];
	return taken.n > 0;
}

static void clock_at(int64_t us)
{
	ck_assert_msg(db_set_clock(f.db, &f.cx, us) == OK, "%s", f.cx.message);
}

static void told_failed(const struct outbox_row *row, int64_t next_s)
{
	struct outbox_outcome o = { .end = next_s < 0 ? OUTBOX_GIVEN_UP : OUTBOX_AGAIN, .row = *row, .tried = true, .status = 500,
		                    .next_s = next_s, .error = STR_LIT("no"), .address = STR_LIT(""), .answer = STR_LIT("") };

	ck_assert_msg(outbox_store_tell(f.db, &f.cx, &o, 1, NULL, 0) == OK, "%s", f.cx.message);
}

START_TEST(each_pause_of_the_plan_is_kept_within_a_fifth_by_the_databases_clock)
{
	struct retry_plan plan;
	struct outbox_row row;
	struct id project;
	int64_t now = clock_wall_us();
	uint32_t random;

	store_fixture_open(&f);
	ck_assert_int_eq(retry_plan_parse(&f.cx, f.set.courier.retry_s, &plan), OK);
	ck_assert_uint_eq(plan.n, PAUSE_COUNT);
	project = given_project(&f);
	given_code(&f, &project, "told");
	given_task(&f, &project, "told", "http://127.0.0.1:1/hook");
	run_in(&f, f.db, "UPDATE task SET state = 'cancelled', cause = 'cancelled', ended_at = NOW(6) WHERE state = 'queued'");
	clock_at(now += 1000000);
	ck_assert(take(&row));
	for (int64_t i = 0; i < PAUSE_COUNT; i++) {
		crypt_random(&random, sizeof random);
		told_failed(&row, retry_next(&plan, row.tries - row.plan_from, 500, 0, random));
		clock_at(now + PAUSES_S[i] * 800000 - 1000000); /* a second before the least */
		ck_assert_msg(!take(&row), "try %lld comes too early", (long long)i + 2);
		clock_at(now += PAUSES_S[i] * 1200000 + 1000000); /* a second after the most */
		ck_assert_msg(take(&row), "try %lld comes too late", (long long)i + 2);
		ck_assert_int_eq(row.tries, i + 1);
	}
	told_failed(&row, retry_next(&plan, row.tries - row.plan_from, 500, 0, 0));
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM outbox WHERE state = 'exhausted' AND tries = 10"), 1);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM delivery"), 10);
	store_fixture_close(&f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("callback_plan");
	TCase *t = tcase_create("callback_plan");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_set_timeout(t, 30);
	tcase_add_test(t, each_pause_of_the_plan_is_kept_within_a_fifth_by_the_databases_clock);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
