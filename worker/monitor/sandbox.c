#include "worker/monitor/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KERNEL_DIRS(X) X("dev") X("proc") X("sys")

struct detached { /* mounts that are nowhere yet */
	int rootfs;
	int init;
};

/* Clones come before our own namespace: the kernel clones only from the namespace one is in. */
static const char *clone_mounts(struct detached *d)
{
	struct mount_attr image = {
		.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
		.userns_fd = MONITOR_FD_USERNS,
	};
	struct mount_attr init = {
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	};

	d->rootfs = open_tree(MONITOR_FD_ROOTFS, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (d->rootfs < 0)
		return "clone the image's mount";
	if (mount_setattr(d->rootfs, "", AT_EMPTY_PATH, &image, sizeof image))
		return "map the image's owners (idmapped mount)";
	d->init = open_tree(MONITOR_FD_INIT, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (d->init < 0 || mount_setattr(d->init, "", AT_EMPTY_PATH, &init, sizeof init))
		return "clone the mount of stoker-init";
	return NULL;
}

/* Paths below are relative: the monitor stands in the stage. */
static const char *make_stage(const struct monitor_setup *setup)
{
	char options[96];
	uint64_t files = (uint64_t)setup->payload_bytes + setup->config_bytes;

	if (unshare(CLONE_NEWNS))
		return "make a mount namespace";
	snprintf(options, sizeof options, "mode=755,size=%llu",
	         (unsigned long long)(files + (1u << 20)));
	if (mount("tmpfs", setup->stage, "tmpfs", MS_NOSUID | MS_NODEV, options))
		return "mount the stage";
	if (chdir(setup->stage))
		return "enter the stage";
	if (mkdir(STAGE_BUNDLE, 0755) || mkdir(STAGE_ROOT, 0755) || mkdir(STAGE_STATE, 0700) ||
	    mkdir(STAGE_LOWER, 0755) || mkdir(STAGE_SCRATCH, 0755))
		return "make the stage's folders";
	return NULL;
}

static bool make_dir(const char *path, mode_t mode, uint32_t uid, uint32_t gid)
{
	return mkdir(path, mode) == 0 && chown(path, uid, gid) == 0 && chmod(path, mode) == 0;
}

static bool make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

	return fd >= 0 && close(fd) == 0;
}

/* The upper layer begins with what every job finds, whatever its image has there. */
static const char *make_scratch(const struct monitor_setup *setup)
{
	const struct launch_request *rq = &setup->request;
	uint32_t base = setup->base;
	char options[128];

	snprintf(options, sizeof options, "mode=755,uid=%u,gid=%u,size=%llu", base, base,
	         (unsigned long long)rq->scratch_bytes);
	if (mount("tmpfs", STAGE_SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, options))
		return "mount the scratch tmpfs";
	if (!make_dir(STAGE_SCRATCH "/u", 0755, base, base) || mkdir(STAGE_SCRATCH "/w", 0700) ||
	    !make_dir(STAGE_SCRATCH "/u/tmp", 01777, base, base) ||
	    !make_dir(STAGE_SCRATCH "/u" LAUNCH_TASK_DIR, 0755, base + rq->uid, base + rq->gid))
		return "make the scratch's folders";
#define X(name)                                                                                    \
	if (!make_dir(STAGE_SCRATCH "/u/" name, 0755, base, base))                                     \
		return "make the folder for " name;
	KERNEL_DIRS(X)
#undef X
	if ((rq->payload_fd && !make_file(STAGE_SCRATCH "/u" LAUNCH_PAYLOAD_FILE)) ||
	    (rq->config_fd && !make_file(STAGE_SCRATCH "/u" LAUNCH_CONFIG_FILE)))
		return "make the mount points of payload and config";
	return NULL;
}

static const char *make_root(const struct detached *d)
{
	if (move_mount(d->rootfs, "", AT_FDCWD, STAGE_LOWER, MOVE_MOUNT_F_EMPTY_PATH))
		return "mount the image";
	/* volatile: no sync of what nobody reads after the end */
	if (mount("overlay", STAGE_ROOT, "overlay", MS_NOSUID | MS_NODEV,
	          "volatile,lowerdir=" STAGE_LOWER ",upperdir=" STAGE_SCRATCH "/u,workdir=" STAGE_SCRATCH
	          "/w"))
		return "mount the overlay";
	return NULL;
}

/* The job's copy of a sealed memfd, readable by its user alone. */
static const char *copy_file(int from, const char *name, uint32_t bytes, uint32_t uid, uint32_t gid)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	off_t at = 0;

	if (fd < 0)
		return "make the payload's file";
	while (at < (off_t)bytes)
		if (sendfile(fd, from, &at, bytes - (size_t)at) <= 0)
			return "copy the payload";
	if (fchown(fd, uid, gid) || close(fd))
		return "give the payload to the job's user";
	return NULL;
}

static const char *put_files(const struct monitor_setup *setup, const struct detached *d,
                             const char *config, size_t n)
{
	const struct launch_request *rq = &setup->request;
	uint32_t uid = setup->base + rq->uid, gid = setup->base + rq->gid;
	const char *failed = NULL;
	int fd = open(STAGE_BUNDLE "/config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, config, n) != (ssize_t)n || close(fd))
		return "write config.json";
	if (!make_file(STAGE_INIT) ||
	    move_mount(d->init, "", AT_FDCWD, STAGE_INIT, MOVE_MOUNT_F_EMPTY_PATH))
		return "mount stoker-init";
	if (rq->payload_fd)
		failed = copy_file(MONITOR_FD_PAYLOAD, STAGE_PAYLOAD, setup->payload_bytes, uid, gid);
	if (!failed && rq->config_fd)
		failed = copy_file(MONITOR_FD_CONFIG, STAGE_CONFIG, setup->config_bytes, uid, gid);
	return failed;
}

const char *sandbox_make(const struct monitor_setup *setup, const char *config, size_t n)
{
	struct detached d;
	const char *failed = clone_mounts(&d);

	if (!failed)
		failed = make_stage(setup);
	if (!failed)
		failed = make_scratch(setup);
	if (!failed)
		failed = make_root(&d);
	if (!failed)
		failed = put_files(setup, &d, config, n);
	if (failed)
		return failed;
	close(d.rootfs);
	close(d.init);
	return NULL;
}
