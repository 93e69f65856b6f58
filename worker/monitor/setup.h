#pragma once
#include <stdint.h>

#include "worker/launcher/launch_request.h"
#include "worker/monitor/engine_http.h"

/* What the launcher hands to a new monitor: open files at fixed numbers, and through
 * MONITOR_FD_SETUP this struct, followed, up to the end of the pipe, by the container's config.json or, where
 * a daemon makes it, by what is asked of that. */

enum monitor_fd {
	MONITOR_FD_STARTING = 3, /* write end of a pipe of the launcher's; closed = launch is over */
	MONITOR_FD_SETUP = 4,
	MONITOR_FD_JOB = 5,     /* the job's folder */
	MONITOR_FD_NODE = 6,    /* the node's folder */
	MONITOR_FD_ROOTFS = 7,  /* the image's unpacked files */
	MONITOR_FD_USERNS = 8,  /* a user namespace with the slot's mapping */
	MONITOR_FD_LEASE = 9,
	MONITOR_FD_CTL = 10,    /* the bound socket `ctl` */
	MONITOR_FD_INIT = 11,   /* the file stoker-init */
	MONITOR_FD_RUNTIME = 12, /* the runtime, as a sealed copy in memory if that is possible */
	MONITOR_FD_SPEC = 13,   /* sealed memfds of the request */
	MONITOR_FD_PAYLOAD = 14, /* may be absent */
	MONITOR_FD_CONFIG = 15,  /* may be absent */
	MONITOR_FD_PACKAGE = 16, /* the package's unpacked files; may be absent */
	MONITOR_FD_OWNER = 17,   /* with it: a user namespace that gives them to the job's user */
	MONITOR_FD_RULES = 18,   /* nft's rules for the job's network; absent without one */
	MONITOR_FD_LISTEN = 19,  /* of a daemon's container: the socket that stoker-init connects to */
	MONITOR_FD_END = 20,
};

/* Below the stage, a folder that always exists, hidden by a tmpfs in the monitor's own mount
 * namespace; every folder on the way to it can be entered by the container's users. */
#define STAGE_BUNDLE "b"
#define STAGE_ROOT "b/rootfs"
#define STAGE_STATE "r"
#define STAGE_LOWER "l"
#define STAGE_SCRATCH "s"
#define STAGE_PACKAGE "p"
#define STAGE_TASK "t"
#define STAGE_INIT "init"
#define STAGE_PAYLOAD "payload"
#define STAGE_CONFIG "config"

#define MONITOR_START_TIMEOUT_MS 60000 /* for the runtime, from its exec to the container's init */
#define MONITOR_DRAIN_MS 2000          /* for output that a stray process still holds open */

/* How a job gets out, if its cluster lets it. */
enum monitor_network { MONITOR_NETWORK_NONE, MONITOR_NETWORK_VETH, MONITOR_NETWORK_SLIRP };

/* Addresses of jobs: 198.18.0.0/15, which is routed nowhere, two for each of 65,536 ranges of uids; and
 * fd73:746f:6b65:NUMBER::/64. The lower one of both is the host's end. */
#define MONITOR_NETWORK_FIRST4 0xc6120000u

struct monitor_outbound {
	uint8_t how;     /* enum monitor_network */
	uint8_t has_v6;
	uint16_t number; /* of the slot's range of uids: base / 65536 */
	char name[16];   /* of the host's end */
	char nft[64], slirp[64]; /* paths */
	char resolvers[256];     /* the job's /etc/resolv.conf */
};

struct monitor_setup {
	struct launch_request request;
	uint32_t base;       /* first uid and gid of the slot's range outside */
	uint32_t runner_gid; /* group of the folder's files */
	uint32_t spec_bytes;
	uint32_t payload_bytes;
	uint32_t config_bytes;
	uint8_t cgroup_v2;
	uint8_t is_crun; /* else runc */
	uint8_t pad[2];
	char id[40];       /* "<task>-<attempt>": name of container, folder and cgroup */
	char cgroup[128];  /* path below every hierarchy's root, "/stoker/<id>" */
	char runtime[256]; /* its path, for argv[0] */
	char stage[32];    /* "/mnt" */
	struct monitor_outbound outbound;
	char engine[ENGINE_SOCKET_MAX]; /* path of the daemon's socket; "" = a runtime of our own */
	char mkfs[64];     /* path of mkfs.ext4; "" = not installed */
};
