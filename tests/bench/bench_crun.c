/* Bare `crun run` (or runc) of prepared bundles: the anchor of start and no-op lines.
 *
 *   bench_crun RUNTIME FOLDER first N       p50 in ms from posix_spawn to the first stdout byte
 *   bench_crun RUNTIME FOLDER rate P N      N runs, P at a time: runs a second
 *
 * FOLDER holds the bundles 0 to 7 and the state folder `r`. Where cgroups are hybrid the v2 part is
 * hidden in a private mount namespace, as Stoker's launcher does. */
#include "base/clock.h"
#include "tests/bench/rounds.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PARALLEL_MOST = 8, SAMPLES_MOST = 10000 };
extern char **environ;

struct run {
	pid_t pid;
	int out;
};

static struct run start(const char *runtime, const char *folder, int bundle)
{
	static unsigned serial;
	char root[512], path[512], id[64];
	char *argv[] = { (char *)(uintptr_t)runtime, "--root", root, "run", "--bundle", path, id, NULL };
	posix_spawn_file_actions_t actions;
	int pipes[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct run r;

	snprintf(root, sizeof root, "%s/r", folder);
	snprintf(path, sizeof path, "%s/%d", folder, bundle);
	snprintf(id, sizeof id, "bench-%d-%u", (int)getpid(), serial++);
	if (pipe2(pipes, O_CLOEXEC))
		abort();
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, null, 0);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], 1);
	if (posix_spawn(&r.pid, runtime, &actions, NULL, argv, environ))
		abort();
	posix_spawn_file_actions_destroy(&actions);
	close(pipes[1]);
	close(null);
	r.out = pipes[0];
	return r;
}

static void finish(struct run *r)
{
	char rest[256];
	int status;

	while (read(r->out, rest, sizeof rest) > 0)
		continue;
	close(r->out);
	waitpid(r->pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fprintf(stderr, "bench_crun: status %x\n", status);
}

static void first_byte(const char *runtime, const char *folder, int n)
{
	static double samples[SAMPLES_MOST];

	for (int i = 0; i < n; i++) {
		int64_t began = clock_boot_us();
		struct run r = start(runtime, folder, 0);
		char byte;

		if (read(r.out, &byte, 1) != 1)
			fprintf(stderr, "bench_crun: no output\n");
		samples[i] = (double)(clock_boot_us() - began) / 1000;
		finish(&r);
	}
	printf("%.3f\n", part_of(samples, (size_t)n, 0.5));
}

static void rate(const char *runtime, const char *folder, int parallel, int n)
{
	struct run running[PARALLEL_MOST];
	struct pollfd ends[PARALLEL_MOST];
	int64_t began = clock_boot_us();
	int started = 0, ended = 0;

	for (; started < parallel && started < n; started++) {
		running[started] = start(runtime, folder, started);
		ends[started] = (struct pollfd){ running[started].out, POLLIN, 0 };
	}
	while (ended < n) {
		if (poll(ends, (nfds_t)parallel, -1) < 0)
			abort();
		for (int i = 0; i < parallel; i++) {
			if (!ends[i].revents)
				continue;
			finish(&running[i]); /* reads up to the end of its output, which is near */
			ended++;
			ends[i].fd = -1;
			if (started < n) {
				running[i] = start(runtime, folder, i);
				ends[i].fd = running[i].out;
				started++;
			}
		}
	}
	printf("%.3f\n", n / ((double)(clock_boot_us() - began) / 1e6));
}

int main(int argc, char **argv)
{
	if (argc < 5 || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL)) {
		fprintf(stderr, "usage: bench_crun RUNTIME FOLDER first N | rate P N   (as root)\n");
		return 2;
	}
	/* crun makes folders there even so: on a tmpfs that goes with this namespace */
	if (umount2("/sys/fs/cgroup/unified", MNT_DETACH) == 0 &&
	    mount("tmpfs", "/sys/fs/cgroup/unified", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755"))
		perror("bench_crun: hide the v2 half of hybrid cgroups");
	if (strcmp(argv[3], "first") == 0)
		first_byte(argv[1], argv[2], (int)strtol(argv[4], NULL, 10));
	else if (argc > 5)
		rate(argv[1], argv[2], (int)strtol(argv[4], NULL, 10), (int)strtol(argv[5], NULL, 10));
	return 0;
}
