#pragma once
#include <stdint.h>

#include "base/crypt.h"
#include "base/ctx.h"
#include "model/image_name.h"

/* The node's own images, unpacked once, by digest; names are small files that point at them.
 *   NODE/images/names/NAME             "sha256:<64 hex>\n"; '/' in NAME is written %2F
 *   NODE/images/sha256-<hex>/rootfs    the files, owned and moded as in the image, no set-id bits
 *   NODE/images/sha256-<hex>/config.json   the image's config (OCI: its "config" object)
 * An image that a name points at is complete: both are put in place by rename. All strings and
 * arrays below live in the ctx's arena. */

struct image {
	unsigned char digest[SHA256_BYTES];
	char digest_text[72];    /* "sha256:<64 hex>" */
	struct str *entrypoint;  /* words; together with cmd what runs without a command */
	size_t entrypoint_count;
	struct str *cmd;
	size_t cmd_count;
	struct str *env;         /* "NAME=value" */
	size_t env_count;
	struct str workdir;      /* "" = "/" */
	struct str user;         /* as the image says it: "", "uid", "uid:gid", "name", "name:group" */
	uint32_t uid, gid;       /* what `user` means in this image's etc/passwd and etc/group */
};

struct image_name {
	struct str name;
	char digest_text[72];
};

/* The image a name (or "sha256:<hex>") means on this node. ERR_NOT_FOUND if there is none, ERR_INPUT
 * if the name is malformed or the image's user is not in its own files. */
enum err image_find(struct ctx *cx, const char *node_dir, struct str name, struct image *out);

/* The same of an image that the engine `engine` ("docker", "podman") keeps, as the launcher wrote it down
 * (LAUNCH_IMAGE); its digest is the id there. Users by name are not known to us: ERR_INPUT. */
enum err image_of_engine(struct ctx *cx, const char *node_dir, const char *engine, struct str name, struct image *out);

/* All names, in order of name. */
enum err image_list(struct ctx *cx, const char *node_dir, struct image_name **out, size_t *count);

/* Takes the name away, and the files if no other name points at them. ERR_CONFLICT while jobs run on
 * them, ERR_NOT_FOUND if there is no such name. Needs root. */
enum err image_remove(struct ctx *cx, const char *node_dir, struct str name);
