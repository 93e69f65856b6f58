#pragma once
#include <sys/stat.h>

#include "base/ctx.h"

/* A listening unix socket that its next owner may take the place of. */
struct listener {
	const char *path;
	int fd;           /* non-blocking */
	struct stat made; /* its file, to know whether it is still ours */
};

/* Made under a name of its own and renamed to `path`, mode 0660: a client meets the old listener or the
 * new one, never none. `key` names the setting in errors. `path` must outlive it. */
enum err listener_open(struct ctx *cx, const char *key, const char *path, int64_t backlog, struct listener *out);
/* Removes the file, unless somebody else has taken its place; the descriptor stays the caller's. */
void listener_remove(const struct listener *l);
