#pragma once
#include "cli/job.h"

/* The log of a job on stdout as it grows, until it is over: by the server's stream (docs/api.md), by
 * polling where there is none at the moment; each goes on at the exact byte where the other stopped.
 * *task as by job_wait, and so is Ctrl-C. */
enum err follow_log(struct cli *c, const struct client *to, const char *id, json_t **task);
