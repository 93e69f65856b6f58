#pragma once
#include <jansson.h>

#include "base/ctx.h"

/* Keys of a schedule that nobody reads. IronWorker passes over every unknown key, and its clients rely on it; but a misspelt
 * `cron` would make a schedule that runs at once, and never again. */
struct schedule_key {
	const char *name;
	bool is_ours; /* no client of IronWorker's sends it */
};

/* ERR_INPUT names a key that is not among `keys` and is like one of them (`crons`, `timeZone`, `cron_expression`), or comes
 * with a key of ours, or where nothing else says when it runs (start_at, delay, run_every, cron). Keys that
 * IronWorker's clients are known to send are passed over, and those of answers, so that what was read can be sent back. *ignored = the
 * first other one that is passed over, a view into `j`; NULL = there is none. */
enum err schedule_keys_check(struct ctx *cx, const json_t *j, const struct schedule_key *keys, size_t n, const char **ignored);
