#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one courier knows of receivers (outbox.lane): how each fares, how many deliveries are under way or
 * wait for a place. Pure: the time is passed in (microseconds, CLOCK_BOOTTIME).
 *
 * A receiver that was never called gets one call at a time until it has answered well; one that fails
 * FAILURES_MOST times in a row is not called for a while, which grows, and then once. */
struct delivery;
struct lane {
	struct lane *next;               /* in its bucket */
	int64_t key;
	struct delivery *first, **last;  /* what waits for a place, oldest first */
	size_t waiting, open;            /* those, and calls under way */
	size_t untold;                   /* whose outcome is not stored yet: they name it until it is */
	struct lane *next_ready;
	bool ready;                      /* in the list of those that may begin one */
	int64_t failures;                /* in a row */
	bool proven;                     /* its last answer was a success */
	int64_t open_until_us;           /* not called before */
	bool more;                       /* rows of it wait in the database */
	bool changed;                    /* failures or open_until are not stored yet */
};

enum { LANE_FAILURES_MOST = 5, LANE_PAUSE_LEAST_S = 10, LANE_PAUSE_MOST_S = 300, LANE_AHEAD = 64, LANE_AHEAD_UNKNOWN = 2 };

struct lanes;
struct lanes *lanes_new(size_t calls_most); /* most calls at once to a receiver that fares well */
void lanes_free(struct lanes *l);
/* Makes it when it is not known. */
struct lane *lanes_get(struct lanes *l, int64_t key);
/* Each known one, in no order, until `look` says false; it may not get new ones. */
void lanes_each(struct lanes *l, bool (*look)(void *arg, struct lane *lane), void *arg);
size_t lanes_count(const struct lanes *l);
/* Forgets those that are at rest and fare as new ones do. */
void lanes_tidy(struct lanes *l, int64_t now_us);

/* Calls that it may have under way. */
size_t lane_calls(const struct lanes *l, const struct lane *lane, int64_t now_us);
/* Rows that may be taken for it. */
size_t lane_room(const struct lanes *l, const struct lane *lane, int64_t now_us);
/* Rows by hand that may be taken for it while it is not called. */
size_t lane_probes(const struct lane *lane, int64_t now_us);
/* Seconds until it may be called again, 0 = now. */
int64_t lane_pause_s(const struct lane *lane, int64_t now_us);

void lane_succeeded(struct lane *lane);
/* `asked_s`: for so long at least it is not called, 0 = it did not ask. `random` spreads the pause by a fifth. */
void lane_failed(struct lane *lane, int64_t asked_s, int64_t now_us, uint32_t random);
/* Somebody asks for a call by hand: it may be called once now; another failure closes it again. */
void lane_lift(struct lane *lane);
