#pragma once
#include "base/ctx.h"
#include "model/settings.h"

/* Keeps [api] processes children on one listening unix socket (mode 0660).
 *   TERM, INT   stop: every child finishes its request and serves what waits in the socket's queue;
 *               gone within five seconds.
 *   HUP         reread the configuration: new children first, then the old ones are stopped.
 * A child that ends is replaced, with growing pauses when it crashed at once.
 *
 * Restart without loss: start the new supervisor, which puts its socket in the old one's place by
 * rename, and TERM the old one when the new one has logged `listening`. The web server must not keep
 * connections (fastcgi_keep_conn off). */

/* Makes one child's work and returns its exit status; runs in the child. */
typedef int supervisor_work(const struct settings *set, int listener);

/* Runs until it was told to stop; the exit status of the program. `path` of the configuration for
 * HUP; may be NULL. */
int supervisor_run(struct ctx *cx, const char *path, struct settings *set, supervisor_work *work);
