#include "base/zoneinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err read_whole(struct ctx *cx, int fd, struct str name, size_t most, struct str *out)
{
	char *bytes = arena_take(&cx->arena, most);
	size_t n = 0;
	struct stat st;
	ssize_t got;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return err_set(cx, ERR_NOT_FOUND, "there is no time zone " STR_FMT, STR_ARG(name));
	while (n < most && (got = read(fd, bytes + n, most - n)) != 0) {
		if (got < 0 && errno != EINTR)
			return err_errno(cx, "read time zone " STR_FMT, STR_ARG(name));
		n += got > 0 ? (size_t)got : 0;
	}
	*out = str_bytes(bytes, n);
	return OK;
}

enum err zoneinfo_read(struct ctx *cx, const char *folder, struct str name, size_t most, struct str *out)
{
	int fd = open(arena_printf(&cx->arena, "%s/" STR_FMT, folder, STR_ARG(name)), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	enum err e;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(cx, ERR_NOT_FOUND, "there is no time zone " STR_FMT, STR_ARG(name));
	if (fd < 0)
		return err_errno(cx, "read time zone " STR_FMT, STR_ARG(name));
	e = read_whole(cx, fd, name, most, out);
	close(fd);
	return e;
}
