#include "fcgi/prefer.h"

/* One of `respond-async, wait=30; why="x"`: its name and value, without its parameters. */
static bool is_wait(struct str one, int *seconds)
{
	struct str name = STR_LIT(""), value = STR_LIT("");
	int64_t n;

	str_cut(&one, ';', &value);
	str_cut(&value, '=', &name);
	value = str_trim(value);
	if (value.n > 1 && value.p[0] == '"' && value.p[value.n - 1] == '"')
		value = str_bytes(value.p + 1, value.n - 2);
	if (!str_is_nocase(str_trim(name), "wait") || !str_int(value, &n) || n < 0)
		return false;
	*seconds = n < PREFER_WAIT_MOST_S ? (int)n : PREFER_WAIT_MOST_S;
	return true;
}

int prefer_wait_s(const struct request *rq)
{
	struct str header = request_header(rq, "Prefer"), one;
	int seconds = -1;

	while (str_cut(&header, ',', &one)) /* of a preference given twice the first one counts */
		if (is_wait(one, &seconds))
			break;
	return seconds;
}
