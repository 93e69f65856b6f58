#include "worker/package/package_fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/tree.h"
#include "store/package_store.h"
#include "worker/unpack/unpack_link.h"

enum { LOOK_MS = 200 };
#define ZIP_NAME "zip"
#define FILES_NAME "files"
#define BYTES_NAME "bytes"

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
#define auto_fd __attribute__((cleanup(close_fd))) int

void package_folder_name(const unsigned char digest[SHA256_BYTES], char out[PACKAGE_NAME])
{
	memcpy(out, "sha256-", 7);
	hex_format(digest, SHA256_BYTES, out + 7);
}

/* --- the zip ------------------------------------------------------------------------------------- */

static enum err put(struct ctx *cx, int fd, struct str bytes)
{
	while (bytes.n) {
		ssize_t n = write(fd, bytes.p, bytes.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_errno(cx, "write the package's zip");
		bytes = str_bytes(bytes.p + n, bytes.n - (size_t)n);
	}
	return OK;
}

static void free_hash(struct crypt_hash **h)
{
	crypt_hash_free(*h);
}

/* What the database holds is believed no more than a stranger: the digest is what was asked for. */
static enum err fetch_zip(struct ctx *cx, const struct package_source *from, const struct package *p, int zip)
{
	__attribute__((cleanup(free_hash))) struct crypt_hash *hash = crypt_hash_new(CRYPT_SHA256);
	unsigned char got[SHA256_BYTES];

	for (int64_t i = 0; i < p->pieces; i++) {
		struct str piece;

		ctx_reset(cx);
		if (atomic_load(from->stop))
			return err_set(cx, ERR_BUSY, "the runner ends");
		TRY(package_store_piece(from->db, cx, str_bytes(p->digest, SHA256_BYTES), i, &piece));
		crypt_hash_add(hash, piece);
		TRY(put(cx, zip, piece));
	}
	crypt_hash_end(hash, got);
	hash = NULL;
	if (crypt_equal(got, p->digest, sizeof got))
		return OK;
	return err_set(cx, ERR_INPUT, "the stored package is damaged: its bytes do not have the SHA-256 that it is known by");
}

/* --- the unpacking ------------------------------------------------------------------------------- */

/* stoker-unpack lies beside this program, unless the configuration says otherwise. */
static enum err find_program(struct ctx *cx, const struct package_source *source, char *path, size_t room)
{
	static const char NAME[] = "stoker-unpack";
	ssize_t n = readlink("/proc/self/exe", path, room - sizeof NAME);
	char *slash;

	if (*source->program) {
		snprintf(path, room, "%s", source->program);
		return OK;
	}
	if (n < 0)
		return err_errno(cx, "find the folder of this program");
	path[n] = '\0';
	slash = strrchr(path, '/');
	memcpy(slash + 1, NAME, sizeof NAME);
	return OK;
}

static int spawn_with(const char *path, int zip, int files, int answer, pid_t *pid)
{
	char *const argv[] = { (char *)"stoker-unpack", NULL }, *const envp[] = { NULL };
	posix_spawn_file_actions_t fds;
	posix_spawnattr_t attr;
	sigset_t none;
	int why;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&fds);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attr, &none);
	why = posix_spawn_file_actions_adddup2(&fds, answer, STDOUT_FILENO);
	why = why ? why : posix_spawn_file_actions_adddup2(&fds, zip, UNPACK_FD_ZIP);
	why = why ? why : posix_spawn_file_actions_adddup2(&fds, files, UNPACK_FD_FILES);
	why = why ? why : posix_spawn(pid, path, &fds, &attr, argv, envp);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&fds);
	return why;
}

/* Above the numbers that the program gets its own at: none is overwritten before it is copied. */
static bool move_up(int *fd)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, UNPACK_FD_END);

	close_fd(fd);
	*fd = high;
	return high >= 0;
}

/* What it says until it ends; killed when the runner does not want to wait any longer. */
static void hear(int answer, pid_t pid, const atomic_bool *stop, char *text, size_t room)
{
	struct pollfd p = { .fd = answer, .events = POLLIN };
	size_t n = 0;
	ssize_t got;

	for (;;) {
		if (atomic_load(stop))
			kill(pid, SIGKILL);
		if (poll(&p, 1, LOOK_MS) <= 0)
			continue;
		got = read(answer, text + n, room - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	text[n] = '\0';
}

static enum err judge(struct ctx *cx, int status, const char *answer, int64_t *bytes)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (code == UNPACK_DONE && str_int(str_of(answer), bytes))
		return OK;
	if (code == UNPACK_REFUSED && *answer)
		return err_set(cx, ERR_INPUT, "%s", answer);
	if (code == UNPACK_FAILED && *answer)
		return err_set(cx, ERR_INTERNAL, "%s", answer);
	/* whoever killed it meant this process; of a fault of its own the zip is the reason, here as anywhere */
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM)
		return err_set(cx, ERR_INPUT, "the package cannot be unpacked: stoker-unpack died of signal %d", WTERMSIG(status));
	return err_set(cx, ERR_INTERNAL, "stoker-unpack did not end as it should (status 0x%x)", status);
}

static enum err unpack(struct ctx *cx, const struct package_source *source, int folder, int64_t *bytes)
{
	auto_fd zip = openat(folder, ZIP_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	auto_fd files = openat(folder, FILES_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_fd from = -1, to = -1;
	char answer[UNPACK_ANSWER_BYTES], path[PATH_MAX];
	int pair[2], status, why;
	pid_t pid;

	TRY(find_program(cx, source, path, sizeof path));
	if (zip < 0 || files < 0 || pipe2(pair, O_CLOEXEC))
		return err_errno(cx, "open what unpacking takes");
	from = pair[0];
	to = pair[1];
	if (!move_up(&zip) || !move_up(&files) || !move_up(&to))
		return err_errno(cx, "open what unpacking takes");
	why = spawn_with(path, zip, files, to, &pid);
	if (why) {
		errno = why;
		return err_errno(cx, "start %s", path);
	}
	close_fd(&to);
	hear(from, pid, source->stop, answer, sizeof answer);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (atomic_load(source->stop))
		return err_set(cx, ERR_BUSY, "the runner ends");
	return judge(cx, status, answer, bytes);
}

/* --- all of it ----------------------------------------------------------------------------------- */

/* On the disk, and only then under its name. */
static enum err put_in_place(struct ctx *cx, int packages, int folder, const char *tmp, const char *name, int64_t bytes)
{
	auto_fd fd = openat(folder, BYTES_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || dprintf(fd, "%lld\n", (long long)bytes) < 0 || unlinkat(folder, ZIP_NAME, 0) || syncfs(folder))
		return err_errno(cx, "write the package to the disk");
	if (renameat(packages, tmp, packages, name) && errno != EEXIST && errno != ENOTEMPTY)
		return err_errno(cx, "put the package in place");
	if (fsync(packages))
		return err_errno(cx, "put the package in place");
	return OK;
}

static enum err fetch_into(struct ctx *cx, const struct package_source *from, const struct package *p, int packages,
                           const char *tmp, int64_t *bytes)
{
	auto_fd folder = openat(packages, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_fd zip = -1;
	char name[PACKAGE_NAME];

	if (folder < 0 || mkdirat(folder, FILES_NAME, 0755))
		return err_errno(cx, "make the package's folder");
	zip = openat(folder, ZIP_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (zip < 0)
		return err_errno(cx, "make the package's zip");
	TRY(fetch_zip(cx, from, p, zip));
	TRY(unpack(cx, from, folder, bytes));
	package_folder_name(p->digest, name);
	return put_in_place(cx, packages, folder, tmp, name, *bytes);
}

enum err package_fetch(struct ctx *cx, const struct package_source *from, const unsigned char digest[SHA256_BYTES],
                       int64_t *bytes)
{
	auto_fd packages = open(PACKAGE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned char random[8];
	char tmp[32] = "tmp-";
	struct package p;
	enum err e;

	TRY(package_store_find(from->db, cx, str_bytes(digest, SHA256_BYTES), &p));
	crypt_random(random, sizeof random);
	hex_format(random, sizeof random, tmp + 4);
	if (packages < 0 || mkdirat(packages, tmp, 0700))
		return err_errno(cx, "make a folder for the package");
	e = fetch_into(cx, from, &p, packages, tmp, bytes);
	tree_remove(packages, tmp); /* nothing, or what was begun */
	return e;
}
