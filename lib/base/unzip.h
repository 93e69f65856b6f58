#pragma once
#include "base/ctx.h"

/* Reads a zip that nobody vouches for: the API before it keeps one, a node when it unpacks it. Both
 * read it by the same rules, so what the one let in the other can unpack. libzip reads; what it lets
 * through is looked at here before and after.
 *
 * Refused (ERR_INPUT; the sentence names the entry): what is no zip, or can be read in two ways; paths
 * that are absolute, climb out (..), hold a NUL or a backslash; names that come twice, "a" beside "a/"
 * or below a file; links out of the package; devices, pipes, sockets, setuid and setgid files; encrypted
 * entries; methods other than stored and deflated; packages, and entries over 64 KiB, that
 * unpack to more than a hundred times their size; sizes and checksums that do not hold; more than the limits below. */
enum {
	UNZIP_ENTRIES_MOST = 20000,
	UNZIP_PATH_BYTES = 1024,
	UNZIP_TARGET_BYTES = 1024,
	UNZIP_RATIO_MOST = 100,
	UNZIP_RATIO_FROM = 64 << 10,      /* up to so many bytes that of an entry by itself does not matter: a page of blanks */
	UNZIP_DIRECTORY_BYTES = 8 << 20,  /* of the zip's list of entries: it is held in memory */
	UNZIP_PIECE_BYTES = 64 << 10,
};
static const int64_t UNZIP_BYTES_MOST = INT64_C(1) << 30; /* unpacked */

enum unzip_kind {
	UNZIP_FOLDER,
	UNZIP_FILE,
	UNZIP_LINK,
};

struct unzip_entry {
	struct str path;   /* relative, "a/b", without "." and empty parts or a slash at its end */
	enum unzip_kind kind;
	unsigned mode;     /* 0 to 0777; 0644, and 0755 of a folder, where the zip says none */
	int64_t bytes;     /* of a file: as stated, and it is an error when they do not come */
	struct str target; /* of a link: it stays inside, whatever other links there are */
};

/* Who is told what is in it. Folders may come after what is in them, or not at all; no entry lies below
 * a file or a link. An error of theirs ends the reading and is returned. */
struct unzip_visitor {
	/* The next entry; its texts last until the next. May be NULL. */
	enum err (*entry)(struct ctx *cx, void *arg, const struct unzip_entry *e);
	/* The next bytes of the file last told of, at most UNZIP_PIECE_BYTES. May be NULL. */
	enum err (*piece)(struct ctx *cx, void *arg, struct str bytes);
	void *arg;
};

/* What there was. */
struct unzip_sum {
	int64_t entries, bytes; /* bytes unpacked */
};

/* Reads all of the zip behind `fd`, which is read from any place and stays open; takes at most
 * `time_us`. Memory: some 64 KiB and the list of entries. */
enum err unzip_read(struct ctx *cx, int fd, int64_t time_us, const struct unzip_visitor *visitor, struct unzip_sum *sum);
/* The same of bytes, without a visitor: for tests that make them up. */
enum err unzip_check(struct ctx *cx, struct str bytes, int64_t time_us, struct unzip_sum *sum);
