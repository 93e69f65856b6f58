/* Taking more than one's share: each goes some way past the limit, and tells how far it came. */
#include "tests/escape/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 65536 };

static bool fork_bomb(void)
{
	long most = given_number("ESCAPE_PIDS"), n = 0;

	for (; n <= most; n++) {
		pid_t pid = fork();

		if (pid == 0)
			for (;;)
				pause();
		if (pid < 0)
			break;
	}
	told("%ld processes, then %s", n, n > most ? "no more tried" : strerror(errno));
	return n > most;
}

static void *wait_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static bool thread_bomb(void)
{
	long most = given_number("ESCAPE_PIDS"), n = 0;
	pthread_t thread;

	while (n <= most && (errno = pthread_create(&thread, NULL, wait_for_ever, NULL)) == 0)
		n++;
	told("%ld threads, then %s", n, n > most ? "no more tried" : strerror(errno));
	return n > most;
}

static bool take_memory(void)
{
	long bytes = given_number("ESCAPE_MEMORY") + (16 << 20);
	char *p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!worked(p == MAP_FAILED ? -1 : 0))
		return false;
	for (long i = 0; i < bytes; i += 4096)
		p[i] = 1;
	told("%ld bytes", bytes);
	return true;
}

/* Writes past `most`, into a file that nobody sees any more. */
static bool fill(const char *path, long most)
{
	static char block[BLOCK];
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	long n = 0;

	unlink(path);
	if (!worked(fd))
		return false;
	while (n <= most && write(fd, block, sizeof block) == (ssize_t)sizeof block)
		n += BLOCK;
	told("%ld bytes, then %s", n, n > most ? "no more tried" : strerror(errno));
	close(fd);
	return n > most;
}

static bool fill_scratch(void)
{
	return fill("/tmp/escape-fill", given_number("ESCAPE_SCRATCH"));
}

static bool fill_shared_memory(void)
{
	return fill("/dev/shm/escape-fill", 64 << 20);
}

static bool fill_dev(void)
{
	return fill("/dev/escape-fill", 1 << 20);
}

/* Files that are nowhere, each of a size that is allowed: no process is seen to hold the memory. */
static bool memory_files(void)
{
	long most = given_number("ESCAPE_MEMORY"), each = given_number("ESCAPE_SCRATCH") / 2, n = 0;
	static char block[BLOCK];
	bool is_held = false;

	while (n <= most && !is_held) {
		int fd = memfd_create("escape", MFD_CLOEXEC);

		is_held = fd < 0;
		for (long at = 0; at < each && !is_held; at += BLOCK, n += BLOCK)
			is_held = write(fd, block, sizeof block) != (ssize_t)sizeof block;
	}
	told("%ld bytes, then %s", n, n > most ? "no more tried" : strerror(errno));
	return n > most;
}

/* Makes empty files up to `most`, and takes them away again. */
static bool make_files(const char *folder, long most)
{
	char path[128];
	long n = 0;
	int err = 0;

	mkdir(folder, 0700);
	for (; n <= most && !err; n++) {
		int fd;

		snprintf(path, sizeof path, "%s/%ld", folder, n);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		err = fd < 0 ? errno : 0;
		close(fd);
	}
	told("%ld files, then %s", n, err ? strerror(err) : "no more tried");
	for (long i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/%ld", folder, i);
		unlink(path);
	}
	rmdir(folder);
	return !err;
}

static bool files_in_scratch(void)
{
	return make_files("/tmp/escape-files", given_number("ESCAPE_SCRATCH") / 4096);
}

static bool files_in_shared_memory(void)
{
	return make_files("/dev/shm/escape-files", 16384);
}

static bool files_in_dev(void)
{
	return make_files("/dev/escape-files", 1024);
}

static bool huge_file(void)
{
	int fd = open("/tmp/escape-huge", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	long done;

	signal(SIGXFSZ, SIG_IGN);
	done = ftruncate(fd, 1l << 40);
	worked(done);
	unlink("/tmp/escape-huge");
	return done == 0;
}

static bool open_files(void)
{
	struct rlimit r;
	long n = 0;

	getrlimit(RLIMIT_NOFILE, &r);
	told("at most %lld", (long long)r.rlim_max);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	while (n <= 65536 && dup(0) >= 0)
		n++;
	return n > 65536;
}

static bool lock_memory(void)
{
	void *p = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return worked(mlock(p, 16 << 20));
}

const struct attack LIMIT_ATTACKS[] = {
	{ "fork bomb", fork_bomb, NULL, false },
	{ "thread bomb", thread_bomb, NULL, false },
	{ "take memory", take_memory, NULL, false },
	{ "fill scratch", fill_scratch, NULL, false },
	{ "fill shared memory", fill_shared_memory, NULL, false },
	{ "fill /dev", fill_dev, NULL, false },
	{ "memfd", memory_files, NULL, true },
	{ "files in scratch", files_in_scratch, NULL, false },
	{ "files in shared memory", files_in_shared_memory, NULL, false },
	{ "files in /dev", files_in_dev, NULL, false },
	{ "huge file", huge_file, NULL, false },
	{ "open files", open_files, "sys_resource", false },
	{ "lock memory", lock_memory, NULL, false },
	{ 0 },
};
