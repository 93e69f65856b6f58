#pragma once
#include <stdint.h>

/* Datagrams from a monitor to the runner's socket (NODE/runner.sock). They only save waiting: the
 * files in the job's folder are the truth, and a datagram that nobody reads costs nothing. */

#define MONITOR_EVENT_MAGIC 0x454d5453u /* "STME" */

enum monitor_event_type {
	MONITOR_CREATED = 'R', /* the container is there and waits for go (only with LAUNCH_WAIT_FOR_GO) */
	MONITOR_STARTED = 'S', /* the job was told to go; the file `started` is there */
	MONITOR_OUTPUT = 'O',  /* there is more output: the first at once, then one in 50 ms, behind the head in 200 */
	MONITOR_EXIT = 'X',    /* the file `exit` is there; the monitor still cleans up for a moment */
};

struct monitor_event {
	uint32_t magic; /* MONITOR_EVENT_MAGIC */
	uint8_t type;   /* enum monitor_event_type */
	uint8_t pad[3];
	uint8_t task[12];
	uint32_t attempt;
	uint64_t boottime_us; /* CLOCK_BOOTTIME */
	uint64_t head_bytes;  /* size of the file `head` now, frame headers included */
};
_Static_assert(sizeof(struct monitor_event) == 40, "monitor_event has no holes");

/* One byte datagrams to the monitor's socket `ctl` in the job's folder. Each may come twice, late or
 * in any order; the first reason to end a job is the one that is told. */
enum monitor_ctl {
	MONITOR_CTL_GO = 'G',     /* begin the job; without meaning once it has begun */
	MONITOR_CTL_CANCEL = 'C', /* TERM to all, grace, KILL; verdict cancelled */
	MONITOR_CTL_STOP = 'D',   /* the node stops: the same, verdict stopped */
	MONITOR_CTL_KILL = 'K',   /* KILL now; verdict cancelled unless another was being carried out */
};
