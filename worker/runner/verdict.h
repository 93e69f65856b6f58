#pragma once
#include "base/str.h"
#include "model/cause.h"
#include "worker/monitor/exit_file.h"

struct arena;

/* What an attempt's exit file means: a pure table from the monitor's words to state, cause and the
 * sentence for people ("each its own true cause"). */
struct verdict_facts {
	int64_t memory_mb; /* the job's limits, for the sentence */
	int64_t pids;
	int64_t timeout_s;
	struct str last_line; /* of its output, any bytes; "" if none */
	bool adopted_dead;    /* found dead when this runner began: its node had been lost */
};
struct verdict verdict_of(const struct exit_file *end, const struct verdict_facts *facts);

/* A verdict that no exit file tells: it never began, or its node goes. `note` is cleaned and cut. */
struct verdict verdict_make(enum task_state state, enum cause cause, struct str note);

/* "SIGKILL" for 9; "signal 99" for one without a name. Good until the next call of this thread. */
const char *signal_name(int number);

/* The last line of `output` that is not blank, at most 200 bytes, cleaned for people; in the arena. */
struct str verdict_last_line(struct arena *a, struct str output);
/* Keeps the newest `output` for the task's msg: all of it, or from the first whole line on when it
 * was cut in front. */
void verdict_keep_output(struct verdict *v, struct str output, bool is_cut);
