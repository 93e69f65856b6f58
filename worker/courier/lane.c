#include "worker/courier/lane.h"

#include <stdlib.h>

enum { BUCKETS = 4096 };

struct lanes {
	size_t calls_most, n;
	struct lane *buckets[BUCKETS];
};

struct lanes *lanes_new(size_t calls_most)
{
	struct lanes *l = calloc(1, sizeof *l);

	if (!l)
		abort();
	l->calls_most = calls_most;
	return l;
}

void lanes_free(struct lanes *l)
{
	for (size_t i = 0; l && i < BUCKETS; i++)
		while (l->buckets[i]) {
			struct lane *lane = l->buckets[i];

			l->buckets[i] = lane->next;
			free(lane);
		}
	free(l);
}

struct lane *lanes_get(struct lanes *l, int64_t key)
{
	struct lane **bucket = &l->buckets[(uint64_t)key % BUCKETS], *lane;

	for (lane = *bucket; lane; lane = lane->next)
		if (lane->key == key)
			return lane;
	lane = calloc(1, sizeof *lane);
	if (!lane)
		abort();
	lane->key = key;
	lane->last = &lane->first;
	lane->next = *bucket;
	*bucket = lane;
	l->n++;
	return lane;
}

void lanes_each(struct lanes *l, bool (*look)(void *arg, struct lane *lane), void *arg)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct lane *lane = l->buckets[i]; lane; lane = lane->next)
			if (!look(arg, lane))
				return;
}

size_t lanes_count(const struct lanes *l)
{
	return l->n;
}

static bool is_at_rest(const struct lane *lane, int64_t now_us)
{
	return !lane->waiting && !lane->open && !lane->untold && !lane->ready && !lane->failures && !lane->more && !lane->changed &&
	       lane->open_until_us <= now_us;
}

void lanes_tidy(struct lanes *l, int64_t now_us)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct lane **at = &l->buckets[i]; *at;) {
			struct lane *lane = *at;

			if (!is_at_rest(lane, now_us)) {
				at = &lane->next;
				continue;
			}
			*at = lane->next;
			free(lane);
			l->n--;
		}
}

size_t lane_calls(const struct lanes *l, const struct lane *lane, int64_t now_us)
{
	if (lane->open_until_us > now_us)
		return 0;
	return lane->proven ? l->calls_most : 1;
}

size_t lane_room(const struct lanes *l, const struct lane *lane, int64_t now_us)
{
	size_t taken = lane->open + lane->waiting, most;

	if (lane->open_until_us > now_us)
		return 0;
	most = lane->proven ? l->calls_most + LANE_AHEAD : lane->failures ? 1 : LANE_AHEAD_UNKNOWN;
	return taken < most ? most - taken : 0;
}

size_t lane_probes(const struct lane *lane, int64_t now_us)
{
	return lane->open_until_us > now_us && !lane->open && !lane->waiting;
}

int64_t lane_pause_s(const struct lane *lane, int64_t now_us)
{
	return lane->open_until_us > now_us ? (lane->open_until_us - now_us + 999999) / 1000000 : 0;
}

void lane_succeeded(struct lane *lane)
{
	lane->changed |= lane->failures || lane->open_until_us;
	lane->proven = true;
	lane->failures = 0;
	lane->open_until_us = 0;
}

void lane_failed(struct lane *lane, int64_t asked_s, int64_t now_us, uint32_t random)
{
	int64_t pause_us = 0, fifth;

	lane->proven = false;
	lane->failures++;
	lane->changed = true;
	if (lane->failures >= LANE_FAILURES_MOST) {
		int64_t doublings = lane->failures - LANE_FAILURES_MOST, s = LANE_PAUSE_LEAST_S;

		s = doublings > 5 ? LANE_PAUSE_MOST_S : s << doublings;
		pause_us = (s < LANE_PAUSE_MOST_S ? s : LANE_PAUSE_MOST_S) * 1000000;
		fifth = pause_us / 5;
		pause_us += (int64_t)(random % (uint64_t)(2 * fifth + 1)) - fifth;
	}
	if (asked_s * 1000000 > pause_us)
		pause_us = asked_s * 1000000;
	if (pause_us && now_us + pause_us > lane->open_until_us)
		lane->open_until_us = now_us + pause_us;
}

void lane_lift(struct lane *lane)
{
	lane->changed |= lane->open_until_us != 0;
	lane->open_until_us = 0;
}
