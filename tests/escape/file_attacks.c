/* Files of the kernel, devices, and tricks with the job's own paths. */
#include "tests/escape/hostile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static bool core_pattern(void)
{
	return opens("/proc/sys/kernel/core_pattern", O_WRONLY);
}

static bool module_loader(void)
{
	return opens("/proc/sys/kernel/modprobe", O_WRONLY) || opens("/proc/sys/vm/overcommit_memory", O_WRONLY);
}

static bool sysrq(void)
{
	return opens("/proc/sysrq-trigger", O_WRONLY);
}

static bool interrupts(void)
{
	return opens("/proc/irq/default_smp_affinity", O_WRONLY);
}

/* A masked file opens, but holds nothing. */
static bool holds_something(const char *path)
{
	char block[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, block, sizeof block);

	told("%s: %s", path, n < 0 ? strerror(errno) : n == 0 ? "empty" : "it holds something");
	if (fd >= 0)
		close(fd);
	return n > 0;
}

static bool kernel_memory(void)
{
	return holds_something("/proc/kcore");
}

static bool keys_of_all(void)
{
	return holds_something("/proc/keys") || holds_something("/proc/key-users");
}

static bool timers_and_interrupts(void)
{
	return holds_something("/proc/timer_list") || holds_something("/proc/interrupts");
}

static bool write_sysfs(void)
{
	return opens("/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY) ||
	       opens("/sys/kernel/uevent_helper", O_WRONLY) || opens("/sys/kernel/profiling", O_WRONLY);
}

static bool firmware(void)
{
	DIR *d = opendir("/sys/firmware");
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	told("%d things", n);
	if (d)
		closedir(d);
	return n > 0;
}

static bool cgroup_files(void)
{
	static const char *const files[] = { "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/pids/cgroup.procs",
		                             "/sys/fs/cgroup/memory/cgroup.procs" };

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		if (opens(files[i], O_WRONLY))
			return true;
	return false;
}

static bool own_cgroup_path(void)
{
	char text[1024];
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text - 1);

	text[n > 0 ? n : 0] = '\0';
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		const char *path = strrchr(line, ':');

		told("%s", line);
		if (path && path[1] == '/' && path[2] && strstr(line, "name=") == NULL && strncmp(line, "0:", 2) != 0)
			return true;
	}
	return false;
}

/* The machine's first disk, by number. */
static bool make_a_disk(void)
{
	static const unsigned majors[] = { 8, 254, 253, 259, 252 };
	bool is_read = false;

	for (size_t i = 0; i < sizeof majors / sizeof majors[0] && !is_read; i++) {
		if (!worked(mknod("/tmp/escape-disk", S_IFBLK | 0600, makedev(majors[i], 0))))
			break;
		is_read = opens("/tmp/escape-disk", O_RDONLY);
		unlink("/tmp/escape-disk");
	}
	return is_read;
}

static bool make_kernel_memory(void)
{
	bool done = worked(mknod("/dev/escape-mem", S_IFCHR | 0600, makedev(1, 11))) &&
	            opens("/dev/escape-mem", O_RDONLY);

	unlink("/dev/escape-mem");
	return done;
}

static bool devices_of_the_host(void)
{
	static const char *const names[] = { "/dev/kmsg", "/dev/mem", "/dev/kvm", "/dev/fuse", "/dev/net/tun",
		                             "/dev/loop-control", "/dev/vda", "/dev/sda", "/dev/vsock" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (opens(names[i], O_RDONLY))
			return true;
	return false;
}

static bool unusual_devices(void)
{
	static const char usual[] = " null zero full random urandom tty ";
	char word[300], path[300];
	DIR *d = opendir("/dev");
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d))) {
		snprintf(word, sizeof word, " %s ", e->d_name);
		snprintf(path, sizeof path, "/dev/%s", e->d_name);
		if (lstat(path, &st) || (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) || strstr(usual, word))
			continue;
		told("%s", path);
		return true;
	}
	told("only%s", usual);
	return false;
}

static bool set_id_mounts(void)
{
	static const char *const places[] = { "/", "/tmp", "/task" };
	struct statvfs s;

	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		if (statvfs(places[i], &s) == 0 && !(s.f_flag & ST_NOSUID)) {
			told("%s heeds set-id bits", places[i]);
			return true;
		}
	return false;
}

static bool device_mounts(void)
{
	struct statvfs s;

	told("the root %s", statvfs("/", &s) == 0 && (s.f_flag & ST_NODEV) ? "knows no devices" : "knows devices");
	return !(s.f_flag & ST_NODEV);
}

static bool write_the_payload(void)
{
	return opens("/task/task_payload.json", O_WRONLY);
}

/* A link in its place would have whoever reads it later read what the job chose. */
static bool replace_the_payload(void)
{
	return worked(unlink("/task/task_payload.json")) && worked(symlink("/etc/passwd", "/task/task_payload.json"));
}

static bool move_the_task_folder(void)
{
	return worked(rename("/task", "/tmp/task-was")) && worked(symlink("/etc", "/task"));
}

static bool links_that_lead_up(void)
{
	unlink("/tmp/escape-up");
	if (!worked(symlink("/proc/self/root/../../../../../../..", "/tmp/escape-up")))
		return false;
	return opens("/tmp/escape-up/host-was-here", O_RDONLY) || opens("/../../host-was-here", O_RDONLY);
}

/* What the test left in its own environment and the launcher's must not be found here. */
static bool environment_of_the_node(void)
{
	char text[8192];
	int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text);
	const char *found = n > 0 ? memmem(text, (size_t)n, "STOKER_TEST_TMP=", 16) : NULL;

	told("%s", found ? "STOKER_TEST_TMP is there" : "nothing of it");
	return found != NULL;
}

const struct attack FILE_ATTACKS[] = {
	{ "core pattern", core_pattern, NULL, false },
	{ "kernel settings", module_loader, NULL, false },
	{ "sysrq", sysrq, NULL, false },
	{ "interrupts' processors", interrupts, NULL, false },
	{ "kernel memory", kernel_memory, NULL, false },
	{ "keys of all", keys_of_all, NULL, false },
	{ "timers and interrupts", timers_and_interrupts, NULL, false },
	{ "write sysfs", write_sysfs, NULL, false },
	{ "firmware", firmware, NULL, false },
	{ "cgroup files", cgroup_files, NULL, false },
	{ "own cgroup's path", own_cgroup_path, NULL, false },
	{ "make a disk", make_a_disk, NULL, false },
	{ "make kernel memory", make_kernel_memory, NULL, false },
	{ "devices of the host", devices_of_the_host, NULL, false },
	{ "unusual devices", unusual_devices, NULL, false },
	{ "set-id mounts", set_id_mounts, NULL, false },
	{ "device mounts", device_mounts, NULL, false },
	{ "write the payload", write_the_payload, NULL, false },
	{ "replace the payload", replace_the_payload, NULL, false },
	{ "move the task folder", move_the_task_folder, NULL, false },
	{ "links that lead up", links_that_lead_up, NULL, false },
	{ "environment of the node", environment_of_the_node, NULL, false },
	{ 0 },
};
