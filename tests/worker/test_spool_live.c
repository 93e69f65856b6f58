#include "worker/runner/spool_live.h"

#include "worker/monitor/spool_write.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What a monitor writes, read while it writes. */
enum { HEAD = 100000, TAIL = 1 << 20 };
static char folder[] = "/tmp/stoker-live-XXXXXX";
static struct spool spool;
static struct spool_reader head;
static struct spool_live live;
static bool is_live;

static void set_up(void)
{
	snprintf(folder, sizeof folder, "/tmp/stoker-live-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	spool_init(&spool, open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), getgid(), HEAD, TAIL);
	spool_reader_init(&head, folder);
	is_live = false;
}

static void tear_down(void)
{
	static const char *const FILES[] = { "head", "tail.0", "tail.1" };

	for (size_t i = 0; i < 3; i++)
		unlinkat(spool.dir, FILES[i], 0);
	close(spool.dir);
	rmdir(folder);
	spool_reader_close(&head);
	if (is_live)
		spool_live_end(&live);
}

/* n bytes of numbered lines of ten. */
static void writes(size_t n)
{
	static uint8_t frame[SPOOL_FRAME_BYTES + SPOOL_DATA_MAX];
	static char line[32];

	ck_assert_uint_eq(n % 10, 0);
	while (n) {
		size_t now = n < SPOOL_DATA_MAX - 6 ? n : SPOOL_DATA_MAX - 6;

		for (size_t i = 0; i < now; i += 10) {
			snprintf(line, sizeof line, "%09llu\n", (unsigned long long)(spool.bytes + i) / 10 % 1000000000);
			memcpy(frame + SPOOL_FRAME_BYTES + i, line, 10);
		}
		spool_put(&spool, 1, frame + SPOOL_FRAME_BYTES, now, 1000);
		n -= now;
	}
}

static void says(const char *text)
{
	uint8_t frame[SPOOL_FRAME_BYTES + 100];

	memcpy(frame + SPOOL_FRAME_BYTES, text, strlen(text));
	spool_put(&spool, 1, frame + SPOOL_FRAME_BYTES, strlen(text), 1000);
}

/* A frame of 65,000 bytes that begins with `text`. */
static void says_and_more(const char *text)
{
	static uint8_t frame[SPOOL_FRAME_BYTES + 65000];

	memset(frame, 'x', sizeof frame);
	memcpy(frame + SPOOL_FRAME_BYTES, text, strlen(text));
	spool_put(&spool, 1, frame + SPOOL_FRAME_BYTES, 65000, 1000);
}

static void read_head(void)
{
	auto_ctx cx = { 0 };
	struct spool_batch b = { 0 };

	do {
		buf_clear(&b.plain);
		b.piece_count = 0;
		ck_assert_int_eq(spool_read(&head, &cx, &b), OK);
	} while (b.plain.n);
	spool_batch_free(&b);
}

static void follow_from(int64_t byte)
{
	read_head();
	ck_assert(spool_live_is_due(&head));
	if (is_live)
		spool_live_end(&live);
	spool_live_begin(&live, &head, byte);
	is_live = true;
}

/* One chunk: numbered lines, wherever it begins. Returns its first byte; -1 = there was none. */
static int64_t chunk(int64_t *end)
{
	auto_ctx cx = { 0 };
	struct spool_batch b = { 0 };
	char line[32];
	int64_t first;

	ck_assert_int_eq(spool_live_read(&live, &cx, &b), OK);
	for (size_t i = 0; i < b.plain.n; i++) {
		int64_t at = b.first_byte + (int64_t)i;

		if (i == 0 || at % 10 == 0)
			snprintf(line, sizeof line, "%09lld\n", (long long)at / 10);
		if (b.plain.p[i] != line[at % 10])
			ck_abort_msg("byte %lld is not what was written", (long long)at);
	}
	if (b.plain.n)
		ck_assert_int_eq(b.first_line, b.first_byte / 10);
	first = b.plain.n ? b.first_byte : -1;
	*end = b.first_byte + (int64_t)b.plain.n;
	spool_batch_free(&b);
	return first;
}

/* Reads all that is there, which joins. */
static int64_t read_on(int64_t from)
{
	int64_t first, end;

	while ((first = chunk(&end)) >= 0) {
		ck_assert_int_eq(first, from);
		from = end;
	}
	return from;
}

START_TEST(it_begins_behind_a_full_head_and_goes_on_from_tail_to_tail)
{
	int64_t at = HEAD;

	writes(HEAD - 10);
	read_head();
	ck_assert(!spool_live_is_due(&head));
	writes(20);
	follow_from(0);
	for (int i = 0; i < 40; i++) {
		at = read_on(at);
		ck_assert_int_eq(at, (int64_t)spool.bytes);
		ck_assert_int_eq(spool_live_waiting(&live), 0);
		writes(99990);
		ck_assert_int_gt(spool_live_waiting(&live), 99990);
	}
	ck_assert_int_gt(spool.bytes, 3 * TAIL); /* both tails were begun anew */
}
END_TEST

START_TEST(a_new_runner_goes_on_at_the_exact_byte)
{
	writes(HEAD + TAIL / 10 * 10 + 300000);
	for (int64_t from = (int64_t)spool.bytes - 400003; from < (int64_t)spool.bytes; from += 50001) { /* of both tails */
		follow_from(from);
		ck_assert_int_eq(read_on(from), (int64_t)spool.bytes);
	}
	follow_from((int64_t)spool.bytes);
	ck_assert_int_eq(read_on(-1), -1);
}
END_TEST

START_TEST(who_falls_behind_goes_on_near_the_end)
{
	int64_t first, end;

	writes(HEAD + 10);
	follow_from(0);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(read_on(i ? -1 : HEAD) > 0, i == 0);
		writes(800000 + i * 700000); /* of the tail in hand, of the next one, and both once around */
		first = chunk(&end);
		ck_assert_int_gt(first, (int64_t)spool.bytes - SPOOL_LIVE_BEHIND);
		ck_assert_int_eq(read_on(end), (int64_t)spool.bytes);
	}
}
END_TEST

START_TEST(a_value_is_masked_across_head_and_tails_and_its_rest_behind_a_gap)
{
	struct str value = STR_LIT("hunter2hunter2");
	struct output_mask *m = output_mask_new(&value, 1);
	auto_ctx cx = { 0 };
	struct spool_batch b = { 0 };

	spool_reader_mask(&head, m);
	writes(HEAD - 10);
	says("and hunter2hunter2!");
	follow_from(0);
	ck_assert_int_eq(spool_live_read(&live, &cx, &b), OK);
	ck_assert(str_is(buf_view(&b.plain), "**************!")); /* the head's reader holds the first six still */
	ck_assert_int_eq(b.first_byte, HEAD - 6);
	spool_batch_free(&b);
	says("hunter2"); /* the next frame, which the mark stands before, begins with its rest */
	for (int i = 0; i < 9; i++)
		says_and_more("hunter2");
	ck_assert_int_eq(spool_live_read(&live, &cx, &b), OK);
	ck_assert_int_gt(b.first_byte, HEAD + 400000);
	ck_assert(memcmp(b.plain.p, "*******x", 8) == 0);
	spool_batch_free(&b);
	spool_live_end(&live);
	is_live = false;
	output_mask_free(m);
	spool_reader_mask(&head, NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("spool_live");
	TCase *t = tcase_create("spool_live");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, it_begins_behind_a_full_head_and_goes_on_from_tail_to_tail);
	tcase_add_test(t, a_new_runner_goes_on_at_the_exact_byte);
	tcase_add_test(t, who_falls_behind_goes_on_near_the_end);
	tcase_add_test(t, a_value_is_masked_across_head_and_tails_and_its_rest_behind_a_gap);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
