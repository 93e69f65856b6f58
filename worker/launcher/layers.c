/* LAUNCH_UNPACK: a child of the launcher waits for stoker-layers and answers the runner, so that nobody
 * else has to wait for a large image. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/tree.h"
#include "worker/launcher/launcher.h"

enum { FD_LAYERS = 3, FD_IMAGES = 4, FD_JOBS = 5, FD_FIRST_FREE = 16, STATUS_IMAGE = 1 };
#define PULLS "pulls"

static _Noreturn void become_layers(const struct launcher *l, int layers, int words, const char *hex)
{
	char most[32];
	char *const argv[] = { (char *)"stoker-layers", (char *)hex, most, NULL }, *const envp[] = { NULL };
	sigset_t none;

	snprintf(most, sizeof most, "%llu", (unsigned long long)l->opt.images_mb << 20);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(words, STDOUT_FILENO) >= 0 && dup2(layers, FD_LAYERS) >= 0 && dup2(l->images, FD_IMAGES) >= 0 &&
	    dup2(l->jobs, FD_JOBS) >= 0)
		execveat(l->layers, "", argv, envp, AT_EMPTY_PATH);
	_exit(125);
}

/* What it said, and LAUNCH_OK or whose fault it is. */
static uint32_t run_layers(const struct launcher *l, int layers, const char *hex, char *words, size_t room)
{
	int pair[2], status = -1;
	ssize_t n = 0, got;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC))
		return LAUNCH_NODE;
	pid = fork();
	if (pid == 0)
		become_layers(l, layers, pair[1], hex);
	close(pair[1]);
	while (pid > 0 && n < (ssize_t)room - 1 && (got = read(pair[0], words + n, room - 1 - (size_t)n)) > 0)
		n += got;
	words[n] = '\0';
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return LAUNCH_OK;
	if (!n)
		snprintf(words, room, "stoker-layers did not end as it should (status 0x%x)", (unsigned)status);
	return WIFEXITED(status) && WEXITSTATUS(status) == STATUS_IMAGE ? LAUNCH_FAILED : LAUNCH_NODE;
}

/* The layers go, whatever came of them: a bad image would be bad again. */
static _Noreturn void unpack_child(const struct launcher *l, const struct launch_request *rq, int runner)
{
	struct launch_reply r = { .magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION, .op = LAUNCH_UNPACK };
	char hex[2 * sizeof rq->digest + 1], there[sizeof hex + 24];
	int pulls = openat(l->node, PULLS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int layers;

	hex_format(rq->digest, sizeof rq->digest, hex);
	memcpy(r.task, rq->task, sizeof r.task);
	snprintf(there, sizeof there, "sha256-%s/rootfs", hex);
	if (faccessat(l->images, there, F_OK, AT_SYMLINK_NOFOLLOW) == 0) /* fetched twice, or asked twice */
		_exit(!launcher_answer(runner, &r, sizeof r));
	layers = pulls < 0 ? -1 : openat(pulls, hex, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (layers >= 0) {
		r.status = run_layers(l, layers, hex, r.message, sizeof r.message);
		tree_remove(pulls, hex);
	} else {
		r.status = LAUNCH_NODE;
		snprintf(r.message, sizeof r.message, "open the layers of the image %s: %s", hex, strerrordesc_np(errno));
	}
	_exit(!launcher_answer(runner, &r, sizeof r));
}

enum err layers_unpack(struct ctx *cx, const struct launcher *l, const struct launch_request *rq, int runner, pid_t *child)
{
	int high = fcntl(runner, F_DUPFD_CLOEXEC, FD_FIRST_FREE); /* 3 becomes another */

	*child = high < 0 ? -1 : fork();
	if (*child == 0)
		unpack_child(l, rq, high);
	if (high >= 0)
		close(high);
	return *child > 0 ? OK : err_errno(cx, "start the unpacking of an image");
}
