#include "worker/launcher/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "worker/monitor/cgroup.h"

#ifndef MFD_EXEC /* Linux 6.3; glibc of Debian 12 does not name it */
#define MFD_EXEC 0x0010U
#endif

static const char *const NAMES[RUNTIME_COUNT] = { "crun", "runc" };

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static enum err own_mounts(struct ctx *cx, struct host *h)
{
	struct statfs s;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		return err_errno(cx, "make a mount namespace of our own (the launcher needs root)");
	if (statfs(CGROUP_ROOT, &s))
		return err_errno(cx, "look at " CGROUP_ROOT);
	h->cgroup_v2 = s.f_type == CGROUP2_SUPER_MAGIC;
	if (h->cgroup_v2 || !is_there(CGROUP_ROOT "/unified/cgroup.procs"))
		return OK;
	/* crun makes its folder in this place too, as if it were a hierarchy: on a tmpfs of ours, which
	 * goes with our namespace, not on the host's */
	if (umount2(CGROUP_ROOT "/unified", MNT_DETACH) ||
	    mount("tmpfs", CGROUP_ROOT "/unified", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755"))
		return err_errno(cx, "hide the v2 half of the hybrid cgroups in our mount namespace");
	return OK;
}

/* A folder of the root that everybody may enter and that no runtime needs. */
static enum err choose_stage(struct ctx *cx, struct host *h)
{
	static const char *const candidates[] = { "/mnt", "/media", "/srv", "/home", "/opt", "/tmp" };
	struct stat st;

	for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
		const char *c = candidates[i];
		bool is_needed = false;

		for (int r = 0; r < RUNTIME_COUNT; r++)
			is_needed |= str_starts(str_of(h->runtimes[r].path), c);
		if (is_needed || lstat(c, &st) || !S_ISDIR(st.st_mode))
			continue;
		snprintf(h->stage, sizeof h->stage, "%s", c);
		return OK;
	}
	return err_set(cx, ERR_INTERNAL, "choose a folder for the sandboxes' mounts: none of /mnt, "
	               "/media, /srv, /home, /opt, /tmp is a folder");
}

/* A copy that cannot be changed: a job that got hold of it could not alter the runtime (CVE-2019-5736),
 * and crun need not make one at each start. */
static int sealed_copy(const char *path)
{
	int from = open(path, O_RDONLY | O_CLOEXEC);
	int to = memfd_create(path, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	struct stat st;
	off_t at = 0;

	if (to < 0 && errno == EINVAL)
		to = memfd_create(path, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (from < 0 || to < 0 || fstat(from, &st) || fchmod(to, 0755))
		goto fail;
	while (at < st.st_size)
		if (sendfile(to, from, &at, (size_t)(st.st_size - at)) <= 0)
			goto fail;
	if (fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
		goto fail;
	close(from);
	return to;
fail:
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return -1;
}

void host_find_program(const char *name, char path[64])
{
	static const char *const dirs[] = { "/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin",
		                            "/bin", "/sbin" };

	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
		snprintf(path, 64, "%s/%s", dirs[i], name);
		if (access(path, X_OK) == 0)
			return;
	}
	path[0] = '\0';
}

static void find_runtime(struct runtime *r, int which)
{
	r->is_crun = which == RUNTIME_CRUN;
	r->fd = -1;
	host_find_program(NAMES[which], r->path);
	if (r->path[0])
		r->fd = sealed_copy(r->path);
}

static bool has_capability(unsigned cap)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { 0 };

	return syscall(SYS_capget, &h, d) == 0 && (d[cap / 32].effective >> cap % 32 & 1);
}

enum err host_open(struct ctx *cx, const struct launcher_options *opt, struct host *h)
{
	struct rlimit nofile, fsize;

	*h = (struct host){ 0 };
	TRY(own_mounts(cx, h));
	for (int i = 0; i < RUNTIME_COUNT; i++)
		find_runtime(&h->runtimes[i], i);
	host_find_program("mkfs.ext4", h->mkfs);
	TRY(choose_stage(cx, h));
	if (getrlimit(RLIMIT_NOFILE, &nofile) || getrlimit(RLIMIT_FSIZE, &fsize))
		return err_errno(cx, "read the limits of files");
	h->nofile_hard = nofile.rlim_max;
	h->fsize_hard = fsize.rlim_max;
	h->can_keep_oom_score = has_capability(CAP_SYS_RESOURCE);
	h->can_limit_devices = !h->cgroup_v2 || h->can_keep_oom_score;
	return host_make_cgroup(cx, opt, h);
}

static bool write_file(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* Each on its own: one that is missing must not take the others with it. */
static void enable_controllers(const char *dir)
{
	char file[PATH_MAX + 32];

	snprintf(file, sizeof file, "%s/cgroup.subtree_control", dir);
	write_file(file, "+memory");
	write_file(file, "+pids");
	write_file(file, "+cpu");
}

/* Every folder on the way to the node's cgroup, on v2 with the controllers on. */
static enum err make_v2(struct ctx *cx, const char *cgroup)
{
	char dir[PATH_MAX];
	const char *at = cgroup;

	enable_controllers(CGROUP_ROOT);
	while (at) {
		at = strchr(at + 1, '/');
		snprintf(dir, sizeof dir, CGROUP_ROOT "%.*s", at ? (int)(at - cgroup) : (int)strlen(cgroup),
		         cgroup);
		if (mkdir(dir, 0755) && errno != EEXIST)
			return err_errno(cx, "make the cgroup %s", dir);
		enable_controllers(dir);
	}
	return OK;
}

static bool has_v2(const char *cgroup, const char *file)
{
	char name[PATH_MAX];
	bool there;

	/* what a child has is what a job will have */
	snprintf(name, sizeof name, CGROUP_ROOT "%s/probe", cgroup);
	mkdir(name, 0755);
	snprintf(name, sizeof name, CGROUP_ROOT "%s/probe/%s", cgroup, file);
	there = is_there(name);
	snprintf(name, sizeof name, CGROUP_ROOT "%s/probe", cgroup);
	rmdir(name);
	return there;
}

enum err host_make_cgroup(struct ctx *cx, const struct launcher_options *opt, struct host *h)
{
	if (h->cgroup_v2) {
		TRY(make_v2(cx, opt->cgroup));
		h->has_memory = has_v2(opt->cgroup, "memory.max");
		h->has_swap = has_v2(opt->cgroup, "memory.swap.max");
		h->has_pids = has_v2(opt->cgroup, "pids.max");
		h->has_cpu = has_v2(opt->cgroup, "cpu.max");
		return OK;
	}
	h->has_memory = is_there(CGROUP_ROOT "/memory/cgroup.procs");
	h->has_pids = is_there(CGROUP_ROOT "/pids/cgroup.procs");
	h->has_cpu = is_there(CGROUP_ROOT "/cpu/cgroup.procs");
	h->has_swap = is_there(CGROUP_ROOT "/memory/memory.memsw.limit_in_bytes");
	return OK;
}
