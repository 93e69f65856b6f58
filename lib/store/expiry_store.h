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
