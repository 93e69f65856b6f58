#pragma once
#include <stdint.h>

/* What stoker-init does itself where a daemon made the container: its link, and the files of LAUNCH_TASK_DIR.
 * All with the job's own rights, into a tmpfs of the container. */

/* INIT_LINK_FD becomes the connection to the monitor's socket; ends the process if that cannot be. */
void init_connect(void);

/* Copies payload, config and package; `fds` are the descriptors that `with` (INIT_WITH_ bits) tells of, without
 * INIT_WITH_OUTPUT's. Returns 0 or the errno. Closes them. */
int init_copy_files(uint32_t with, const int *fds);
