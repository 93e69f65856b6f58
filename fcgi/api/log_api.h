#pragma once
#include "fcgi/reply.h"

/* Output of a task as text/plain, byte for byte (ironworker-api.md 5.4): the attempts one after
 * another; ?attempt=N for one of them, ?offset=N from that byte on, ?limit=N at most so many. It only
 * ever grows: what is kept of the head while the job writes, and once it ended, after a line that says
 * how much is missing, the tail. ?tail=N: the last N bytes; ?download=plain or gzip: as a file; Range:
 * bytes of what there is. X-Task-Status is the task's state, read before the log: when that is a final
 * one, the log is complete. */
enum err log_api_log(struct request *rq, struct reply *rp);
/* The same for standard output alone. */
enum err log_api_outlog(struct request *rq, struct reply *rp);
