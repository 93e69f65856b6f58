#pragma once
#include <stdbool.h>
#include <stdint.h>

/* A database that hangs costs each request the two seconds after which it gives up, and requests
 * queue behind one another: the second in line would be answered after four. So after such a wait a
 * process says 503 at once for a second, and then lets one request try, unless that one has itself
 * waited too long to wait again: everybody has an answer within three seconds. */
struct breaker {
	int64_t open_until_us; /* CLOCK_BOOTTIME; 0 = the last try went well */
};

/* May a request that has waited `waited_us` already ask the database? */
bool breaker_allows(const struct breaker *b, int64_t now_us, int64_t waited_us);
/* What became of a request that began at `begun_us`: busy = it ended as ERR_BUSY. */
void breaker_note(struct breaker *b, int64_t begun_us, int64_t now_us, bool busy);
