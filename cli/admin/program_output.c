#include "cli/admin/program_output.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { WAIT_MS = 20000 }; /* the launcher's probe says all at its end, and gives each daemon 3 s */

static bool spawn(char *const argv[], int output, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	bool started;

	if (posix_spawn_file_actions_init(&actions))
		return false;
	started = !posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) &&
	          !posix_spawn_file_actions_adddup2(&actions, output, 1) &&
	          !posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) &&
	          !posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return started;
}

/* Reads to the end, or kills it: what comes behind `size` is read and dropped. */
static void drain(int fd, pid_t pid, char *out, size_t size)
{
	struct pollfd p = { fd, POLLIN, 0 };
	size_t n = 0;

	for (;;) {
		char spare[512];
		bool full = n + 1 >= size;
		ssize_t got;

		if (poll(&p, 1, WAIT_MS) <= 0) {
			kill(pid, SIGKILL);
			break;
		}
		got = full ? read(fd, spare, sizeof spare) : read(fd, out + n, size - 1 - n);
		if (got <= 0)
			break;
		n += full ? 0 : (size_t)got;
	}
	out[n] = 0;
}

bool program_output(char *const argv[], char *out, size_t size)
{
	int pipes[2], status = -1;
	bool started;
	pid_t pid;

	out[0] = 0;
	if (pipe2(pipes, O_CLOEXEC))
		return false;
	started = spawn(argv, pipes[1], &pid);
	close(pipes[1]);
	if (started) {
		drain(pipes[0], pid, out, size);
		waitpid(pid, &status, 0);
	}
	close(pipes[0]);
	return started && status == 0;
}
