#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The calls of a swarm's manager that a job takes. Each waits for its answer, up to half a minute; what is made is
 * made once, also when an answer was lost, since all names are the attempt's. Statuses are HTTP's, or -errno where
 * there was no answer. */

enum { SWARM_ANSWER_MAX = 1 << 18, SWARM_ID_MAX = 32, SWARM_BODY_MAX = 1 << 16 };

struct swarm_api {
	const char *socket;
	char attempt[40], task[25]; /* of its labels: "<task>-<attempt>" and the task alone */
	char name[48];              /* of the service */
	char config_name[64];       /* of the config that holds stoker-init */
	const char *labels;         /* JSON, and the service's own with placeholders */
	size_t labels_n;
	const char *service;
	char config[SWARM_ID_MAX], id[SWARM_ID_MAX]; /* ids of config and service */
	char secrets[4096];         /* JSON: the references to all of them, without the brackets */
	unsigned secret_count;
	char passed[1024];          /* JSON: constraints, without the brackets */
	char answer[SWARM_ANSWER_MAX], body[SWARM_BODY_MAX];
};

/* `init` is the open file of stoker-init. */
int swarm_make_config(struct swarm_api *s, int init);

/* The orders, in as many secrets as they take. */
int swarm_make_secrets(struct swarm_api *s, const uint8_t *orders, size_t n);

/* The service, without a container yet. */
int swarm_make_service(struct swarm_api *s);

/* One container, or, with `is_over`, none: the one that runs gets TERM, and stays until the service is removed. */
int swarm_scale(struct swarm_api *s, bool is_over);

/* That node is not to have it. False: there is no room for more of them. */
bool swarm_pass_over(struct swarm_api *s, const char *node);

/* Removes service and secrets; what is not there is no error. */
int swarm_remove(struct swarm_api *s);

/* Removes services of the same task that are of earlier attempts. *newer: there is one of a later one. */
int swarm_remove_older(struct swarm_api *s, bool *newer);

/* One container of the task, as the manager knows it. */
struct swarm_task {
	bool is_ours; /* of our service */
	bool is_alive; /* it runs, or may */
	char state[16], node[SWARM_ID_MAX], container[72], why[160];
	int exit_code;
};
enum { SWARM_TASKS_MAX = 16 };

/* Of all attempts of the task. *n gets how many. */
int swarm_tasks(struct swarm_api *s, struct swarm_task *out, size_t *n);

/* Does the manager say that the node is down? `name` gets its host name. */
int swarm_node_is_down(struct swarm_api *s, const char *node, bool *is_down, char *name, size_t room);

/* Signals the container; 404 if it is not on the manager's own node. */
int swarm_signal_here(struct swarm_api *s, const struct swarm_task *task, const char *signal);
