#pragma once
#include <stdint.h>

#include "base/str.h"

/* Guessing is slow: after five failures within a minute an address is not heard until that minute is
 * over. Kept by each process for itself: with N processes an address has at most N times five tries. */
enum { BRAKE_FAILURES = 5, BRAKE_WINDOW_S = 60, BRAKE_ROWS = 64, BRAKE_WHO_BYTES = 46 };

struct brake {
	struct brake_row {
		char who[BRAKE_WHO_BYTES]; /* an address as text, cut */
		int failures;
		int64_t since_us;          /* CLOCK_BOOTTIME of the first of them */
	} rows[BRAKE_ROWS];
};

/* Seconds that `who` has to wait; 0 = may try. */
int brake_wait_s(const struct brake *b, struct str who, int64_t now_us);
/* One more failure. Of more than BRAKE_ROWS addresses the longest known is forgotten. */
void brake_note(struct brake *b, struct str who, int64_t now_us);
