#pragma once
#include <stddef.h>

#include "worker/monitor/setup.h"

/* The file systems of one attempt, in the monitor's own mount namespace, so that they end with it:
 *   stage/            tmpfs: bundle, state of the runtime, init, payload, config
 *   stage/l           the image, read-only, its owners moved into the slot's range (idmapped)
 *   stage/s           tmpfs of scratch_bytes: all that the job writes
 *   stage/b/rootfs    overlay of both
 *   stage/p           the package, read-only, its owner made the job's user (idmapped); if there is one
 *   stage/t           overlay of it and the same scratch: /task */

/* Makes all of it from the files the launcher handed over, and writes `config` (its n bytes) as the
 * bundle's config.json. NULL, or the step that failed, errno saying why. */
const char *sandbox_make(const struct monitor_setup *setup, const char *config, size_t n);

/* The package's files as the job's user's, mounted nowhere; -1 with errno. */
int sandbox_package(void);
