#include "worker/courier/lane.h"

#include <check.h>
#include <stdlib.h>

enum { CALLS = 8, SECOND = 1000000 };

static struct lanes *lanes;

static void set_up(void)
{
	lanes = lanes_new(CALLS);
}

static void tear_down(void)
{
	lanes_free(lanes);
}

START_TEST(an_unknown_receiver_gets_one_call_until_it_has_answered_well)
{
	struct lane *lane = lanes_get(lanes, 1);

	ck_assert_uint_eq(lane_calls(lanes, lane, 0), 1);
	lane_succeeded(lane);
	ck_assert_uint_eq(lane_calls(lanes, lane, 0), CALLS);
	ck_assert_uint_eq(lane_room(lanes, lane, 0), CALLS + LANE_AHEAD);
	lane->open = 3;
	lane->waiting = 4;
	ck_assert_uint_eq(lane_room(lanes, lane, 0), CALLS + LANE_AHEAD - 7);
	lane_failed(lane, 0, 0, 0);
	ck_assert_uint_eq(lane_calls(lanes, lane, 0), 1);
	ck_assert_uint_eq(lane_room(lanes, lane, 0), 0);
}
END_TEST

START_TEST(five_failures_close_it_for_pauses_that_grow_each_within_a_fifth)
{
	for (uint32_t random = 0; random < 4000000000u; random += 999999937u) {
		struct lane *lane = lanes_get(lanes, random + 1);
		int64_t now = 0, pause = LANE_PAUSE_LEAST_S;

		for (int i = 1; i < LANE_FAILURES_MOST; i++) {
			lane_failed(lane, 0, now, random);
			ck_assert_uint_eq(lane_calls(lanes, lane, now), 1);
		}
		for (int i = 0; i < 12; i++) {
			lane_failed(lane, 0, now, random);
			ck_assert_uint_eq(lane_calls(lanes, lane, now), 0);
			ck_assert_uint_eq(lane_room(lanes, lane, now), 0);
			ck_assert_int_ge(lane_pause_s(lane, now), pause - pause / 5);
			ck_assert_int_le(lane_pause_s(lane, now), pause + pause / 5 + 1);
			now = lane->open_until_us;
			ck_assert_uint_eq(lane_calls(lanes, lane, now), 1);
			pause = pause * 2 < LANE_PAUSE_MOST_S ? pause * 2 : LANE_PAUSE_MOST_S;
		}
		lane_succeeded(lane);
		ck_assert_uint_eq(lane_calls(lanes, lane, now), CALLS);
	}
}
END_TEST

START_TEST(retry_after_closes_it_at_once)
{
	struct lane *lane = lanes_get(lanes, 1);

	lane_succeeded(lane);
	lane_failed(lane, 30, 0, 0);
	ck_assert_int_eq(lane_pause_s(lane, 0), 30);
	ck_assert_uint_eq(lane_calls(lanes, lane, 29 * SECOND), 0);
	ck_assert_uint_eq(lane_calls(lanes, lane, 30 * SECOND), 1);
}
END_TEST

START_TEST(a_call_by_hand_opens_it_for_one_and_a_failure_closes_it_again)
{
	struct lane *lane = lanes_get(lanes, 1);
	int64_t now = 0;

	for (int i = 0; i < LANE_FAILURES_MOST; i++)
		lane_failed(lane, 0, now, 0);
	ck_assert_uint_eq(lane_probes(lane, now), 1);
	ck_assert_uint_eq(lane_calls(lanes, lane, now), 0);
	lane_lift(lane);
	ck_assert_uint_eq(lane_calls(lanes, lane, now), 1);
	lane_failed(lane, 0, now, 0);
	ck_assert_uint_eq(lane_calls(lanes, lane, now), 0);
	lane->open = 1;
	ck_assert_uint_eq(lane_probes(lane, now), 0);
}
END_TEST

START_TEST(what_is_at_rest_is_forgotten_and_what_fails_is_not)
{
	lanes_get(lanes, 1);
	lane_failed(lanes_get(lanes, 2), 0, 0, 0);
	lanes_get(lanes, 3)->open = 1;
	lanes_get(lanes, 4)->more = true;
	lanes_get(lanes, 5)->untold = 1;
	lanes_tidy(lanes, 0);
	ck_assert_uint_eq(lanes_count(lanes), 4);
	ck_assert_int_eq(lanes_get(lanes, 2)->failures, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lane");
	TCase *t = tcase_create("lane");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, an_unknown_receiver_gets_one_call_until_it_has_answered_well);
	tcase_add_test(t, five_failures_close_it_for_pauses_that_grow_each_within_a_fifth);
	tcase_add_test(t, retry_after_closes_it_at_once);
	tcase_add_test(t, a_call_by_hand_opens_it_for_one_and_a_failure_closes_it_again);
	tcase_add_test(t, what_is_at_rest_is_forgotten_and_what_fails_is_not);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
