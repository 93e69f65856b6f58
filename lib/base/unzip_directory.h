#pragma once
#include "base/ctx.h"

/* The list of entries at the end of a zip, read strictly and without memory for more than a window of
 * it: before libzip may spend any on it, and beside libzip, so that nothing is read in two ways. */
struct unzip_directory {
	int fd;
	int64_t at, end;     /* where its next record stands; where it ends */
	int64_t entries;     /* so many it says it has */
};

/* One record. */
struct unzip_record {
	struct str name; /* as stored; in the caller's room */
	bool encrypted;
};

/* Finds the list of the zip behind `fd` of `size` bytes. ERR_INPUT if there is none that ends where the
 * zip does, or if anything that a reader may take for one is beyond the limits of unzip.h. */
enum err unzip_directory_find(struct ctx *cx, int fd, int64_t size, struct unzip_directory *out);
/* The next record; `name` has room for UNZIP_PATH_BYTES. ERR_INPUT if it does not lie in the list or
 * its name is empty, too long or holds a NUL. */
enum err unzip_directory_next(struct ctx *cx, struct unzip_directory *d, char *name, struct unzip_record *out);
