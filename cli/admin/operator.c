#include "cli/admin/operator.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAME_BYTES = 64 };

struct str operator_name(struct ctx *cx)
{
	const struct passwd *who = getpwuid(getuid());
	const char *name = who ? who->pw_name : arena_printf(&cx->arena, "uid %u", getuid());
	const char *sudo = getuid() == 0 ? getenv("SUDO_USER") : NULL;
	struct str all = str_of(sudo ? arena_printf(&cx->arena, "%s (%s)", name, sudo) : arena_text(&cx->arena, name));

	return all.n > NAME_BYTES ? str_bytes(all.p, NAME_BYTES) : all;
}
