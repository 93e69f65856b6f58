#pragma once
#include "base/id.h"

/* What a token may do in its project; ADMIN rules the whole instance. */
enum role { ROLE_NONE, ROLE_VIEWER, ROLE_DEVELOPER, ROLE_OPERATOR, ROLE_ADMIN };

const char *role_name(enum role r);
bool role_parse(struct str text, enum role *out);

/* Who asks: the answer to a token. */
struct principal {
	struct id user_id, token_id;
	struct str user_name, token_name; /* in the ctx's arena */
	struct id project_id;   /* that the token is bound to; zero = any of the user's */
	enum role role;         /* in the project that was asked for; ROLE_NONE = not a member */
};
