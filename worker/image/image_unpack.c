#include "worker/image/image_unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "worker/image/image_folder.h"
#include "worker/image/layer_write.h"
#include "worker/launcher/userns.h"

enum { JSON_BYTES = 4 << 20, HASH_BYTES = 65536, STATUS_INPUT = 1, STATUS_HOST = 2, ID_COUNT = 65536 };

/* --- what skopeo wrote ------------------------------------------------------------------------------ */

static enum err read_all(struct ctx *cx, int fd, const char *name, struct str *out)
{
	char *text = arena_take(&cx->arena, JSON_BYTES);
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, text + n, JSON_BYTES - n)) > 0)
		n += (size_t)got;
	if (got < 0)
		return err_errno(cx, "read %s", name);
	if (n == JSON_BYTES)
		return err_set(cx, ERR_INPUT, "%s is larger than %d bytes", name, JSON_BYTES);
	*out = str_bytes(text, n);
	return OK;
}

/* "sha256:<hex>" of a descriptor is the name of a file, without "sha256:". */
static enum err blob_digest(struct ctx *cx, const json_t *descriptor, unsigned char digest[SHA256_BYTES])
{
	struct str text = { 0 };

	TRY(json_get_text(cx, descriptor, "digest", &text));
	if (str_starts(text, "sha256:") && hex_parse(str_bytes(text.p + 7, text.n - 7), digest, SHA256_BYTES))
		return OK;
	return err_set(cx, ERR_INPUT, "the manifest has a digest that is not sha256: and 64 hex digits");
}

static enum err check_hash(struct ctx *cx, int fd, const char *name, const unsigned char digest[SHA256_BYTES])
{
	struct crypt_hash *hash = crypt_hash_new(CRYPT_SHA256);
	unsigned char got[SHA256_BYTES];
	char block[HASH_BYTES];
	ssize_t n;

	while ((n = read(fd, block, sizeof block)) > 0)
		crypt_hash_add(hash, str_bytes(block, (size_t)n));
	crypt_hash_end(hash, got);
	if (n < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(cx, "read the blob %s", name);
	if (memcmp(got, digest, sizeof got) != 0)
		return err_set(cx, ERR_INPUT, "the blob %s has another SHA-256 than its name says", name);
	return OK;
}

/* Every byte is that which the manifest names. */
static enum err open_blob(struct ctx *cx, int layers, const json_t *descriptor, int *fd)
{
	unsigned char digest[SHA256_BYTES];
	char name[2 * SHA256_BYTES + 1];

	TRY(blob_digest(cx, descriptor, digest));
	hex_format(digest, sizeof digest, name);
	*fd = openat(layers, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return err_errno(cx, "open the blob %s", name);
	return check_hash(cx, *fd, name, digest);
}

static enum err read_manifest(struct ctx *cx, int layers, json_t **manifest)
{
	__attribute__((cleanup(image_close))) int fd = openat(layers, "manifest.json", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct str text;

	if (fd < 0)
		return err_errno(cx, "open the image's manifest");
	TRY(read_all(cx, fd, "the manifest", &text));
	return json_read(cx, text, (struct json_limits){ .depth = 16, .nodes = 20000 }, manifest);
}

static enum err read_config(struct ctx *cx, int layers, const json_t *manifest, struct str *config)
{
	__attribute__((cleanup(image_close))) int fd = -1;
	json_t *descriptor = NULL;
	struct str text;

	TRY(json_get_object(cx, manifest, "config", &descriptor));
	if (!descriptor)
		return err_set(cx, ERR_INPUT, "the manifest names no config: it is of a kind too old, or of no image");
	TRY(open_blob(cx, layers, descriptor, &fd));
	TRY(read_all(cx, fd, "the image's config", &text));
	return image_config_text(cx, text, config);
}

enum err image_config_text(struct ctx *cx, struct str config, struct str *out)
{
	auto_json *j = NULL;
	json_t *inner = NULL;

	TRY(json_read(cx, config, (struct json_limits){ .depth = 16, .nodes = 20000 }, &j));
	TRY(json_get_object(cx, j, "config", &inner)); /* the whole OCI image config was given */
	*out = json_write(&cx->arena, inner ? inner : j);
	return OK;
}

/* --- in the child ------------------------------------------------------------------------------------ */

static enum err write_config(struct ctx *cx, struct str text)
{
	int fd = open("config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	bool done = fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n;

	if (fd >= 0 && close(fd))
		done = false;
	return done ? OK : err_errno(cx, "write the image's config.json");
}

/* Root of the namespace, nobody outside: no way back. */
static enum err enter_namespace(struct ctx *cx, int folder, int ns)
{
	if (fchdir(folder) || setns(ns, CLONE_NEWUSER) || setgroups(0, NULL) || setresgid(0, 0, 0) ||
	    setresuid(0, 0, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_errno(cx, "enter the unpacking's user namespace (this needs root)");
	umask(0);
	if (mkdir("rootfs", 0755))
		return err_errno(cx, "make the image's root folder");
	return OK;
}

/* Only what giving files to other owners takes stays, and that in the namespace alone. */
static enum err enter_rootfs(struct ctx *cx)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const uint32_t keep = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER;
	struct __user_cap_data_struct d[2] = { { .effective = keep, .permitted = keep } };

	if (chdir("rootfs") || chroot(".") || syscall(SYS_capset, &h, d))
		return err_errno(cx, "enter the image's root folder");
	return OK;
}

static enum err unpack_tar(struct ctx *cx, const struct image_source *from, struct layer_writer *w)
{
	TRY(write_config(cx, from->config));
	TRY(enter_rootfs(cx));
	TRY(layer_write(cx, w, from->tar));
	if (w->entries == 0)
		return err_set(cx, ERR_INPUT, "the archive: it is empty");
	/* what `docker save` and skopeo write is not a root file system */
	if (access("oci-layout", F_OK) && access("manifest.json", F_OK))
		return OK;
	return err_set(cx, ERR_INPUT, "this archive holds layers of an image, not a root file system; import it as "
	               "docker-archive:FILE or oci-archive:FILE");
}

static enum err unpack_layers(struct ctx *cx, const struct image_source *from, struct layer_writer *w)
{
	auto_json *manifest = NULL;
	json_t *layers = NULL;
	struct str config;

	TRY(read_manifest(cx, from->layers, &manifest));
	TRY(read_config(cx, from->layers, manifest, &config));
	TRY(json_get_array(cx, manifest, "layers", &layers));
	if (json_array_size(layers) > w->limits->layers)
		return err_set(cx, ERR_INPUT, "the image has %zu layers, more than the limit of %llu", json_array_size(layers),
		               (unsigned long long)w->limits->layers);
	TRY(write_config(cx, config));
	TRY(enter_rootfs(cx));
	for (size_t i = 0; i < json_array_size(layers); i++) {
		__attribute__((cleanup(image_close))) int tar = -1;

		TRY(open_blob(cx, from->layers, json_array_get(layers, i), &tar));
		TRY(layer_write(cx, w, tar));
	}
	return OK;
}

static _Noreturn void unpack_child(const struct image_source *from, int folder, int ns,
                                   const struct image_limits *limits, int report)
{
	struct ctx cx = { 0 };
	struct layer_writer w = { .limits = limits };
	enum err e = enter_namespace(&cx, folder, ns);

	if (!e)
		e = from->layers >= 0 ? unpack_layers(&cx, from, &w) : unpack_tar(&cx, from, &w);
	if (e)
		dprintf(report, "%.480s", cx.message);
	_exit(e == OK ? 0 : e == ERR_INTERNAL ? STATUS_HOST : STATUS_INPUT);
}

/* --- in the parent ------------------------------------------------------------------------------------ */

/* The folder, as it looks to the namespace's users: 0 to 65535 are theirs. */
static enum err clone_for(struct ctx *cx, int folder, int ns, int *out)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
		                .userns_fd = (uint64_t)ns };

	*out = open_tree(folder, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (*out < 0 || mount_setattr(*out, "", AT_EMPTY_PATH, &a, sizeof a))
		return err_errno(cx, "map the owners of the image's files (this needs root, and a file system with idmapped "
		                 "mounts)");
	return OK;
}

static enum err judge(struct ctx *cx, int status, const char *why)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return OK;
	return err_set(cx, WIFEXITED(status) && WEXITSTATUS(status) == STATUS_HOST ? ERR_INTERNAL : ERR_INPUT,
	               "unpack the image: %s", *why ? why : "the unpacking process died");
}

enum err image_unpack(struct ctx *cx, const struct image_source *from, int folder, const struct image_limits *limits)
{
	__attribute__((cleanup(image_close))) int ns = -1, mapped = -1;
	const struct id_range ids = { .inside = 0, .outside = limits->ids, .count = ID_COUNT };
	int report[2], status;
	char why[512];
	ssize_t n;
	pid_t pid;

	TRY(userns_open(cx, &ids, &ids, &ns));
	TRY(clone_for(cx, folder, ns, &mapped));
	if (pipe2(report, O_CLOEXEC))
		return err_errno(cx, "make a pipe");
	pid = fork();
	if (pid == 0)
		unpack_child(from, mapped, ns, limits, report[1]);
	close(report[1]);
	n = pid < 0 ? 0 : read(report[0], why, sizeof why - 1);
	close(report[0]);
	if (pid < 0)
		return err_errno(cx, "start the unpacking");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	why[n > 0 ? n : 0] = '\0';
	return judge(cx, status, why);
}
