#include "base/unzip.h"
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

/* Zip packages. Whatever is let through stays inside: paths, links, counts and sizes hold what unzip.h
 * promises to who unpacks it. */

struct seen {
	int64_t left; /* bytes of the file that are still to come */
	int64_t bytes;
};

static bool climbs(struct str path)
{
	struct str part;

	while (str_cut(&path, '/', &part))
		if (!part.n || str_is(part, ".") || str_is(part, ".."))
			return true;
	return false;
}

static enum err entry(struct ctx *cx, void *arg, const struct unzip_entry *e)
{
	struct seen *s = arg;

	(void)cx;
	must(s->left == 0);
	must(e->path.n && e->path.n <= UNZIP_PATH_BYTES && e->path.p[0] != '/' && !climbs(e->path));
	must(!memchr(e->path.p, 0, e->path.n) && !memchr(e->path.p, '\\', e->path.n));
	must(e->mode <= 0777);
	must((e->kind == UNZIP_LINK) == (e->target.n > 0));
	must(e->kind != UNZIP_LINK || (e->target.p[0] != '/' && !memchr(e->target.p, 0, e->target.n)));
	s->left = e->bytes;
	return OK;
}

static enum err piece(struct ctx *cx, void *arg, struct str bytes)
{
	struct seen *s = arg;

	(void)cx;
	must(bytes.n && bytes.n <= UNZIP_PIECE_BYTES && (int64_t)bytes.n <= s->left);
	s->left -= (int64_t)bytes.n;
	s->bytes += (int64_t)bytes.n;
	return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_ctx cx = { 0 };
	struct seen s = { 0 };
	const struct unzip_visitor visitor = { entry, piece, &s };
	struct unzip_sum sum = { 0 };
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	if (unzip_read(&cx, fd, 5000000, &visitor, &sum) == OK) {
		must(s.left == 0 && s.bytes <= sum.bytes);
		must(sum.entries > 0 && sum.entries <= UNZIP_ENTRIES_MOST && sum.bytes <= UNZIP_BYTES_MOST);
	} else {
		must(cx.err == ERR_INPUT && cx.message[0]);
	}
	close(fd);
	return 0;
}
