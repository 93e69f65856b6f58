#include "base/clock.h"
#include "base/zoneinfo.h"
#include "model/cron.h"

#include <stdio.h>
#include <stdlib.h>

/* Asked by oracle.js. Each line of stdin is
 *   zone TAB gap TAB repeat TAB from TAB to TAB list|sum TAB expression
 * and gets one line: the times in [from, to) as seconds since 1970, those that are skipped with a '!', or their
 * number and a hash of them. `gap` and `repeat` are numbers of the enums in cron.h, zone "" is UTC. */

static uint32_t mixed(uint32_t h, int64_t x)
{
	return ((h ^ (uint32_t)x) * 16777619u ^ (uint32_t)((uint64_t)x >> 32)) * 16777619u;
}

static const struct zone *zone_of(struct ctx *cx, struct str name)
{
	const struct zone *z;
	struct str bytes;

	if (!name.n)
		return zone_utc();
	if (zoneinfo_read(cx, "/usr/share/zoneinfo", name, ZONE_FILE_BYTES, &bytes) || zone_read(cx, name, bytes, &z)) {
		fprintf(stderr, "%s\n", cx->message);
		exit(1);
	}
	return z;
}

static void answer(const struct cron *c, const struct zone *z, const int64_t number[4], bool is_list)
{
	struct cron_time t = { .at = number[2] - 1 };
	uint32_t hash = 2166136261u;
	long n = 0;

	while (cron_next(c, z, (enum dst_gap)number[0], (enum dst_repeat)number[1], t.at, &t) && t.at < number[3]) {
		if (is_list)
			printf("%s%lld%s", n ? " " : "", (long long)t.at, t.is_skipped ? "!" : "");
		else
			hash = mixed(hash, t.at * 2 + t.is_skipped);
		n++;
	}
	if (is_list)
		printf("\n");
	else
		printf("%ld %u\n", n, hash);
}

int main(void)
{
	static const struct id ID;
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, stdin)) > 0) {
		auto_ctx cx = { 0 };
		struct str rest = str_bytes(line, (size_t)n - 1), field[7];
		int64_t number[4];
		struct cron c;

		for (int i = 0; i < 7; i++)
			str_cut(&rest, '\t', &field[i]);
		for (int i = 0; i < 4; i++)
			if (!str_int(field[i + 1], &number[i]))
				return 1;
		if (cron_parse(&cx, field[6], &ID, &c)) {
			printf("%s\n", cx.message);
			continue;
		}
		answer(&c, zone_of(&cx, field[0]), number, str_is(field[5], "list"));
	}
	free(line);
	return 0;
}
