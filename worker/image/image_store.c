#include "worker/image/image_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/json.h"
#include "base/tree.h"
#include "worker/image/image_folder.h"
#include "worker/launcher/launch_request.h"

enum { CONFIG_MAX = 1 << 20, PASSWD_MAX = 1 << 20, WORDS_MAX = 4096 };

char *image_file_name(struct arena *a, struct str name)
{
	char *out = arena_take(a, 3 * name.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == '/') {
			memcpy(out + n, "%2F", 3);
			n += 3;
		} else {
			out[n++] = name.p[i];
		}
	return out;
}

enum err image_open_folder(struct ctx *cx, const char *node_dir, const char *below, int *fd)
{
	const char *path = arena_printf(&cx->arena, "%s/images%s%s", node_dir, *below ? "/" : "", below);

	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd >= 0)
		return OK;
	if (errno == ENOENT)
		return err_set(cx, ERR_NOT_FOUND, "this node has no images yet (%s)", path);
	return err_errno(cx, "open %s", path);
}

void image_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* A whole small file; *out in the arena. ERR_NOT_FOUND if there is none. */
static enum err read_small(struct ctx *cx, int fd, const char *what, size_t max, struct str *out)
{
	char *text = arena_take(&cx->arena, max + 1);
	size_t n = 0;
	ssize_t got;

	while (n <= max && (got = read(fd, text + n, max + 1 - n)) != 0) {
		if (got < 0)
			return err_errno(cx, "read %s", what);
		n += (size_t)got;
	}
	if (n > max)
		return err_set(cx, ERR_TOO_LARGE, "read %s: it is longer than %zu bytes", what, max);
	*out = str_bytes(text, n);
	return OK;
}

/* "sha256:<hex>" with blanks around, as names and files hold it. */
static enum err parse_digest(struct ctx *cx, struct str text, const char *what,
                             unsigned char digest[SHA256_BYTES])
{
	text = str_trim(text);
	if (str_starts(text, "sha256:") &&
	    hex_parse(str_bytes(text.p + 7, text.n - 7), digest, SHA256_BYTES))
		return OK;
	return err_set(cx, ERR_INPUT, "%s does not hold sha256: and 64 hex digits", what);
}

void image_digest_text(const unsigned char digest[SHA256_BYTES], char out[72])
{
	memcpy(out, "sha256:", 7);
	hex_format(digest, SHA256_BYTES, out + 7);
}

static struct str name_of_file(struct arena *a, const char *file)
{
	char *out = arena_text(a, file);
	size_t n = 0;

	for (const char *p = file; *p; p++)
		if (strncmp(p, "%2F", 3) == 0) {
			out[n++] = '/';
			p += 2;
		} else {
			out[n++] = *p;
		}
	return str_bytes(out, n);
}

static enum err read_name(struct ctx *cx, int names, const char *file,
                          unsigned char digest[SHA256_BYTES])
{
	__attribute__((cleanup(image_close))) int fd = openat(names, file, O_RDONLY | O_CLOEXEC |
	                                                      O_NOFOLLOW);
	struct str text;

	if (fd < 0 && errno == ENOENT)
		return err_set(cx, ERR_NOT_FOUND, "no image \"" STR_FMT "\" on this node",
		               STR_ARG(name_of_file(&cx->arena, file)));
	if (fd < 0)
		return err_errno(cx, "open the image name %s", file);
	TRY(read_small(cx, fd, "an image name", 256, &text));
	return parse_digest(cx, text, file, digest);
}

static enum err resolve(struct ctx *cx, const char *node_dir, struct str name,
                        unsigned char digest[SHA256_BYTES])
{
	__attribute__((cleanup(image_close))) int names = -1;

	if (str_starts(name, "sha256:"))
		return parse_digest(cx, name, "the image's digest", digest);
	if (!image_name_is_valid(name))
		return err_set(cx, ERR_INPUT, "image: \"" STR_FMT "\" is no name of an image", STR_ARG(name));
	TRY(image_open_folder(cx, node_dir, "names", &names));
	return read_name(cx, names, image_file_name(&cx->arena, name), digest);
}

/* --- the image's config ------------------------------------------------------------------------- */

static enum err get_words(struct ctx *cx, const json_t *config, const char *key, struct str **out,
                          size_t *count)
{
	json_t *array = NULL;
	size_t n;

	TRY(json_get_array(cx, config, key, &array));
	n = array ? json_array_size(array) : 0;
	if (n > WORDS_MAX)
		return err_set(cx, ERR_INPUT, "%s: more than %d words", key, WORDS_MAX);
	*out = arena_array(&cx->arena, n ? n : 1, sizeof **out);
	*count = n;
	for (size_t i = 0; i < n; i++) {
		const json_t *word = json_array_get(array, i);

		if (!json_is_string(word))
			return err_set(cx, ERR_INPUT, "%s: word %zu is no text", key, i);
		(*out)[i] = str_bytes(arena_copy(&cx->arena, json_string_value(word),
		                                 json_string_length(word)), json_string_length(word));
	}
	return OK;
}

static enum err get_text(struct ctx *cx, const json_t *config, const char *key, struct str *out)
{
	struct str view = { 0 };

	TRY(json_get_text(cx, config, key, &view));
	*out = str_bytes(arena_copy(&cx->arena, view.p, view.n), view.n);
	return OK;
}

static enum err parse_config(struct ctx *cx, struct str text, struct image *out)
{
	auto_json *config = NULL;

	TRY(json_read(cx, text, (struct json_limits){ .depth = 16, .nodes = 20000 }, &config));
	TRY(get_words(cx, config, "Entrypoint", &out->entrypoint, &out->entrypoint_count));
	TRY(get_words(cx, config, "Cmd", &out->cmd, &out->cmd_count));
	TRY(get_words(cx, config, "Env", &out->env, &out->env_count));
	TRY(get_text(cx, config, "WorkingDir", &out->workdir));
	return get_text(cx, config, "User", &out->user);
}

/* --- its user ----------------------------------------------------------------------------------- */

/* A file of the image, its links followed inside the image alone. */
static enum err read_inside(struct ctx *cx, int rootfs, const char *path, struct str *out)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		                .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	__attribute__((cleanup(image_close))) int fd = (int)syscall(SYS_openat2, rootfs, path, &how,
	                                                            sizeof how);
	struct stat st;

	*out = (struct str){ 0 };
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return OK; /* an image without users has none by name */
	return read_small(cx, fd, path, PASSWD_MAX, out);
}

/* The line "name:x:number[:number]…" of `name`, or of the number if by_id; -1 where absent. */
static bool look_up(struct str text, struct str name, bool by_id, int64_t *id, int64_t *group)
{
	struct str line, field[4];

	while (str_cut(&text, '\n', &line)) {
		for (size_t i = 0; i < 4; i++)
			if (!str_cut(&line, ':', &field[i]))
				field[i] = (struct str){ 0 };
		if (!str_equal(by_id ? field[2] : field[0], name) || !str_int(field[2], id))
			continue;
		if (!str_int(field[3], group))
			*group = -1;
		return true;
	}
	return false;
}

static enum err check_id(struct ctx *cx, const char *what, int64_t v, uint32_t *out)
{
	if (v < 0 || v > LAUNCH_ID_MAX)
		return err_set(cx, ERR_INPUT, "the image's %s %lld is not 0 to %u", what, (long long)v,
		               LAUNCH_ID_MAX);
	*out = (uint32_t)v;
	return OK;
}

static enum err find_user(struct ctx *cx, int rootfs, struct image *im)
{
	struct str rest = im->user, user = { 0 }, passwd, groups;
	int64_t uid = 0, gid = -1, unused;

	if (im->user.n == 0)
		return OK;
	str_cut(&rest, ':', &user);
	TRY(read_inside(cx, rootfs, "etc/passwd", &passwd));
	if (str_int(user, &uid))
		look_up(passwd, user, true, &uid, &gid);
	else if (!look_up(passwd, user, false, &uid, &gid))
		return err_set(cx, ERR_INPUT, "the image's user \"" STR_FMT "\" is not in its /etc/passwd",
		               STR_ARG(user));
	if (rest.n && !str_int(rest, &gid)) {
		TRY(read_inside(cx, rootfs, "etc/group", &groups));
		if (!look_up(groups, rest, false, &gid, &unused))
			return err_set(cx, ERR_INPUT, "the image's group \"" STR_FMT "\" is not in its /etc/group",
			               STR_ARG(rest));
	}
	TRY(check_id(cx, "user", uid, &im->uid));
	return check_id(cx, "group", gid < 0 ? 0 : gid, &im->gid);
}

enum err image_find(struct ctx *cx, const char *node_dir, struct str name, struct image *out)
{
	__attribute__((cleanup(image_close))) int folder = -1, fd = -1, rootfs = -1;
	struct image im = { 0 };
	struct str text;
	const char *below;

	TRY(resolve(cx, node_dir, name, im.digest));
	image_digest_text(im.digest, im.digest_text);
	below = arena_printf(&cx->arena, "sha256-%s", im.digest_text + 7);
	if (image_open_folder(cx, node_dir, below, &folder))
		return err_set(cx, ERR_NOT_FOUND, "no image " STR_FMT " on this node", STR_ARG(name));
	rootfs = openat(folder, "rootfs", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	fd = openat(folder, "config.json", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (rootfs < 0 || fd < 0)
		return err_errno(cx, "open the image %s", im.digest_text);
	TRY(read_small(cx, fd, "the image's config.json", CONFIG_MAX, &text));
	if (parse_config(cx, text, &im))
		return err_wrap(cx, "config of the image " STR_FMT, STR_ARG(name));
	TRY(find_user(cx, rootfs, &im));
	*out = im;
	return OK;
}

/* --- of a daemon --------------------------------------------------------------------------------- */

static enum err parse_engine_image(struct ctx *cx, struct str text, struct image *im)
{
	auto_json *whole = NULL;
	json_t *config;
	struct str id = { 0 };
	char *config_text;
	enum err e;

	TRY(json_read(cx, text, (struct json_limits){ .depth = 17, .nodes = 20001 }, &whole));
	TRY(json_get_text(cx, whole, "Id", &id));
	config = json_object_get(whole, "Config");
	config_text = config ? json_dumps(config, JSON_COMPACT) : NULL;
	if (!config_text || parse_digest(cx, id, "the image's id", im->digest)) {
		free(config_text);
		return err_set(cx, ERR_INTERNAL, "what the engine said of an image makes no sense");
	}
	e = parse_config(cx, str_of(config_text), im);
	free(config_text);
	return e;
}

enum err image_of_engine(struct ctx *cx, const char *node_dir, const char *engine, struct str name, struct image *out)
{
	__attribute__((cleanup(image_close))) int images = -1, fd = -1;
	unsigned char key[SHA256_BYTES];
	char hex[2 * sizeof key + 1];
	struct image im = { 0 };
	struct str text;

	crypt_sha256(name, key);
	hex_format(key, sizeof key, hex);
	TRY(image_open_folder(cx, node_dir, "", &images));
	fd = openat(images, arena_printf(&cx->arena, "%s-%s", engine, hex), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(cx, "read what the engine %s said of the image " STR_FMT, engine, STR_ARG(name));
	TRY(read_small(cx, fd, "what the engine said of the image", CONFIG_MAX, &text));
	TRY(parse_engine_image(cx, text, &im));
	image_digest_text(im.digest, im.digest_text);
	if (find_user(cx, -1, &im)) /* without its files only numbers can be known */
		return err_set(cx, ERR_INPUT, "the image's user \"" STR_FMT "\" is a name: the engine %s takes numbers only",
		               STR_ARG(im.user), engine);
	*out = im;
	return OK;
}

/* --- all of them -------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct image_name *x = a, *y = b;
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	int order = memcmp(x->name.p, y->name.p, n);

	return order ? order : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

static enum err add_name(struct ctx *cx, int names, const char *file, struct image_name **list,
                         size_t *n, size_t *room)
{
	unsigned char digest[SHA256_BYTES];
	enum err e = read_name(cx, names, file, digest);

	if (e == ERR_NOT_FOUND)
		return OK; /* removed meanwhile */
	TRY(e);
	if (*n == *room) {
		struct image_name *more = arena_array(&cx->arena, *room * 2 + 16, sizeof *more);

		if (*n)
			memcpy(more, *list, *n * sizeof *more);
		*list = more;
		*room = *room * 2 + 16;
	}
	(*list)[*n].name = name_of_file(&cx->arena, file);
	image_digest_text(digest, (*list)[*n].digest_text);
	(*n)++;
	return OK;
}

enum err image_list(struct ctx *cx, const char *node_dir, struct image_name **out, size_t *count)
{
	struct image_name *list = NULL;
	size_t n = 0, room = 0;
	struct dirent *d;
	enum err e;
	DIR *dir;
	int fd;

	*out = NULL;
	*count = 0;
	e = image_open_folder(cx, node_dir, "names", &fd);
	if (e == ERR_NOT_FOUND)
		return OK;
	TRY(e);
	dir = fdopendir(fd);
	while (!e && dir && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			e = add_name(cx, dirfd(dir), d->d_name, &list, &n, &room);
	if (dir)
		closedir(dir);
	TRY(e);
	if (n)
		qsort(list, n, sizeof *list, by_name);
	*out = list;
	*count = n;
	return OK;
}

/* --- removal ------------------------------------------------------------------------------------ */

bool image_is_in_use(int jobs, const unsigned char digest[SHA256_BYTES])
{
	int at = jobs < 0 ? -1 : openat(jobs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = at < 0 ? NULL : fdopendir(at);
	struct dirent *d;
	bool found = false;

	while (dir && !found && (d = readdir(dir))) {
		struct launch_request rq;
		int job = openat(dirfd(dir), d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int fd = job < 0 ? -1 : openat(job, "request", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

		found = fd >= 0 && read(fd, &rq, sizeof rq) == (ssize_t)sizeof rq &&
		        memcmp(rq.digest, digest, SHA256_BYTES) == 0 && faccessat(job, "exit", F_OK, 0) != 0;
		image_close(&fd);
		image_close(&job);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool is_in_use(const char *node_dir, const unsigned char digest[SHA256_BYTES])
{
	__attribute__((cleanup(image_close))) int jobs = -1;
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/jobs", node_dir);
	jobs = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return image_is_in_use(jobs, digest);
}

static enum err remove_files(struct ctx *cx, const char *node_dir, int images,
                             const unsigned char digest[SHA256_BYTES])
{
	const char *was, *gone;
	char text[72];

	image_digest_text(digest, text);
	was = arena_printf(&cx->arena, "sha256-%s", text + 7);
	gone = arena_printf(&cx->arena, "tmp-removed-%s", text + 7);
	/* out of the launcher's sight first: what starts from now on finds no image */
	if (renameat(images, was, images, gone) && errno != ENOENT)
		return err_errno(cx, "move the image %s away", text);
	if (is_in_use(node_dir, digest)) {
		if (renameat(images, gone, images, was))
			return err_errno(cx, "put the image %s back", text);
		return err_set(cx, ERR_CONFLICT, "jobs run on the image %s; remove it when they have ended",
		               text);
	}
	tree_remove(images, gone);
	return OK;
}

enum err image_remove(struct ctx *cx, const char *node_dir, struct str name)
{
	__attribute__((cleanup(image_close))) int images = -1, names = -1;
	unsigned char digest[SHA256_BYTES];
	struct image_name *list;
	char text[72];
	size_t n, users = 0;

	if (!image_name_is_valid(name))
		return err_set(cx, ERR_INPUT, "image: \"" STR_FMT "\" is no name of an image", STR_ARG(name));
	TRY(resolve(cx, node_dir, name, digest));
	TRY(image_open_folder(cx, node_dir, "", &images));
	TRY(image_open_folder(cx, node_dir, "names", &names));
	TRY(image_list(cx, node_dir, &list, &n));
	image_digest_text(digest, text);
	for (size_t i = 0; i < n; i++)
		users += strcmp(list[i].digest_text, text) == 0;
	if (users <= 1)
		TRY(remove_files(cx, node_dir, images, digest));
	if (unlinkat(names, image_file_name(&cx->arena, name), 0))
		return err_errno(cx, "remove the image name " STR_FMT, STR_ARG(name));
	return OK;
}
