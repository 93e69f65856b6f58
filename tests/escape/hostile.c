#include "tests/escape/hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS_EACH = 30, REACH_MS = 3500 };

struct outcome { /* shared with the process that attacks */
	bool ended, open;
	char text[240];
};

static struct outcome *outcome;

void told(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(outcome->text, sizeof outcome->text, format, ap);
	va_end(ap);
}

bool worked(long result)
{
	told("%s", result < 0 ? strerror(errno) : "it worked");
	return result >= 0;
}

bool passed_the_guard(long result)
{
	bool is_guarded = result < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS);

	worked(result);
	return !is_guarded;
}

const char *given(const char *name)
{
	const char *value = getenv(name);

	if (value)
		return value;
	told("%s is not set", name);
	_exit(1);
}

long given_number(const char *name)
{
	return strtol(given(name), NULL, 10);
}

bool opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);

	told("%s: %s", path, fd < 0 ? strerror(errno) : "opened");
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void run(const struct attack *a)
{
	pid_t pid;
	int status;

	memset(outcome, 0, sizeof *outcome);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		alarm(SECONDS_EACH);
		outcome->open = a->run();
		outcome->ended = true;
		_exit(0);
	}
	setpgid(pid, pid);
	waitpid(pid, &status, 0);
	kill(-pid, SIGKILL); /* and whom it left behind */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	if (WIFSIGNALED(status) && !outcome->ended)
		told("killed by signal %d", WTERMSIG(status));
	printf("%s\t%s\t%s\t%s\n", a->name, outcome->open ? "open" : "held", a->needs ? a->needs : "-",
	       outcome->text);
	fflush(stdout);
}

/* `only`: "all", all but the deadly; "every", them too; else the one of that name. */
static void run_all(const char *only)
{
	const struct attack *const lists[] = { MOUNT_ATTACKS, KERNEL_ATTACKS, FILE_ATTACKS,
		                               NEIGHBOUR_ATTACKS, LIMIT_ATTACKS };

	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
		for (const struct attack *a = lists[i]; a->name; a++)
			if (strcmp(only, a->name) == 0 || strcmp(only, "every") == 0 ||
			    (strcmp(only, "all") == 0 && !a->is_deadly))
				run(a);
}

/* A process that hears no TERM, in a session of its own, with the job's output in its hands. */
static int leave_a_daemon(void)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (fork() > 0)
		return 0;
	setsid();
	if (fork() > 0)
		_exit(0);
	for (;;)
		pause();
}

static _Noreturn void wait_for_ever(void)
{
	puts("something for the spool");
	fflush(stdout);
	for (;;)
		pause();
}

/* What the runtime made of an image full of links, told by the kinds of file system. */
static int look_around(void)
{
	static const char *const places[] = { "/proc", "/sys", "/dev", "/dev/shm", "/tmp", "/task", "." };
	struct statfs s;

	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		if (statfs(places[i], &s) == 0)
			printf("%s %lx\n", places[i], (unsigned long)s.f_type);
		else
			printf("%s %s\n", places[i], strerror(errno));
	printf("host %s\n", access("etc/debian_version", F_OK) == 0 || access("../../etc/debian_version", F_OK) == 0 ?
	       "seen" : "unseen");
	return 0;
}

struct target {
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} u;
	socklen_t n;
};

static bool target_parse(const char *text, uint16_t port, struct target *out)
{
	*out = (struct target){ .u.six = { .sin6_family = AF_INET6, .sin6_port = htons(port) }, .n = sizeof out->u.six };
	if (inet_pton(AF_INET6, text, &out->u.six.sin6_addr) == 1)
		return true;
	*out = (struct target){ .u.four = { .sin_family = AF_INET, .sin_port = htons(port) }, .n = sizeof out->u.four };
	return inet_pton(AF_INET, text, &out->u.four.sin_addr) == 1;
}

/* "connected", or why not. */
static const char *try_tcp(const struct target *to)
{
	int fd = socket(to->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t n = sizeof err;

	if (fd < 0)
		return strerror(errno);
	if (connect(fd, &to->u.any, to->n) && errno != EINPROGRESS)
		err = errno;
	else if (poll(&p, 1, REACH_MS) != 1)
		err = ETIMEDOUT;
	else
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n);
	close(fd);
	return err ? strerror(err) : "connected";
}

static void send_udp(const struct target *to)
{
	int fd = socket(to->u.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	sendto(fd, "x", 1, 0, &to->u.any, to->n);
	close(fd);
}

/* "address word" for each: TCP, and a datagram that only its listener would tell of. */
static int reach(long port, char **addresses)
{
	struct target to;

	for (; *addresses; addresses++) {
		if (!target_parse(*addresses, (uint16_t)port, &to))
			return 1;
		send_udp(&to);
		printf("%s %s\n", *addresses, try_tcp(&to));
	}
	return 0;
}

static void put_line(char *to, uint64_t number, char end)
{
	to[15] = end;
	for (int i = 14; i >= 0; i--, number /= 10)
		to[i] = (char)('0' + number % 10);
}

/* Numbered lines of 16 bytes, ended as asked, in writes of `block` bytes, from the n-th byte until `bytes` are written:
 * whoever reads them knows which are missing. */
static int flood(uint64_t n, uint64_t bytes, size_t block, char end)
{
	static char room[1 << 16];

	while (n < bytes) {
		for (size_t at = 0; at < sizeof room; at += 16)
			put_line(room + at, (n + at) / 16, end);
		for (size_t at = 0; at < sizeof room && n < bytes; at += block, n += block)
			if (write(1, room + at, block) != (ssize_t)block)
				return 1;
	}
	return 0;
}

/* Ends, and leaves behind who holds its output open and floods it for ever. */
static int flood_from_a_stray(void)
{
	int ready[2];
	char word;

	if (pipe(ready))
		return 1;
	signal(SIGTERM, SIG_IGN);
	if (fork() == 0) {
		setsid();
		if (flood(0, 1u << 24, 65536, '\n') == 0 && write(ready[1], "", 1) == 1)
			flood(1u << 24, UINT64_MAX, 65536, '\n');
		_exit(1);
	}
	if (read(ready[0], &word, 1) != 1)
		return 1;
	sleep(1); /* of its flood */
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "all";

	outcome = mmap(NULL, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (outcome == MAP_FAILED)
		return 1;
	if (strcmp(what, "wait") == 0)
		wait_for_ever();
	if (strcmp(what, "flood") == 0 && argc == 5)
		return flood(0, strtoull(argv[2], NULL, 10), strtoul(argv[3], NULL, 10), argv[4][0] == 'n' ? '\n' : '.');
	if (strcmp(what, "stray") == 0)
		return flood_from_a_stray();
	if (strcmp(what, "reach") == 0 && argc > 3)
		return reach(strtol(argv[2], NULL, 10), argv + 3);
	if (strcmp(what, "daemon") == 0)
		return leave_a_daemon();
	if (strcmp(what, "look") == 0)
		return look_around();
	if (strcmp(what, "kill-all") == 0) {
		kill(1, SIGKILL);
		kill(1, SIGSTOP);
		return kill(-1, SIGKILL) == 0 || errno == ESRCH ? 7 : 1;
	}
	run_all(what);
	return 0;
}
