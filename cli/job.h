#pragma once
#include "cli/client.h"

/* Waiting for a job: by polling, through outages of the server, until it is over. */

/* The exit status that a finished task's JSON stands for: 0 complete, its own exit status, 124
 * timeout, 137 killed, 125 what the job did not decide. */
int job_verdict(const json_t *task);
bool job_is_over(const json_t *task);
/* One line for people: "task ID: error, exit status 3". In the arena. */
char *job_sentence(struct cli *c, const json_t *task);

/* Until it is over; *task is a new reference to its last form. Ctrl-C: ERR_BUSY, the notice says
 * that the job goes on, and c->exit is 130. */
enum err job_wait(struct cli *c, const struct client *to, const char *id, json_t **task);
/* For those who wait otherwise: one GET of the task that outlasts outages of the server. */
enum err job_read(struct cli *c, const struct client *to, const char *id, json_t **task);
/* After a failed call: waits, and is OK when it is worth asking again, for as long as an outage may last.
 * Begins with `since` 0. */
struct outage {
	int64_t since;
};
enum err job_sit_out(struct cli *c, const char *id, struct outage *o);
/* Waits so long and makes it longer, up to a second; the error when interrupted. */
enum err job_pause(struct cli *c, const char *id, int *poll_ms);
enum { JOB_POLL_LEAST_MS = 50 };
/* Gives back what has been put into the ctx's arena since it was `kept`. */
void job_forget(struct cli *c, struct arena *kept);
