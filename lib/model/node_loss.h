#pragma once
#include "model/cause.h"

/* What becomes of a task whose attempt its node did not bring to an end (reliability.md 5.7). */
struct node_loss {
	bool fails;             /* its code says on_node_loss: fail */
	bool may_have_started;  /* nobody can say that its container never began */
	bool suspect;           /* its node or runner died under it, or was cut off */
	int64_t suspects;       /* attempts before this one that were, within SUSPECT_HOURS */
};
/* TASK_QUEUED: the next attempt follows. TASK_KILLED: none does; *cause and *note say why, and stay as
 * they are otherwise. */
enum task_state node_loss_verdict(const struct node_loss *loss, enum cause *cause, const char **note);
