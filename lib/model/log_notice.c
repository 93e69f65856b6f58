#include "model/log_notice.h"

#include "base/arena.h"

#include <stdio.h>

/* "4,120,331" */
static void with_commas(int64_t value, char *out, size_t size)
{
	char digits[24];
	size_t n = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)value), at = 0;

	for (size_t i = 0; i < n && at + 2 < size; i++) {
		if (i && (n - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = 0;
}

struct str log_notice(struct arena *a, int64_t end, int64_t first)
{
	char number[40];

	if (first <= end)
		return STR_LIT("");
	with_commas(first - end, number, sizeof number);
	return str_of(arena_printf(a, "\n… %s bytes left out here: of a long output the beginning and the end are kept …\n",
	                           number));
}
