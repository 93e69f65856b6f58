#pragma once
#include "model/task.h"
#include "store/db.h"

/* Tasks that are dropped, and recorded as expired, if nothing has started them by a time: for work that is
 * of no use later. Who waits then is ended; who is being started is looked at again; who runs, or ran and
 * waits for its next attempt after that time, goes on. */

/* Inside the transaction that queues them: notes the time of each order that has one. */
enum err expiry_store_note(struct db *db, struct ctx *cx, const struct task_order *orders, size_t n);
/* Ends what is over, at most `most`; *looked = how many it looked at. Any number of schedulers may. */
enum err expiry_store_end(struct db *db, struct ctx *cx, size_t most, size_t *looked);

/* SQL, of a row of `task`: the time in which it had to start is over, and nobody has decided yet. A claim leaves such
 * a task alone, since the scheduler ends it up to two seconds late. */
#define EXPIRY_IS_OVER                                                                          \
	"EXISTS (SELECT 1 FROM expiry e WHERE e.task_id = task.id AND e.look_at IS NOT NULL" \
	" AND e.expires_at <= NOW(6))"

/* Ends such a task within a claim's transaction, which has its row of `ready` already; nothing for any other. */
enum err expiry_store_end_taken(struct db *db, struct ctx *cx, const struct id *task);
