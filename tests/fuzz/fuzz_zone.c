#include "base/text.h"
#include "model/cron.h"
#include "model/zone.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* Time zones out of foreign TZif bytes. Whatever is taken for one knows an offset for every moment: spans follow each
 * other without a hole, neighbours differ, and cron finds its way through them. */
enum { SPANS = 50 };
static const int64_t FAR = INT64_C(1) << 40; /* seconds: some 35,000 years */

static void judge_span(struct arena *a, const struct zone *z, struct zone_span s, int64_t at)
{
	must(s.from <= at && at < s.to);
	must(s.offset > -200000 && s.offset < 200000);
	text_utf8(a, zone_abbreviation(z, at));
}

static void walk(struct arena *a, const struct zone *z, int64_t from)
{
	struct zone_span s = zone_span_at(z, from), next;

	judge_span(a, z, s, from);
	for (int i = 0; i < SPANS && s.to < FAR; i++, s = next) {
		next = zone_span_at(z, s.to);
		judge_span(a, z, next, s.to);
		must(next.from == s.to && next.offset != s.offset);
		must(zone_span_at(z, next.to - 1).from == next.from);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_ctx cx = { 0 };
	const struct zone *z;
	struct id id = { 0 };
	struct cron_time t;
	struct cron c;
	int64_t at = 0;

	if (zone_read(&cx, STR_LIT("Test"), str_bytes(data, size), &z) != OK) {
		must(cx.err == ERR_INPUT);
		return 0;
	}
	must(size <= ZONE_FILE_BYTES);
	walk(&cx.arena, z, -FAR);
	walk(&cx.arena, z, 0);
	walk(&cx.arena, z, INT64_C(1924992000)); /* 2031: beyond the table, by the footer */
	must(cron_parse(&cx, STR_LIT("30 2 * * *"), &id, &c) == OK);
	for (int i = 0; i < SPANS && cron_next(&c, z, DST_GAP_AUTO, DST_REPEAT_BOTH, at, &t); i++) {
		must(t.at > at);
		at = t.at;
	}
	return 0;
}
