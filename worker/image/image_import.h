#pragma once
#include "worker/image/image_unpack.h"

/* Unpacks a tar of a root file system (plain, gzip, xz, zstd: whatever libarchive knows) as the image
 * `name`; its digest is the sha256 of the file. `config` is the image's OCI config as JSON or empty.
 * Importing the same file again only moves the name. Refused: absolute paths, "..", links that lead
 * out, more than the limits; left out: device nodes, sockets, set-id bits, extended attributes.
 * Needs root, for the owners. `digest_text` gets "sha256:<hex>", 72 bytes. */
enum err image_import(struct ctx *cx, const char *node_dir, struct str name, const char *tar_file,
                      struct str config, const struct image_limits *limits, char *digest_text);

/* The layers in a folder that skopeo wrote become the image of that digest below `images` (NODE/images);
 * it has no name. Nothing happens if it is there. */
enum err image_add_layers(struct ctx *cx, int images, int layers, const unsigned char digest[SHA256_BYTES],
                          const struct image_limits *limits);

/* The same of a folder that skopeo wrote (`skopeo copy … dir:`); the digest is that of its manifest. */
enum err image_import_layers(struct ctx *cx, const char *node_dir, struct str name, int layers,
                             const struct image_limits *limits, char *digest_text);
