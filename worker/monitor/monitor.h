#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker/monitor/cgroup.h"
#include "worker/monitor/docker.h"
#include "worker/monitor/event.h"
#include "worker/monitor/exit_file.h"
#include "worker/monitor/init_link.h"
#include "worker/monitor/setup.h"
#include "worker/monitor/spool_write.h"
#include "worker/monitor/swarm.h"

#define MONITOR_CONFIG_MAX 49152 /* bytes of config.json; fits into the pipe it comes through */
#define MONITOR_TICK_MS 1000     /* longest time without a look at the lease */
#define MONITOR_OUTPUT_MS 50     /* between two MONITOR_OUTPUT */
#define MONITOR_TAIL_MS 200      /* and behind the head */
/* A flood is read at this rate and no faster; beyond it the job waits for its pipe, not its
 * neighbours for the disk. */
#define MONITOR_DRAIN_RATE (128u << 20)
/* Frames of a job that writes byte by byte would be most of its spool. They may take so many bytes at once, and
 * a quarter of what they hold in the long run; past that its output gathers in the pipe for a while, at most so
 * long, before it is read. */
#define MONITOR_FRAMES_MOST 65536
#define MONITOR_FRAMES_PART 4
#define MONITOR_GATHER_LEAST_US 1000u
#define MONITOR_GATHER_MOST_US 500000u

struct monitor {
	struct monitor_setup setup;
	struct spool spool;
	int signals;   /* signalfd */
	int link;      /* to init; -1 once init is gone */
	int pipes[2];  /* read ends of stdout and stderr; -1 once ended */
	pid_t runtime; /* 0 once reaped */
	pid_t init;    /* 0 until it is known, -1 once reaped */
	pid_t helper;  /* slirp4netns; 0 = there is none */
	int runtime_status, init_status;
	bool childless; /* runtime, init and what they left are all reaped */
	bool starting;  /* the launcher still counts us among its launches */
	bool ready;     /* init waits for go, or has got it */
	uint64_t started_us; /* go was given; 0 before */
	bool has_status;     /* the job's own end, as init told it */
	int status;
	int failed_errno, failed_step; /* the job could not begin, as init told it */
	bool ending;                   /* we end it, for `why` */
	enum exit_verdict why;
	uint64_t kill_us;   /* then everything is killed; 0 = never */
	uint64_t drain_us;  /* then pipes that are still open are left; 0 = init is alive */
	uint64_t launch_us; /* when the runtime must have done its part */
	bool start_due;     /* MONITOR_STARTED has not been told yet */
	uint64_t told_us;   /* last MONITOR_OUTPUT, or try of one */
	uint64_t told_bytes; /* of output then */
	uint64_t rate_us;   /* the drain budget is of the second that began then */
	uint64_t rate_bytes;
	int64_t frames_left; /* bytes that frames may still take */
	uint64_t gather_us, gather_until_us; /* how long output gathers; not read before */
	char words[256];   /* the end of what the runtime said, before the job began */
	size_t words_n;
	bool node_fault;   /* it is the node's own */
	char failure[200]; /* why nothing could be begun; "" if it could */
	/* of a container that a daemon makes (docker.h) */
	bool is_remote, listens;
	int far[2];          /* the job's ends of the pipes, until go; else -1 */
	int package;         /* the folder for init, until go; else -1 */
	int init_fd;         /* pidfd of init, which is no child of ours; else -1 */
	char cgroup[256];    /* "" until it is known */
	struct cgroup_counts counts;
	int engine;          /* the open question (docker_watch), or -1 */
	uint64_t engine_us;  /* not asked again before */
	bool engine_answered, engine_lost;
	char heard[1024];
	size_t heard_n;
	/* of a service (swarm.h): `init` is the agent, `link` leads to it */
	bool is_swarm, swarm_over; /* over: nothing of the job is alive */
	uint64_t swarm_kill_us;    /* when it was first to be killed */
	char taken[200];           /* why the swarm ended it; "" if it did not */
	struct {
		uint8_t header[SPOOL_FRAME_BYTES]; /* room for spool_put */
		uint8_t data[SPOOL_DATA_MAX];
	} buffer;
};

/* CLOCK_BOOTTIME in microseconds. */
uint64_t now_us(void);

/* A datagram to the runner; nobody there is no error. False if its queue is full, which holds as few
 * as 10: it is worth another try. */
bool monitor_tell(const struct monitor *m, enum monitor_event_type type);

/* launching: sandbox, pipes, runtime. False with m->failure set. */
bool monitor_launch(struct monitor *m, const char *config, size_t n);

/* Does the node lack what whoever asks would lack: room, memory, descriptors? */
bool monitor_is_node_fault(int err);

/* Gives go: the job begins. */
void monitor_go(struct monitor *m);

/* It has begun, now: tells so. */
void monitor_begun(struct monitor *m);

/* What the attempt has come to, with the counters of its cgroup. */
void monitor_verdict(const struct monitor *m, struct exit_file *out);
