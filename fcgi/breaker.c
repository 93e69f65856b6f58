#include "fcgi/breaker.h"

static const int64_t HUNG_US = 1000000, OPEN_US = 1000000, PATIENCE_US = 700000;

bool breaker_allows(const struct breaker *b, int64_t now_us, int64_t waited_us)
{
	if (!b->open_until_us)
		return true;
	return now_us >= b->open_until_us && waited_us < PATIENCE_US;
}

void breaker_note(struct breaker *b, int64_t begun_us, int64_t now_us, bool busy)
{
	if (!busy)
		b->open_until_us = 0;
	else if (now_us - begun_us >= HUNG_US)
		b->open_until_us = now_us + OPEN_US;
}
