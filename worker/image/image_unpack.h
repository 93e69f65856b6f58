#pragma once
#include "worker/image/image_store.h"

/* Foreign bytes become a root file system: in a child that is root of a user namespace of its own and
 * nobody outside of it, its root folder being the new one, which it sees with the owners moved into its
 * range (idmapped), so that the disk holds 0 to 65535. */

struct image_limits {
	uint64_t bytes;   /* of all files unpacked, all layers together */
	uint64_t entries; /* files, folders, links */
	uint64_t layers;
	uint32_t ids;     /* first of 65536 ids of the host that unpacking runs under, and nobody else */
};
#define IMAGE_LIMITS_DEFAULT                                                                        \
	((struct image_limits){ .bytes = 16ull << 30, .entries = 1000000, .layers = 128, .ids = 0x7f000000 })

/* What is unpacked: one of the two. */
struct image_source {
	int tar;           /* a root file system, plain or packed, or -1 */
	struct str config; /* of a tar: the text of config.json */
	int layers;        /* a folder as `skopeo copy … dir:` writes it: manifest.json, blobs by their SHA-256 */
};

/* Fills the empty folder `folder` with rootfs/ and config.json; both are made. ERR_INPUT: the image is
 * damaged, hostile or larger than the limits, and the sentence says how. Needs root. */
enum err image_unpack(struct ctx *cx, const struct image_source *from, int folder, const struct image_limits *limits);

/* The text of config.json from an image's config, the whole OCI one or its "config" object alone. */
enum err image_config_text(struct ctx *cx, struct str config, struct str *out);
