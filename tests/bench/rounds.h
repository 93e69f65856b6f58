#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Figures of a benchmark: members of a ratio are measured in turn within each round, five rounds;
 * printed are least, median and most of each and the ratio of each round. Nothing here fails a
 * build: only ratios carry over from one machine to another. */
enum { ROUNDS = 5 };

struct figures {
	double v[ROUNDS];
};

/* "name  min / median / max unit" */
void figures_print(const char *name, const struct figures *f, const char *unit);
/* "name  median  (r1 r2 r3 r4 r5)  floor F" of a ÷ b by round. */
void figures_ratio(const char *name, const struct figures *a, const struct figures *b, const char *floor);
/* "name  median  (r1 r2 r3 r4 r5) unit: the median keeps|BREAKS the promise of MOST". True if the median is at most `most`. */
bool figures_promise(const char *name, const struct figures *f, double most, const char *unit);
/* Seconds of processor spent so far: by this machine on anything, all cores together; by one process, 0 if it is not there. */
double machine_busy_s(void);
double process_busy_s(pid_t pid);
/* The p-th part (0 to 1) of n samples, which are sorted in place. */
double part_of(double *samples, size_t n, double p);
/* Runs fn(arg, thread number) on `threads` threads for about `seconds`; fn does one unit of work per
 * call and returns how much that counts. Gives units a second. */
double rate_of(int threads, double seconds, double (*fn)(void *arg, int thread), void *arg);
