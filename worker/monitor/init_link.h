#pragma once
#include <stdint.h>

/* The talk between a monitor and the stoker-init in its container: packets over a SOCK_SEQPACKET
 * socket pair, which init inherits as fd 3 and closes in the job. When the monitor dies, init reads
 * the end of it and ends too, and with it, being process 1, everything in the container. */

#define INIT_LINK_FD 3
#define INIT_PATH "/dev/.stoker-init" /* where it is mounted in the container */

/* A daemon hands no descriptor on: there init, called with this argument, connects to the monitor's socket,
 * which is mounted beside it. It then gets output, payload, config and package with go, copies the files to
 * LAUNCH_TASK_DIR, and after the job's end waits for the end of the link, so that the monitor can read the
 * container's counters before the daemon takes them away. */
#define INIT_LINK_PATH "/dev/.stoker-link"
#define INIT_CONNECT "--connect"

/* stoker-init as a job of its own, for the launcher's test containers: an argument says what to do. */
#define INIT_PROBE_EXIT "--probe-exit"     /* end with INIT_PROBE_CODE */
#define INIT_PROBE_MEMORY "--probe-memory" /* take INIT_PROBE_BYTES, then the same */
#define INIT_PROBE_CODE 42
#define INIT_PROBE_BYTES (64u << 20)

enum init_link_type {
	INIT_READY = 'R',  /* to the monitor: the container is there; init waits for go */
	INIT_GO = 'G',     /* to init, with the sealed memfd of the spec: begin the job */
	INIT_TERM = 'T',   /* to init: SIGTERM to every process of the container */
	INIT_FAILED = 'E', /* to the monitor: the job could not begin; a is errno, b the step */
	INIT_STATUS = 'W', /* to the monitor: the main process ended; a is its wait status */
};

enum init_step {
	INIT_STEP_SPEC = 1,
	INIT_STEP_WORKDIR = 2,
	INIT_STEP_EXEC = 3,
	INIT_STEP_TASK = 5,     /* copy payload, config or package */
	INIT_STEP_ORDERS = 6,   /* what a swarm's container does first */
	INIT_STEP_PLATFORM = 4, /* exec too, of a program for another machine: a is its ELF machine */
};

#define INIT_WITH_OUTPUT 1u  /* two pipes: the job's stdout and stderr */
#define INIT_WITH_PAYLOAD 2u /* sealed memfds */
#define INIT_WITH_CONFIG 4u
#define INIT_WITH_PACKAGE 8u /* the folder of its files */
#define INIT_FDS_MAX 6

struct init_link {
	uint32_t type; /* enum init_link_type */
	uint32_t a;    /* GO: argc */
	uint32_t b;    /* GO: envc */
	uint32_t c;    /* GO: bytes of the spec */
	uint32_t with; /* GO: INIT_WITH_ bits: descriptors that follow the spec's, in this order */
};
