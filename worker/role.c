#include "worker/role.h"

#include "worker/courier/courier.h"
#include "worker/runner/runner.h"
#include "worker/scheduler/scheduler.h"

#include <string.h>

const struct role WORKER_ROLES[] = {
	{ "runner", "claims tasks and runs them in containers", true, runner_play },
	{ "scheduler", "promotes what is due, takes back tasks of dead nodes, keeps log partitions", false, scheduler_play },
	{ "courier", "delivers callbacks", false, courier_play },
	{ NULL, NULL, false, NULL },
};

const struct role *worker_role_find(const char *name)
{
	for (const struct role *r = WORKER_ROLES; r->name; r++)
		if (strcmp(r->name, name) == 0)
			return r;
	return NULL;
}

const char *worker_role_user(const struct role *role, const struct settings *set)
{
	if (role->play == runner_play)
		return set->runner.user;
	if (role->play == scheduler_play)
		return set->scheduler.user;
	return set->courier.user;
}
