#pragma once
#include <limits.h>

#include "base/ctx.h"
#include "worker/launcher/host.h"
#include "worker/launcher/launch_request.h"
#include "worker/launcher/network.h"
#include "worker/launcher/spec.h"

/* A user namespace that makes the runner's files those of one user of a slot. */
struct owner {
	int userns; /* -1 = none yet */
	uint32_t uid, gid;
};

/* The launcher's state: what it opened once. All descriptors close on exec and are at least 16, so
 * that those a monitor inherits can be put at their numbers. */
/* A child that answers a request by itself; 0 = none. */
enum { LAUNCH_ANSWERING_MOST = 64 };
struct answering {
	pid_t pid;
	struct launch_request request;
};

struct launcher {
	struct launcher_options opt;
	struct host host;
	struct spec_parts parts;
	struct network network;
	int node, jobs, images, packages; /* folders */
	int lease;              /* the file, for the monitors */
	int monitor, init, layers; /* the programs */
	char init_path[PATH_MAX], node_path[PATH_MAX]; /* as a daemon sees them, too */
	char swarm_init[64]; /* name of the config that holds stoker-init */
	char swarm_label[HOST_NAME_MAX + PATH_MAX + 2]; /* this node, in a swarm */
	int64_t sweep_us; /* when to look for strays again */
	struct answering answering[LAUNCH_ANSWERING_MOST];
	pid_t sweeper[LAUNCH_ENGINE_END]; /* the child that looks for strays; 0 = none */
	int *userns;            /* per slot, -1 = not made yet */
	struct owner *owners;   /* per slot, of the package mounted there last */
	char (*holder)[40];     /* per slot, name of the last attempt in it; "" = none known */
	bool *lets_out;         /* per slot, whether that one has a network */
	int *starting;          /* read ends: one for each launch whose runtime still works; has room
	                         * for starting_max and a test container */
	size_t starting_count, starting_max;
	int chosen;             /* RUNTIME_ that works, -1 = not known yet */
	struct launch_probe probe; /* the last one */
	bool is_lacking;           /* it found that jobs must do without something */
};

/* Makes the node's folders, opens what is needed. */
enum err launcher_open(struct ctx *cx, const struct launcher_options *opt, struct launcher *out);

/* Removes the node's cgroup if no job is in it, frees memory. Descriptors end with the process. */
void launcher_close(struct launcher *l);
/* Says it to the runner, which waits for it: again while there is no memory for it. False: the runner is gone. */
bool launcher_answer(int runner, const void *reply, size_t n);

struct launch_fds {
	int fd[LAUNCH_FDS_MAX];
	size_t count;
};

/* Checks every field and every descriptor of a LAUNCH_LAUNCH; ERR_INPUT names what is wrong. `sizes`
 * gets the bytes of spec, payload, config. */
enum err request_check(struct ctx *cx, const struct launcher *l, const struct launch_request *rq,
                       const struct launch_fds *fds, uint32_t sizes[LAUNCH_FDS_MAX]);

/* The same of a LAUNCH_IMAGE. */
enum err request_check_image(struct ctx *cx, const struct launcher *l, const struct launch_request *rq,
                             const struct launch_fds *fds);

/* What makes one attempt differ from another for attempt_start. */
struct attempt {
	const struct launch_request *request;
	const struct launch_fds *fds;
	uint32_t sizes[LAUNCH_FDS_MAX];
	const struct runtime *runtime;
	int parent; /* folder in which the attempt's is made */
	int rootfs;
	int package; /* its unpacked files, -1 = none */
	int lease;
	char id[40];
};

/* "<task>-<attempt>". */
void attempt_name(const struct launch_request *rq, char out[40]);

/* Makes the folder with request and ctl, spawns the monitor. *monitor gets its pid. ERR_INPUT if
 * another attempt still lives in the slot: two jobs never share a range of ids. ERR_CONFLICT if the
 * folder is there already; after any other error it is not. */
enum err attempt_start(struct ctx *cx, struct launcher *l, const struct attempt *a, pid_t *monitor);

/* Notes which slots attempts of a launcher before us hold. */
void attempt_find_holders(struct launcher *l);

/* Whether any attempt that has a network is alive. */
bool attempt_any_is_out(const struct launcher *l);

/* Whether the monitor that wrote monitor.pid in the folder still lives. */
bool attempt_is_watched(int dir);

/* Kills what is left, removes cgroup and folder. ERR_CONFLICT while its monitor lives; an attempt that
 * is not there is removed already. */
enum err attempt_remove(struct ctx *cx, struct launcher *l, int parent, const char *id);

/* Ends every attempt nobody watches any more (see LAUNCH_SWEEP); *lost gets how many. */
enum err attempt_sweep(struct ctx *cx, struct launcher *l, int *lost);

/* LAUNCH_UNPACK: *child answers to the socket `runner` when it is done, and ends with 0 then. An error: there is none. */
enum err layers_unpack(struct ctx *cx, const struct launcher *l, const struct launch_request *rq, int runner, pid_t *child);

/* Starts a real container per installed runtime and fills l->probe and l->chosen. */
void probe_host(struct ctx *cx, struct launcher *l);
