#pragma once
#include "fcgi/process.h"

/* Serves FastCGI on a listening socket until SIGTERM or SIGINT, or until the process is to be
 * replaced ([api] recycle_requests, recycle_mb). One request at a time; other processes may accept
 * on the same socket. On a signal: the request in hand is finished, then those that wait in the
 * socket's queue are served as far as two seconds go, so that a restart loses none; five seconds in
 * all. Returns the exit status: 0. Blocks signals it reads itself. */
int fastcgi_serve(struct process *process, int listener);
