#pragma once
#include "base/unzip.h"

/* Makes what a zip holds below one folder. Nothing is overwritten, no link is followed: each part of a
 * path is opened by itself. */
struct tree_writer {
	int root;          /* the folder */
	int parent;        /* the one that the last entry lies in */
	struct str parent_path; /* its path, in parent_room */
	char parent_room[UNZIP_PATH_BYTES];
	int file;          /* that is being written, -1 = none */
	unsigned mode;     /* of it, once it is whole */
	int64_t disk_bytes; /* room that all of it takes, about */
};

void tree_writer_init(struct tree_writer *w, int root);
/* The visitor for unzip_read; `arg` is the writer. ERR_INPUT if the package can be written nowhere,
 * ERR_INTERNAL if not here. */
enum err tree_write_entry(struct ctx *cx, void *arg, const struct unzip_entry *e);
enum err tree_write_piece(struct ctx *cx, void *arg, struct str bytes);
/* The last file is whole too. Closes what is open, but for the root. */
enum err tree_writer_end(struct ctx *cx, struct tree_writer *w);
