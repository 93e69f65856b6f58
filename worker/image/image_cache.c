#include "worker/image/image_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/tree.h"
#include "worker/image/image_folder.h"

enum { KEEP_S = 60, CACHED_MOST = 4096, NAME_BYTES = 72, BLOCK_BYTES = 512 };

/* --- how large ---------------------------------------------------------------------------------------- */

/* Of all that lies below, following no link. */
static int64_t tree_bytes(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	int64_t sum = 0;
	struct dirent *d;
	struct stat st;

	while (list && (d = readdir(list))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
		    fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		sum += st.st_blocks * BLOCK_BYTES;
		if (S_ISDIR(st.st_mode))
			sum += tree_bytes(fd, d->d_name);
	}
	if (list)
		closedir(list);
	return sum;
}

enum err image_cache_note(struct ctx *cx, int images, const unsigned char digest[SHA256_BYTES])
{
	char text[72];
	const char *folder, *path;
	int fd;

	image_digest_text(digest, text);
	folder = arena_printf(&cx->arena, "sha256-%s", text + 7);
	path = arena_printf(&cx->arena, "%s/" IMAGE_FETCHED, folder);
	fd = openat(images, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || dprintf(fd, "%lld\n", (long long)tree_bytes(images, folder)) < 0 || close(fd))
		return err_errno(cx, "note the size of the image %s", text);
	return OK;
}

/* --- which go ------------------------------------------------------------------------------------------ */

struct cached {
	char name[NAME_BYTES]; /* "sha256-<hex>" */
	unsigned char digest[SHA256_BYTES];
	int64_t bytes;
	time_t used;
};

static bool read_cached(int images, const char *name, struct cached *out)
{
	__attribute__((cleanup(image_close))) int folder = openat(images, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	__attribute__((cleanup(image_close))) int fd = folder < 0 ? -1 : openat(folder, IMAGE_FETCHED, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char text[32];
	struct stat st;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);

	if (n <= 0 || fstat(fd, &st) || !str_int(str_trim(str_bytes(text, (size_t)n)), &out->bytes) ||
	    strncmp(name, "sha256-", 7) != 0 || !hex_parse(str_of(name + 7), out->digest, sizeof out->digest))
		return false;
	memcpy(out->name, "sha256-", 7);
	hex_format(out->digest, sizeof out->digest, out->name + 7);
	out->used = st.st_mtime;
	return true;
}

/* The digest that a name in names/ points at stays. */
static bool has_name(int images, const struct cached *c)
{
	int names = openat(images, "names", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = names < 0 ? NULL : fdopendir(names);
	bool found = false;
	struct dirent *d;

	while (list && !found && (d = readdir(list))) {
		char text[80] = "";
		int fd = openat(names, d->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

		image_close(&fd);
		found = n > 7 && strncmp(text + 7, c->name + 7, 2 * SHA256_BYTES) == 0;
	}
	if (list)
		closedir(list);
	return found;
}

static int by_use(const void *a, const void *b)
{
	const struct cached *x = a, *y = b;

	return (x->used > y->used) - (x->used < y->used);
}

static size_t list_cached(struct ctx *cx, int images, struct cached **out, int64_t *sum)
{
	DIR *list = fdopendir(openat(images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *d;
	size_t n = 0;

	*out = arena_array(&cx->arena, CACHED_MOST, sizeof **out);
	*sum = 0;
	while (list && n < CACHED_MOST && (d = readdir(list)))
		if (read_cached(images, d->d_name, &(*out)[n]) && !has_name(images, &(*out)[n]))
			*sum += (*out)[n++].bytes;
	if (list)
		closedir(list);
	qsort(*out, n, sizeof **out, by_use);
	return n;
}

/* Out of the launcher's sight first: what starts from now on finds no image. */
static bool evict(int images, int jobs, const struct cached *c)
{
	char gone[NAME_BYTES + 16];

	snprintf(gone, sizeof gone, "tmp-removed-%s", c->name + 7);
	if (renameat(images, c->name, images, gone))
		return false;
	if (image_is_in_use(jobs, c->digest)) {
		renameat(images, gone, images, c->name);
		return false;
	}
	tree_remove(images, gone);
	return true;
}

void image_cache_shrink(struct ctx *cx, int images, int jobs, int64_t most)
{
	time_t now = time(NULL); /* as the file system counts */
	struct cached *list;
	int64_t sum;
	size_t n = list_cached(cx, images, &list, &sum);

	for (size_t i = 0; i < n && sum > most && list[i].used + KEEP_S < now; i++)
		if (!image_is_in_use(jobs, list[i].digest) && evict(images, jobs, &list[i])) {
			log_info("image_removed", "image=%s bytes=%lld", list[i].name, (long long)list[i].bytes);
			sum -= list[i].bytes;
		}
}
