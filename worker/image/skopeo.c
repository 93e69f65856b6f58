#include "worker/image/skopeo.h"

#include "base/buf.h"
#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 200, WORDS_MAX = 16384, MANIFEST_MAX = 4 << 20, ARGS_MAX = 16 };

bool skopeo_knows(const char *source)
{
	static const char *const kinds[] = { "docker://", "docker-archive:", "oci:", "oci-archive:" };

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (str_starts(str_of(source), kinds[i]))
			return true;
	return false;
}

/* --- what it says ------------------------------------------------------------------------------------ */

/* The first that is found decides. */
enum err skopeo_judge(struct str words)
{
	static const struct {
		const char *text;
		enum err means;
	} rows[] = {
		{ "toomanyrequests", ERR_LIMIT },        { "too many requests", ERR_LIMIT },
		{ "Too Many Requests", ERR_LIMIT },      { "status code 429", ERR_LIMIT },
		{ "status code 5", ERR_LIMIT },          { "received unexpected HTTP status: 5", ERR_LIMIT },
		{ "StatusCode: 5", ERR_LIMIT },          { "status code from registry 5", ERR_LIMIT }, /* tokens, blobs */
		{ "connection refused", ERR_LIMIT },     { "connection timed out", ERR_LIMIT },
		{ "connection reset", ERR_LIMIT },       { "i/o timeout", ERR_LIMIT },
		{ "broken pipe", ERR_LIMIT },            { "context deadline exceeded", ERR_LIMIT },
		{ "\": EOF", ERR_LIMIT }, /* behind the address, as Go quotes it: hung up without an answer */
		{ "TLS handshake timeout", ERR_LIMIT },  { "unexpected EOF", ERR_LIMIT },
		{ "no such host", ERR_LIMIT },           { "network is unreachable", ERR_LIMIT },
		{ "no route to host", ERR_LIMIT },       { "server misbehaving", ERR_LIMIT },
		{ "Client.Timeout", ERR_LIMIT },         { "no space left on device", ERR_INTERNAL },
		{ "cannot allocate memory", ERR_INTERNAL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (words.n && memmem(words.p, words.n, rows[i].text, strlen(rows[i].text)))
			return rows[i].means;
	return ERR_INPUT;
}

/* The sentence of the last line: time="…" level=fatal msg="…" */
static struct str last_words(struct ctx *cx, struct str said)
{
	struct str line, found = STR_LIT("it said nothing");
	struct buf text = { 0 };
	const char *msg;

	while (str_cut(&said, '\n', &line))
		if (str_trim(line).n)
			found = str_trim(line);
	msg = found.n > 6 ? memmem(found.p, found.n, " msg=\"", 6) : NULL;
	if (!msg)
		return found;
	found = str_bytes(msg + 6, (size_t)(found.p + found.n - msg) - 6);
	for (size_t i = 0; i + 1 < found.n; i++) {
		if (found.p[i] == '\\' && i + 2 < found.n)
			i++;
		buf_char(&text, found.p[i]);
	}
	found = str_bytes(arena_copy(&cx->arena, text.p, text.n), text.n);
	buf_free(&text);
	return found;
}

/* --- running it --------------------------------------------------------------------------------------- */

struct run {
	pid_t pid;
	int out, err;
	struct buf said[2]; /* stdout, stderr */
	int status;
};

static void run_end(struct run *r)
{
	for (int i = 0; i < 2; i++)
		buf_free(&r->said[i]);
	if (r->out >= 0)
		close(r->out);
	if (r->err >= 0)
		close(r->err);
}

static int spawn(const struct skopeo_ask *ask, char *const *argv, int out, int err, pid_t *pid)
{
	char *const envp[] = { (char *)"PATH=/usr/local/bin:/usr/bin:/bin", (char *)"HOME=/nonexistent",
		               (char *)"GOMAXPROCS=2", NULL };
	const struct rlimit file = { (rlim_t)ask->bytes_most, (rlim_t)ask->bytes_most };
	posix_spawn_file_actions_t fds;
	posix_spawnattr_t attr;
	sigset_t none;
	int why;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&fds);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attr, &none);
	why = posix_spawn_file_actions_addopen(&fds, 0, "/dev/null", O_RDONLY, 0);
	why = why ? why : posix_spawn_file_actions_adddup2(&fds, out, 1);
	why = why ? why : posix_spawn_file_actions_adddup2(&fds, err, 2);
	why = why ? why : posix_spawn_file_actions_addclosefrom_np(&fds, 3);
	why = why ? why : posix_spawnp(pid, argv[0], &fds, &attr, argv, envp);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&fds);
	if (!why)
		prlimit(*pid, RLIMIT_FSIZE, &file, NULL);
	return why;
}

static enum err start(struct ctx *cx, const struct skopeo_ask *ask, char *const *argv, struct run *r)
{
	int out[2], err[2], why;

	if (pipe2(out, O_CLOEXEC))
		return err_errno(cx, "make a pipe for skopeo");
	r->out = out[0];
	if (pipe2(err, O_CLOEXEC)) {
		close(out[1]);
		return err_errno(cx, "make a pipe for skopeo");
	}
	r->err = err[0];
	why = spawn(ask, argv, out[1], err[1], &r->pid);
	close(out[1]);
	close(err[1]);
	if (!why)
		return OK;
	errno = why;
	return err_errno(cx, "start skopeo, which fetches images");
}

static int64_t folder_bytes(const char *path)
{
	DIR *list = path ? opendir(path) : NULL;
	struct dirent *d;
	struct stat st;
	int64_t sum = 0;

	while (list && (d = readdir(list)))
		if (fstatat(dirfd(list), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			sum += st.st_size;
	if (list)
		closedir(list);
	return sum;
}

/* NULL, or why it must not go on. */
static const char *must_end(const struct skopeo_ask *ask, int64_t until_us)
{
	if (ask->stop && atomic_load(ask->stop))
		return "the runner ends";
	if (clock_boot_us() > until_us)
		return "it took longer than its time";
	if (folder_bytes(ask->folder) > ask->bytes_most)
		return "the image is larger than the limit";
	return NULL;
}

/* False at the end of that stream. What is beyond the limit is dropped. */
static bool hear(int fd, struct buf *said)
{
	char block[4096];
	ssize_t n = read(fd, block, sizeof block);

	if (n > 0)
		buf_add(said, block, (size_t)n);
	return n > 0;
}

/* To its end, which comes at the latest when it must. */
static const char *wait_end(const struct skopeo_ask *ask, struct run *r)
{
	int64_t until_us = clock_boot_us() + ask->seconds_most * 1000000;
	struct pollfd p[2] = { { .fd = r->out, .events = POLLIN }, { .fd = r->err, .events = POLLIN } };
	const char *why = NULL;

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		if (!why && (why = must_end(ask, until_us)))
			kill(-r->pid, SIGKILL);
		if (poll(p, 2, LOOK_MS) <= 0)
			continue;
		for (int i = 0; i < 2; i++)
			if (p[i].revents && !hear(p[i].fd, &r->said[i]))
				p[i].fd = -1;
	}
	while (waitpid(r->pid, &r->status, 0) < 0 && errno == EINTR)
		;
	return why;
}

static enum err run(struct ctx *cx, const struct skopeo_ask *ask, char *const *argv, struct run *r)
{
	const char *why;
	struct str words;

	TRY(start(cx, ask, argv, r));
	why = wait_end(ask, r);
	if (why)
		return err_set(cx, ask->stop && atomic_load(ask->stop) ? ERR_BUSY : ERR_INPUT, "fetch %s: %s", ask->source, why);
	if (WIFEXITED(r->status) && WEXITSTATUS(r->status) == 0)
		return OK;
	words = last_words(cx, buf_view(&r->said[1]));
	return err_set(cx, skopeo_judge(words), "fetch %s: " STR_FMT, ask->source, STR_ARG(words));
}

/* --- what it is asked ---------------------------------------------------------------------------------- */

/* It dies with us: what is fetched for nobody is only in the way of the next. */
#define SKOPEO(command, option)                                                                     \
	{ (char *)"setpriv", (char *)"--pdeathsig", (char *)"KILL", (char *)"--no-new-privs", (char *)"skopeo", \
	  (char *)"--insecure-policy", (char *)command, (char *)option }
enum { SKOPEO_WORDS = 8 };

static size_t add_access(struct arena *a, const struct skopeo_ask *ask, bool is_copy, char **argv, size_t n)
{
	if (ask->is_plain)
		argv[n++] = arena_printf(a, "--%stls-verify=false", is_copy ? "src-" : "");
	if (ask->cert_dir && *ask->cert_dir)
		argv[n++] = arena_printf(a, "--%scert-dir=%s", is_copy ? "src-" : "", ask->cert_dir);
	if (ask->login)
		argv[n++] = arena_printf(a, "--%sauthfile=%s", is_copy ? "src-" : "", ask->login);
	return n;
}

enum err skopeo_copy(struct ctx *cx, const struct skopeo_ask *ask)
{
	__attribute__((cleanup(run_end))) struct run r = { .out = -1, .err = -1, .said = { { .ceiling = WORDS_MAX }, { .ceiling = WORDS_MAX } } };
	char *argv[ARGS_MAX] = SKOPEO("copy", "--quiet");
	size_t n = add_access(&cx->arena, ask, true, argv, SKOPEO_WORDS);

	argv[n++] = arena_text(&cx->arena, ask->source);
	argv[n] = arena_printf(&cx->arena, "dir:%s", ask->folder);
	return run(cx, ask, argv, &r);
}

enum err skopeo_digest(struct ctx *cx, const struct skopeo_ask *ask, unsigned char digest[SHA256_BYTES])
{
	__attribute__((cleanup(run_end))) struct run r = { .out = -1, .err = -1, .said = { { .ceiling = MANIFEST_MAX }, { .ceiling = WORDS_MAX } } };
	char *argv[ARGS_MAX] = SKOPEO("inspect", "--raw");
	size_t n = add_access(&cx->arena, ask, false, argv, SKOPEO_WORDS);

	argv[n] = arena_text(&cx->arena, ask->source);
	TRY(run(cx, ask, argv, &r));
	if (r.said[0].full)
		return err_set(cx, ERR_INPUT, "fetch %s: its manifest is larger than %d bytes", ask->source, MANIFEST_MAX);
	crypt_sha256(buf_view(&r.said[0]), digest);
	return OK;
}
