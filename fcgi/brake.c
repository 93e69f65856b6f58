#include "fcgi/brake.h"

static const int64_t WINDOW_US = INT64_C(1000000) * BRAKE_WINDOW_S;

static bool is_of(const struct brake_row *row, struct str who)
{
	if (who.n >= BRAKE_WHO_BYTES)
		who.n = BRAKE_WHO_BYTES - 1;
	return row->failures && str_is(who, row->who);
}

int brake_wait_s(const struct brake *b, struct str who, int64_t now_us)
{
	for (size_t i = 0; i < BRAKE_ROWS; i++) {
		const struct brake_row *row = &b->rows[i];

		if (is_of(row, who) && row->failures >= BRAKE_FAILURES && now_us - row->since_us < WINDOW_US)
			return (int)((row->since_us + WINDOW_US - now_us + 999999) / 1000000);
	}
	return 0;
}

static struct brake_row *row_of(struct brake *b, struct str who)
{
	struct brake_row *oldest = &b->rows[0];

	for (size_t i = 0; i < BRAKE_ROWS; i++) {
		if (is_of(&b->rows[i], who))
			return &b->rows[i];
		if (b->rows[i].since_us < oldest->since_us)
			oldest = &b->rows[i];
	}
	*oldest = (struct brake_row){ .failures = 0 };
	return oldest;
}

void brake_note(struct brake *b, struct str who, int64_t now_us)
{
	struct brake_row *row = row_of(b, who);

	if (!row->failures || now_us - row->since_us >= WINDOW_US) {
		*row = (struct brake_row){ .since_us = now_us };
		memcpy(row->who, who.p, who.n < BRAKE_WHO_BYTES ? who.n : BRAKE_WHO_BYTES - 1);
	}
	row->failures++;
}
