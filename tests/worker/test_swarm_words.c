/* What a swarm's container has to say: its lines, the end of its output, and the manager's answers. */
#include "worker/monitor/engine_json.h"
#include "worker/monitor/init_ring.h"
#include "worker/monitor/swarm_frame.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

START_TEST(a_line_says_what_was_put_into_it)
{
	static struct swarm_frame in, out;
	static char line[SWARM_LINE_MAX];
	size_t n;

	for (uint32_t length = 0; length <= SWARM_DATA_MAX; length += length < 8 ? 1 : 511) {
		in = (struct swarm_frame){ .seq = UINT64_MAX / 10, .type = SWARM_OUTPUT, .n = { 2, length, 0, UINT64_MAX / 10 },
			                   .length = length };
		for (uint32_t i = 0; i < length; i++)
			in.data[i] = (uint8_t)(i * 7 + length);
		n = swarm_frame_format(&in, line);
		ck_assert_uint_le(n, SWARM_LINE_MAX);
		ck_assert_ptr_eq(memchr(line, '\n', n), line + n - 1);
		ck_assert(swarm_frame_parse(line, n - 1, &out));
		ck_assert_uint_eq(out.seq, in.seq);
		ck_assert_int_eq(out.type, in.type);
		ck_assert_mem_eq(out.n, in.n, sizeof in.n);
		ck_assert_uint_eq(out.length, length);
		ck_assert_mem_eq(out.data, in.data, length);
	}
}
END_TEST

START_TEST(what_is_no_line_is_none)
{
	static const char *const lines[] = { "", "1", "1 O 0 0 0 ", "x O 0 0 0 0 ", "1 Q 0 0 0 0 ", "1 O 0 0 0 0 abc", "1 O 0 0 0 0 ab=c",
		                             "1 O 0 0 0 0 ab c", "1 O -1 0 0 0 ", " 1 O 0 0 0 0 ", "1  O 0 0 0 0 " };
	static struct swarm_frame out;

	ck_assert(swarm_frame_parse("1 O 0 0 0 0 ", 12, &out));
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		ck_assert_msg(!swarm_frame_parse(lines[i], strlen(lines[i]), &out), "\"%s\"", lines[i]);
}
END_TEST

/* The same numbers in each run. */
static uint32_t any_of(uint32_t *seed, uint32_t most)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 16) % most;
}

/* Pieces of all sizes, of both streams by turns: what comes out is the end of what went in, and the rest is counted. */
START_TEST(the_end_of_the_output_is_kept_to_the_byte)
{
	enum { ALL = 300000, KEEP = 10000 };
	static uint8_t all[ALL], streams[ALL], out[RING_RECORD_MAX];
	uint8_t stream;
	size_t at = 0, n, lines = 0;
	uint32_t seed = (uint32_t)_i;
	struct ring r;

	ck_assert(ring_open(&r, KEEP));
	for (size_t piece; at < ALL; at += piece) {
		piece = any_of(&seed, _i % 2 ? 9000 : 40) + 1;
		piece = piece < ALL - at ? piece : ALL - at;
		stream = (uint8_t)(any_of(&seed, 2) + 1);
		for (size_t i = at; i < at + piece; i++) {
			all[i] = (uint8_t)any_of(&seed, 20);
			streams[i] = stream;
		}
		ring_put(&r, stream, all + at, piece);
	}
	at = (size_t)r.dropped_bytes;
	ck_assert_uint_le(at, ALL - KEEP);
	ck_assert_uint_ge(at, ALL - KEEP - RING_RECORD_MAX);
	for (size_t i = 0; i < at; i++)
		lines += all[i] == '\n';
	ck_assert_uint_eq(r.dropped_lines, lines);
	for (; (n = ring_take(&r, &stream, out)); at += n) {
		ck_assert_mem_eq(out, all + at, n);
		ck_assert_int_eq(stream, streams[at]);
		ck_assert_int_eq(stream, streams[at + n - 1]);
	}
	ck_assert_uint_eq(at, ALL);
	munmap(r.bytes, r.room);
}
END_TEST

START_TEST(single_values_are_found_in_an_answer)
{
	static const char answer[] =
		" [ {\"ID\" : \"a\\\"b\", \"Spec\":{\"ID\":\"other\",\"x\":[1,{\"State\":\"}\"}]}, \"Status\":{\"State\":\"running\",\"n\":-7}},\n"
		"{\"ID\":\"second\",\"Status\":null} ] ";
	const char *one = engine_json_first(answer), *two = engine_json_next(one);
	char text[16];

	ck_assert_str_eq(engine_json_text(engine_json_find(one, "ID"), text, sizeof text), "a\\\"b");
	ck_assert_str_eq(engine_json_text(engine_json_find(engine_json_find(one, "Status"), "State"), text, sizeof text), "running");
	ck_assert_int_eq(engine_json_number(engine_json_find(engine_json_find(one, "Status"), "n")), -7);
	ck_assert_ptr_null(engine_json_find(one, "State"));
	ck_assert_str_eq(engine_json_text(engine_json_find(two, "ID"), text, 4), "sec");
	ck_assert_ptr_null(engine_json_find(engine_json_find(two, "Status"), "State"));
	ck_assert_ptr_null(engine_json_next(two));
	ck_assert_ptr_null(engine_json_first("[]"));
	ck_assert_ptr_null(engine_json_find("{\"a\":{\"b\"", "c")); /* an answer that was cut */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("swarm_words");
	TCase *t = tcase_create("swarm_words");
	SRunner *r;
	int failed;

	tcase_add_test(t, a_line_says_what_was_put_into_it);
	tcase_add_test(t, what_is_no_line_is_none);
	tcase_add_loop_test(t, the_end_of_the_output_is_kept_to_the_byte, 0, 6);
	tcase_add_test(t, single_values_are_found_in_an_answer);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
