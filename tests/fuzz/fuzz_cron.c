#include "base/clock.h"
#include "model/cron.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* Cron expressions: a moment and rules in front, then the text. What was accepted fires, at moments that go up,
 * whatever the zone and the rules; each is the first after any moment before it. */
enum { MOMENTS = 20, HEAD = 6 };

/* Central Europe by the footer alone: two blocks of no change and one kind of time, then the rule. */
static const struct zone *zone_of(struct ctx *cx)
{
	enum { BLOCK = 44 + 6 + 4, TYPES_AT = 39, CHARS_AT = 43, NAME_AT = 50 };
	static const char FOOTER[] = "\nCET-1CEST,M3.5.0,M10.5.0/3\n";
	char file[2 * BLOCK + sizeof FOOTER - 1] = { 0 };
	const struct zone *z;

	for (char *block = file; block < file + 2 * BLOCK; block += BLOCK) {
		memcpy(block, "TZif2", 5);
		block[TYPES_AT] = 1;
		block[CHARS_AT] = 4;
		memcpy(block + NAME_AT, "UTC", 4);
	}
	memcpy(file + 2 * BLOCK, FOOTER, sizeof FOOTER - 1);
	must(zone_read(cx, STR_LIT("Test"), str_bytes(file, sizeof file), &z) == OK);
	return z;
}

static void walk(const struct cron *c, const struct zone *z, enum dst_gap gap, enum dst_repeat repeat, int64_t after)
{
	struct cron_time t, again;

	for (int i = 0; i < MOMENTS && cron_next(c, z, gap, repeat, after, &t); i++) {
		must(t.at > after);
		must(!t.is_skipped || t.in_gap);
		must(gap != DST_GAP_END || !t.is_skipped);
		must(cron_next(c, z, gap, repeat, after + (t.at - after) / 2, &again) || t.at - after == 1);
		must(t.at - after == 1 || again.at == t.at);
		after = t.at;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_ctx cx = { 0 };
	struct id id = { 0 };
	struct cron c;
	struct str text;
	int64_t at = 0;

	if (size < HEAD)
		return 0;
	memcpy(&at, data, 4);
	memcpy(id.b, data + 4, 2);
	text = str_bytes(data + HEAD, size - HEAD);
	if (cron_parse(&cx, text, &id, &c) != OK) {
		must(cx.err == ERR_INPUT && cx.message[0]);
		return 0;
	}
	must(str_trim(text).n <= CRON_BYTES);
	must(cron_next_local(&c, at, &at));
	must(cron_words(&cx.arena, &c, text)[0]);
	walk(&c, zone_utc(), DST_GAP_AUTO, DST_REPEAT_AUTO, at);
	walk(&c, zone_of(&cx), (enum dst_gap)(data[4] % 3), (enum dst_repeat)(data[5] % 4), at);
	return 0;
}
