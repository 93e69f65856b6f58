#pragma once
#include <stdint.h>

/* The talk between a monitor and the stoker-init in its container: packets over a SOCK_SEQPACKET
 * socket pair, which init inherits as fd 3 and closes in the job. When the monitor dies, init reads
 * the end of it and ends too, and with it, being process 1, everything in the container. */

#define INIT_LINK_FD 3
#define INIT_PATH "/dev/.stoker-init" /* where it is mounted in the container */

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
	INIT_STEP_PLATFORM = 4, /* exec too, of a program for another machine: a is its ELF machine */
};

struct init_link {
	uint32_t type; /* enum init_link_type */
	uint32_t a;    /* GO: argc */
	uint32_t b;    /* GO: envc */
	uint32_t c;    /* GO: bytes of the spec */
};
