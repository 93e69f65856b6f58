#pragma once
#include "base/seal.h"
#include "model/callback.h"
#include "model/signature.h"
#include "store/db.h"

/* Registered callbacks and the keys that sign. */
enum err callback_store_find(struct db *db, struct ctx *cx, const struct id *project, const struct id *id,
                             struct callback *out, bool *found);

/* --- keys: of a registered callback, or of a project for the URLs of its tasks and codes ------------------- */

/* The keys that sign now; none is no error. */
enum err callback_store_keys(struct db *db, struct ctx *cx, const struct seal_key *key, const struct id *owner,
                             struct signature_keys *out);
/* Puts a new secret (its bytes); the one before signs too for `keep_s` more seconds. */
enum err callback_store_rotate(struct db *db, struct ctx *cx, const struct seal_key *key, const struct id *owner,
                               struct str secret, int64_t keep_s);
