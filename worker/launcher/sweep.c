#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/launcher/launcher.h"
#include "worker/monitor/cgroup.h"
#include "worker/monitor/exit_file.h"
#include "worker/monitor/spool.h"

enum { DESTROY_MS = 5000, COMING_S = 5 };

/* "<24 hex>-<digits>": nothing else in the folders is ours to touch. */
static bool is_attempt_name(const char *name)
{
	size_t hex = strspn(name, "0123456789abcdef");
	const char *digits = name + hex + 1;

	return hex == 24 && name[24] == '-' && *digits && strspn(digits, "0123456789") == strlen(digits) &&
	       strlen(name) < 40;
}

/* Whole frames of a spool file behind its first `skip` bytes: their bytes and lines. */
static void measure(int dir, const char *name, size_t skip, uint64_t *bytes, uint64_t *lines)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint8_t block[SPOOL_FRAME_BYTES + SPOOL_DATA_MAX];
	off_t at = (off_t)skip;
	struct spool_frame f;
	const uint8_t *data;
	ssize_t n;

	while (fd >= 0 && (n = pread(fd, block, sizeof block, at)) > 0 &&
	       spool_frame_parse(block, (size_t)n, &f, &data)) {
		*bytes += f.len;
		for (uint32_t i = 0; i < f.len; i++)
			*lines += data[i] == '\n';
		at += (off_t)(SPOOL_FRAME_BYTES + f.len);
	}
	if (fd >= 0)
		close(fd);
}

/* The position behind the last byte of a tail file, and what it holds. */
static uint64_t measure_tail(int dir, const char *name, uint64_t *held, uint64_t *lines)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct spool_tail h;
	bool has = fd >= 0 && pread(fd, &h, sizeof h, 0) == (ssize_t)sizeof h;
	uint64_t bytes = 0, below = 0;

	if (fd >= 0)
		close(fd);
	if (!has)
		return 0;
	measure(dir, name, SPOOL_TAIL_BYTES, &bytes, &below);
	*held += bytes;
	if (*lines < le64toh(h.first_line) + below)
		*lines = le64toh(h.first_line) + below;
	return le64toh(h.first_byte) + bytes;
}

static void measure_spool(int dir, struct exit_file *f)
{
	struct launch_request was = { 0 }; /* of a folder without one there is no output */
	int fd = openat(dir, "request", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint8_t bytes[sizeof was];
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
	uint64_t kept = 0, end;

	if (n <= 0 || !launch_request_parse(bytes, (size_t)n, &was))
		was.tail_max = 0;
	if (fd >= 0)
		close(fd);
	measure(dir, "head", 0, &f->head, &f->lines);
	f->bytes = f->head;
	for (int i = 0; i < 2; i++) {
		end = measure_tail(dir, i ? "tail.1" : "tail.0", &kept, &f->lines);
		f->bytes = end > f->bytes ? end : f->bytes;
	}
	if (kept > was.tail_max)
		kept = was.tail_max;
	f->missing = f->bytes - f->head > kept ? f->bytes - f->head - kept : 0;
}

static uint64_t read_started(int dir)
{
	char text[32] = "";
	int fd = openat(dir, "started", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof text - 1) < 0)
		text[0] = '\0';
	close(fd);
	return strtoull(text, NULL, 10);
}

static enum err end_lost(struct ctx *cx, struct launcher *l, int dir, const char *id)
{
	struct exit_file f = { .verdict = EXIT_LOST, .code = -1,
		               .message = "its monitor died; what was left of it has been killed" };
	struct cgroup_counts counts;
	char path[128];
	int err;

	snprintf(path, sizeof path, "%s/%s", l->opt.cgroup, id);
	cgroup_read(path, l->host.cgroup_v2, &counts);
	if (!cgroup_destroy(path, l->host.cgroup_v2, DESTROY_MS))
		return err_set(cx, ERR_BUSY, "remove the cgroup %s: what is in it does not die", path);
	f.started_us = read_started(dir);
	f.ended_us = (uint64_t)clock_boot_us();
	f.oom_kills = counts.oom_kills;
	f.pids_hits = counts.pids_hits;
	f.max_rss = counts.memory_peak;
	f.cpu_us = counts.cpu_us;
	measure_spool(dir, &f);
	err = exit_file_write(dir, &f, l->opt.runner_gid);
	if (err) {
		errno = -err;
		return err_errno(cx, "write the exit of attempt %s", id);
	}
	return OK;
}

/* Its monitor may be about to say who it is: the launcher before us ends only when it has done what its
 * runner had asked. The runner asks again in a second. */
static bool is_coming(int dir)
{
	struct timespec now;
	struct stat st;

	clock_gettime(CLOCK_REALTIME, &now);
	return faccessat(dir, "monitor.pid", F_OK, 0) && fstat(dir, &st) == 0 && now.tv_sec >= st.st_mtim.tv_sec &&
	       now.tv_sec - st.st_mtim.tv_sec < COMING_S;
}

/* From here on none comes: a launcher that is late finds the place taken. False if it was not that late. */
static bool close_to_monitors(int dir)
{
	int fd = openat(dir, "monitor.pid", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || errno != EEXIST;
}

static enum err sweep_folder(struct ctx *cx, struct launcher *l, const char *id, int *lost)
{
	int dir = openat(l->jobs, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	enum err e = OK;
	bool has_come;

	if (dir < 0)
		return errno == ENOENT ? OK : err_errno(cx, "open the folder of attempt %s", id);
	has_come = faccessat(dir, "monitor.pid", F_OK, 0) == 0;
	/* in this order: a monitor writes `exit` before it ends */
	if (!is_coming(dir) && !attempt_is_watched(dir) && faccessat(dir, "exit", F_OK, 0) &&
	    (has_come || close_to_monitors(dir))) {
		e = end_lost(cx, l, dir, id);
		*lost += e == OK;
	}
	close(dir);
	return e;
}

/* Cgroups whose folder is gone: a node that was removed by hand, or died while it removed. */
static void sweep_cgroups(struct launcher *l)
{
	char root[PATH_MAX], path[128 + 256];
	struct dirent *d;
	DIR *dir;

	snprintf(root, sizeof root, CGROUP_ROOT "%s%s", l->host.cgroup_v2 ? "" : "/pids", l->opt.cgroup);
	dir = opendir(root);
	while (dir && (d = readdir(dir))) {
		if (!is_attempt_name(d->d_name) || faccessat(l->jobs, d->d_name, F_OK, 0) == 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", l->opt.cgroup, d->d_name);
		cgroup_destroy(path, l->host.cgroup_v2, DESTROY_MS);
	}
	if (dir)
		closedir(dir);
}

enum err attempt_sweep(struct ctx *cx, struct launcher *l, int *lost)
{
	int fd = openat(l->jobs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	enum err e = OK;

	*lost = 0;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return err_errno(cx, "list the jobs' folders");
	}
	while ((d = readdir(dir))) {
		enum err one = is_attempt_name(d->d_name) ? sweep_folder(cx, l, d->d_name, lost) : OK;

		e = one ? one : e; /* one that fails must not keep the others */
	}
	closedir(dir);
	sweep_cgroups(l);
	return e;
}
