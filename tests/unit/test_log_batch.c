#include "model/log_batch.h"

#include <check.h>
#include <stdlib.h>

/* Lines out of pieces: whole, in order, wherever it is broken off. */
static struct arena a;
static const struct log_source OF = { .code = { "code", 4 }, .attempt = 1 };

static void tear_down(void)
{
	arena_release(&a);
}

static struct log_batch given_batch(size_t lines, size_t part)
{
	return (struct log_batch){ .arena = &a, .lines_most = lines, .bytes_most = 1 << 20, .part_bytes = part };
}

static void ck_message(const struct log_batch *b, size_t i, enum log_stream stream, const char *text)
{
	ck_assert_uint_lt(i, b->n);
	ck_assert_int_eq(b->messages[i].stream, stream);
	ck_assert_msg(str_is(b->messages[i].text, text), "%zu is \"" STR_FMT "\"", i, STR_ARG(b->messages[i].text));
}

/* Pieces as they stand: stream and text, all of one chunk; the log ends with them when `closed`. */
static struct log_position read_all(struct log_batch *b, const char *const (*pieces)[2], size_t n, bool closed)
{
	struct log_position at = { 0 };
	struct log_gather g;
	int64_t byte = 0;

	log_gather_begin(&g, b, &OF, &at);
	for (size_t i = 0; i < n; i++) {
		log_gather_add(&g, 0, byte, *pieces[i][0] - '0', 1000 + (int64_t)i, str_of(pieces[i][1]));
		byte += (int64_t)strlen(pieces[i][1]);
	}
	log_gather_chunk_end(&g, 0);
	if (closed)
		log_gather_flush(&g, false);
	log_gather_end(&g, &at);
	return at;
}

START_TEST(a_line_is_one_message_with_the_time_of_its_beginning_whatever_comes_between)
{
	static const char *const PIECES[][2] = { { "1", "on" }, { "2", "an error\n" }, { "1", "e\ntwo" }, { "1", "\r\n" }, { "2", "rest" } };
	struct log_batch b = given_batch(100, 1000);
	struct log_position at = read_all(&b, PIECES, 5, false);

	ck_assert_uint_eq(b.n, 3);
	ck_message(&b, 0, LOG_ERR, "an error");
	ck_message(&b, 1, LOG_OUT, "one");
	ck_message(&b, 2, LOG_OUT, "two");
	ck_assert_int_eq(b.messages[0].at, 1001);
	ck_assert_int_eq(b.messages[1].at, 1000);
	ck_assert_int_eq(b.messages[2].sequence, 3);
	ck_assert_int_eq(at.byte[0], 22); /* all of stdout; "rest" waits for its end */
	ck_assert_int_eq(at.byte[1], 18);
	ck_assert_int_eq(at.chunk, 0);
	b = given_batch(100, 1000);
	at = read_all(&b, PIECES, 5, true);
	ck_message(&b, 3, LOG_ERR, "rest");
	ck_assert_int_eq(at.byte[1], 22);
	ck_assert_int_eq(at.chunk, 1);
}
END_TEST

START_TEST(bytes_that_are_no_text_are_made_visible)
{
	static const char *const PIECES[][2] = { { "1", "a\tb\033[1m\377\303\244\n\n" } };
	struct log_batch b = given_batch(100, 1000);
	struct log_position at = { 0 };
	struct log_gather g;

	read_all(&b, PIECES, 1, true);
	ck_message(&b, 0, LOG_OUT, "a\tb\u241b[1m\ufffd\u00e4");
	ck_message(&b, 1, LOG_OUT, "");
	log_gather_begin(&g, &b, &OF, &at);
	log_gather_add(&g, 0, 0, 1, 1, str_bytes("x\0y\n", 4));
	log_gather_end(&g, &at);
	ck_message(&b, 2, LOG_OUT, "x\u2400y");
}
END_TEST

START_TEST(a_long_line_comes_in_parts_cut_between_characters)
{
	static const char *const PIECES[][2] = { { "1", "12345678\u00e4abcdefghijk\nnext\n" } };
	struct log_batch b = given_batch(100, 9);

	read_all(&b, PIECES, 1, true);
	ck_message(&b, 0, LOG_OUT, "12345678");
	ck_message(&b, 1, LOG_OUT, "\u00e4abcdefg");
	ck_message(&b, 2, LOG_OUT, "hijk");
	ck_message(&b, 3, LOG_OUT, "next");
	for (int64_t i = 0; i < 3; i++) {
		ck_assert_int_eq(b.messages[i].part, i + 1);
		ck_assert(b.messages[i].more == (i < 2));
	}
	ck_assert_int_eq(b.messages[3].part, 0);
}
END_TEST

START_TEST(what_was_left_out_is_told_between)
{
	struct log_batch b = given_batch(100, 1000);
	struct log_position at = { 0 };
	struct log_gather g;

	log_gather_begin(&g, &b, &OF, &at);
	log_gather_add(&g, 0, 0, 1, 1, STR_LIT("head\nunfinished"));
	log_gather_chunk_end(&g, 0);
	log_gather_add(&g, 1, 1015, 1, 2, STR_LIT("of it\ntail\n"));
	log_gather_end(&g, &at);
	ck_message(&b, 0, LOG_OUT, "head");
	ck_message(&b, 1, LOG_OUT, "unfinished");
	ck_assert_int_eq(b.messages[2].stream, LOG_NOTICE);
	ck_assert(str_find(b.messages[2].text, "1,000 bytes left out here") != (size_t)-1);
	ck_message(&b, 3, LOG_OUT, "of it");
	ck_message(&b, 4, LOG_OUT, "tail");
}
END_TEST

START_TEST(a_line_that_nobody_ends_does_not_have_the_rest_read_again_and_again)
{
	struct log_batch b = given_batch(100000, 1000);
	char line[1025];
	struct log_position at = { 0 };
	struct log_gather g;

	memset(line, 'x', 1024);
	line[1023] = '\n';
	log_gather_begin(&g, &b, &OF, &at);
	log_gather_add(&g, 0, 0, 1, 1, STR_LIT("password: "));
	for (int64_t i = 0; i < 300; i++) {
		log_gather_add(&g, i, 10 + i * 1024, 2, 2, str_bytes(line, 1024));
		log_gather_chunk_end(&g, i);
	}
	log_gather_end(&g, &at);
	ck_assert_int_gt(at.chunk, 200);
	ck_assert_int_eq(at.part[0], 1);
}
END_TEST

/* --- broken off anywhere ---------------------------------------------------------------------------------------- */

enum { PIECES = 60 };
struct piece {
	int64_t chunk, byte;
	int stream;
	char text[40];
};

static size_t random_pieces(struct piece *p, unsigned *dice)
{
	int64_t byte = 0, chunk = 0;

	for (size_t i = 0; i < PIECES; i++) {
		size_t n = (size_t)rand_r(dice) % 30 + 1;

		p[i] = (struct piece){ .chunk = chunk, .byte = byte, .stream = rand_r(dice) % 2 + 1 };
		for (size_t k = 0; k < n; k++)
			p[i].text[k] = "\nabcdefgh"[(unsigned)rand_r(dice) % 9];
		byte += (int64_t)n;
		chunk += rand_r(dice) % 3 == 0;
	}
	return PIECES;
}

/* Batches of at most so many lines, of the first `n` pieces; whole chunks are read from the position on. */
static void read_in_batches(struct log_batch *all, struct log_position *at, const struct piece *p, size_t n, size_t lines, bool closed)
{
	for (bool stopped = true; stopped;) {
		struct log_batch b = given_batch(lines, 50);
		struct log_gather g;
		size_t i = 0;

		log_gather_begin(&g, &b, &OF, at);
		while (i < n && p[i].chunk < at->chunk)
			i++;
		for (; i < n && log_gather_add(&g, p[i].chunk, p[i].byte, p[i].stream, 1, str_of(p[i].text)); i++)
			if (i + 1 == n || p[i + 1].chunk != p[i].chunk)
				log_gather_chunk_end(&g, p[i].chunk);
		stopped = g.stopped;
		if (closed && !stopped)
			log_gather_flush(&g, false);
		log_gather_end(&g, at);
		for (size_t k = 0; k < b.n; k++)
			log_batch_add(all, b.messages[k]);
	}
}

START_TEST(however_it_is_broken_off_each_line_is_there_once)
{
	unsigned dice = (unsigned)_i + 1;
	struct piece p[PIECES];
	size_t n = random_pieces(p, &dice);
	struct log_batch once = given_batch(10000, 50), pieces = given_batch(10000, 50);
	struct log_position whole = { 0 }, at = { 0 };

	read_in_batches(&once, &whole, p, n, 10000, true);
	/* as it grows, chunk by chunk, a few lines at a time */
	for (size_t end = 1; end <= n; end++)
		if (end == n || p[end].chunk != p[end - 1].chunk)
			read_in_batches(&pieces, &at, p, end, (size_t)rand_r(&dice) % 4 + 1, end == n);
	ck_assert_uint_eq(once.n, pieces.n);
	for (size_t k = 0; k < once.n; k++) {
		ck_assert_int_eq(pieces.messages[k].sequence, (int64_t)k + 1);
		ck_assert(str_equal(pieces.messages[k].text, once.messages[k].text));
		ck_assert_int_eq(pieces.messages[k].part, once.messages[k].part);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("log_batch");
	TCase *t = tcase_create("lines");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, NULL, tear_down);
	tcase_add_test(t, a_line_is_one_message_with_the_time_of_its_beginning_whatever_comes_between);
	tcase_add_test(t, bytes_that_are_no_text_are_made_visible);
	tcase_add_test(t, a_long_line_comes_in_parts_cut_between_characters);
	tcase_add_test(t, what_was_left_out_is_told_between);
	tcase_add_test(t, a_line_that_nobody_ends_does_not_have_the_rest_read_again_and_again);
	tcase_add_loop_test(t, however_it_is_broken_off_each_line_is_there_once, 0, 200);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
