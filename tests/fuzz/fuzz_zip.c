#include "base/unzip.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Code packages. What is taken has paths that stay inside, each once, and just the bytes that it states;
 * and whoever reads it twice is told the same. */

static const int64_t TIME_US = 5000000;

struct told {
	int64_t entries, bytes, due; /* due: bytes of the file last told of that have not come */
	unsigned seen;               /* of all that was told, in order */
};

static unsigned mix(unsigned seen, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		seen = seen * 31 + (unsigned char)s.p[i];
	return seen;
}

/* How deep a path ends, -1 if it leads above where it begins. */
static int64_t depth_of(struct str path, int64_t from)
{
	struct str part;

	while (str_cut(&path, '/', &part)) {
		if (str_is(part, ".."))
			from--;
		else if (part.n && !str_is(part, "."))
			from++;
		if (from < 0)
			return -1;
	}
	return from;
}

static enum err take_entry(struct ctx *cx, void *arg, const struct unzip_entry *e)
{
	struct told *t = arg;

	(void)cx;
	must(t->due == 0);
	must(e->path.n && e->path.n <= UNZIP_PATH_BYTES && e->path.p[0] != '/' && e->path.p[e->path.n - 1] != '/');
	must(!memchr(e->path.p, 0, e->path.n) && !str_is(e->path, "..") && str_find(e->path, "../") != 0 &&
	     str_find(e->path, "/../") == (size_t)-1);
	must(e->mode <= 0777 && e->bytes >= 0 && e->bytes <= UNZIP_BYTES_MOST);
	if (e->kind == UNZIP_LINK) {
		must(e->target.n && e->target.n <= UNZIP_TARGET_BYTES && e->target.p[0] != '/');
		must(depth_of(e->target, depth_of(e->path, 0) - 1) >= 0);
	}
	t->entries++;
	t->due = e->bytes;
	t->seen = mix(mix(t->seen, e->path), e->target) + e->mode;
	return OK;
}

static enum err take_piece(struct ctx *cx, void *arg, struct str bytes)
{
	struct told *t = arg;

	(void)cx;
	must(bytes.n && bytes.n <= UNZIP_PIECE_BYTES && (int64_t)bytes.n <= t->due);
	t->due -= (int64_t)bytes.n;
	t->bytes += (int64_t)bytes.n;
	t->seen = mix(t->seen, bytes);
	return OK;
}

static enum err read_once(int fd, struct told *t)
{
	const struct unzip_visitor visitor = { take_entry, take_piece, t };
	struct unzip_sum sum = { 0 };
	auto_ctx cx = { 0 };
	enum err e = unzip_read(&cx, fd, TIME_US, &visitor, &sum);

	if (e != OK) {
		must(cx.message[0]);
		return e;
	}
	must(t->due == 0 && t->bytes <= sum.bytes); /* the text of a link is counted, and is no piece */
	must(t->entries <= sum.entries && sum.entries <= UNZIP_ENTRIES_MOST && sum.bytes <= UNZIP_BYTES_MOST);
	return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct told first = { 0 }, second = { 0 };
	int fd = memfd_create("package", MFD_CLOEXEC);
	enum err e;

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	e = read_once(fd, &first);
	must(read_once(fd, &second) == e && first.seen == second.seen && first.bytes == second.bytes);
	close(fd);
	return 0;
}
