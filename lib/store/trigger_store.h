#pragma once
#include "base/crypt.h"
#include "base/seal.h"
#include "model/trigger.h"
#include "store/db.h"

/* Triggers, and the last hundred requests of each. */
enum { TRIGGERS_MOST = 100, TRIGGER_REQUESTS_MOST = 100, TRIGGER_BODY_BYTES = 1024 };

/* `secret` is sealed; "" = none. ERR_CONFLICT when the code has one of that name, ERR_LIMIT over TRIGGERS_MOST. */
enum err trigger_store_add(struct db *db, struct ctx *cx, const struct trigger *t, const unsigned char token[SHA256_BYTES],
                           const struct seal_key *key, struct str secret);
/* Name, verification and options; `secret` p NULL leaves it. */
enum err trigger_store_change(struct db *db, struct ctx *cx, const struct trigger *t, const struct seal_key *key, struct str secret);
/* Another token: the former one is nobody's at once. */
enum err trigger_store_rotate(struct db *db, struct ctx *cx, const struct id *project, const struct id *id,
                              const unsigned char token[SHA256_BYTES]);
enum err trigger_store_pause(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, bool paused);
enum err trigger_store_delete(struct db *db, struct ctx *cx, const struct id *project, const struct id *id);
enum err trigger_store_list(struct db *db, struct ctx *cx, const struct id *project, struct trigger **out, size_t *n);
enum err trigger_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, struct trigger *out);
/* Of a token, not paused and of a code that is there; ERR_NOT_FOUND. */
enum err trigger_store_of_token(struct db *db, struct ctx *cx, const unsigned char token[SHA256_BYTES], struct trigger *out);
enum err trigger_store_secret(struct ctx *cx, const struct seal_key *key, const struct trigger *t, struct str *out);

struct trigger_note {
	int64_t at;
	struct str address, verdict, reason, delivery, body; /* verdict: accepted, duplicate, filtered, refused */
	struct id task_id; /* zero = none */
};
enum err trigger_store_note(struct db *db, struct ctx *cx, const struct id *trigger, const struct trigger_note *note);
/* Newest first. */
enum err trigger_store_notes(struct db *db, struct ctx *cx, const struct id *trigger, struct trigger_note **out, size_t *n);
