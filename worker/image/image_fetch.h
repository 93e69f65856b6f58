#pragma once
#include <stdatomic.h>

#include "base/crypt.h"
#include "model/settings.h"
#include "store/db.h"

/* Images of registries come to this node in two steps: an unprivileged one, here, which asks database
 * and registry and leaves the layers in NODE/pulls/<hex>; and the launcher's, which has them unpacked
 * (stoker-layers). The node's folder is the current one. For threads that may wait. */

#define IMAGE_PULLS "pulls" /* 0700, the runner's */

/* Whose image: logins are a project's, a digest is fixed for a revision of a code. */
struct image_wish {
	struct id project, code;
	int64_t revision; /* 0 = the image is not the code's own, but of its runtime: nothing is fixed */
	struct str image; /* "docker://…" */
	int64_t follow_tag_s; /* its tag is looked up again, so often at most; 0 = never */
};

struct image_source_of {
	struct db *db;
	const struct settings *set;
	const atomic_bool *stop; /* once true: ERR_BUSY soon */
};

/* What the wish means: as it was fixed, or as the registry says now, which then is fixed. One that follows its tag
 * is looked up by one node for all, and *fresh_s says for how long that holds (else INT64_MAX); while the registry
 * is away it means what it meant last. The errors are those of skopeo_copy, with the registry's words; ERR_BUSY and
 * ERR_UNSURE while the database is away. */
enum err image_resolve(struct ctx *cx, const struct image_source_of *from, const struct image_wish *wish,
                       unsigned char digest[SHA256_BYTES], int64_t *fresh_s);
/* Fetches the layers of that digest, unless they or the unpacked image are there. */
enum err image_pull(struct ctx *cx, const struct image_source_of *from, const struct image_wish *wish,
                    const unsigned char digest[SHA256_BYTES]);
/* Whether it is unpacked on this node. */
bool image_is_unpacked(const unsigned char digest[SHA256_BYTES]);

/* "sha256:<hex>" of an image that came from a registry: whoever may have it names it as the registry does. */
bool image_is_fetched(struct str name);
