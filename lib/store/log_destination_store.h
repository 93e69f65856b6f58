#pragma once
#include "base/seal.h"
#include "model/log_destination.h"
#include "store/db.h"

/* Destinations of output, in the logs' database (DB_LOGS). */
enum { LOG_DESTINATIONS_MOST = 20 }; /* of a project */

/* --- by the API --- */
/* A new one; `secret` "" = none. ERR_LIMIT over LOG_DESTINATIONS_MOST. Logs that begin from now on go there. */
enum err log_destination_store_add(struct db *db, struct ctx *cx, const struct log_destination *d, const struct seal_key *key,
                                   struct str secret);
/* What it says now; secret NULL = as it was, "" = none. What failed so far is tried at once. */
enum err log_destination_store_change(struct db *db, struct ctx *cx, const struct log_destination *d, const struct seal_key *key,
                                      const struct str *secret);
/* What waits for it is forgotten (by the scheduler). */
enum err log_destination_store_delete(struct db *db, struct ctx *cx, const struct id *project, const struct id *id);
enum err log_destination_store_delete_all(struct db *db, struct ctx *cx, const struct id *project);
/* Pauses: what is written meanwhile waits. Or sets one going, a failing one at once. */
enum err log_destination_store_pause(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, bool paused);
/* Asks for a test message. */
enum err log_destination_store_ping(struct db *db, struct ctx *cx, const struct id *project, const struct id *id);
/* All of a project, newest first. */
enum err log_destination_store_list(struct db *db, struct ctx *cx, const struct id *project, struct log_destination **out, size_t *n);
enum err log_destination_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct id *id,
                                   struct log_destination *out);

/* How far behind it is. At most LOG_LAG_MOST logs are counted. */
enum { LOG_LAG_MOST = 10000 };
struct log_lag {
	int64_t logs, bytes; /* that wait */
	int64_t since;       /* the first line of the oldest one is of then; TIME_NONE: nothing waits */
};
enum err log_destination_store_lag(struct db *db, struct ctx *cx, const struct id *id, struct log_lag *out);

/* --- by couriers; `holder` is the courier's own id --- */
/* Those that somebody may send to now: something waits, or a ping. */
enum err log_destination_store_due(struct db *db, struct ctx *cx, const struct id *holder, struct log_destination **out, size_t *n);
/* Nobody else sends to it for `hold_s` seconds. ERR_CONFLICT: somebody does. */
enum err log_destination_store_hold(struct db *db, struct ctx *cx, const struct id *holder, const struct id *id, int64_t hold_s);
/* "" if it has none. */
enum err log_destination_store_secret(struct ctx *cx, const struct seal_key *key, const struct log_destination *d, struct str *out);
/* Not sent, not called for pause_s; lets go of it. ERR_CONFLICT: somebody else holds it, or it is gone. */
enum err log_destination_store_failed(struct db *db, struct ctx *cx, const struct id *holder, const struct id *id, struct str why,
                                      int64_t pause_s);
/* What became of a ping, "" = it was sent; lets go of it. */
enum err log_destination_store_pinged(struct db *db, struct ctx *cx, const struct id *holder, const struct id *id, struct str why);
