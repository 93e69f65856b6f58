/* stoker-layers: puts the layers that the runner fetched into the node's store of images. The launcher
 * starts it, so that the program which speaks to the runner links no parser of foreign bytes; those are
 * read by a child of this one that is nobody on this host (worker/image/image_unpack.h).
 *   fd 3  the folder with the layers        argv[1]  the image's digest, 64 hex digits
 *   fd 4  NODE/images                       argv[2]  bytes that fetched images may take together
 *   fd 5  NODE/jobs                         stdout   why not
 * Exit status: 0, 1 = the image's fault, 2 = this node's. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "worker/image/image_cache.h"
#include "worker/image/image_import.h"

enum { FD_LAYERS = 3, FD_IMAGES = 4, FD_JOBS = 5, STATUS_IMAGE = 1, STATUS_NODE = 2 };

static enum err put(struct ctx *cx, int argc, char **argv)
{
	const struct image_limits limits = IMAGE_LIMITS_DEFAULT;
	unsigned char digest[SHA256_BYTES];
	struct stat st;
	int64_t most;

	close_range(FD_JOBS + 1, UINT_MAX, 0);
	if (argc != 3 || !str_int(str_of(argv[2]), &most) || !hex_parse(str_of(argv[1]), digest, sizeof digest) || fstat(FD_LAYERS, &st) ||
	    !S_ISDIR(st.st_mode) || fstat(FD_IMAGES, &st) || !S_ISDIR(st.st_mode))
		return err_set(cx, ERR_INTERNAL, "the launcher starts this program: descriptors %d to %d are folders", FD_LAYERS,
		               FD_JOBS);
	umask(022);
	TRY(image_add_layers(cx, FD_IMAGES, FD_LAYERS, digest, &limits));
	TRY(image_cache_note(cx, FD_IMAGES, digest));
	image_cache_shrink(cx, FD_IMAGES, FD_JOBS, most);
	return OK;
}

int main(int argc, char **argv)
{
	struct ctx cx = { 0 };
	enum err e;

	log_name("stoker-layers");
	e = put(&cx, argc, argv);

	if (e)
		dprintf(STDOUT_FILENO, "%s", cx.message);
	_exit(e == OK ? 0 : e == ERR_INTERNAL ? STATUS_NODE : STATUS_IMAGE);
}
