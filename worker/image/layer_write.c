#include "worker/image/layer_write.h"

#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/tree.h"
#include "worker/image/image_folder.h"

enum { BLOCK_BYTES = 65536, ID_NOBODY = 65534, ID_MAX = 65535 };
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

static enum err refused(struct ctx *cx, const char *what, const char *why)
{
	return err_set(cx, ERR_INPUT, "%.200s: %.200s", what ? what : "an entry", why ? why : "it is damaged");
}

/* --- the entries of a tar ------------------------------------------------------------------------- */

static void free_reader(struct archive **a)
{
	archive_read_free(*a);
}
#define auto_reader __attribute__((cleanup(free_reader))) struct archive

static enum err open_tar(struct ctx *cx, int tar, struct archive **out)
{
	*out = archive_read_new();
	archive_read_support_filter_all(*out);
	archive_read_support_format_tar(*out);
	archive_read_support_format_gnutar(*out);
	archive_read_support_format_empty(*out);
	if (lseek(tar, 0, SEEK_SET) < 0)
		return err_errno(cx, "read the archive from its beginning");
	if (archive_read_open_fd(*out, tar, BLOCK_BYTES) != ARCHIVE_OK)
		return refused(cx, "the archive", archive_error_string(*out));
	return OK;
}

/* *e is NULL at the end. */
static enum err next_entry(struct ctx *cx, struct archive *in, struct archive_entry **e)
{
	int r = archive_read_next_header(in, e);

	if (r == ARCHIVE_OK || r == ARCHIVE_WARN)
		return OK;
	*e = NULL;
	return r == ARCHIVE_EOF ? OK : refused(cx, "the archive", archive_error_string(in));
}

/* "./a/b" is "a/b"; NULL if it leads out. */
static const char *clean_path(const char *path)
{
	const char *p;

	if (*path == '/' || strlen(path) >= PATH_MAX)
		return NULL;
	while (path[0] == '.' && path[1] == '/')
		for (path += 2; *path == '/'; path++)
			;
	for (p = path; p; p = strchr(p, '/')) {
		p += *p == '/';
		if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == '\0'))
			return NULL;
	}
	return path;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* --- what a layer hides of those below -------------------------------------------------------------- */

static int open_parent(struct arena *a, const char *path)
{
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
	size_t n = (size_t)(base_name(path) - path);

	return (int)syscall(SYS_openat2, AT_FDCWD, n > 1 ? arena_copy(a, path, n - 1) : ".", &how, sizeof how);
}

static void empty_folder(int folder)
{
	DIR *list = fdopendir(fcntl(folder, F_DUPFD_CLOEXEC, 0));
	struct dirent *d;

	while (list && (d = readdir(list)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			tree_remove(folder, d->d_name);
	if (list)
		closedir(list);
}

/* By a whiteout, or by something that is no folder in a folder's place. */
static void hide(struct layer_writer *w, const char *path, bool is_folder)
{
	const char *name = base_name(path);
	__attribute__((cleanup(image_close))) int parent = open_parent(&w->arena, path);
	struct stat st;

	if (parent < 0)
		return; /* it is not there: hidden already */
	if (strncmp(name, WHITEOUT, sizeof WHITEOUT - 1) != 0) {
		if (!is_folder && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
			tree_remove(parent, name);
		return;
	}
	if (strcmp(name, OPAQUE) == 0)
		empty_folder(parent);
	else if (name[sizeof WHITEOUT - 1] && strcmp(name + sizeof WHITEOUT - 1, ".") != 0 &&
	         strcmp(name + sizeof WHITEOUT - 1, "..") != 0)
		tree_remove(parent, name + sizeof WHITEOUT - 1);
}

static enum err hide_lower(struct ctx *cx, struct layer_writer *w, int tar)
{
	auto_reader *in = NULL;
	struct archive_entry *e;
	uint64_t entries = 0;

	TRY(open_tar(cx, tar, &in));
	for (;;) {
		const char *path;

		arena_reset(&w->arena);
		TRY(next_entry(cx, in, &e));
		if (!e)
			return OK;
		if (++entries > w->limits->entries)
			return refused(cx, "the image", "it has more entries than the limit");
		path = archive_entry_pathname(e) ? clean_path(archive_entry_pathname(e)) : NULL;
		if (path && *base_name(path) && strcmp(path, ".") != 0)
			hide(w, path, archive_entry_filetype(e) == AE_IFDIR);
	}
}

/* --- what it holds ----------------------------------------------------------------------------------- */

static void own_by_range(struct archive_entry *e)
{
	/* ids beyond a slot's range would belong to nobody in any container */
	if (archive_entry_uid(e) < 0 || archive_entry_uid(e) > ID_MAX)
		archive_entry_set_uid(e, ID_NOBODY);
	if (archive_entry_gid(e) < 0 || archive_entry_gid(e) > ID_MAX)
		archive_entry_set_gid(e, ID_NOBODY);
	archive_entry_set_perm(e, archive_entry_perm(e) & 01777);
	archive_entry_set_uname(e, NULL);
	archive_entry_set_gname(e, NULL);
}

/* *wanted is false for what is left out: devices, sockets, the root itself, whiteouts. */
static enum err prepare_entry(struct ctx *cx, struct layer_writer *w, struct archive_entry *e, bool *wanted)
{
	const char *raw = archive_entry_pathname(e);
	const char *path = raw ? clean_path(raw) : NULL;
	const char *link = archive_entry_hardlink(e);
	unsigned type = archive_entry_filetype(e);

	*wanted = false;
	if (!path)
		return refused(cx, raw, "its path leads out of the image");
	if (*path == '\0' || strcmp(path, ".") == 0 ||
	    (w->layers && strncmp(base_name(path), WHITEOUT, sizeof WHITEOUT - 1) == 0))
		return OK;
	if (link) {
		const char *target = clean_path(link);

		if (!target || *target == '\0')
			return refused(cx, path, "it is a hard link that leads out of the image");
		archive_entry_set_hardlink(e, arena_text(&w->arena, target));
	} else if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK && type != AE_IFIFO) {
		return OK;
	}
	if (strcmp(path, raw) != 0)
		archive_entry_set_pathname(e, arena_text(&w->arena, path));
	own_by_range(e);
	*wanted = true;
	return OK;
}

static enum err copy_data(struct ctx *cx, struct layer_writer *w, struct archive *in, struct archive *out, const char *path)
{
	const void *block;
	size_t n;
	la_int64_t at;
	int r;

	while ((r = archive_read_data_block(in, &block, &n, &at)) == ARCHIVE_OK) {
		w->bytes += n;
		/* a sparse file is as large as its end says */
		if (w->bytes > w->limits->bytes || (uint64_t)at + n > w->limits->bytes)
			return refused(cx, path, "the image is larger than the limit");
		if (archive_write_data_block(out, block, n, at) < 0)
			return refused(cx, path, archive_error_string(out));
	}
	return r == ARCHIVE_EOF ? OK : refused(cx, path, archive_error_string(in));
}

static enum err write_entry(struct ctx *cx, struct layer_writer *w, struct archive *in, struct archive *out,
                            struct archive_entry *e)
{
	const char *path;
	bool wanted;

	TRY(prepare_entry(cx, w, e, &wanted));
	if (!wanted)
		return OK;
	path = archive_entry_pathname(e);
	if (archive_write_header(out, e) < ARCHIVE_WARN)
		return refused(cx, path, archive_error_string(out));
	if (archive_entry_filetype(e) == AE_IFREG && !archive_entry_hardlink(e))
		TRY(copy_data(cx, w, in, out, path));
	return archive_write_finish_entry(out) < ARCHIVE_WARN ? refused(cx, path, archive_error_string(out)) : OK;
}

static enum err write_all(struct ctx *cx, struct layer_writer *w, int tar, struct archive *out)
{
	auto_reader *in = NULL;
	struct archive_entry *e;

	TRY(open_tar(cx, tar, &in));
	for (;;) {
		arena_reset(&w->arena);
		TRY(next_entry(cx, in, &e));
		if (!e)
			return OK;
		if (++w->entries > w->limits->entries)
			return refused(cx, "the image", "it has more entries than the limit");
		TRY(write_entry(cx, w, in, out, e));
	}
}

enum err layer_write(struct ctx *cx, struct layer_writer *w, int tar)
{
	struct archive *out;
	enum err e;

	if (w->layers)
		TRY(hide_lower(cx, w, tar));
	out = archive_write_disk_new();
	archive_write_disk_set_options(out, ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
	                                    ARCHIVE_EXTRACT_UNLINK | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
	                                    ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS);
	e = write_all(cx, w, tar, out);
	if (!e && archive_write_close(out) != ARCHIVE_OK)
		e = refused(cx, "the last folders", archive_error_string(out));
	archive_write_free(out);
	w->layers++;
	return e;
}
