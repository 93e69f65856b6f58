#include "cli/admin/findings.h"

#include "model/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* What a job takes of what the kernel has for the whole machine: monitor, init, the job itself and, while it starts,
 * its runtime; a user namespace, another for its package, and one each of the rest (two mount namespaces: the
 * monitor has its own). Nobody here raises one of these limits: it is said which is short. */
static const struct {
	const char *name, *path;
	int64_t per_job;
} LIMITS[] = {
	{ "kernel.pid_max", "/proc/sys/kernel/pid_max", 4 },
	{ "kernel.threads-max", "/proc/sys/kernel/threads-max", 4 },
	{ "user.max_user_namespaces", "/proc/sys/user/max_user_namespaces", 2 },
	{ "user.max_mnt_namespaces", "/proc/sys/user/max_mnt_namespaces", 2 },
	{ "user.max_pid_namespaces", "/proc/sys/user/max_pid_namespaces", 1 },
	{ "user.max_net_namespaces", "/proc/sys/user/max_net_namespaces", 1 },
	{ "user.max_ipc_namespaces", "/proc/sys/user/max_ipc_namespaces", 1 },
	{ "user.max_uts_namespaces", "/proc/sys/user/max_uts_namespaces", 1 },
	{ "user.max_cgroup_namespaces", "/proc/sys/user/max_cgroup_namespaces", 1 },
};

void doctor_slots(const struct settings *set, struct findings *f)
{
	bool is_short = false;

	if (access(set->node.dir, F_OK) != 0)
		return; /* no node here */
	for (size_t i = 0; i < sizeof LIMITS / sizeof *LIMITS; i++) {
		int64_t is = number_in_file(LIMITS[i].path);

		if (is < 0 || is / LIMITS[i].per_job >= set->node.slots)
			continue;
		is_short = true;
		finding_add(f, FINDING_WARN, "slots", "%" PRId64 " jobs at once take %s = %" PRId64 ", which is %" PRId64 ": enough for %" PRId64,
		            set->node.slots, LIMITS[i].name, set->node.slots * LIMITS[i].per_job, is, is / LIMITS[i].per_job);
	}
	if (!is_short)
		finding_add(f, FINDING_OK, "slots", "no limit of the kernel is short for %" PRId64 " jobs at once", set->node.slots);
}
