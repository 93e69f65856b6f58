#pragma once
#include "base/seal.h"
#include "store/db.h"

/* Values that are masked in what jobs print (model/output_mask.h): sealed, of a project or of one of its
 * codes. They are read when an attempt is launched or adopted. */
enum { SECRETS_MOST = 100, SECRET_BYTES = 8192, SECRET_NAME_BYTES = 100 };

struct secret {
	struct str name, code_name; /* "" = every code of the project */
	int64_t created_at;
};

/* Adds it or replaces its value; `code` of zeroes = every code. ERR_LIMIT over SECRETS_MOST. */
enum err secret_store_put(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                          const struct seal_key *key, struct str name, struct str value);
/* ERR_NOT_FOUND if it is not there. */
enum err secret_store_delete(struct db *db, struct ctx *cx, const struct id *project, const struct id *code, struct str name);
/* Names, never values. */
enum err secret_store_list(struct db *db, struct ctx *cx, const struct id *project, struct secret **out, size_t *n);
/* The values for a task of this code. ERR_FORBIDDEN or ERR_INTERNAL when they cannot be opened with
 * `key_file` ([secrets]). */
enum err secret_store_values(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                             const char *key_file, struct str **out, size_t *n);
