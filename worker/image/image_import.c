#include "worker/image/image_import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tree.h"
#include "worker/image/image_folder.h"

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

static enum err make_folder(struct ctx *cx, int images, const char *tmp, int *folder)
{
	tree_remove(images, tmp);
	if (mkdirat(images, tmp, 0755) || (*folder = openat(images, tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    fchmod(*folder, 0755))
		return err_errno(cx, "make the new image's folder");
	return OK;
}

/* Unpacks under another name, then renames: who finds the folder finds all of it. */
static enum err add_image(struct ctx *cx, int images, const char *name, const struct image_source *from,
                          const struct image_limits *limits)
{
	__attribute__((cleanup(image_close))) int folder = -1;
	const char *tmp = arena_printf(&cx->arena, "tmp-import-%d", (int)getpid());
	enum err e = make_folder(cx, images, tmp, &folder);

	if (!e)
		e = image_unpack(cx, from, folder, limits);
	if (!e && syncfs(folder))
		e = err_errno(cx, "write the image to the disk");
	if (!e && renameat(images, tmp, images, name) && errno != EEXIST && errno != ENOTEMPTY)
		e = err_errno(cx, "put the image in place");
	tree_remove(images, tmp); /* nothing, or what another import was quicker with */
	return e;
}

enum err image_add_layers(struct ctx *cx, int images, int layers, const unsigned char digest[SHA256_BYTES],
                          const struct image_limits *limits)
{
	const struct image_source from = { .tar = -1, .layers = layers };
	const char *folder;
	char text[72];

	image_digest_text(digest, text);
	folder = arena_printf(&cx->arena, "sha256-%s", text + 7);
	if (faccessat(images, folder, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return OK;
	return add_image(cx, images, folder, &from, limits);
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

/* `file` is what the digest is of. */
static enum err put_image(struct ctx *cx, const char *node_dir, struct str name, int file, const char *path,
                          const struct image_source *from, const struct image_limits *limits, char *digest_text)
{
	__attribute__((cleanup(image_close))) int images = -1, names = -1;
	unsigned char digest[SHA256_BYTES];
	const char *folder;
	char text[72];

	TRY(hash_file(cx, file, path, digest));
	TRY(make_image_folders(cx, node_dir, &images, &names));
	image_digest_text(digest, text);
	folder = arena_printf(&cx->arena, "sha256-%s", text + 7);
	if (faccessat(images, folder, F_OK, AT_SYMLINK_NOFOLLOW))
		TRY(add_image(cx, images, folder, from, limits));
	TRY(put_file(cx, names, image_file_name(&cx->arena, name), str_of(arena_printf(&cx->arena, "%s\n", text))));
	memcpy(digest_text, text, sizeof text);
	return OK;
}

static enum err check_name(struct ctx *cx, struct str name)
{
	if (image_name_is_valid(name) && !str_starts(name, "sha256:"))
		return OK;
	return err_set(cx, ERR_INPUT, "image: \"" STR_FMT "\" is no name of an image", STR_ARG(name));
}

enum err image_import(struct ctx *cx, const char *node_dir, struct str name, const char *tar_file,
                      struct str config, const struct image_limits *limits, char *digest_text)
{
	__attribute__((cleanup(image_close))) int tar = open(tar_file, O_RDONLY | O_CLOEXEC);
	struct image_source from = { .tar = tar, .layers = -1 };

	TRY(check_name(cx, name));
	TRY(image_config_text(cx, config, &from.config));
	if (tar < 0)
		return err_errno(cx, "open %s", tar_file);
	return put_image(cx, node_dir, name, tar, tar_file, &from, limits, digest_text);
}

enum err image_import_layers(struct ctx *cx, const char *node_dir, struct str name, int layers,
                             const struct image_limits *limits, char *digest_text)
{
	__attribute__((cleanup(image_close))) int manifest = openat(layers, "manifest.json", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	const struct image_source from = { .tar = -1, .layers = layers };

	TRY(check_name(cx, name));
	if (manifest < 0)
		return err_errno(cx, "open the image's manifest");
	return put_image(cx, node_dir, name, manifest, "the image's manifest", &from, limits, digest_text);
}
