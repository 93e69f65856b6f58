#include "worker/monitor/sandbox.h"
#include "worker/monitor/disk.h"

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

enum { SCRATCH_BYTES_A_FILE = 4096 };
#define KERNEL_DIRS(X) X("dev") X("proc") X("sys")

struct detached { /* mounts that are nowhere yet */
	int rootfs;
	int init;
	int package; /* -1 = none */
};

/* A read-only clone of the mount that `folder` lies on, from there on, its owners mapped by `userns`. */
static int clone_mapped(int folder, int userns)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
		.userns_fd = (uint64_t)userns,
	};
	int fd = open_tree(folder, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr))
		return -1;
	return fd;
}

int sandbox_package(void)
{
	return clone_mapped(MONITOR_FD_PACKAGE, MONITOR_FD_OWNER);
}

/* Clones come before our own namespace: the kernel clones only from the namespace one is in. */
static const char *clone_mounts(bool has_package, struct detached *d)
{
	struct mount_attr init = {
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	};

	d->rootfs = clone_mapped(MONITOR_FD_ROOTFS, MONITOR_FD_USERNS);
	if (d->rootfs < 0)
		return "map the image's owners (idmapped mount)";
	d->package = has_package ? sandbox_package() : -1;
	if (has_package && d->package < 0)
		return "map the package's owner (idmapped mount)";
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
	    mkdir(STAGE_LOWER, 0755) || mkdir(STAGE_SCRATCH, 0755) || mkdir(STAGE_PACKAGE, 0755) ||
	    mkdir(STAGE_TASK, 0755))
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

/* Where payload and config are mounted, in the layer that /task is written to. Whatever a package
 * has there is hidden by it. */
static const char *make_task(const struct monitor_setup *setup, const char *folder)
{
	const struct launch_request *rq = &setup->request;
	char payload[64], config[64];

	snprintf(payload, sizeof payload, "%s" LAUNCH_PAYLOAD_NAME, folder);
	snprintf(config, sizeof config, "%s" LAUNCH_CONFIG_NAME, folder);
	if (!make_dir(folder, 0755, setup->base + rq->uid, setup->base + rq->gid))
		return "make the folder for /task";
	if ((rq->payload_fd && !make_file(payload)) || (rq->config_fd && !make_file(config)))
		return "make the mount points of payload and config";
	return NULL;
}

/* Whom the job asks for names, whatever its image says. */
static const char *put_resolvers(const struct monitor_setup *setup)
{
	const char *text = setup->outbound.resolvers;
	int fd;

	if (setup->outbound.how == MONITOR_NETWORK_NONE)
		return NULL;
	if (!make_dir(STAGE_SCRATCH "/u/etc", 0755, setup->base, setup->base))
		return "make the folder for /etc/resolv.conf";
	fd = open(STAGE_SCRATCH "/u/etc/resolv.conf", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fchown(fd, setup->base, setup->base) ||
	    fchmod(fd, 0644) || close(fd))
		return "write /etc/resolv.conf";
	return NULL;
}

/* In memory: a file for each 4 KiB, since empty ones take memory too, which no byte limit sees. */
static const char *mount_memory(const struct monitor_setup *setup)
{
	const unsigned long long bytes = setup->request.scratch_bytes;
	char options[128];

	snprintf(options, sizeof options, "mode=755,uid=%u,gid=%u,size=%llu,nr_inodes=%llu", setup->base, setup->base, bytes,
	         bytes / SCRATCH_BYTES_A_FILE);
	return mount("tmpfs", STAGE_SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, options) ? "mount the scratch tmpfs" : NULL;
}

/* The upper layer begins with what every job finds, whatever its image has there. */
static const char *make_scratch(const struct monitor_setup *setup)
{
	uint32_t base = setup->base;
	const char *failed = setup->request.on_disk ? disk_mount(setup) : mount_memory(setup);

	if (failed)
		return failed;
	if (!make_dir(STAGE_SCRATCH "/u", 0755, base, base) || mkdir(STAGE_SCRATCH "/w", 0700) ||
	    !make_dir(STAGE_SCRATCH "/u/tmp", 01777, base, base) ||
	    !make_dir(STAGE_SCRATCH "/u/mnt", 0755, base, base) ||
	    symlink(LAUNCH_TASK_DIR, STAGE_SCRATCH "/u" LAUNCH_TASK_LINK) || mkdir(STAGE_SCRATCH "/tw", 0700))
		return "make the scratch's folders";
#define X(name)                                                                                    \
	if (!make_dir(STAGE_SCRATCH "/u/" name, 0755, base, base))                                     \
		return "make the folder for " name;
	KERNEL_DIRS(X)
#undef X
	return make_task(setup, STAGE_SCRATCH "/u" LAUNCH_TASK_DIR);
}

/* What a job changes of its package goes into the same scratch as all else, and with it. */
static const char *make_package(const struct monitor_setup *setup, const struct detached *d)
{
	const char *failed;

	if (d->package < 0)
		return NULL;
	failed = make_task(setup, STAGE_SCRATCH "/tu");
	if (failed)
		return failed;
	if (move_mount(d->package, "", AT_FDCWD, STAGE_PACKAGE, MOVE_MOUNT_F_EMPTY_PATH))
		return "mount the package";
	if (mount("overlay", STAGE_TASK, "overlay", MS_NOSUID | MS_NODEV,
	          "volatile,lowerdir=" STAGE_PACKAGE ",upperdir=" STAGE_SCRATCH "/tu,workdir=" STAGE_SCRATCH
	          "/tw"))
		return "mount the overlay of the package";
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
	const char *failed = clone_mounts(setup->request.has_package, &d);

	if (!failed)
		failed = make_stage(setup);
	if (!failed)
		failed = make_scratch(setup);
	if (!failed)
		failed = put_resolvers(setup);
	if (!failed)
		failed = make_root(&d);
	if (!failed)
		failed = make_package(setup, &d);
	if (!failed)
		failed = put_files(setup, &d, config, n);
	if (failed)
		return failed;
	close(d.rootfs);
	close(d.init);
	if (d.package >= 0)
		close(d.package);
	return NULL;
}
