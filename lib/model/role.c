#include "model/role.h"

static const char *const NAMES[] = { "none", "viewer", "developer", "operator", "admin" };

const char *role_name(enum role r)
{
	return NAMES[r];
}

bool role_parse(struct str text, enum role *out)
{
	for (int r = ROLE_VIEWER; r <= ROLE_ADMIN; r++) {
		if (str_is(text, NAMES[r])) {
			*out = (enum role)r;
			return true;
		}
	}
	return false;
}
