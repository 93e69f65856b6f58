#include "worker/launcher/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool write_map(pid_t pid, const char *which, const struct id_range *ids)
{
	char file[48], map[64];
	int n = snprintf(map, sizeof map, "%u %u %u\n", ids->inside, ids->outside, ids->count);
	int fd;
	bool done;

	snprintf(file, sizeof file, "/proc/%d/%s", (int)pid, which);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, map, (size_t)n) == n;
	if (fd >= 0)
		close(fd);
	return done;
}

enum err userns_open(struct ctx *cx, const struct id_range *users, const struct id_range *groups, int *fd)
{
	char file[48];
	/* a namespace needs a first member; it only waits to be killed */
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
	int err, ns = -1;

	if (pid == 0)
		for (;;)
			pause();
	if (pid < 0)
		return err_errno(cx, "make a user namespace");
	snprintf(file, sizeof file, "/proc/%d/ns/user", (int)pid);
	if (write_map(pid, "uid_map", users) && write_map(pid, "gid_map", groups))
		ns = open(file, O_RDONLY | O_CLOEXEC);
	err = errno;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	errno = err;
	if (ns < 0)
		return err_errno(cx, "map the ids from %u in a user namespace", users->outside);
	*fd = ns;
	return OK;
}
