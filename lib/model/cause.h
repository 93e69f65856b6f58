#pragma once
#include "base/ctx.h"
#include "model/task_state.h"

/* Why an attempt or task ended: one word in the column `cause`, and a sentence for people. */
#define CAUSES(X)                                  \
	X(EXIT,           "exit")            /* ended by itself; exit code says how */          \
	X(SIGNAL,         "signal")          /* the job died of a signal of its own */          \
	X(OUT_OF_MEMORY,  "out_of_memory")                                                      \
	X(TIMEOUT,        "timeout")                                                            \
	X(CANCELLED,      "cancelled")                                                          \
	X(EXPIRED,        "expired")                                                            \
	X(IMAGE,          "image")           /* not there, cannot be unpacked */                \
	X(PACKAGE,        "package")         /* not stored, damaged, cannot be unpacked */      \
	X(NOT_EXECUTABLE, "not_executable")  /* 126 */                                          \
	X(WRONG_PLATFORM, "wrong_platform")  /* 126, its program is for another machine */      \
	X(NOT_FOUND,      "not_found")       /* 127 */                                          \
	X(DECRYPTION,     "decryption")      /* its payload does not open with the cluster's key */ \
	X(LAUNCH,         "launch")          /* the runtime could not start it */               \
	X(NODE_LOST,      "node_lost")       /* no verdict: the next attempt follows */         \
	X(NODE_STOPPED,   "node_stopped")    /* ended with its grace by `down`; next attempt */ \
	X(ENGINE_RESTARTED, "engine_restarted") /* its daemon restarted, and killed it; next attempt */ \
	X(MONITOR_LOST,   "monitor_lost")    /* its monitor was killed */                       \
	X(POISON,         "poison")          /* its nodes died under it, too often */
#define X(name, text) CAUSE_##name,
enum cause { CAUSES(X) CAUSE_COUNT };
#undef X

const char *cause_name(enum cause c);
bool cause_parse(struct str text, enum cause *out);

enum { VERDICT_OUTPUT_BYTES = 1025 };
/* So many suspect attempts in so many hours, and a task is not tried again (reliability.md 5.7). */
enum { SUSPECTS_MOST = 3, SUSPECT_HOURS = 72 };

/* What a node saw of an attempt's end (from the monitor's exit file). */
struct verdict {
	enum task_state state;  /* settled state, or TASK_QUEUED = no verdict, next attempt */
	enum cause cause;
	int64_t exit_code;      /* -1 = none */
	int64_t signal;         /* 0 = none */
	int64_t oom_kills;
	int64_t max_rss_bytes, cpu_us;
	bool suspect;           /* its node or runner died under it, or was cut off: it may be why */
	int64_t ran_us;         /* start to end by the node's CLOCK_BOOTTIME; 0 = never started */
	char note[500];         /* the sentence */
	char output[VERDICT_OUTPUT_BYTES]; /* the last lines that it printed, "" if none: msg of a failed task */
};
