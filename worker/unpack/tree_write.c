#include "worker/unpack/tree_write.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRY_DISK_BYTES = 4096 }; /* what an entry takes besides its content */

void tree_writer_init(struct tree_writer *w, int root)
{
	*w = (struct tree_writer){ .root = root, .parent = -1, .file = -1 };
}

/* A name too long for any disk, or in the place of another, is the package's fault. */
static enum err failed(struct ctx *cx, struct str path)
{
	static const int PACKAGES[] = { ENAMETOOLONG, EEXIST, ENOTDIR, ELOOP, EILSEQ, EINVAL };

	for (size_t i = 0; i < sizeof PACKAGES / sizeof PACKAGES[0]; i++)
		if (errno == PACKAGES[i])
			return err_set(cx, ERR_INPUT, "entry '" STR_FMT "' of the package cannot be made: %s", STR_ARG(path),
			               strerrordesc_np(errno));
	return err_errno(cx, "unpack the entry '" STR_FMT "'", STR_ARG(path));
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Opens the folder `path` below the root, "" for itself, making what is missing. -1 with errno. */
static int open_folder(struct ctx *cx, const struct tree_writer *w, struct str path)
{
	int at = fcntl(w->root, F_DUPFD_CLOEXEC, 0);
	struct str part;

	while (at >= 0 && str_cut(&path, '/', &part)) {
		const char *name = str_c(&cx->arena, part);
		int below = -1;

		if (mkdirat(at, name, 0755) == 0 || errno == EEXIST)
			below = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close_one(&at);
		at = below;
	}
	return at;
}

/* Most entries lie beside the one before. */
static enum err enter_parent(struct ctx *cx, struct tree_writer *w, struct str path, struct str *name)
{
	size_t n = path.n;

	while (n && path.p[n - 1] != '/')
		n--;
	*name = str_bytes(path.p + n, path.n - n);
	path.n = n ? n - 1 : 0;
	if (w->parent >= 0 && str_equal(path, w->parent_path))
		return OK;
	close_one(&w->parent);
	w->parent = open_folder(cx, w, path);
	if (w->parent < 0)
		return failed(cx, path);
	memcpy(w->parent_room, path.p, path.n);
	w->parent_path = str_bytes(w->parent_room, path.n);
	return OK;
}

static enum err end_file(struct ctx *cx, struct tree_writer *w)
{
	int fd = w->file;

	if (fd < 0)
		return OK;
	w->file = -1;
	/* whoever owns it may read it, whatever the zip says */
	if (fchmod(fd, w->mode | 0400) || close(fd))
		return err_errno(cx, "end a file of the package");
	return OK;
}

static enum err make_folder(struct ctx *cx, const struct tree_writer *w, const char *name, const struct unzip_entry *e)
{
	struct stat st;

	/* it may be there: made for what is in it */
	if (mkdirat(w->parent, name, 0755) && errno != EEXIST)
		return failed(cx, e->path);
	if (fstatat(w->parent, name, &st, AT_SYMLINK_NOFOLLOW))
		return failed(cx, e->path);
	if (!S_ISDIR(st.st_mode)) {
		errno = EEXIST;
		return failed(cx, e->path);
	}
	if (fchmodat(w->parent, name, e->mode | 0700, 0))
		return failed(cx, e->path);
	return OK;
}

enum err tree_write_entry(struct ctx *cx, void *arg, const struct unzip_entry *e)
{
	struct tree_writer *w = arg;
	struct str last;
	const char *name;

	TRY(end_file(cx, w));
	TRY(enter_parent(cx, w, e->path, &last));
	name = str_c(&cx->arena, last);
	w->disk_bytes += e->bytes + ENTRY_DISK_BYTES;
	if (e->kind == UNZIP_FOLDER)
		return make_folder(cx, w, name, e);
	if (e->kind == UNZIP_LINK)
		return symlinkat(str_c(&cx->arena, e->target), w->parent, name) ? failed(cx, e->path) : OK;
	w->mode = e->mode;
	w->file = openat(w->parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return w->file < 0 ? failed(cx, e->path) : OK;
}

enum err tree_write_piece(struct ctx *cx, void *arg, struct str bytes)
{
	const struct tree_writer *w = arg;

	while (bytes.n) {
		ssize_t n = write(w->file, bytes.p, bytes.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_errno(cx, "write a file of the package");
		bytes = str_bytes(bytes.p + n, bytes.n - (size_t)n);
	}
	return OK;
}

enum err tree_writer_end(struct ctx *cx, struct tree_writer *w)
{
	enum err e = end_file(cx, w);

	close_one(&w->parent);
	return e;
}
