#pragma once
#include "worker/image/image_store.h"

struct image_limits {
	uint64_t bytes;   /* of all files unpacked */
	uint64_t entries; /* files, folders, links */
};
#define IMAGE_LIMITS_DEFAULT ((struct image_limits){ .bytes = 16ull << 30, .entries = 1000000 })

/* Unpacks a tar of a root file system (plain, gzip, xz, zstd: whatever libarchive knows) as the image
 * `name`; its digest is the sha256 of the file. `config` is the image's OCI config as JSON or empty.
 * Importing the same file again only moves the name. Refused: absolute paths, "..", links that lead
 * out, more than the limits; left out: device nodes, sockets, set-id bits, extended attributes.
 * Needs root, for the owners. `digest_text` gets "sha256:<hex>", 72 bytes. */
enum err image_import(struct ctx *cx, const char *node_dir, struct str name, const char *tar_file,
                      struct str config, const struct image_limits *limits, char *digest_text);
