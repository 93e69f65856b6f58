#include "worker/image/image_import.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/tree.h"
#include "worker/image/image_folder.h"

enum { BLOCK_BYTES = 65536, ID_NOBODY = 65534, ID_MAX = 65535 };

/* --- in the child: foreign bytes are unpacked with no more rights than that takes ---------------- */

struct unpack {
	struct archive *in, *out;
	const struct image_limits *limits;
	uint64_t bytes, entries;
	struct arena arena; /* of one entry */
	int report; /* one sentence, if it fails */
};

static _Noreturn void fail_unpack(const struct unpack *u, const char *what, const char *why)
{
	dprintf(u->report, "%.200s: %.200s", what, why ? why : "it is damaged");
	_exit(1);
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

/* False for what is left out: devices, sockets, the root itself. */
static bool prepare_entry(struct unpack *u, struct archive_entry *e)
{
	const char *raw = archive_entry_pathname(e);
	const char *path = raw ? clean_path(raw) : NULL;
	const char *link = archive_entry_hardlink(e);
	unsigned type = archive_entry_filetype(e);

	if (!path)
		fail_unpack(u, raw ? raw : "an entry", "its path leads out of the image");
	if (*path == '\0' || strcmp(path, ".") == 0)
		return false;
	if (link) {
		const char *target = clean_path(link);

		if (!target || *target == '\0')
			fail_unpack(u, path, "it is a hard link that leads out of the image");
		archive_entry_set_hardlink(e, arena_text(&u->arena, target));
	} else if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK && type != AE_IFIFO) {
		return false;
	}
	if (strcmp(path, raw) != 0)
		archive_entry_set_pathname(e, arena_text(&u->arena, path));
	own_by_range(e);
	return true;
}

static void copy_data(struct unpack *u, const char *path)
{
	const void *block;
	size_t n;
	la_int64_t at;
	int r;

	while ((r = archive_read_data_block(u->in, &block, &n, &at)) == ARCHIVE_OK) {
		u->bytes += n;
		/* a sparse file is as large as its end says */
		if (u->bytes > u->limits->bytes || (uint64_t)at + n > u->limits->bytes)
			fail_unpack(u, path, "the image is larger than the limit");
		if (archive_write_data_block(u->out, block, n, at) < 0)
			fail_unpack(u, path, archive_error_string(u->out));
	}
	if (r != ARCHIVE_EOF)
		fail_unpack(u, path, archive_error_string(u->in));
}

static void unpack_all(struct unpack *u)
{
	struct archive_entry *e;
	int r;

	while ((r = archive_read_next_header(u->in, &e)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
		arena_reset(&u->arena);
		if (++u->entries > u->limits->entries)
			fail_unpack(u, "the image", "it has more entries than the limit");
		if (!prepare_entry(u, e))
			continue;
		if (archive_write_header(u->out, e) < ARCHIVE_WARN)
			fail_unpack(u, archive_entry_pathname(e), archive_error_string(u->out));
		if (archive_entry_filetype(e) == AE_IFREG && !archive_entry_hardlink(e))
			copy_data(u, archive_entry_pathname(e));
		if (archive_write_finish_entry(u->out) < ARCHIVE_WARN)
			fail_unpack(u, archive_entry_pathname(e), archive_error_string(u->out));
	}
	if (r != ARCHIVE_EOF)
		fail_unpack(u, "the archive", archive_error_string(u->in));
	if (u->entries == 0)
		fail_unpack(u, "the archive", "it is empty");
	if (archive_write_close(u->out) != ARCHIVE_OK)
		fail_unpack(u, "the last folders", archive_error_string(u->out));
}

/* Only what giving files to other owners takes; and nothing can be executed with more. */
static bool drop_rights(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	uint32_t keep = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER;
	struct __user_cap_data_struct d[2] = { { .effective = keep, .permitted = keep } };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_capset, &h, d) == 0;
}

static _Noreturn void unpack_child(int tar, int rootfs, const struct image_limits *limits, int report)
{
	struct unpack u = { .in = archive_read_new(), .out = archive_write_disk_new(), .limits = limits,
		            .report = report };
	int flags = ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
	            ARCHIVE_EXTRACT_UNLINK | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
	            ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;

	archive_read_support_filter_all(u.in);
	archive_read_support_format_tar(u.in);
	archive_read_support_format_gnutar(u.in);
	archive_write_disk_set_options(u.out, flags);
	if (archive_read_open_fd(u.in, tar, BLOCK_BYTES) != ARCHIVE_OK)
		fail_unpack(&u, "the archive", archive_error_string(u.in));
	umask(0);
	/* whatever a link says, there is nothing else to reach */
	if (fchdir(rootfs) || chroot(".") || !drop_rights())
		fail_unpack(&u, "enter the new image's folder (import needs root)", strerror(errno));
	unpack_all(&u);
	_exit(0);
}

/* --- in the parent ------------------------------------------------------------------------------ */

static enum err unpack(struct ctx *cx, int tar, int rootfs, const struct image_limits *limits)
{
	char why[512];
	int report[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(report, O_CLOEXEC))
		return err_errno(cx, "make a pipe");
	pid = fork();
	if (pid == 0)
		unpack_child(tar, rootfs, limits, report[1]);
	close(report[1]);
	n = pid < 0 ? 0 : read(report[0], why, sizeof why - 1);
	close(report[0]);
	if (pid < 0)
		return err_errno(cx, "start the unpacking");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	why[n > 0 ? n : 0] = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return OK;
	return err_set(cx, ERR_INPUT, "unpack the image: %s", n > 0 ? why : "the unpacking process died");
}

static enum err hash_file(struct ctx *cx, int fd, const char *path,
                          unsigned char digest[SHA256_BYTES])
{
	struct stat st;
	void *map;

	if (fstat(fd, &st))
		return err_errno(cx, "look at %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return err_set(cx, ERR_INPUT, "import %s: it is no file with something in it", path);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return err_errno(cx, "read %s", path);
	crypt_sha256(str_bytes(map, (size_t)st.st_size), digest);
	munmap(map, (size_t)st.st_size);
	return OK;
}

/* A file put in place at once and whole. */
static enum err put_file(struct ctx *cx, int at, const char *name, struct str text)
{
	const char *tmp = arena_printf(&cx->arena, ".%d.tmp", (int)getpid());
	int fd = openat(at, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	bool done = fd >= 0 && fchmod(fd, 0644) == 0 &&
	            write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0;

	if (fd >= 0 && close(fd))
		done = false;
	if (!done || renameat(at, tmp, at, name))
		return err_errno(cx, "write %s", name);
	return OK;
}

/* What `docker save` and skopeo write is not a root file system. */
static enum err refuse_layers(struct ctx *cx, int rootfs)
{
	if (faccessat(rootfs, "oci-layout", F_OK, AT_SYMLINK_NOFOLLOW) &&
	    faccessat(rootfs, "manifest.json", F_OK, AT_SYMLINK_NOFOLLOW))
		return OK;
	return err_set(cx, ERR_INPUT, "import an image: this archive holds layers of an image, not a root "
	               "file system; make one with docker export or podman export");
}

static enum err make_folder(struct ctx *cx, int images, const char *tmp, int *folder, int *rootfs)
{
	tree_remove(images, tmp);
	if (mkdirat(images, tmp, 0755) ||
	    (*folder = openat(images, tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    fchmod(*folder, 0755) || mkdirat(*folder, "rootfs", 0755) ||
	    (*rootfs = openat(*folder, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    fchmod(*rootfs, 0755))
		return err_errno(cx, "make the new image's folder");
	return OK;
}

/* Unpacks under another name, then renames: who finds the folder finds all of it. */
static enum err add_image(struct ctx *cx, int images, int tar, const char *name, struct str config,
                          const struct image_limits *limits)
{
	__attribute__((cleanup(image_close))) int folder = -1, rootfs = -1;
	const char *tmp = arena_printf(&cx->arena, "tmp-import-%d", (int)getpid());
	enum err e = make_folder(cx, images, tmp, &folder, &rootfs);

	if (!e)
		e = unpack(cx, tar, rootfs, limits);
	if (!e)
		e = refuse_layers(cx, rootfs);
	if (!e)
		e = put_file(cx, folder, "config.json", config);
	if (!e && syncfs(folder))
		e = err_errno(cx, "write the image to the disk");
	if (!e && renameat(images, tmp, images, name) && errno != EEXIST && errno != ENOTEMPTY)
		e = err_errno(cx, "put the image in place");
	tree_remove(images, tmp); /* nothing, or what another import was quicker with */
	return e;
}

static enum err check_config(struct ctx *cx, struct str config, struct str *out)
{
	auto_json *j = NULL;
	json_t *inner = NULL;

	TRY(json_read(cx, config, (struct json_limits){ .depth = 16, .nodes = 20000 }, &j));
	TRY(json_get_object(cx, j, "config", &inner)); /* the whole OCI image config was given */
	*out = json_write(&cx->arena, inner ? inner : j);
	return OK;
}

static enum err make_image_folders(struct ctx *cx, const char *node_dir, int *images, int *names)
{
	const char *path = arena_printf(&cx->arena, "%s/images", node_dir);

	/* the launcher makes them too, and opens them to the runner's group */
	if (mkdir(path, 0750) && errno != EEXIST)
		return err_errno(cx, "make %s", path);
	TRY(image_open_folder(cx, node_dir, "", images));
	if (mkdirat(*images, "names", 0755) && errno != EEXIST)
		return err_errno(cx, "make %s/names", path);
	return image_open_folder(cx, node_dir, "names", names);
}

enum err image_import(struct ctx *cx, const char *node_dir, struct str name, const char *tar_file,
                      struct str config, const struct image_limits *limits, char *digest_text)
{
	__attribute__((cleanup(image_close))) int images = -1, names = -1, tar = -1;
	unsigned char digest[SHA256_BYTES];
	struct str checked;
	const char *folder;
	char text[72];

	if (!image_name_is_valid(name) || str_starts(name, "sha256:"))
		return err_set(cx, ERR_INPUT, "image: \"" STR_FMT "\" is no name of an image", STR_ARG(name));
	TRY(check_config(cx, config, &checked));
	tar = open(tar_file, O_RDONLY | O_CLOEXEC);
	if (tar < 0)
		return err_errno(cx, "open %s", tar_file);
	TRY(hash_file(cx, tar, tar_file, digest));
	TRY(make_image_folders(cx, node_dir, &images, &names));
	image_digest_text(digest, text);
	folder = arena_printf(&cx->arena, "sha256-%s", text + 7);
	if (faccessat(images, folder, F_OK, AT_SYMLINK_NOFOLLOW))
		TRY(add_image(cx, images, tar, folder, checked, limits));
	TRY(put_file(cx, names, image_file_name(&cx->arena, name),
	             str_of(arena_printf(&cx->arena, "%s\n", text))));
	memcpy(digest_text, text, sizeof text);
	return OK;
}
