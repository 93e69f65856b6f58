#include "base/arena.h"
#include "base/clock.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* Times and numbers out of texts. A time that was read is a time that can be shown, and what is shown
 * reads as the same millisecond. */

static void show(struct arena *a, int64_t us)
{
	char *text = time_rfc3339(a, us);
	int64_t again;

	must(strlen(text) >= 20);
	if (us == TIME_NONE || us < time_days_from_civil(0, 1, 1) * 86400000000 ||
	    us >= time_days_from_civil(10000, 1, 1) * 86400000000)
		return;
	must(time_parse(str_of(text), &again));
	must(again <= us && us - again < 1000);
}

static void read_text(struct arena *a, struct str text)
{
	int64_t us = TIME_NONE, whole, number;

	if (time_parse(text, &us)) {
		must(us >= time_days_from_civil(0, 1, 1) * 86400000000);
		must(us < time_days_from_civil(10000, 1, 1) * 86400000000);
		show(a, us);
	} else {
		must(us == TIME_NONE);
	}
	if (str_int(text, &number)) {
		must(str_whole(text, &whole));
		must(whole == number);
	}
	str_whole(text, &whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };
	int64_t us;

	read_text(&a, str_bytes(data, size));
	if (size >= sizeof us) {
		memcpy(&us, data, sizeof us);
		show(&a, us);
	}
	arena_release(&a);
	return 0;
}
