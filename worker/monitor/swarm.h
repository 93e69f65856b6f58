#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "worker/monitor/swarm_frame.h"

/* A job of a swarm: a service of one container, on whichever of the swarm's nodes. Nothing of this host is in it,
 * so the monitor has it looked after by a process of its own, the agent, which speaks with the manager and may wait
 * for it. What stoker-init says there (swarm_frame.h) comes back by the service log; the agent hands it on, and adds
 * words of its own. */

enum swarm_word {
	SWARM_READY = 'R', /* the service is there, and runs nothing yet */
	SWARM_NEVER = 'X', /* the job did not begin, and will not; a: 1 = the node's fault; data: why */
	SWARM_TAKEN = 'L', /* the swarm has ended it, and nothing of it runs any more; data: why */
};

/* What a monitor tells its agent, each as one byte. */
enum swarm_order {
	SWARM_GO = 'G',
	SWARM_TERM = 'T',
	SWARM_KILL = 'K', /* may be repeated: at some time the service is removed, and seen gone */
};

struct monitor;

/* Starts the agent. `what` is the launcher's text: the name of the config that holds stoker-init, the seccomp
 * program in base64, the labels of all that is made, each a line; then the service, in which "@config", "@secrets",
 * "@replicas" and "@constraints" stand for what is not known before. False: errno says why not. */
bool swarm_launch(struct monitor *m, const char *what, size_t n);

/* One word of the agent's; its type, 0 if there is none now. */
int swarm_hear(struct monitor *m);

void swarm_tell(const struct monitor *m, enum swarm_order order);

/* Has the job killed: the end is told when it is known to be dead. One that could not begin yet, or whose lease is
 * past, is not waited for long: whoever takes it up next looks for it first. */
void swarm_kill(struct monitor *m);

/* The end is told: lets the agent remove the service. */
void swarm_finish(struct monitor *m);

/* The whole of the agent. Ends when nothing of the job can run any more. */
_Noreturn void swarm_agent(const struct monitor *m, int link, const char *what, size_t n);
