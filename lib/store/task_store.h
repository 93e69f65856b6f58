#pragma once
#include "model/cause.h"
#include "model/task.h"
#include "store/code_store.h"
#include "store/idempotency_store.h"

/* Queues all or none of the tasks: one array-bound INSERT, whose trigger adds payload, ready or
 * delayed row and event (schema.md 2). `targets[i]` belongs to `orders[i]`; ids come from the orders.
 * `deadline_us`: by the database's clock past it nothing is done (ERR_BUSY): reads the offset of the
 * database's clock once per connection. A lost answer is resolved by asking for the first id; if the
 * database stays away, ERR_UNSURE: it may have been in the middle of it. */
enum err task_store_add(struct db *db, struct ctx *cx, const struct id *project,
                        const struct task_order *orders, const struct code_target *targets, size_t n);
/* The same, at most once for the key: *taken = true (and ERR_CONFLICT) if somebody did it meanwhile. */
enum err task_store_add_once(struct db *db, struct ctx *cx, const struct id *project, const struct task_order *orders,
                             const struct code_target *targets, size_t n, const struct idempotency *once, bool *taken);
/* ERR_NOT_FOUND also for what belongs to another project. With payload. */
enum err task_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct id *task, struct task *out);
/* Those of `ids` that are there, without payload; `out` has room for n. */
enum err task_store_read(struct db *db, struct ctx *cx, const struct id *project, const struct id *ids, size_t n,
                         struct task *out, size_t *found);

/* Those of `ids` (at most 100) that are the project's, in their order and without payload; `out` has room
 * for n. */
enum err task_store_some(struct db *db, struct ctx *cx, const struct id *project, const struct id *ids, size_t n,
                         struct task *out, size_t *found);
/* Where tasks of any project stand, 500 a statement; those that are gone are not in `out`,
 * which has room for n and is in the order of ids. */
struct task_standing {
	struct id id;
	enum task_state state;
	int64_t changes; /* rises with each change of state */
};
enum err task_store_standing(struct db *db, struct ctx *cx, const struct id *ids, size_t n, struct task_standing *out,
                             size_t *found);

struct task_filter {
	unsigned states;        /* bit 1 << TASK_…; 0 = all */
	struct str code_name, label, cluster; /* "" = all */
	int64_t from, to;       /* created_at, TIME_NONE = open */
	bool has_before, has_after;
	struct id before, after; /* keyset: ids below / above */
	int64_t page;           /* IronWorker's pages, from 0; 0 with a keyset */
	int64_t per_page;       /* clamped to 1..100 */
	bool with_payload;
};
struct task_page {
	struct task *tasks;
	size_t n;
	bool more;              /* there are further ones */
	int64_t searched_to;    /* created_at down to which a bounded search looked; TIME_NONE = to the end */
	struct id searched_before; /* to go on from there: the next filter's `before` (or `after`) */
};
/* Newest first, always by a forced index; conditions without one look at no more than 20,000 rows. */
enum err task_store_list(struct db *db, struct ctx *cx, const struct id *project,
                         const struct task_filter *f, struct task_page *out);
/* Tasks that wait, counted to at most `ceiling`. */
enum err task_store_waiting(struct db *db, struct ctx *cx, const struct id *project, int64_t ceiling, int64_t *n);
/* Tasks of each state, counted to at most `ceiling` each. */
enum err task_store_count(struct db *db, struct ctx *cx, const struct id *project, int64_t ceiling,
                          int64_t counts[TASK_STATE_COUNT]);
/* Waiting → cancelled at once; preparing or running → its node is asked (running.stop), and the
 * state turns when the container is dead. Over already: nothing. *state = the state afterwards;
 * *node_doorbell ("" if none) = the address to ring. `who` goes into the event's note. */
enum err task_store_cancel(struct db *db, struct ctx *cx, const struct id *project, const struct id *task,
                           struct str who, enum task_state *state, struct str *node_doorbell);
/* The same for all tasks of a code that were queued up to now: those that wait in batches, then each
 * that runs; at most `budget_us`, then ERR_LIMIT, and another call goes on. `bells` (at most 16) are
 * the addresses to ring. */
enum { CANCEL_BELLS_MOST = 16 };
enum err task_store_cancel_code(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                                struct str who, int64_t budget_us, struct str bells[CANCEL_BELLS_MOST], size_t *n);
/* percent and msg, in any state; negative percent or msg.p NULL = leave. The msg of a failed task stays. */
enum err task_store_progress(struct db *db, struct ctx *cx, const struct id *project, const struct id *task,
                             int64_t percent, struct str msg);

struct task_event {
	int64_t number, attempt;
	enum task_state state;
	int64_t at;
	struct str cause, note;
};
enum err task_store_events(struct db *db, struct ctx *cx, const struct id *project, const struct id *task,
                           struct task_event **out, size_t *n);

struct task_attempt {
	int64_t number, claimed_at, started_at, ended_at, exit_code, signal, oom_kills, max_rss_bytes, cpu_us, day;
	struct str node_name, cause, note;
};
enum err task_store_attempts(struct db *db, struct ctx *cx, const struct id *project, const struct id *task,
                             struct task_attempt **out, size_t *n);

struct task_delivery {
	int64_t number, tries, status, at, next_at;
	struct str state, error; /* waiting | delivered | exhausted */
};
/* Callbacks of a task, one a notified event. */
enum err task_store_deliveries(struct db *db, struct ctx *cx, const struct id *project, const struct id *task,
                               struct task_delivery **out, size_t *n);

/* Figures of the overview. Waiting is what is due, `later` what is queued for a time to come (each
 * exact up to 100,000); oldest_waiting_at is since when the oldest of the first is due, TIME_NONE if
 * nothing waits. */
struct task_overview {
	int64_t waiting, later, running, oldest_waiting_at, complete_hour, failed_hour;
};
enum err task_store_overview(struct db *db, struct ctx *cx, const struct id *project, struct task_overview *out);
