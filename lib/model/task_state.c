#include "model/task_state.h"

static const struct {
	const char *name;
	bool settled;
} STATES[] = {
#define X(name, text, settled) { text, settled },
	TASK_STATES(X)
#undef X
};

static const struct {
	enum task_state from, to;
} EDGES[] = {
	{ TASK_QUEUED, TASK_PREPARING },  /* claimed */
	{ TASK_QUEUED, TASK_CANCELLED },
	{ TASK_QUEUED, TASK_EXPIRED },
	{ TASK_PREPARING, TASK_RUNNING }, /* its container has started */
	{ TASK_PREPARING, TASK_QUEUED },  /* node lost or stopped: the next attempt */
	{ TASK_PREPARING, TASK_ERROR },   /* no image, could not start */
	{ TASK_PREPARING, TASK_CANCELLED },
	{ TASK_PREPARING, TASK_KILLED },
	{ TASK_RUNNING, TASK_COMPLETE },
	{ TASK_RUNNING, TASK_ERROR },
	{ TASK_RUNNING, TASK_TIMEOUT },
	{ TASK_RUNNING, TASK_CANCELLED },
	{ TASK_RUNNING, TASK_KILLED },
	{ TASK_RUNNING, TASK_QUEUED },    /* its container is dead by now: it fenced itself */
};

const char *task_state_name(enum task_state s)
{
	return STATES[s].name;
}

bool task_state_parse(struct str text, enum task_state *out)
{
	for (int s = 0; s < TASK_STATE_COUNT; s++) {
		if (str_is(text, STATES[s].name)) {
			*out = (enum task_state)s;
			return true;
		}
	}
	return false;
}

bool task_state_is_settled(enum task_state s)
{
	return STATES[s].settled;
}

bool task_state_can_move(enum task_state from, enum task_state to)
{
	for (size_t i = 0; i < sizeof EDGES / sizeof *EDGES; i++)
		if (EDGES[i].from == from && EDGES[i].to == to)
			return true;
	return false;
}

const char *task_state_wire(enum task_state s)
{
	if (s == TASK_PREPARING)
		return STATES[TASK_QUEUED].name;
	if (s == TASK_EXPIRED)
		return STATES[TASK_CANCELLED].name;
	return STATES[s].name;
}
