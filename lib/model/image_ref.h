#pragma once
#include "base/crypt.h"

/* An image of a registry: "docker://SERVER/PATH", then ":TAG" or "@sha256:<hex>" or nothing (the tag
 * "latest"). Views into the text that was parsed. */
struct image_ref {
	struct str server;     /* "registry.example:5000"; logins are kept by it */
	struct str repository; /* "registry.example:5000/team/name" */
	struct str tag;        /* "" = latest */
	bool has_digest;
	unsigned char digest[SHA256_BYTES];
};
enum { IMAGE_REF_MAX = 512 };

/* Whether a code's image is one of a registry. */
bool image_ref_is(struct str image);
/* False, *out untouched, if it is none that is well formed. */
bool image_ref_parse(struct str image, struct image_ref *out);
