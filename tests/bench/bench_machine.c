/* What machine is this: fdatasync, SELECT 1, fork and exec, a bare `crun run` where a bundle is given.
 *
 *   bench_machine CONFIG FOLDER [RUNTIME BUNDLE]  */
#include "base/clock.h"
#include "store/db.h"
#include "tests/bench/rounds.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAMPLES = 200 };
extern char **environ;

static double median_ms(void (*fn)(void *), void *arg, size_t n)
{
	double samples[SAMPLES];

	for (size_t i = 0; i < n; i++) {
		int64_t began = clock_boot_us();

		fn(arg);
		samples[i] = (double)(clock_boot_us() - began) / 1000;
	}
	return part_of(samples, n, 0.5);
}

static void sync_once(void *arg)
{
	static const char BLOCK[512] = { 1 };
	int fd = *(int *)arg;

	if (pwrite(fd, BLOCK, sizeof BLOCK, 0) != sizeof BLOCK || fdatasync(fd))
		perror("bench_machine: fdatasync");
}

static void select_once(void *arg)
{
	static const struct sql ONE = { "SELECT 1", "" };
	auto_ctx cx = { 0 };
	struct rows r;

	if (db_query(arg, &cx, &ONE, NULL, 0, &r) != OK)
		fprintf(stderr, "bench_machine: %s\n", cx.message);
}

static void exec_once(void *arg)
{
	char *argv[] = { "/bin/true", NULL };
	pid_t pid;

	(void)arg;
	if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) == 0)
		waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	auto_ctx cx = { 0 };
	struct settings settings;
	struct db *db;
	char *path;
	int fd;

	if (argc < 3 || settings_read(&cx, argv[1], &settings) != OK) {
		fprintf(stderr, "usage: bench_machine CONFIG FOLDER  %s\n", cx.message);
		return 2;
	}
	path = arena_printf(&cx.arena, "%s/fdatasync.%d", argv[2], (int)getpid());
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	db = db_new(&settings, DB_TASKS, DB_WAIT_WORKER_S);
	printf("machine: fdatasync %.3f ms, SELECT 1 %.3f ms, spawn and wait %.2f ms, %ld cores\n",
	       fd < 0 ? -1 : median_ms(sync_once, &fd, SAMPLES), median_ms(select_once, db, SAMPLES),
	       median_ms(exec_once, NULL, SAMPLES / 2), sysconf(_SC_NPROCESSORS_ONLN));
	db_free(db);
	close(fd);
	unlink(path);
	return 0;
}
