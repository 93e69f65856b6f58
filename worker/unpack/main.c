/* stoker-unpack: unpacks one package for the runner, so that foreign bytes are read by a process that
 * holds no password and can write nowhere but into the one new folder (unpack_link.h). It is run by the
 * runner, as its account; there is nothing in it for people. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/unpack/confine.h"
#include "worker/unpack/tree_write.h"
#include "worker/unpack/unpack_link.h"

static const int64_t TIME_US = INT64_C(600) * 1000000;

static enum err check_fds(struct ctx *cx)
{
	struct stat zip, files;

	close_range(UNPACK_FD_END, UINT_MAX, 0);
	if (fstat(UNPACK_FD_ZIP, &zip) || fstat(UNPACK_FD_FILES, &files) || !S_ISREG(zip.st_mode) || !S_ISDIR(files.st_mode))
		return err_set(cx, ERR_INTERNAL, "the runner starts this program: descriptor %d is a zip, %d a folder",
		               UNPACK_FD_ZIP, UNPACK_FD_FILES);
	return OK;
}

static enum err unpack(struct ctx *cx, int64_t *disk_bytes)
{
	struct tree_writer w;
	const struct unzip_visitor writer = { tree_write_entry, tree_write_piece, &w };
	struct unzip_sum sum;

	TRY(check_fds(cx));
	umask(0);
	signal(SIGXFSZ, SIG_IGN);
	TRY(confine(cx, UNPACK_FD_FILES, UNZIP_BYTES_MOST));
	tree_writer_init(&w, UNPACK_FD_FILES);
	TRY(unzip_read(cx, UNPACK_FD_ZIP, TIME_US, &writer, &sum));
	TRY(tree_writer_end(cx, &w));
	*disk_bytes = w.disk_bytes;
	return OK;
}

int main(void)
{
	struct ctx cx = { 0 };
	int64_t disk_bytes = 0;
	enum err e = unpack(&cx, &disk_bytes);

	if (e == OK)
		dprintf(STDOUT_FILENO, "%lld", (long long)disk_bytes);
	else
		dprintf(STDOUT_FILENO, "%s", cx.message);
	/* at once: there is nothing to tidy that the kernel does not */
	_exit(e == OK ? UNPACK_DONE : e == ERR_INTERNAL || e == ERR_BUSY ? UNPACK_FAILED : UNPACK_REFUSED);
}
