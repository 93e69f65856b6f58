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
/* The same, and its log on stdout as it grows. */
enum err job_follow(struct cli *c, const struct client *to, const char *id, json_t **task);
