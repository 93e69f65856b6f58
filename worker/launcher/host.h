#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/ctx.h"
#include "worker/launcher/launch_request.h"
#include "worker/monitor/engine_http.h"

/* What the launcher was started with: the runner's supervisor, still root, put it on the command line
 * (--node DIR --uid N --gid N --uid-base N --slots N --cgroup NAME --runtime auto|crun|runc
 * --isolation usual|strict --images-mb N --resolvers LIST --closed LIST --docker SOCKET --podman SOCKET). With
 * --probe an operator did. */
struct launcher_options {
	char node_dir[PATH_MAX];
	uid_t runner_uid;
	gid_t runner_gid;
	uint32_t uid_base;
	uint32_t slots;
	char cgroup[80];  /* "/stoker": below the root of every hierarchy, for all jobs of this node */
	char runtime[16]; /* "auto", "crun", "runc" */
	uint32_t images_mb; /* that fetched images may take together */
	const char *resolvers;  /* addresses, comma separated, that jobs with a way out may ask for names; "" = the host's */
	const char *closed;     /* addresses that no job may reach: the database's */
	char engine[LAUNCH_ENGINE_END][ENGINE_SOCKET_MAX]; /* sockets of daemons; "" = not on this node */
	bool is_strict;   /* --isolation strict: a host that cannot give all of it runs no job */
	bool is_probe;    /* --probe: an operator asks what this host can do; no runner, no fd 3 */
};

struct runtime {
	bool is_crun;
	char path[64]; /* "" if it is not installed */
	int fd;        /* a sealed copy in memory, or -1 */
};

enum { RUNTIME_CRUN, RUNTIME_RUNC, RUNTIME_COUNT };

/* The host as jobs find it. */
struct host {
	bool cgroup_v2;
	bool has_memory, has_swap, has_pids, has_cpu;
	bool can_limit_devices, can_keep_oom_score;
	char stage[32];          /* folder that the monitors hide behind their tmpfs */
	uint64_t nofile_hard, fsize_hard; /* of ours: a spec cannot ask for more */
	char mkfs[64];           /* mkfs.ext4; "" if it is not installed */
	struct runtime runtimes[RUNTIME_COUNT];
};

/* The path of a program of the host's, "" if it is not installed. */
void host_find_program(const char *name, char path[64]);

/* Enters a mount namespace of our own in which nothing we mount reaches the host, with the v2 half of
 * a hybrid cgroup host unmounted (crun refuses it otherwise), and looks at what there is. */
enum err host_open(struct ctx *cx, const struct launcher_options *opt, struct host *out);

/* Makes the node's cgroup and, on v2, turns the controllers on for what is below it. */
enum err host_make_cgroup(struct ctx *cx, const struct launcher_options *opt, struct host *h);
