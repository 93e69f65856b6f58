#include "tests/bench/rounds.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS_MOST = 64 };

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double part_of(double *samples, size_t n, double p)
{
	if (!n)
		return 0;
	qsort(samples, n, sizeof *samples, by_value);
	return samples[(size_t)((double)(n - 1) * p + 0.5)];
}

void figures_print(const char *name, const struct figures *f, const char *unit)
{
	struct figures s = *f;

	qsort(s.v, ROUNDS, sizeof *s.v, by_value);
	printf("  %-26s %10.2f / %10.2f / %10.2f %s\n", name, s.v[0], s.v[ROUNDS / 2], s.v[ROUNDS - 1], unit);
	fflush(stdout);
}

void figures_ratio(const char *name, const struct figures *a, const struct figures *b, const char *floor)
{
	struct figures r;

	for (int i = 0; i < ROUNDS; i++)
		r.v[i] = b->v[i] > 0 ? a->v[i] / b->v[i] : 0;
	struct figures s = r;
	qsort(s.v, ROUNDS, sizeof *s.v, by_value);
	printf("%-28s %6.2f  (", name, s.v[ROUNDS / 2]);
	for (int i = 0; i < ROUNDS; i++)
		printf("%s%.2f", i ? " " : "", r.v[i]);
	printf(")  floor %s\n", floor);
	fflush(stdout);
}

bool figures_promise(const char *name, const struct figures *f, double most, const char *unit)
{
	struct figures s = *f;
	bool kept;

	qsort(s.v, ROUNDS, sizeof *s.v, by_value);
	kept = s.v[ROUNDS / 2] <= most;
	printf("%-28s %6.2f  (", name, s.v[ROUNDS / 2]);
	for (int i = 0; i < ROUNDS; i++)
		printf("%s%.2f", i ? " " : "", f->v[i]);
	printf(") %s: the median %s the promise of %g\n", unit, kept ? "keeps" : "BREAKS", most);
	fflush(stdout);
	return kept;
}

double machine_busy_s(void)
{
	double user = 0, nice = 0, kernel = 0;
	FILE *f = fopen("/proc/stat", "re");

	if (!f || fscanf(f, "cpu %lf %lf %lf", &user, &nice, &kernel) != 3)
		user = nice = kernel = 0;
	if (f)
		fclose(f);
	return (user + nice + kernel) / (double)sysconf(_SC_CLK_TCK);
}

double process_busy_s(pid_t pid)
{
	double user = 0, kernel = 0;
	char path[40];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lf %lf", &user, &kernel) != 2)
		user = kernel = 0;
	if (f)
		fclose(f);
	return (user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

struct lane {
	double (*fn)(void *, int);
	void *arg;
	int thread;
	int64_t until;
	double done;
};

static void *run_lane(void *p)
{
	struct lane *l = p;

	while (clock_boot_us() < l->until)
		l->done += l->fn(l->arg, l->thread);
	return NULL;
}

double rate_of(int threads, double seconds, double (*fn)(void *, int), void *arg)
{
	struct lane lanes[THREADS_MOST];
	pthread_t ids[THREADS_MOST];
	int64_t began = clock_boot_us();
	double done = 0;

	for (int i = 0; i < threads; i++) {
		lanes[i] = (struct lane){ fn, arg, i, began + (int64_t)(seconds * 1e6), 0 };
		if (pthread_create(&ids[i], NULL, run_lane, &lanes[i]))
			abort();
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		done += lanes[i].done;
	}
	return done / ((double)(clock_boot_us() - began) / 1e6);
}
