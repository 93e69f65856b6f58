#pragma once
#include <stdbool.h>
#include <stdint.h>

/* The cgroup of one attempt, by files: no library, used by monitor and launcher. `path` is below the
 * root of every hierarchy ("/stoker/<id>"); v1 has one hierarchy per controller, v2 one in all. */

#define CGROUP_ROOT "/sys/fs/cgroup"

struct cgroup_counts {
	uint64_t oom_kills; /* processes killed at the memory limit, children too */
	uint64_t pids_hits; /* forks refused at the process limit */
	uint64_t memory_peak; /* bytes */
	uint64_t cpu_us;
};

/* Reads what there is; a counter the kernel does not have stays 0. To be read before removal. */
void cgroup_read(const char *path, bool v2, struct cgroup_counts *out);

/* SIGKILL to every process in it, those that are forked meanwhile too, as far as one pass can;
 * repeat until it is empty. Returns the number of processes found. */
int cgroup_kill(const char *path, bool v2);

/* Removes its folder from every hierarchy, and those below it. True if none is left; false, as long
 * as something in it still dies. */
bool cgroup_remove(const char *path, bool v2);

/* Like cgroup_kill and cgroup_remove until it is gone, but at most `timeout_ms`. */
bool cgroup_destroy(const char *path, bool v2, int timeout_ms);

/* Removes the folder `path` where nothing is in or below it; elsewhere it stays. */
void cgroup_drop_empty(const char *path, bool v2);
