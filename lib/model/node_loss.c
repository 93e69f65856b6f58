#include "model/node_loss.h"

enum task_state node_loss_verdict(const struct node_loss *loss, enum cause *cause, const char **note)
{
	if (loss->fails && loss->may_have_started) {
		*note = "its node was lost or stopped, and its code says on_node_loss: fail, so it is not started again";
		return TASK_KILLED;
	}
	if (loss->suspect && loss->suspects + 1 >= SUSPECTS_MOST) {
		*cause = CAUSE_POISON;
		*note = "its node died under it three times within three days, so it is not tried again";
		return TASK_KILLED;
	}
	return TASK_QUEUED;
}
