#include "base/unzip_directory.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/unzip.h"

/* PKWARE's APPNOTE 4.3: sizes of the fixed parts of its records. */
enum {
	END_BYTES = 22,
	END64_BYTES = 56,
	LOCATOR_BYTES = 20,
	RECORD_BYTES = 46,
	COMMENT_MOST = 65535,
	TAIL_MOST = LOCATOR_BYTES + END_BYTES + COMMENT_MOST,
	ENDS_MOST = 64, /* zips that lie uncompressed in the zip have ends of their own */
};
#define END_MAGIC "PK\5\6"
#define END64_MAGIC "PK\6\6"
#define LOCATOR_MAGIC "PK\6\7"
#define RECORD_MAGIC "PK\1\2"

/* At most 8 bytes, least first. */
static uint64_t number(const unsigned char *p, int bytes)
{
	uint64_t n = 0;

	while (bytes--)
		n = n << 8 | p[bytes];
	return n;
}

static enum err read_at(struct ctx *cx, int fd, int64_t at, unsigned char *p, size_t n)
{
	while (n) {
		ssize_t got = pread(fd, p, n, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(cx, "read the package");
		if (!got)
			return err_set(cx, ERR_INPUT, "the package ends in the middle of its list of entries");
		p += got;
		at += got;
		n -= (size_t)got;
	}
	return OK;
}

static enum err no_zip(struct ctx *cx)
{
	return err_set(cx, ERR_INPUT, "the package is not a zip");
}

/* What one end of a zip says about the list before it. */
struct end {
	uint64_t entries, bytes, at;
	bool is_64; /* the numbers are in the record that the locator before it names */
};

static struct end parse_end(const unsigned char *tail, size_t i)
{
	const unsigned char *p = tail + i;

	return (struct end){ .entries = number(p + 10, 2), .bytes = number(p + 12, 4), .at = number(p + 16, 4),
		             .is_64 = i >= LOCATOR_BYTES && memcmp(p - LOCATOR_BYTES, LOCATOR_MAGIC, 4) == 0 };
}

static enum err check_limits(struct ctx *cx, const struct end *e)
{
	if (e->entries > UNZIP_ENTRIES_MOST)
		return err_set(cx, ERR_INPUT, "the package has over %d entries", UNZIP_ENTRIES_MOST);
	if (e->bytes > UNZIP_DIRECTORY_BYTES)
		return err_set(cx, ERR_INPUT, "the package's list of entries is over %d bytes long", UNZIP_DIRECTORY_BYTES);
	return OK;
}

static enum err read_end64(struct ctx *cx, int fd, int64_t size, const unsigned char *locator, struct end *e)
{
	uint64_t at = number(locator + 8, 8);
	unsigned char p[END64_BYTES];

	if (size < END64_BYTES || at > (uint64_t)(size - END64_BYTES))
		return no_zip(cx);
	TRY(read_at(cx, fd, (int64_t)at, p, sizeof p));
	if (memcmp(p, END64_MAGIC, 4) != 0)
		return no_zip(cx);
	e->entries = number(p + 32, 8);
	e->bytes = number(p + 40, 8);
	e->at = number(p + 48, 8);
	return OK;
}

/* libzip tries every end that it sees in the tail, first to last, and believes what it says of its
 * list: none may say too much. */
static enum err check_ends(struct ctx *cx, const unsigned char *tail, size_t n, size_t last)
{
	int ends = 0;

	for (size_t i = 0; i + END_BYTES <= n; i++) {
		struct end e;

		if (memcmp(tail + i, END_MAGIC, 4) != 0)
			continue;
		e = parse_end(tail, i);
		if (++ends > ENDS_MOST || (i != last && e.is_64))
			return err_set(cx, ERR_INPUT, "the package has several ends");
		TRY(check_limits(cx, &e));
	}
	return OK;
}

/* The end whose comment reaches exactly to the end of the file. */
static bool find_end(const unsigned char *tail, size_t n, size_t *at)
{
	for (size_t i = n - END_BYTES + 1; i-- > 0;)
		if (memcmp(tail + i, END_MAGIC, 4) == 0 && i + END_BYTES + number(tail + i + 20, 2) == n) {
			*at = i;
			return true;
		}
	return false;
}

static enum err find_in(struct ctx *cx, int fd, int64_t size, const unsigned char *tail, size_t n, struct unzip_directory *out)
{
	int64_t before; /* the list ends here or earlier */
	struct end e;
	size_t at;

	if (!find_end(tail, n, &at))
		return no_zip(cx);
	e = parse_end(tail, at);
	before = size - (int64_t)(n - at);
	if (e.is_64)
		TRY(read_end64(cx, fd, size, tail + at - LOCATOR_BYTES, &e));
	TRY(check_limits(cx, &e));
	TRY(check_ends(cx, tail, n, at));
	if (e.at > (uint64_t)before || e.bytes > (uint64_t)before - e.at)
		return no_zip(cx);
	*out = (struct unzip_directory){ fd, (int64_t)e.at, (int64_t)(e.at + e.bytes), (int64_t)e.entries };
	return OK;
}

enum err unzip_directory_find(struct ctx *cx, int fd, int64_t size, struct unzip_directory *out)
{
	size_t n = size < TAIL_MOST ? (size_t)size : TAIL_MOST;
	unsigned char *tail;
	enum err e;

	if (size < END_BYTES)
		return no_zip(cx);
	tail = malloc(n);
	if (!tail)
		abort(); /* as an arena does */
	e = read_at(cx, fd, size - (int64_t)n, tail, n);
	if (e == OK)
		e = find_in(cx, fd, size, tail, n, out);
	free(tail);
	return e;
}

enum err unzip_directory_next(struct ctx *cx, struct unzip_directory *d, char *name, struct unzip_record *out)
{
	unsigned char p[RECORD_BYTES];
	int64_t name_n, rest;

	if (d->end - d->at < RECORD_BYTES)
		return no_zip(cx);
	TRY(read_at(cx, d->fd, d->at, p, sizeof p));
	name_n = (int64_t)number(p + 28, 2);
	rest = (int64_t)number(p + 30, 2) + (int64_t)number(p + 32, 2);
	if (memcmp(p, RECORD_MAGIC, 4) != 0 || d->end - d->at - RECORD_BYTES < name_n + rest)
		return no_zip(cx);
	if (!name_n || name_n > UNZIP_PATH_BYTES)
		return err_set(cx, ERR_INPUT, "the name of an entry of the package must have 1 to %d bytes", UNZIP_PATH_BYTES);
	TRY(read_at(cx, d->fd, d->at + RECORD_BYTES, (unsigned char *)name, (size_t)name_n));
	*out = (struct unzip_record){ str_bytes(name, (size_t)name_n), (p[8] & 0x41) || (p[9] & 0x20) }; /* bits 0, 6, 13 */
	if (memchr(name, 0, (size_t)name_n))
		return err_set(cx, ERR_INPUT, "entry '" STR_FMT "' of the package: its name holds a NUL", STR_ARG(out->name));
	d->at += RECORD_BYTES + name_n + rest;
	return OK;
}
