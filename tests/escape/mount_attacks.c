/* Mounts, namespaces, roots: what would let a job see other files than its own. */
#include "tests/escape/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT "/tmp/escape-mount"

/* In a mount namespace of its own if it may have one, so that nothing stays. */
static bool mounts(const char *from, const char *type, unsigned long flags, const char *options)
{
	long done;

	unshare(CLONE_NEWNS);
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	mkdir(AT, 0755);
	done = mount(from, AT, type, flags, options);
	worked(done);
	if (done == 0)
		umount2(AT, MNT_DETACH);
	return done == 0;
}

static bool mount_tmpfs(void)
{
	return mounts("tmpfs", "tmpfs", 0, NULL);
}

static bool mount_bind(void)
{
	return mounts("/", NULL, MS_BIND | MS_REC, NULL);
}

static bool mount_proc(void)
{
	return mounts("proc", "proc", 0, NULL);
}

static bool mount_sysfs(void)
{
	return mounts("sysfs", "sysfs", 0, NULL);
}

static bool mount_overlay(void)
{
	return mounts("overlay", "overlay", 0, "lowerdir=/etc:/dev");
}

/* The classic of 2019: a hierarchy of cgroup v1 names a program that the host's kernel runs as root. */
static bool release_agent(void)
{
	int fd;
	bool is_set;

	unshare(CLONE_NEWNS);
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	mkdir(AT, 0755);
	if (!worked(mount("cgroup", AT, "cgroup", 0, "none,name=stoker-escape")))
		return false;
	fd = open(AT "/release_agent", O_WRONLY | O_CLOEXEC);
	is_set = fd >= 0 && write(fd, "/bin/false", 10) == 10;
	worked(is_set ? 0 : -1);
	umount2(AT, 0);
	return is_set;
}

static bool remount_sys(void)
{
	unshare(CLONE_NEWNS);
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return worked(mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
}

static bool unmount_a_mask(void)
{
	unshare(CLONE_NEWNS);
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return worked(umount2("/dev/shm", MNT_DETACH));
}

static bool new_mount_calls(void)
{
	return worked(syscall(SYS_fsopen, "tmpfs", 0));
}

static bool clone_the_tree(void)
{
	return worked(syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | AT_RECURSIVE));
}

static bool change_a_mount(void)
{
	struct mount_attr a = { .attr_clr = MOUNT_ATTR_NOSUID };

	unshare(CLONE_NEWNS);
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return worked(syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &a, sizeof a));
}

static bool change_the_root(void)
{
	return worked(chroot("/"));
}

/* Once pivot_root has judged who asks, "." on "." is refused with another error than EPERM. */
static bool pivot_the_root(void)
{
	return passed_the_guard(syscall(SYS_pivot_root, "/tmp", "/tmp"));
}

static bool user_namespace(void)
{
	return worked(unshare(CLONE_NEWUSER));
}

static bool other_namespaces(void)
{
	static const int flags[] = { CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS,
		                     CLONE_NEWCGROUP, 0x80 /* CLONE_NEWTIME */ };

	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		if (worked(unshare(flags[i])))
			return true;
	return false;
}

static bool clone_with_a_namespace(void)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(0);
	return worked(pid);
}

static bool clone3_with_a_namespace(void)
{
	struct clone_args a = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &a, sizeof a);

	if (pid == 0)
		_exit(0);
	return worked(pid);
}

/* What /proc has about the process that started the job: in a job that is stoker-init. */
static const char *starters(const char *file)
{
	static char path[64];

	snprintf(path, sizeof path, "/proc/%ld/%s", given_number("ESCAPE_STARTER"), file);
	return path;
}

static bool enter_the_starter(void)
{
	int fd = open(starters("ns/mnt"), O_RDONLY | O_CLOEXEC);

	return worked(fd) && worked(setns(fd, CLONE_NEWNS));
}

static bool files_of_the_starter(void)
{
	return opens(starters("root/etc"), O_RDONLY | O_DIRECTORY);
}

static bool memory_of_the_starter(void)
{
	return opens(starters("mem"), O_RDWR);
}

static bool descriptors_of_the_starter(void)
{
	char link[256];

	return worked(readlink(starters("fd/0"), link, sizeof link));
}

/* "shocker", 2014: any file of a file system by its number, whatever the root is. */
static bool open_by_handle(void)
{
	struct {
		struct file_handle h;
		char room[128];
	} f = { .h = { .handle_bytes = 128 } };
	int mount_id, at = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (!worked(name_to_handle_at(AT_FDCWD, "/tmp", &f.h, &mount_id, 0)))
		return false;
	return passed_the_guard(open_by_handle_at(at, &f.h, O_RDONLY));
}

/* CVE-2024-21626 and its kin: a folder of the host left open shows the way out. */
static bool leaked_descriptors(void)
{
	struct stat st;

	for (int fd = 3; fd < 1024; fd++)
		if (fstat(fd, &st) == 0) {
			told("descriptor %d is open, mode %o", fd, st.st_mode);
			return true;
		}
	told("none is open");
	return false;
}

/* CVE-2019-5736: the program that started the container, by the link to it. */
static bool overwrite_the_starter(void)
{
	return opens(starters("exe"), O_RDONLY) || opens("/dev/.stoker-init", O_WRONLY);
}

static bool replace_the_starter(void)
{
	return worked(rename("/dev/.stoker-init", "/dev/.was-init"));
}

static bool map_more_users(void)
{
	char map[64];
	int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, map, sizeof map - 1);
	unsigned long inside = 0, outside = 0, count = 0;

	map[n > 0 ? n : 0] = '\0';
	if (sscanf(map, "%lu %lu %lu", &inside, &outside, &count) != 3)
		return false;
	told("uid %lu is %lu outside, %lu of them", inside, outside, count);
	return outside < 65536 || count > 65536;
}

const struct attack MOUNT_ATTACKS[] = {
	{ "mount a tmpfs", mount_tmpfs, NULL, false },
	{ "bind the root", mount_bind, NULL, false },
	{ "mount another proc", mount_proc, NULL, false },
	{ "mount another sysfs", mount_sysfs, NULL, false },
	{ "mount an overlay", mount_overlay, NULL, false },
	{ "cgroup release agent", release_agent, NULL, false },
	{ "make sysfs writable", remount_sys, NULL, false },
	{ "unmount what hides", unmount_a_mask, NULL, false },
	{ "new mount calls", new_mount_calls, NULL, false },
	{ "clone the mount tree", clone_the_tree, NULL, false },
	{ "clear nosuid", change_a_mount, NULL, false },
	{ "chroot", change_the_root, NULL, false },
	{ "pivot_root", pivot_the_root, NULL, false },
	{ "user namespace", user_namespace, NULL, false },
	{ "other namespaces", other_namespaces, NULL, false },
	{ "clone a user namespace", clone_with_a_namespace, NULL, false },
	{ "clone3 a user namespace", clone3_with_a_namespace, NULL, false },
	{ "enter the starter", enter_the_starter, NULL, false },
	{ "files of the starter", files_of_the_starter, NULL, false },
	{ "memory of the starter", memory_of_the_starter, NULL, false },
	{ "descriptors of the starter", descriptors_of_the_starter, NULL, false },
	{ "open by handle", open_by_handle, NULL, false },
	{ "leaked descriptors", leaked_descriptors, NULL, false },
	{ "overwrite the starter", overwrite_the_starter, NULL, false },
	{ "replace the starter", replace_the_starter, NULL, false },
	{ "be a user of the host", map_more_users, NULL, false },
	{ 0 },
};
