#pragma once
#include <sys/types.h>

#include "worker/monitor/setup.h"

/* The way out of a job whose cluster has one, made in the network namespace of its container between
 * "created" and "go". First comes the wall: rules in the job's own namespace, which it has no right to
 * change and which go with it. Then a pair of interfaces whose outer end is the host's, or slirp4netns.
 * Both end with the namespace or with us. */

/* `init` is the container's first process, as we see it. NULL, or what could not be done, with errno.
 * *helper gets slirp4netns, a child that ends when it is killed or we are; 0 = there is none. */
const char *network_make(const struct monitor_setup *setup, pid_t init, pid_t *helper);
