#pragma once
#include "model/role.h"
#include "store/db.h"

/* Who may do what in a project. */
struct member {
	struct id user_id;
	struct str name;
	enum role role;
};
enum err member_store_list(struct db *db, struct ctx *cx, const struct id *project, struct member **out, size_t *n);
/* Adds with this role, or changes nothing if they are a member already. ERR_NOT_FOUND names the user. */
enum err member_store_add(struct db *db, struct ctx *cx, const struct id *project, struct str user, enum role role);
enum err member_store_remove(struct db *db, struct ctx *cx, const struct id *project, struct str user);
/* Removes a project with its members and tokens. ERR_CONFLICT while it has codes, or tasks that are not
 * over. */
enum err member_store_end_project(struct db *db, struct ctx *cx, const struct id *project);
