#pragma once
#include "base/seal.h"
#include "model/callback.h"
#include "model/signature.h"
#include "store/db.h"

/* Registered callbacks and the keys that sign. */
enum { CALLBACKS_MOST = 100 }; /* of a project */
/* A new one, with the bytes of its secret (none: it is not signed). ERR_LIMIT over CALLBACKS_MOST. */
enum err callback_store_add(struct db *db, struct ctx *cx, const struct callback *c, const struct seal_key *key, struct str secret);
/* What it says now; a disabled one stays disabled. */
enum err callback_store_change(struct db *db, struct ctx *cx, const struct callback *c);
/* What waits is given up by the courier. */
enum err callback_store_delete(struct db *db, struct ctx *cx, const struct id *project, const struct id *id);
/* Pauses, or sets a paused or disabled one going again, with what waited for that. */
enum err callback_store_pause(struct db *db, struct ctx *cx, const struct callback *c, bool paused);
/* All of a project, newest first. */
enum err callback_store_list(struct db *db, struct ctx *cx, const struct id *project, struct callback **out, size_t *n);
enum err callback_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, struct callback *out);
/* A delivery of kind test, sent whatever holds others up; *number = its number. */
enum err callback_store_test(struct db *db, struct ctx *cx, const struct callback *c, int64_t *number);
/* The same for the courier: absence is an answer. */
enum err callback_store_find(struct db *db, struct ctx *cx, const struct id *project, const struct id *id,
                             struct callback *out, bool *found);

/* --- keys: of a registered callback, or of a project for the URLs of its tasks and codes ------------------- */

/* The keys that sign now; none is no error. */
enum err callback_store_keys(struct db *db, struct ctx *cx, const struct seal_key *key, const struct id *owner,
                             struct signature_keys *out);
/* Puts a new secret (its bytes); the one before signs too for `keep_s` more seconds. */
enum err callback_store_rotate(struct db *db, struct ctx *cx, const struct seal_key *key, const struct id *owner,
                               struct str secret, int64_t keep_s);
