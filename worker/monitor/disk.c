#include "worker/monitor/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "worker/monitor/tool.h"

enum { FILE_FD = 3, LOOP_TRIES = 64, BLOCK_BYTES = 4096 };

static int nameless_file(uint64_t bytes)
{
	int fd = openat(MONITOR_FD_JOB, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	/* taken now: a node without room says so before the job begins, and not by errors in its midst */
	if (fd >= 0 && fallocate(fd, 0, 0, (off_t)bytes)) {
		close(fd);
		return -1;
	}
	return fd;
}

static _Noreturn void become_mkfs(const struct monitor_setup *s, int file)
{
	char extended[96];
	char *argv[] = { (char *)s->mkfs, "-q", "-F", "-O", "^has_journal,^resize_inode", "-m", "0", "-i", "16384", "-b",
		         "4096", "-E", extended, "/proc/self/fd/3", NULL };
	char *envp[] = { NULL };

	snprintf(extended, sizeof extended, "lazy_itable_init=1,nodiscard,root_owner=%u:%u", s->base, s->base);
	tool_begin();
	if (dup2(file, FILE_FD) == FILE_FD)
		execve(s->mkfs, argv, envp);
	_exit(125);
}

/* Another process may take the free one between the two calls. */
static int attach(int file, char *path, size_t room)
{
	struct loop_config config = { .fd = (uint32_t)file, .block_size = BLOCK_BYTES,
		                      .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), loop = -1, number, err = errno;

	for (int try = 0; control >= 0 && loop < 0 && try < LOOP_TRIES; try++) {
		number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			break;
		snprintf(path, room, "/dev/loop%d", number);
		loop = open(path, O_RDWR | O_CLOEXEC);
		if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config)) {
			err = errno;
			close(loop);
			loop = -1;
			if (err != EBUSY)
				break;
		}
	}
	err = loop < 0 && control >= 0 ? errno : err;
	if (control >= 0)
		close(control);
	errno = err;
	return loop;
}

static const char *mount_file(int file)
{
	char path[32];
	int loop = attach(file, path, sizeof path), err, done;

	if (loop < 0)
		return "attach the scratch's disk to a loop device";
	done = mount(path, STAGE_SCRATCH, "ext4", MS_NOSUID | MS_NODEV | MS_NOATIME, "");
	err = errno;
	close(loop); /* the mount holds it now; or nothing does, and it is free again */
	errno = err;
	return done ? "mount the scratch's disk" : NULL;
}

const char *disk_mount(const struct monitor_setup *setup)
{
	const char *failed;
	int file, err;
	pid_t pid;

	if (!*setup->mkfs) {
		errno = ENOENT;
		return "make the scratch's disk: mkfs.ext4 is not installed";
	}
	file = nameless_file(setup->request.scratch_bytes);
	if (file < 0)
		return "take the room for the scratch's disk";
	pid = fork();
	if (pid == 0)
		become_mkfs(setup, file);
	failed = pid > 0 && tool_ended_well(pid) ? mount_file(file) : "make the scratch's disk (mkfs.ext4)";
	err = errno;
	close(file);
	errno = err;
	return failed;
}
