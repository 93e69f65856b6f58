#pragma once
#include "model/fire.h"
#include "store/code_store.h"
#include "store/idempotency_store.h"

/* `zones`: the folder of time zones ([zones] folder). */

/* Adds all or none, and sets their `unowed`; `guard` NULL = without a key. `targets[i]` is the code of `orders[i]`.
 * ERR_FORBIDDEN when the project would have more than `most` that are scheduled; ERR_INPUT names the field, also for what never fires. *left (may be
 * NULL): how many more it may have after this, below 0 where nobody has counted. */
enum err schedule_store_add(struct db *db, struct ctx *cx, const struct id *project, const char *zones,
                            struct schedule_order *orders, const struct code_target *targets, size_t n, int64_t most,
                            struct idempotency_guard *guard, int64_t *left);
/* ERR_NOT_FOUND also for what belongs to another project. With payload. */
enum err schedule_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, struct schedule *out);
/* Newest first, those that are over too; payloads up to 64 KiB; page from 0. */
enum err schedule_store_list(struct db *db, struct ctx *cx, const struct id *project, int64_t page, int64_t per_page,
                             struct schedule **out, size_t *n);
/* Of such a page, in order, as many larger ones as are 16 MiB together. */
enum err schedule_store_add_payloads(struct db *db, struct ctx *cx, struct schedule *schedules, size_t n);
/* Changes what the order says, in one transaction: what is due until now is decided by the old definition,
 * what comes by the new one. A start_at that is sent is the next run; order->unowed is set. `code` NULL = the same as before.
 * ERR_CONFLICT if it is over, ERR_BUSY while it has more to catch up than one page. */
enum err schedule_store_change(struct db *db, struct ctx *cx, const struct id *project, const char *zones,
                               const struct id *id, struct schedule_order *order, const struct id *code);
/* Cancelled at once, and with it the fires that wait for the end of a run; one that is over stays as it is. */
enum err schedule_store_cancel(struct db *db, struct ctx *cx, const struct id *project, const struct id *id);
/* Pauses or resumes: times between are `paused` in the ledger. `who` and `why`, of the pause and of its end, are kept with it. *changed =
 * false if it was so already. ERR_CONFLICT if it is over. */
enum err schedule_store_pause(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, bool paused,
                              struct str who, struct str why, bool *changed);
/* Its newest pauses (it is there: schedule_store_get), newest first. */
enum err schedule_store_pauses(struct db *db, struct ctx *cx, const struct id *id, int64_t most, struct pause **out, size_t *n);

/* A schedule that goes on, and where its next time is looked for. */
struct schedule_coming {
	struct schedule schedule;
	struct timetable timetable;
	int64_t after;
	bool is_broken; /* its zone or a calendar is gone: nothing can be said of it */
};
/* Those of the project that are scheduled and not paused, nor their code, newest first, at most `most` of the newest
 * 20,000 of all. */
enum err schedule_store_coming(struct db *db, struct ctx *cx, const struct id *project, const char *zones, int64_t most,
                               struct schedule_coming **out, size_t *n);

/* The next times of a schedule, before it is saved or after. */
struct schedule_preview {
	struct schedule schedule;
	struct timetable timetable;
	struct nominal *times;
	size_t n;
	const char *unowed; /* as of an order */
};
/* `id` NULL: of `order` alone, as if it were made now (its code is not looked at); else of the schedule, with
 * what `order` changes of it (NULL = nothing). ERR_INPUT as when it is saved. */
enum err schedule_store_preview(struct db *db, struct ctx *cx, const struct id *project, const char *zones,
                                const struct id *id, const struct schedule_order *order, size_t most,
                                struct schedule_preview *out);
