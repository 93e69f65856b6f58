#pragma once
#include "base/clock.h"
#include "base/id.h"

struct arena;

/* Numbers, durations, sizes and times as people read them (dashboard.md 6). All in the arena. */

/* "1,204". */
char *words_number(struct arena *a, int64_t n);
/* "10,000+" from `ceiling` on. */
char *words_count(struct arena *a, int64_t n, int64_t ceiling);
/* "12 ms", "0.8 s", "12.4 s", "3 min 12 s", "2 h 05 min", "4 d 3 h"; below 0 as 0. */
char *words_duration(struct arena *a, int64_t us);
/* "just now", "12 s ago", "2 min ago", "5 h ago", "3 d ago"; "in 41 s" for what is to come. */
char *words_ago(struct arena *a, int64_t us, int64_t now_us);
/* "812 B", "61.9 KiB", "212 MiB". */
char *words_bytes(struct arena *a, int64_t bytes);
/* Today "08:12:03", this year "Mon 23 Nov 08:12", else "2025-11-23 08:12"; UTC. */
char *words_time(struct arena *a, int64_t us, int64_t now_us);
/* "Mon 2026-11-23" of a day since 1970. */
char *words_day(struct arena *a, int64_t day);
/* "2026-11-23 08:12:03.412 UTC". */
char *words_time_exact(struct arena *a, int64_t us);
/* "08:12:03.412": a line of a log. */
char *words_clock(struct arena *a, int64_t us);
/* The first and last six digits of an id: "6a1f3b…00c0de". */
char *words_id(struct arena *a, const struct id *id);
/* "SIGKILL" of 9; "signal 77" for those without a name. */
char *words_signal(struct arena *a, int64_t signal);
