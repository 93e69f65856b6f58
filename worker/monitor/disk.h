#pragma once
#include "worker/monitor/setup.h"

/* Scratch on a disk of the job's own: a file without a name on the node's file system, whose room is taken
 * beforehand, with an ext4 in it, mounted by a loop device that lets go of it with the mount. So all of it
 * goes with the last of the job's mounts, whoever dies how. */

/* Mounts it at STAGE_SCRATCH, of the setup's scratch_bytes, with an inode for each 16 KiB. NULL, or what could
 * not be done, with errno. */
const char *disk_mount(const struct monitor_setup *setup);
