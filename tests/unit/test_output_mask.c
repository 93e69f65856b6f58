#include "model/output_mask.h"

#include "base/arena.h"
#include "base/buf.h"

#include <check.h>
#include <stdlib.h>

/* "o:text" and "e:text" are what one write to stdout or stderr brings; `cut` bytes go in at once. */
static char *through(struct arena *a, const struct output_mask *m, const char *const *writes, size_t cut)
{
	struct mask_run *r = mask_run_new(m);
	auto_buf out = { 0 };
	struct str held;
	size_t ready;

	for (; *writes; writes++) {
		struct str rest = str_of(*writes + 2);

		while (rest.n) {
			size_t n = cut && cut < rest.n ? cut : rest.n;

			mask_run_add(r, **writes == 'o' ? 1 : 2, str_bytes(rest.p, n));
			rest = str_bytes(rest.p + n, rest.n - n);
			held = mask_run_held(r, &ready);
			buf_add(&out, held.p, ready);
			mask_run_take(r, ready);
		}
	}
	mask_run_end(r);
	held = mask_run_held(r, &ready);
	ck_assert_uint_eq(ready, held.n);
	buf_str(&out, held);
	mask_run_free(r);
	return out.n ? arena_text(a, out.p) : arena_text(a, "");
}

static void expect(const char *const *values, const char *const *writes, const char *want)
{
	struct arena a = { 0 };
	struct str v[8];
	struct output_mask *m;
	size_t n = 0;

	for (; values[n]; n++)
		v[n] = str_of(values[n]);
	m = output_mask_new(v, n);
	ck_assert_ptr_nonnull(m);
	for (size_t cut = 0; cut < 12; cut++)
		ck_assert_str_eq(through(&a, m, writes, cut), want);
	output_mask_free(m);
	arena_release(&a);
}

#define LIST(...) (const char *const[]){ __VA_ARGS__, NULL }

START_TEST(a_value_is_masked_wherever_it_is_cut)
{
	expect(LIST("hunter2hunter2"), LIST("o:the word is hunter2hunter2, hunter2"), "the word is **************, *******");
	expect(LIST("hunter2hunter2"), LIST("o:the word is hunter2hunter2, hunter2!"), "the word is **************, hunter2!");
	expect(LIST("password"), LIST("o:pass", "o:word", "o:s passwor", "o:k"), "********s passwork");
	expect(LIST("aaaaaaaa"), LIST("o:aaaaaaaaaaaab"), "************b");
	expect(LIST("abcdefgh", "cdefghijkl"), LIST("o:xabcdefghijkly abcdefghijk"), "x************y ***********");
	expect(LIST("abcdabcdabcx", "dabcdabc"), LIST("o:abcdabcdabcdabcx"), "abc*************");
}
END_TEST

START_TEST(it_is_found_within_a_stream_and_across_both)
{
	expect(LIST("hunter2hunter2"), LIST("o:hunter2", "e:an error\n", "o:hunter2"), "*******an error\n*******");
	expect(LIST("hunter2hunter2"), LIST("o:hunter2", "e:hunter2"), "**************");
	expect(LIST("hunter2hunter2"), LIST("e:hunter2", "o:one", "e:hunter2", "o:two"), "*******one*******two");
	expect(LIST("hunter2hunter2"), LIST("e:hunter2", "o:one", "e:Hunter2", "o:two"), "hunter2oneHunter2two");
}
END_TEST

START_TEST(a_value_of_several_lines_is_masked_line_by_line)
{
	expect(LIST("-----BEGIN-----\r\nabc\nMIIEvQIBADAN\n"), LIST("o:-----BEGIN-----\nabc\nMIIEvQIBADAN\n"),
	       "***************\nabc\n************\n");
}
END_TEST

START_TEST(what_is_too_short_or_too_long_is_refused)
{
	char *value = calloc(1, OUTPUT_MASK_MOST + 2);

	memset(value, 'x', OUTPUT_MASK_MOST);
	ck_assert(output_mask_takes(str_of("12345678")) && output_mask_takes(str_of(value)) && output_mask_takes(str_of("a\n12345678")));
	value[OUTPUT_MASK_MOST] = 'x';
	ck_assert(!output_mask_takes(str_of("")) && !output_mask_takes(str_of("1234567")) && !output_mask_takes(str_of(value)));
	ck_assert(!output_mask_takes(str_of("1234567\n1234567\r\n")));
	ck_assert_ptr_null(output_mask_new(&STR_LIT("short"), 1));
	free(value);
}
END_TEST

/* A part of a value that never goes on must not hold the other stream's output up for ever. */
START_TEST(what_waits_for_too_long_is_masked_and_goes_on)
{
	struct str value = STR_LIT("hunter2hunter2");
	struct output_mask *m = output_mask_new(&value, 1);
	struct mask_run *r = mask_run_new(m);
	struct str held;
	size_t ready;

	mask_run_add(r, 1, STR_LIT("hunter2"));
	for (int i = 7; i <= OUTPUT_MASK_HOLD; i++) {
		mask_run_add(r, 2, STR_LIT("."));
		held = mask_run_held(r, &ready);
		ck_assert_uint_eq(ready, 0);
	}
	ck_assert_uint_eq(held.n, OUTPUT_MASK_HOLD + 1);
	mask_run_add(r, 2, STR_LIT("."));
	held = mask_run_held(r, &ready);
	ck_assert_uint_eq(ready, held.n); /* a stream that is silent does not keep back what the other one says */
	ck_assert(memcmp(held.p, "*******.", 8) == 0);
	mask_run_take(r, ready);
	mask_run_add(r, 1, STR_LIT("hunter2 in the clear"));
	mask_run_end(r);
	held = mask_run_held(r, &ready);
	ck_assert(str_is(held, "******* in the clear"));
	mask_run_free(r);
	output_mask_free(m);
}
END_TEST

/* --- behind a gap ----------------------------------------------------------------------------------- */
static void expect_behind_gap(const char *value, const char *const *writes, const char *want)
{
	struct str v = str_of(value), held;
	struct output_mask *m = output_mask_new(&v, 1);
	struct mask_run *r = mask_run_new(m), *copy;
	size_t ready;

	mask_run_add(r, 1, STR_LIT("before hun"));
	mask_run_gap(r);
	mask_run_take(r, 10);
	for (; *writes; writes++)
		mask_run_add(r, **writes == 'o' ? 1 : 2, str_of(*writes + 2));
	copy = mask_run_copy(r);
	for (struct mask_run *one = r; one; one = one == r ? copy : NULL) {
		mask_run_end(one);
		held = mask_run_held(one, &ready);
		ck_assert_uint_eq(ready, held.n);
		ck_assert_msg(str_is(held, want), STR_FMT " instead of %s", STR_ARG(held), want);
		mask_run_free(one);
	}
	output_mask_free(m);
}

START_TEST(behind_a_gap_the_rest_of_a_value_is_masked)
{
	expect_behind_gap("hunter2secret", LIST("o:unter2secret!"), "************!");
	expect_behind_gap("hunter2secret", LIST("o:cret and more"), "**** and more");
	expect_behind_gap("hunter2secret", LIST("o:ret is no part that says much"), "ret is no part that says much");
	expect_behind_gap("hunter2secret", LIST("o:2sec", "e:err", "o:ret!"), "****err***!"); /* within its stream */
	expect_behind_gap("hunter2secret", LIST("o:2s", "e:ecret!"), "*******!"); /* across both */
	expect_behind_gap("hunter2secret", LIST("o:ter2se"), "******"); /* its middle, and then the end */
	expect_behind_gap("hunter2secret", LIST("o:ter2se!"), "ter2se!");
	expect_behind_gap("hunter2secret", LIST("o:secrethunter2secret"), "*******************");
	expect_behind_gap("aaaaaaaaaa", LIST("o:aaaaaab"), "******b");
}
END_TEST

START_TEST(what_may_be_the_rest_of_a_value_waits_no_longer_than_anything_else)
{
	struct str v = STR_LIT("hunter2secret"), held;
	struct output_mask *m = output_mask_new(&v, 1);
	struct mask_run *r = mask_run_new(m);
	size_t ready;

	mask_run_gap(r);
	mask_run_add(r, 1, STR_LIT("2secre"));
	held = mask_run_held(r, &ready);
	ck_assert_uint_eq(ready, 0);
	for (int i = 6; i <= OUTPUT_MASK_HOLD + 1; i++)
		mask_run_add(r, 2, STR_LIT("."));
	held = mask_run_held(r, &ready);
	ck_assert_uint_eq(ready, held.n);
	ck_assert(memcmp(held.p, "******.", 7) == 0);
	mask_run_free(r);
	output_mask_free(m);
}
END_TEST

/* Masking a value of one letter in a flood of it costs a step a byte, not the value's length. */
START_TEST(a_flood_of_a_value_costs_little)
{
	size_t n = 4 << 20;
	char *flood = malloc(n);
	struct str value = { flood, OUTPUT_MASK_MOST };
	struct output_mask *m;
	struct mask_run *r;
	struct str held;
	size_t ready;

	memset(flood, 'a', n);
	m = output_mask_new(&value, 1);
	r = mask_run_new(m);
	mask_run_add(r, 1, str_bytes(flood, n));
	mask_run_end(r);
	held = mask_run_held(r, &ready);
	memset(flood, '*', n);
	ck_assert(str_equal(held, str_bytes(flood, n)));
	mask_run_free(r);
	output_mask_free(m);
	free(flood);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("output_mask");
	TCase *t = tcase_create("output_mask");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_value_is_masked_wherever_it_is_cut);
	tcase_add_test(t, it_is_found_within_a_stream_and_across_both);
	tcase_add_test(t, a_value_of_several_lines_is_masked_line_by_line);
	tcase_add_test(t, what_is_too_short_or_too_long_is_refused);
	tcase_add_test(t, what_waits_for_too_long_is_masked_and_goes_on);
	tcase_add_test(t, behind_a_gap_the_rest_of_a_value_is_masked);
	tcase_add_test(t, what_may_be_the_rest_of_a_value_waits_no_longer_than_anything_else);
	tcase_add_test(t, a_flood_of_a_value_costs_little);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
