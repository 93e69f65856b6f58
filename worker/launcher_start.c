#include "worker/launcher_start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHANNEL_FD = 3 };

/* `configured`, or the program of that name beside this one. */
static enum err program_path(struct ctx *cx, const char *configured, const char *name, char **out)
{
	char self[PATH_MAX];
	ssize_t n;
	char *slash;

	if (*configured) {
		*out = arena_text(&cx->arena, configured);
		return OK;
	}
	n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n < 0)
		return err_errno(cx, "find the folder of this program");
	self[n] = '\0';
	slash = strrchr(self, '/');
	*out = arena_printf(&cx->arena, "%.*s/%s", (int)(slash - self), self, name);
	return OK;
}

/* In the child; never returns. */
static void become_launcher(int fd, char **argv)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid(); /* a Ctrl-C is the runner's to hear: the launcher ends with its channel */
	if (fd == CHANNEL_FD ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, CHANNEL_FD) < 0)
		_exit(126);
	close_range(CHANNEL_FD + 1, UINT_MAX, 0);
	execv(argv[0], argv);
	fprintf(stderr, "stoker-worker: start %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void add_addresses(struct arena *a, struct str host, char **list)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all;
	char text[INET6_ADDRSTRLEN];

	if (!host.n || getaddrinfo(str_c(a, host), NULL, &hints, &all))
		return; /* the runner itself will say what is wrong with it */
	for (struct addrinfo *i = all; i; i = i->ai_next)
		if (getnameinfo(i->ai_addr, i->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0 && !strchr(text, '%'))
			*list = arena_printf(a, "%s%s%s", *list, **list ? "," : "", text);
	freeaddrinfo(all);
}

/* Where the databases are, which no job may reach: the launcher is told addresses, and asks nobody. */
static char *closed_addresses(struct arena *a, const struct settings *set)
{
	const struct settings_database *const both[] = { &set->database, &set->logs };
	char *list = arena_text(a, "");
	struct str rest, one;

	for (size_t i = 0; i < sizeof both / sizeof both[0]; i++)
		for (rest = str_of(both[i]->host); str_cut(&rest, ',', &one);)
			add_addresses(a, str_trim(one), &list);
	return list;
}

static char **add_daemon(const struct settings *set, const char *option, char **end)
{
	char *socket = settings_engine_socket(set, option + strlen("--"));

	if (!socket)
		return end;
	*end++ = (char *)option;
	*end++ = socket;
	return end;
}

enum err launcher_start(struct ctx *cx, const struct settings *set, const struct account *runner, int *channel)
{
	struct arena *a = &cx->arena;
	char *program, *closed;
	int pair[2];
	pid_t pid;

	closed = closed_addresses(a, set);
	TRY(program_path(cx, set->runner.launcher, "stoker-launcher", &program));
	if (access(program, X_OK))
		return err_errno(cx, "start %s", program);
	char *argv[] = {
		program, "--node", set->node.dir,
		"--uid", arena_printf(a, "%u", runner->uid), "--gid", arena_printf(a, "%u", runner->gid),
		"--uid-base", arena_printf(a, "%lld", (long long)set->node.uid_base),
		"--slots", arena_printf(a, "%lld", (long long)set->node.slots),
		"--cgroup", set->node.cgroup, "--runtime", set->node.runtime, "--isolation", set->node.isolation,
		"--images-mb", arena_printf(a, "%lld", (long long)set->images.cache_mb),
		"--resolvers", set->node.resolvers, "--closed", closed, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
	};
	char **end = argv;

	while (*end)
		end++;
	end = add_daemon(set, "--docker", end);
	end = add_daemon(set, "--podman", end);
	add_daemon(set, "--swarm", end);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_errno(cx, "make the launcher's channel");
	pid = fork();
	if (pid == 0)
		become_launcher(pair[1], argv);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return err_errno(cx, "start %s", program);
	}
	*channel = pair[0];
	return OK;
}
