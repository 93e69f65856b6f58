#pragma once
#include <stdbool.h>
#include <stddef.h>

/* A container that a daemon makes (Docker, Podman). Its words are asked of the API, but what matters does not
 * pass through the daemon: stoker-init, in the container, is linked with the monitor by a socket, the job's
 * output comes through the monitor's own pipes, and KILL goes to the container's init itself. So a daemon that
 * hangs or restarts delays neither output nor end nor fence. */

struct monitor;

/* Creates and starts the container `what` describes, in a process of its own, whose status and words are a
 * runtime's. An answer that was lost is asked for again: the name is the attempt's. Returns the exit status. */
int docker_run(const struct monitor *m, const char *what, size_t n);
enum { DOCKER_RUN_AWAY = 75 }; /* the daemon is not there, or too busy: not the task's fault */

/* stoker-init connects. False: it cannot be followed; m->failure says why. */
bool docker_accept(struct monitor *m);

/* Keeps a question open that the daemon answers when the container has ended: its end without an answer is
 * the daemon's own. */
void docker_watch(struct monitor *m);
void docker_hear(struct monitor *m);

/* The counters of the container's cgroup, as long as it is there. */
void docker_count(struct monitor *m);

/* KILL to all of the container. */
void docker_kill(struct monitor *m);

/* Has the daemon gone, or come back, since the job began? Waits at most 2 s. */
bool docker_has_restarted(const struct monitor *m);

/* Removes the container from the daemon; one that does not answer forgets nothing: a sweep comes later. */
void docker_remove(const struct monitor *m);
