#pragma once
#include "model/code.h"
#include "store/db.h"

/* Registers or updates by name: what the order does not send stays; a sent image, or any changed
 * field, makes a new revision. Makes the lane of the code in cluster `default` (or the one named).
 * ERR_INPUT names the field. */
enum err code_store_put(struct db *db, struct ctx *cx, const struct id *project,
                        const struct code_order *order, struct code *out);
enum err code_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct id *code, struct code *out);
enum err code_store_find(struct db *db, struct ctx *cx, const struct id *project, struct str name, struct code *out);
/* Newest first; page from 0. */
enum err code_store_list(struct db *db, struct ctx *cx, const struct id *project, int64_t page,
                         int64_t per_page, struct code **out, size_t *n);

/* What an enqueue must know of a code: read once a request. */
struct code_target {
	struct id code_id;
	int64_t revision, lane_id, cluster_id, head_start_s, default_priority, timeout_s;
	struct str callback;
};
/* ERR_NOT_FOUND "code 'x' is not registered in this project"; ERR_INPUT for an unknown cluster.
 * Makes the lane, in its own statement, when the code was never queued in that cluster. */
enum err code_store_target(struct db *db, struct ctx *cx, const struct id *project, struct str name,
                           struct str cluster, struct code_target *out);
/* Pause and resume write the turn rows: after the answer nothing of it starts. *changed = false if
 * it was so already. */
enum err code_store_pause(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                          bool paused, bool *changed);
