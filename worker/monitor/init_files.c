#include "worker/monitor/init_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "worker/launcher/launch_request.h"
#include "worker/monitor/init_link.h"

void init_connect(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = INIT_LINK_PATH };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) {
		dprintf(STDERR_FILENO, "stoker-init: its monitor is gone: %s\n", strerrordesc_np(errno));
		_exit(125);
	}
	if (fd != INIT_LINK_FD && dup2(fd, INIT_LINK_FD) < 0)
		_exit(125);
}

/* `size` bytes of `from` as the new file `name`. A package may bring a file of that name. */
static bool copy_file(int from, off_t size, int to_dir, const char *name, mode_t mode)
{
	int fd = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	off_t at = 0;

	while (fd >= 0 && at < size) {
		ssize_t n = sendfile(fd, from, &at, (size_t)(size - at));

		if (n <= 0) {
			errno = n ? errno : EIO;
			break;
		}
	}
	if (fd < 0 || at < size || fchmod(fd, mode))
		return false;
	return close(fd) == 0;
}

static bool copy_whole(int from, const char *name, mode_t mode)
{
	struct stat st;

	if (fstat(from, &st))
		return false;
	unlink(name);
	return copy_file(from, st.st_size, AT_FDCWD, name, mode);
}

static bool copy_folder(int from, int to);

static bool copy_below(int from, int to, const char *name, mode_t mode)
{
	int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), out;
	bool done;

	if (in < 0 || (mkdirat(to, name, 0700) && errno != EEXIST))
		return false;
	out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	done = out >= 0 && copy_folder(in, out) && fchmod(out, mode) == 0;
	close(out);
	return done;
}

static bool copy_entry(int from, int to, const char *name)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;
	bool done;
	int in;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW))
		return false;
	if (S_ISDIR(st.st_mode))
		return copy_below(from, to, name, st.st_mode & 07777);
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(from, name, target, sizeof target - 1);
		target[n > 0 ? n : 0] = '\0';
		return n > 0 && symlinkat(target, to, name) == 0;
	}
	in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	done = in >= 0 && copy_file(in, st.st_size, to, name, st.st_mode & 0777);
	close(in);
	return done;
}

/* Takes `from`. */
static bool copy_folder(int from, int to)
{
	DIR *list = fdopendir(from);
	bool done = list != NULL;
	struct dirent *d;

	while (done && (d = readdir(list)))
		done = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 || copy_entry(from, to, d->d_name);
	if (list)
		closedir(list);
	return done;
}

/* A descriptor that came may lead to no directory stream: it is opened anew. */
static bool copy_package(int package)
{
	int from = openat(package, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int to = open(LAUNCH_TASK_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool done = from >= 0 && to >= 0 && copy_folder(from, to);

	close(to);
	return done;
}

int init_copy_files(uint32_t with, const int *fds)
{
	int payload = with & INIT_WITH_PAYLOAD ? *fds++ : -1, config = with & INIT_WITH_CONFIG ? *fds++ : -1;
	int package = with & INIT_WITH_PACKAGE ? *fds++ : -1;
	bool done = (package < 0 || copy_package(package)) &&
	            (payload < 0 || copy_whole(payload, LAUNCH_PAYLOAD_FILE, 0400)) &&
	            (config < 0 || copy_whole(config, LAUNCH_CONFIG_FILE, 0400));
	int err = done ? 0 : errno;

	/* for old paths; where the image's own folder stands in the way there is none */
	(void)!symlink(LAUNCH_TASK_DIR, LAUNCH_TASK_LINK);
	close(payload);
	close(config);
	close(package);
	return err;
}
