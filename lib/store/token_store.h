#pragma once
#include "model/role.h"
#include "model/token.h"
#include "store/db.h"

/* Who holds this token, and which role is theirs in `project` (NULL: none asked, role = ADMIN or
 * NONE… the token's own). ERR_AUTH if unknown, expired or revoked, or its user is disabled. A token
 * bound to another project, or a user who is no member, gets ROLE_NONE. One round trip, read only. */
enum err token_store_find(struct db *db, struct ctx *cx, const unsigned char hash[SHA256_BYTES],
                          const struct id *project, struct principal *out);
/* Notes the use, by the minute: writes only if used_at is older than a minute. Call it outside the
 * enqueue's path, at most once a minute and token. */
enum err token_store_touch(struct db *db, struct ctx *cx, const struct id *token);

struct token_row {
	struct id id, user_id, project_id;
	struct str name, prefix, user_name;
	enum role role;
	int64_t created_at, expires_at, used_at;
};
/* Makes a token for `user` (made if there is none of that name), a member of `project` with `role`;
 * project NULL with ROLE_ADMIN = the whole instance. `imported` (n > 0): take this text as the token
 * instead of a new one (people who move from IronWorker; *text is "" then). The text is given once. */
enum err token_store_add(struct db *db, struct ctx *cx, struct str user, struct str name,
                         const struct id *project, enum role role, int64_t expires_at,
                         struct str imported, struct token_text *text, struct id *id);
/* Newest first, at most 1,000; project NULL = all. */
enum err token_store_list(struct db *db, struct ctx *cx, const struct id *project, struct token_row **out, size_t *n);
/* Whose it is. ERR_NOT_FOUND if it is not there. */
enum err token_store_owner(struct db *db, struct ctx *cx, const struct id *token, struct id *user);
/* ERR_NOT_FOUND if it is not there. */
enum err token_store_revoke(struct db *db, struct ctx *cx, const struct id *token);
