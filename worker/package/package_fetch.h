#pragma once
#include <stdatomic.h>

#include "base/crypt.h"
#include "store/db.h"

/* How a package comes to this node: its pieces out of the database into a file, the file's SHA-256
 * compared, its zip unpacked by stoker-unpack, and the folder renamed into place when all of it is on
 * the disk. Whoever finds the folder finds all of it, however often somebody was killed before.
 *   NODE/packages/sha256-<hex>/files   what the zip holds; owned by the runner, modes kept
 *   NODE/packages/sha256-<hex>/bytes   the room it takes, in decimal
 *   NODE/packages/tmp-…                under way, or left behind by a runner that was killed
 * The node's folder is the current one. */

#define PACKAGE_FOLDER "packages"
enum { PACKAGE_NAME = 80 }; /* room for "sha256-<hex>" */

/* "sha256-<hex>", below PACKAGE_FOLDER. */
void package_folder_name(const unsigned char digest[SHA256_BYTES], char out[PACKAGE_NAME]);

struct package_source {
	struct db *db;
	const char *program;     /* path of stoker-unpack; "" = beside this program */
	const atomic_bool *stop; /* once true, a fetch soon gives up with ERR_BUSY */
};

/* Fetches and unpacks one; waits for database and disk, so never from the loop. *bytes: the room it takes.
 * ERR_INPUT: the package itself is bad, here as anywhere; the sentence says how. ERR_NOT_FOUND: it is
 * not stored. ERR_INTERNAL: this node cannot (no room, …). Anything else: worth another try later.
 * Leaves nothing behind when it fails. */
enum err package_fetch(struct ctx *cx, const struct package_source *from, const unsigned char digest[SHA256_BYTES],
                       int64_t *bytes);
