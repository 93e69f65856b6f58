#pragma once
/* Named places before and after each commit and side effect, where a test build can be made to die:
 * FAULT_POINT("claim", "after_commit"). In any other build there is nothing.
 *
 * A test build (make FAULTS=1) has a folder, STOKER_FAULT_POINTS. A byte is added to its file
 * claim.after_commit with each pass, by whatever process; the file `table` there says what becomes of
 * which pass, one a line: claim.after_commit=kill@3, launch.before_monitor=stop@1 (SIGSTOP), and, of calls
 * of the system, fail. Here and not in a .c file, so that the monitor, which links nothing of lib, has it as
 * well. */
#ifndef STOKER_FAULT_POINTS
#define FAULT_POINT(what, when) ((void)0)
#else
#include <fcntl.h>
#include <signal.h>
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

/* Counts a pass; what the table has for it: 'k'ill, 's'top, 'f'ail, or 0. */
static inline char fault_due(const char *what, const char *when)
{
	static const char *const actions[] = { "kill", "stop", "fail" };
	char name[100], entry[140], table[4096] = "\n";
	long pass;
	ssize_t n;
	int fd;

	snprintf(name, sizeof name, "%s.%s", what, when);
	pass = fault_pass(name);
	fd = fault_open(STOKER_FAULT_POINTS "/table", O_RDONLY);
	if (fd < 0)
		return 0;
	n = read(fd, table + 1, sizeof table - 2);
	close(fd);
	table[n > 0 ? n + 1 : 1] = 0;
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		snprintf(entry, sizeof entry, "\n%s=%s@%ld\n", name, actions[i], pass);
		if (strstr(table, entry))
			return *actions[i];
	}
	return 0;
}

static inline void fault_point(const char *what, const char *when)
{
	char due = fault_due(what, when);

	if (due)
		kill(getpid(), due == 's' ? SIGSTOP : SIGKILL);
}
#define FAULT_POINT(what, when) fault_point(what, when)
#endif
