#pragma once
#include "base/crypt.h"
#include "model/code.h"
#include "model/task_state.h"
#include "store/db.h"

/* Registers or updates by name: what the order does not send stays; a sent image or package, or any
 * changed field, makes a new revision. A package was stored before (package_store.h). Makes the lane of the code in cluster `default` (or the one named).
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
	int64_t hooks; /* bits of the states of which registered callbacks are told (sql/0008) */
	int64_t timeout_most_s; /* of its project; 0 = none: task_insert_row keeps to it */
};
/* ERR_NOT_FOUND "code 'x' is not registered in this project"; ERR_INPUT for an unknown cluster.
 * Makes the lane, in its own statement, when the code was never queued in that cluster. */
enum err code_store_target(struct db *db, struct ctx *cx, const struct id *project, struct str name,
                           struct str cluster, struct code_target *out);
/* A callback that answered 410 is called again. */
enum err code_store_resume_callback(struct db *db, struct ctx *cx, const struct id *project, const struct id *code);
/* Pause and resume write the turn rows: after the answer nothing of it starts. *changed = false if
 * it was so already. */
enum err code_store_pause(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                          bool paused, bool *changed);

/* It leaves its project: its name is free, what was queued runs as it was queued, its retries
 * end, its schedules are cancelled, its row stays for what ran. */
enum err code_store_delete(struct db *db, struct ctx *cx, const struct id *project, const struct id *code);

/* What a code was at one time. */
struct code_revision {
	struct id id;
	int64_t number, created_at;
	struct str image, command, env, config;
	struct str package, package_name, package_md5, runtime, stack, file_name; /* as in struct code */
	int64_t package_bytes;
};
/* Newest first; page from 0. ERR_NOT_FOUND if the code is not there. */
enum err code_store_revisions(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                              int64_t page, int64_t per_page, struct code *of, struct code_revision **out, size_t *n);
/* One of them; number 0 = the current one. `of` is the code as it is now. ERR_NOT_FOUND. */
enum err code_store_revision(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                             int64_t number, struct code *of, struct code_revision *out);
/* Tasks of each state that changed last between two times (TIME_NONE = 24 hours ago, and now), among
 * the newest 10,000 of each. */
enum err code_store_stats(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                          int64_t from, int64_t to, int64_t counts[TASK_STATE_COUNT]);

/* The digest of a revision's image, which the first node that asks a registry fixes for all. ERR_NOT_FOUND
 * if none has yet. */
enum err code_store_digest(struct db *db, struct ctx *cx, const struct id *code, int64_t revision,
                           unsigned char digest[SHA256_BYTES]);
/* Fixes it, unless another node was quicker: *digest becomes what holds. */
enum err code_store_fix_digest(struct db *db, struct ctx *cx, const struct id *code, int64_t revision,
                               unsigned char digest[SHA256_BYTES]);

/* What the tag of a revision means that follows it. */
struct followed {
	bool is_due;   /* the caller is to look it up: nobody has for so long, and nobody else will now */
	bool is_known; /* it meant `digest`, looked up age_s seconds ago; if neither, another looks it up now for the first time */
	unsigned char digest[SHA256_BYTES];
	int64_t age_s;
};
enum err code_store_followed(struct db *db, struct ctx *cx, const struct id *code, int64_t revision, int64_t every_s,
                             struct followed *out);
/* What was found then. */
enum err code_store_follow(struct db *db, struct ctx *cx, const struct id *code, int64_t revision, const unsigned char *digest);
/* Nothing was: the next who needs it looks at once. */
enum err code_store_forget(struct db *db, struct ctx *cx, const struct id *code, int64_t revision);
