#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What the runner may ask of the launcher. It and the monitors it starts are the privileged programs
 * of a node: uid 0, with all that mounts, namespaces and cgroups take.
 *
 * Both ends are one machine and one build, so the structs travel as they are over the SOCK_SEQPACKET
 * socket pair that is the launcher's fd 3: one request, one packet; one answer, one packet, in the
 * order of the requests. A request names no path, mount, device, capability or argument of the
 * runtime: every field is a number in stated bounds, an id or a digest. What the job is given
 * (arguments, environment, payload) travels in sealed memfds, is never parsed with privileges, and
 * reaches the job as the bytes it was.
 *
 * The launcher ends when the runner closes its end; containers and their monitors stay. */

#define LAUNCH_MAGIC 0x4b4c5453u /* "STLK" */
#define LAUNCH_VERSION 2
#define LAUNCH_REQUEST_1_BYTES 152 /* version 1 ended before package_digest */

enum launch_op {
	LAUNCH_PROBE = 1,  /* what can this host do: answered by struct launch_probe */
	LAUNCH_LAUNCH = 2, /* start a monitor, which starts the container; with 1 to 3 fds */
	LAUNCH_REMOVE = 3, /* an attempt whose monitor is gone: kill what is left, cgroup, folder */
	LAUNCH_UNPACK = 5, /* make an image of fetched layers; see below */
	LAUNCH_IMAGE = 6,  /* what does a name mean to a daemon? With one fd; see below */
	LAUNCH_SWEEP = 4,  /* every attempt without a living monitor and without `exit`: kill what is
	                    * left of it and write its `exit` with verdict lost; folders stay */
};

/* LAUNCH_UNPACK, with the digest: NODE/pulls/<64 hex>, layers that the runner fetched, becomes the image of
 * that digest (worker/image), and goes. Answered when it is done, other requests meanwhile; the answer has
 * the request's task. LAUNCH_FAILED: the image is bad; LAUNCH_NODE: this node cannot now. */

/* LAUNCH_IMAGE, with the engine, a sealed memfd that holds the name, and as digest the SHA-256 of the name: asks
 * that daemon, or gives it the image of that name from the node's own store, and writes what it is to
 * NODE/images/<engine>-<hex of that SHA-256>: {"Id": "sha256:…", "Config": {…}}. Answered as LAUNCH_UNPACK is. */
#define LAUNCH_IMAGE_NAME_MAX 512

enum launch_status {
	LAUNCH_OK = 0,
	LAUNCH_REFUSED = 1,  /* a field is out of bounds: a bug of the runner; nothing was done */
	LAUNCH_NO_IMAGE = 2, /* no unpacked image of that digest on this node */
	LAUNCH_BUSY = 3,     /* LAUNCH: that attempt has a folder. REMOVE: its monitor still lives */
	LAUNCH_FAILED = 4,   /* it cannot be done; the message says what and why */
	LAUNCH_NODE = 5,     /* LAUNCH: this node cannot now (no room, no memory, …), whatever the task is */
};

/* fds of LAUNCH_LAUNCH, by SCM_RIGHTS with the request: always LAUNCH_FD_SPEC; the payload if
 * payload_fd is 1; the config if config_fd is 1; in this order. All are memfds sealed with
 * F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE (and may be F_SEAL_SEAL). The sender keeps its own copies.
 *
 * The spec is argc strings, then envc strings "NAME=value", then the working directory, each ended
 * by a NUL, and nothing else: exactly 1 + argc + envc NULs, the last byte being one. The environment
 * is all the job gets, except that PATH is added if it is not there. An empty working directory
 * means "/". Inside the job the payload is LAUNCH_PAYLOAD_FILE, the config LAUNCH_CONFIG_FILE.
 *
 * With a package, LAUNCH_TASK_DIR is an overlay of the attempt's own: below it, read-only, the files
 * that the runner unpacked in NODE/packages/sha256-<digest>/files, which the job sees as its user's;
 * what it changes goes into its scratch. Without one LAUNCH_TASK_DIR is an empty folder of the job's
 * user. LAUNCH_TASK_LINK is a link to it either way. */
#define LAUNCH_FDS_MAX 3
#define LAUNCH_TASK_DIR "/task"
#define LAUNCH_TASK_LINK "/mnt/task"
#define LAUNCH_PAYLOAD_NAME "/task_payload.json"
#define LAUNCH_CONFIG_NAME "/task_config.json"
#define LAUNCH_PAYLOAD_FILE LAUNCH_TASK_DIR LAUNCH_PAYLOAD_NAME
#define LAUNCH_CONFIG_FILE LAUNCH_TASK_DIR LAUNCH_CONFIG_NAME
#define LAUNCH_PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#define LAUNCH_SPEC_MAX (1u << 20)       /* bytes of arguments, environment and directory */
#define LAUNCH_STRINGS_MAX 8192u         /* argc and envc, each */
#define LAUNCH_FILE_MAX (64u << 20)      /* bytes of a payload or a config */
#define LAUNCH_MEMORY_MIN (8ull << 20)   /* below it not even the runtime's own init starts */
#define LAUNCH_MEMORY_MAX (1ull << 44)
#define LAUNCH_SCRATCH_MIN (1ull << 20)
#define LAUNCH_DISK_MIN (4ull << 20) /* of scratch_bytes with on_disk: what a file system itself takes */
#define LAUNCH_SCRATCH_MAX (1ull << 44)
#define LAUNCH_PIDS_MAX 32768u
#define LAUNCH_CPU_MILLIS_MIN 10u
#define LAUNCH_CPU_MILLIS_MAX 1024000u
#define LAUNCH_TIMEOUT_MS_MAX (366ull * 86400 * 1000)
#define LAUNCH_GRACE_MS_MAX (3600u * 1000)
#define LAUNCH_SPOOL_MAX (1ull << 30)    /* head_max and tail_max, each */
#define LAUNCH_ID_MAX 65535u             /* uid and gid inside: the range of a slot is 65536 wide */
#define LAUNCH_UID_RANGE 65536u

/* Who makes the container: a runtime that the monitor starts, or a daemon whose API the monitor speaks to. */
enum launch_engine {
	LAUNCH_ENGINE_OCI = 0,
	LAUNCH_ENGINE_DOCKER = 1,
	LAUNCH_ENGINE_PODMAN = 2,
	LAUNCH_ENGINE_SWARM = 3, /* the manager's */
	LAUNCH_ENGINE_END
};

/* the container waits, created, until its ctl socket gets 'G'; without it the job begins at once */
#define LAUNCH_WAIT_FOR_GO 1u
/* stdout and stderr are one pipe, told as stdout */
#define LAUNCH_MERGED_OUTPUT 2u

/* What a job may reach; the cluster's policy. */
enum launch_network {
	LAUNCH_NETWORK_NONE = 0,
	LAUNCH_NETWORK_OUTBOUND = 1, /* public addresses */
	LAUNCH_NETWORK_PRIVATE = 2,  /* and private ones, but for this host's own, the database's and metadata */
};

/* What an operator has relaxed for the code: bits of `relaxed`, and the capability that one gives. The
 * project's own list of them is model/relaxation.h, which the launcher does not know. */
#define LAUNCH_RELAXATIONS(X) \
	X(SECCOMP_OFF, NULL) \
	X(WRITABLE_PROC_SYS, NULL) \
	X(CAP_CHOWN, "CAP_CHOWN") \
	X(CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE") \
	X(CAP_FOWNER, "CAP_FOWNER") \
	X(CAP_KILL, "CAP_KILL") \
	X(CAP_SETGID, "CAP_SETGID") \
	X(CAP_SETUID, "CAP_SETUID") \
	X(CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE")

#define X(name, capability) LAUNCH_RELAX_##name,
enum launch_relaxation { LAUNCH_RELAXATIONS(X) LAUNCH_RELAX_COUNT };
#undef X

struct launch_request {
	uint32_t magic;   /* LAUNCH_MAGIC */
	uint16_t version; /* LAUNCH_VERSION */
	uint16_t op;      /* enum launch_op; PROBE and SWEEP need no more than this */
	uint8_t task[12]; /* also the host name and, with the attempt, the name of folder and cgroup */
	uint32_t attempt; /* from 1 */

	uint32_t slot;  /* 0 .. slots - 1: uids uid_base + slot * 65536 up; never two lives in one slot */
	uint32_t flags; /* LAUNCH_WAIT_FOR_GO, LAUNCH_MERGED_OUTPUT */
	uint8_t digest[32];     /* sha256 of the image; of a daemon: its id there */
	uint64_t memory_bytes;  /* and no swap; LAUNCH_MEMORY_MIN .. MAX */
	uint64_t scratch_bytes; /* all the job may write to its root; in memory it counts as the job's */
	uint64_t timeout_ms;    /* from the go to TERM; 1 .. LAUNCH_TIMEOUT_MS_MAX */
	uint64_t head_max;      /* bytes of output kept from the beginning */
	uint64_t tail_max;      /* and from the end */
	uint32_t grace_ms;      /* between TERM and KILL */
	uint32_t pids;          /* processes and threads at once; 1 .. LAUNCH_PIDS_MAX */
	uint32_t cpu_millis;    /* thousandths of a core; 0 = no limit */
	uint32_t uid;           /* inside; 0 .. LAUNCH_ID_MAX */
	uint32_t gid;
	uint32_t argc; /* 1 .. LAUNCH_STRINGS_MAX */
	uint32_t envc; /* 0 .. LAUNCH_STRINGS_MAX */
	uint8_t payload_fd;
	uint8_t config_fd;
	uint8_t has_package;
	uint8_t network;      /* enum launch_network */
	uint8_t engine;       /* enum launch_engine */
	uint8_t on_disk;      /* scratch is a disk of its own, and no memory of the job */
	uint16_t relaxed;     /* bits 1 << enum launch_relaxation: an operator's word, of one code */
	uint8_t reserved[12]; /* zero */
	uint8_t package_digest[32]; /* sha256 of the zip; zero without a package */
};
_Static_assert(sizeof(struct launch_request) == 184, "launch_request has no holes");

/* The request of an attempt's folder, of any version; false if the bytes are none. */
static inline bool launch_request_parse(const void *bytes, size_t n, struct launch_request *out)
{
	struct launch_request rq = { 0 };

	if (n != sizeof rq && n != LAUNCH_REQUEST_1_BYTES)
		return false;
	memcpy(&rq, bytes, n);
	if (rq.magic != LAUNCH_MAGIC || rq.version != (n == sizeof rq ? LAUNCH_VERSION : 1))
		return false;
	*out = rq;
	return true;
}

struct launch_reply {
	uint32_t magic;
	uint16_t version;
	uint16_t op;
	uint8_t task[12];
	uint32_t attempt;
	uint32_t status;      /* enum launch_status */
	int32_t monitor;      /* LAUNCH: pid of the monitor; SWEEP: attempts that were found lost */
	char message[224];    /* a sentence, ended by NUL; empty if status is LAUNCH_OK */
};
_Static_assert(sizeof(struct launch_reply) == 256, "launch_reply has no holes");

/* Facts of the host; a job can run if one of LAUNCH_HOST_CRUN and LAUNCH_HOST_RUNC is there, which
 * are true only if a whole hardened container was really started and ended with the right status. */
enum launch_host {
	LAUNCH_HOST_CRUN = 1 << 0,
	LAUNCH_HOST_RUNC = 1 << 1,
	LAUNCH_HOST_CGROUP_V2 = 1 << 2, /* unified; else v1 or hybrid */
	LAUNCH_HOST_MEMORY = 1 << 3,    /* controllers there for jobs */
	LAUNCH_HOST_SWAP = 1 << 4,      /* swap can be limited too */
	LAUNCH_HOST_PIDS = 1 << 5,
	LAUNCH_HOST_CPU = 1 << 6,
	LAUNCH_HOST_IDMAP = 1 << 7,     /* idmapped mounts below overlay (Linux 5.19) */
	LAUNCH_HOST_SECCOMP = 1 << 8,
	LAUNCH_HOST_NETWORK = 1 << 9, /* jobs can be given a way out */
	LAUNCH_HOST_DISK = 1 << 10,   /* and scratch on a disk of their own */
};

struct launch_probe {
	struct launch_reply reply; /* status LAUNCH_OK if a job can run, else LAUNCH_FAILED */
	uint32_t host;             /* LAUNCH_HOST_ bits */
	char runtime[60];          /* path of the runtime that will be used; empty if none works */
	char why[480];             /* why none works: "crun: ...; runc: ..."; empty if one does */
	char text[2048];           /* a line for each thing that was tried: "ok crun: ..." or "no runc: why" */
};
