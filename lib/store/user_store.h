#pragma once
#include "store/db.h"

/* People: members of projects, owners of tokens. */
struct user {
	struct id id;
	struct str name;     /* often an e-mail address */
	struct str password; /* model/password, "" = signs in by token alone */
	bool is_admin;
	int64_t created_at, disabled_at;
};

/* `password` is a hash. ERR_CONFLICT if the name is taken. */
enum err user_store_add(struct db *db, struct ctx *cx, struct str name, struct str password, struct id *id);
/* By id or name, disabled ones too. */
enum err user_store_find(struct db *db, struct ctx *cx, struct str id_or_name, struct user *out);
/* By id, after `previous` (zero = from the first), at most 100. */
enum err user_store_list(struct db *db, struct ctx *cx, const struct id *previous, int64_t per_page, struct user **out,
                         size_t *n);
enum err user_store_set_password(struct db *db, struct ctx *cx, const struct id *user, struct str password);
/* Their tokens are out within a second; what they made stays. */
enum err user_store_disable(struct db *db, struct ctx *cx, const struct id *user);
