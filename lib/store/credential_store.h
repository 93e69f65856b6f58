#pragma once
#include "base/seal.h"
#include "store/db.h"

/* Registry logins of a project: sealed, one a server ("" = Docker Hub). */
enum err credential_store_put(struct db *db, struct ctx *cx, const struct id *project, const struct seal_key *key,
                              struct str server, struct str login);
/* The login for a server, for who pulls images. ERR_NOT_FOUND if there is none. */
enum err credential_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct seal_key *key,
                              struct str server, struct str *login);
