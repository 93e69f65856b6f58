/* Output behind a full head, while the job runs: what of it is shipped for those who look on, and when. A log
 * shows it until its end; what is kept of the output is stored then, by follow.c, as if none of this were. */
#include "worker/runner/inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/log_live.h"

#include <stdlib.h>

enum { LEAST_US = 200000, FORGET_EACH = 16 };

struct live {
	struct spool_live spool;
	int64_t first[LOG_LIVE_CHUNKS]; /* bytes of the newest chunks */
	size_t count;
};

void live_end(struct job *j)
{
	if (!j->live)
		return;
	spool_live_end(&j->live->spool);
	free(j->live);
	j->live = NULL;
}

void live_stand_at(struct job *j, int64_t stored)
{
	live_end(j);
	j->live_stored = stored;
}

bool live_is_due(struct job *j)
{
	if (!j->runner->set->limits.log_live_bytes)
		return false;
	if (!j->live) {
		if (!spool_live_is_due(&j->spool))
			return false;
		j->live = calloc(1, sizeof *j->live);
		if (!j->live)
			abort();
		spool_live_begin(&j->live->spool, &j->spool, j->live_stored);
	}
	return spool_live_waiting(&j->live->spool) > 0;
}

/* Before which byte it may go; 0 = not now. */
static int64_t too_old(struct live *live, int64_t first, int64_t end)
{
	int64_t before = end - LOG_LIVE_BYTES, *oldest = &live->first[live->count % LOG_LIVE_CHUNKS];

	if (live->count >= LOG_LIVE_CHUNKS && *oldest > before)
		before = *oldest;
	*oldest = first;
	return ++live->count % FORGET_EACH == 1 && before > 0 ? before : 0;
}

bool live_read(struct job *j, struct spool_batch *out, int64_t *forget)
{
	int64_t rate = j->runner->set->limits.log_live_bytes, pause;
	auto_ctx cx = { 0 };

	if (!live_is_due(j))
		return false;
	if (spool_live_read(&j->live->spool, &cx, out) != OK)
		log_error("spool_unreadable", "attempt=%s why=\"%s\"", j->name, cx.message);
	pause = (int64_t)out->plain.n * 1000000 / rate;
	if (pause < LEAST_US && out->plain.n < SPOOL_CHUNK_BYTES)
		pause = LEAST_US; /* so that chunks are not small */
	j->live_due_us = clock_boot_us() + pause;
	if (!out->plain.n)
		return false;
	*forget = too_old(j->live, out->first_byte, out->first_byte + (int64_t)out->plain.n);
	return true;
}
