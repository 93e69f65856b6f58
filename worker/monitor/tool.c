#include "worker/monitor/tool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TOOL_MS = 10000 };

void tool_begin(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

bool tool_ended_well(pid_t pid)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	int status = -1;

	if (p.fd < 0 || poll(&p, 1, TOOL_MS) != 1)
		kill(pid, SIGKILL);
	if (p.fd >= 0)
		close(p.fd);
	waitpid(pid, &status, 0);
	errno = EIO;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
