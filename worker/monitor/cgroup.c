#include "worker/monitor/cgroup.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PASSES_PER_S = 500 };

/* The text of a cgroup file; false if there is none. */
static bool slurp(const char *file, char *out, size_t size)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return false;
	out[n] = '\0';
	return true;
}

/* The number behind `key` at the begin of a line, or the first number if key is "". */
static uint64_t value_of(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, n) == 0 && (n == 0 || line[n] == ' '))
			return strtoull(line + n, NULL, 10);
	}
	return 0;
}

static uint64_t counter(const char *controller, const char *path, const char *file, const char *key)
{
	char name[PATH_MAX], text[4096];

	snprintf(name, sizeof name, CGROUP_ROOT "%s%s/%s", controller, path, file);
	return slurp(name, text, sizeof text) ? value_of(text, key) : 0;
}

void cgroup_read(const char *path, bool v2, struct cgroup_counts *out)
{
	memset(out, 0, sizeof *out);
	if (v2) {
		out->oom_kills = counter("", path, "memory.events", "oom_kill");
		out->pids_hits = counter("", path, "pids.events", "max");
		out->memory_peak = counter("", path, "memory.peak", "");
		out->cpu_us = counter("", path, "cpu.stat", "usage_usec");
		return;
	}
	out->oom_kills = counter("/memory", path, "memory.oom_control", "oom_kill");
	out->pids_hits = counter("/pids", path, "pids.events", "max");
	out->memory_peak = counter("/memory", path, "memory.max_usage_in_bytes", "");
	out->cpu_us = counter("/cpuacct", path, "cpuacct.usage", "") / 1000;
}

/* One block of the list is enough for a pass: what is behind it comes in the next. */
static int kill_listed(const char *dir)
{
	char name[PATH_MAX], text[4096];
	char *at = text, *end;
	int found = 0;

	snprintf(name, sizeof name, "%s/cgroup.procs", dir);
	if (!slurp(name, text, sizeof text))
		return 0;
	/* a pid cut at the end of the block would be another process: only whole lines count */
	while ((end = strchr(at, '\n'))) {
		long pid = strtol(at, NULL, 10);

		if (pid > 1 && kill((pid_t)pid, SIGKILL) == 0)
			found++;
		at = end + 1;
	}
	return found;
}

/* Calls `what` for the cgroup's folder in each hierarchy; returns the sum. */
static int each_hierarchy(const char *path, bool v2, int (*what)(const char *dir))
{
	char dir[PATH_MAX];
	struct dirent *d;
	int sum = 0;
	DIR *root;

	if (v2) {
		snprintf(dir, sizeof dir, CGROUP_ROOT "%s", path);
		return what(dir);
	}
	root = opendir(CGROUP_ROOT);
	while (root && (d = readdir(root))) {
		if (d->d_name[0] == '.' || d->d_type != DT_DIR)
			continue; /* links ("cpu" to "cpu,cpuacct") lead to the same place */
		snprintf(dir, sizeof dir, CGROUP_ROOT "/%s%s", d->d_name, path);
		sum += what(dir);
	}
	if (root)
		closedir(root);
	return sum;
}

int cgroup_kill(const char *path, bool v2)
{
	char name[PATH_MAX];
	int fd;

	assert(path[0] == '/' && strchr(path + 1, '/')); /* never a hierarchy's root, nor a node's */
	if (v2) {
		snprintf(name, sizeof name, CGROUP_ROOT "%s/cgroup.kill", path);
		fd = open(name, O_WRONLY | O_CLOEXEC);
		if (fd >= 0 && write(fd, "1", 1) < 0)
			errno = 0; /* too old a kernel for it: the list below does it */
		if (fd >= 0)
			close(fd);
	}
	return each_hierarchy(path, v2, kill_listed);
}

static int is_left(const char *dir)
{
	struct dirent *d;
	DIR *sub;

	if (rmdir(dir) == 0 || errno == ENOENT)
		return 0;
	sub = opendir(dir);
	while (sub && (d = readdir(sub))) {
		char below[PATH_MAX];

		/* an ordinary file only where a runtime took an ordinary folder for a hierarchy */
		if (d->d_type == DT_REG && strcmp(d->d_name, "cgroup.procs") == 0)
			unlinkat(dirfd(sub), d->d_name, 0);
		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		if ((size_t)snprintf(below, sizeof below, "%s/%s", dir, d->d_name) < sizeof below)
			is_left(below);
	}
	if (sub)
		closedir(sub);
	return rmdir(dir) == 0 || errno == ENOENT ? 0 : 1;
}

bool cgroup_remove(const char *path, bool v2)
{
	return each_hierarchy(path, v2, is_left) == 0;
}

bool cgroup_destroy(const char *path, bool v2, int timeout_ms)
{
	for (int pass = 0; !cgroup_remove(path, v2); pass++) {
		if (pass * 1000 / PASSES_PER_S >= timeout_ms)
			return false;
		if (pass > 0) /* at first it is most likely only not yet told that it is empty */
			cgroup_kill(path, v2);
		poll(NULL, 0, 1000 / PASSES_PER_S);
	}
	return true;
}

static int drop_empty(const char *dir)
{
	return rmdir(dir) != 0;
}

void cgroup_drop_empty(const char *path, bool v2)
{
	each_hierarchy(path, v2, drop_empty);
}
