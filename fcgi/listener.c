#include "fcgi/listener.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum err listener_open(struct ctx *cx, const char *key, const char *path, int64_t backlog, struct listener *out)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int n = snprintf(at.sun_path, sizeof at.sun_path, "%s.%d", path, (int)getpid());

	if (n < 0 || (size_t)n >= sizeof at.sun_path)
		return err_set(cx, ERR_INPUT, "%s: the path '%s' is too long for a unix socket", key, path);
	*out = (struct listener){ .path = path };
	out->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(at.sun_path);
	if (out->fd < 0 || bind(out->fd, (struct sockaddr *)&at, sizeof at) < 0)
		return err_errno(cx, "bind '%s'", at.sun_path);
	if (chmod(at.sun_path, 0660) < 0 || listen(out->fd, (int)backlog) < 0 || stat(at.sun_path, &out->made) < 0 ||
	    rename(at.sun_path, path) < 0) {
		err_errno(cx, "listen on '%s'", path);
		unlink(at.sun_path);
		return cx->err;
	}
	return OK;
}

void listener_remove(const struct listener *l)
{
	struct stat now;

	if (stat(l->path, &now) == 0 && now.st_ino == l->made.st_ino && now.st_dev == l->made.st_dev)
		unlink(l->path);
}
