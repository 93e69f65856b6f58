#pragma once
#include "base/crypt.h"
#include "store/db.h"

/* Zip packages of codes, once per digest. They are stored in pieces, each committed by itself; the row
 * of the package comes last and makes it visible, so whoever finds one finds all of it. */

enum { PACKAGE_PIECE_BYTES = 256 << 10 }; /* each piece but the last has as many */

/* A package that is there, whole. */
struct package {
	unsigned char digest[SHA256_BYTES]; /* of the file as it was uploaded */
	unsigned char md5[MD5_BYTES];
	int64_t bytes, pieces;              /* pieces are numbered from 0 */
};

/* --- reading (api and node) --- */

/* ERR_NOT_FOUND if there is none of this digest (32 bytes). */
enum err package_store_find(struct db *db, struct ctx *cx, struct str digest, struct package *out);
/* One piece, in the ctx's arena: reset it between pieces when memory must stay flat. ERR_NOT_FOUND past
 * the last one, and when the package was swept away meanwhile. */
enum err package_store_piece(struct db *db, struct ctx *cx, struct str digest, int64_t number, struct str *out);

/* --- storing (api) --- */

/* Is it there already? Then nothing needs to be stored, and it is kept for another hour although no
 * revision may name it yet. */
enum err package_store_keep(struct db *db, struct ctx *cx, struct str digest, bool *there);
/* Begins an upload; what is not finished within an hour is swept away. */
enum err package_store_begin(struct db *db, struct ctx *cx, const struct id *project, struct id *upload);
/* Stores the next piece. ERR_BUSY names the disk when the database has no room. */
enum err package_store_add(struct db *db, struct ctx *cx, const struct id *upload, int64_t number, struct str bytes);
/* Makes the package visible. If somebody stored the same one meanwhile, that one stays and the pieces
 * just stored are dropped: no error. ERR_BUSY if the upload was swept away. */
enum err package_store_finish(struct db *db, struct ctx *cx, const struct id *upload, const struct package *package);
/* Gives an upload up: its pieces are deleted by the next sweep. */
enum err package_store_drop(struct db *db, struct ctx *cx, const struct id *upload);

/* --- sweeping (scheduler) --- */

/* Deletes pieces of dropped uploads and of those older than an hour, and lets go of packages that no
 * code's revision names (of a deleted code: once nothing of it waits or runs) and no upload has named
 * for an hour. At most some 4 MiB of pieces a call; *more = call again. */
enum err package_store_sweep(struct db *db, struct ctx *cx, bool *more);
