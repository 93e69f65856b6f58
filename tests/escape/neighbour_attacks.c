/* Other jobs, the node's programs and files, the host's network. */
#include "tests/escape/hostile.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Every process of that name that /proc shows; true as soon as `what` is. */
static bool each_process(const char *name, bool (*what)(pid_t pid))
{
	DIR *d = opendir("/proc");
	bool found = false;
	struct dirent *e;

	told("no process %s is to be seen", name);
	while (d && !found && (e = readdir(d))) {
		char path[300], comm[32] = "";
		int fd;

		snprintf(path, sizeof path, "/proc/%s/comm", e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, comm, sizeof comm - 1) > 0 && (comm[strcspn(comm, "\n")] = '\0', strcmp(comm, name) == 0))
			found = what((pid_t)strtol(e->d_name, NULL, 10));
		close(fd);
	}
	if (d)
		closedir(d);
	return found;
}

static bool may_signal(pid_t pid)
{
	return worked(kill(pid, 0));
}

static bool end_it(pid_t pid)
{
	return worked(kill(pid, SIGTERM));
}

static bool take_its_channel(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return worked(fd) && worked(syscall(SYS_pidfd_getfd, fd, 3, 0));
}

static bool kill_a_host_process(void)
{
	return each_process(given("ESCAPE_VICTIM"), end_it);
}

static bool signal_a_monitor(void)
{
	return each_process("stoker-monitor", may_signal);
}

static bool signal_the_runner(void)
{
	return each_process("stoker-worker", may_signal);
}

static bool reach_the_launcher(void)
{
	return each_process("stoker-launcher", take_its_channel);
}

/* By number, without /proc: process ids of the host are others than here. */
static bool signal_by_number(void)
{
	for (pid_t pid = 2; pid < 100000; pid++)
		if (pid != getpid() && pid != getppid() && getpgid(pid) >= 0 && getsid(pid) != getsid(0) &&
		    getsid(pid) > 0 && kill(pid, 0) == 0) {
			told("process %d hears", pid);
			return true;
		}
	told("nobody of another session");
	return false;
}

/* The first file called `name` one or two levels below the jobs' folder. */
static bool job_file(const char *name, char *path, size_t room)
{
	char folder[240];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(folder, sizeof folder, "%s/jobs", given("ESCAPE_NODE"));
	d = opendir(folder);
	worked(d ? 0 : -1);
	while (d && !found && (e = readdir(d))) {
		snprintf(path, room, "%s/%s/%s", folder, e->d_name, name);
		found = e->d_name[0] != '.' && access(path, F_OK) == 0;
	}
	if (d)
		closedir(d);
	return found;
}

static bool write_a_spool(void)
{
	char path[600];

	return job_file("head", path, sizeof path) && opens(path, O_WRONLY | O_APPEND);
}

static bool read_a_request(void)
{
	char path[600];

	return job_file("request", path, sizeof path) && opens(path, O_RDONLY);
}

static bool write_the_lease(void)
{
	char path[300];

	snprintf(path, sizeof path, "%s/lease", given("ESCAPE_NODE"));
	return opens(path, O_RDWR);
}

static bool connects(const char *path, int type)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof a.sun_path) {
		told("%s is too long for an address", path);
		return false;
	}
	memcpy(a.sun_path, path, strlen(path));
	return worked(connect(fd, (struct sockaddr *)&a, sizeof a));
}

static bool order_another_job(void)
{
	char path[600];

	return job_file("ctl", path, sizeof path) && connects(path, SOCK_DGRAM);
}

static bool speak_to_the_runner(void)
{
	char path[300];

	snprintf(path, sizeof path, "%s/runner.sock", given("ESCAPE_NODE"));
	return connects(path, SOCK_DGRAM);
}

static bool speak_to_the_database(void)
{
	return connects(given("ESCAPE_DB"), SOCK_STREAM);
}

static bool abstract_socket(void)
{
	const char *name = given("ESCAPE_ABSTRACT");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path + 1, name, strlen(name));
	return worked(connect(fd, (struct sockaddr *)&a, (socklen_t)(sizeof a.sun_family + 1 + strlen(name))));
}

static bool loopback_of_the_host(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)given_number("ESCAPE_PORT")),
		                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return worked(connect(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&a, sizeof a));
}

static bool routes_out(void)
{
	char text[2048];
	int fd = open("/proc/net/dev", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text - 1);
	int cards = 0;

	text[n > 0 ? n : 0] = '\0';
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
		cards += strchr(line, ':') && !strstr(line, " lo:");
	told("%d network cards besides lo", cards);
	return cards > 0;
}

static bool configure_the_network(void)
{
	struct ifreq r = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return worked(ioctl(fd, SIOCGIFFLAGS, &r)) && worked(ioctl(fd, SIOCSIFFLAGS, &r));
}

static bool shared_memory_of_the_host(void)
{
	return worked(shmget((key_t)given_number("ESCAPE_SHM"), 1, 0));
}

static bool holds_the_mark(const char *path)
{
	const char *mark = given("ESCAPE_MARK");
	static char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);

	if (fd >= 0)
		close(fd);
	return n > 0 && memmem(text, (size_t)n, mark, strlen(mark)) && (told("found in %s", path), true);
}

/* By way of every process that /proc shows: its files, its environment. */
static bool read_anothers_payload(void)
{
	DIR *d = opendir("/proc");
	bool found = false;
	struct dirent *e;
	char path[300];

	told("nowhere");
	while (d && !found && (e = readdir(d))) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid <= 0 || pid == getpid() || pid == getppid())
			continue;
		snprintf(path, sizeof path, "/proc/%s/root/task/task_payload.json", e->d_name);
		found = holds_the_mark(path);
	}
	if (d)
		closedir(d);
	return found;
}

const struct attack NEIGHBOUR_ATTACKS[] = {
	{ "kill a process of the host", kill_a_host_process, NULL, false },
	{ "signal a monitor", signal_a_monitor, NULL, false },
	{ "signal the runner", signal_the_runner, NULL, false },
	{ "reach the launcher", reach_the_launcher, NULL, false },
	{ "signal by number", signal_by_number, NULL, false },
	{ "write a spool", write_a_spool, NULL, false },
	{ "read a request", read_a_request, NULL, false },
	{ "write the lease", write_the_lease, NULL, false },
	{ "order another job", order_another_job, NULL, false },
	{ "speak to the runner", speak_to_the_runner, NULL, false },
	{ "speak to the database", speak_to_the_database, NULL, false },
	{ "abstract socket", abstract_socket, NULL, false },
	{ "loopback of the host", loopback_of_the_host, NULL, false },
	{ "network cards", routes_out, NULL, false },
	{ "configure the network", configure_the_network, NULL, false },
	{ "shared memory of the host", shared_memory_of_the_host, NULL, false },
	{ "read another's payload", read_anothers_payload, NULL, false },
	{ 0 },
};
