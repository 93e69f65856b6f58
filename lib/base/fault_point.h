#pragma once
/* Named places before and after each commit and side effect, where a test build can be made to die:
 * FAULT_POINT("claim", "after_commit"). In any other build there is nothing.
 *
 * A test build (make FAULTS=1) has a folder, STOKER_FAULT_POINTS. A byte is added to its file
 * claim.after_commit with each pass, by whatever process; the file `table` there names the passes
 * that kill, one a line: claim.after_commit@3. Here and not in a .c file, so that the monitor, which
 * links nothing of lib, has it as well. */
#ifndef STOKER_FAULT_POINTS
#define FAULT_POINT(what, when) ((void)0)
#else
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* By the kernel's own names: what stands before the program's calls (tests/faults/nth_call.c) is not asked here. */
static inline int fault_open(const char *path, int flags)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0666);
}

/* Which pass of all processes this is; 0 = it cannot be counted. */
static inline long fault_pass(const char *name)
{
	char path[200];
	long pass = 0;
	int fd;

	snprintf(path, sizeof path, STOKER_FAULT_POINTS "/%s", name);
	fd = fault_open(path, O_WRONLY | O_CREAT | O_APPEND);
	if (fd >= 0 && syscall(SYS_write, fd, ".", 1) == 1)
		pass = (long)lseek(fd, 0, SEEK_CUR); /* where our own byte ends */
	if (fd >= 0)
		close(fd);
	return pass;
}

/* Counts a pass; true = the table has it. */
static inline bool fault_is_due(const char *what, const char *when)
{
	char name[100], entry[140], table[4096] = "\n";
	ssize_t n;
	int fd;

	snprintf(name, sizeof name, "%s.%s", what, when);
	snprintf(entry, sizeof entry, "\n%s@%ld\n", name, fault_pass(name));
	fd = fault_open(STOKER_FAULT_POINTS "/table", O_RDONLY);
	if (fd < 0)
		return false;
	n = read(fd, table + 1, sizeof table - 2);
	close(fd);
	table[n > 0 ? n + 1 : 1] = 0;
	return strstr(table, entry) != NULL;
}

static inline void fault_point(const char *what, const char *when)
{
	if (fault_is_due(what, when))
		kill(getpid(), SIGKILL);
}
#define FAULT_POINT(what, when) fault_point(what, when)
#endif
