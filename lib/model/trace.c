#include "model/trace.h"

static bool is_hyphen(size_t at)
{
	return at == 2 || at == 35 || at == 52;
}

static bool is_lower_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool has_but(struct str s, char c)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != c)
			return true;
	return false;
}

bool trace_is_parent(struct str s)
{
	if (s.n != TRACEPARENT_BYTES)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (is_hyphen(i) ? s.p[i] != '-' : !is_lower_hex(s.p[i]))
			return false;
	return has_but(str_bytes(s.p, 2), 'f') && has_but(str_bytes(s.p + 3, 32), '0') && has_but(str_bytes(s.p + 36, 16), '0');
}
