#pragma once
#include <stdatomic.h>

#include "base/crypt.h"
#include "base/ctx.h"

/* skopeo fetches images: a program of its own, with nothing of our environment, bounded in bytes and
 * time. What it says when it fails is told as it said it. */
struct skopeo_ask {
	const char *source;   /* "docker://…", "docker-archive:FILE", "oci:FOLDER[:TAG]", "oci-archive:FILE" */
	const char *folder;   /* of skopeo_copy: an empty folder */
	const char *login;    /* path of a file like ~/.docker/config.json; NULL = none */
	const char *cert_dir; /* of the registry's own CA (*.crt); "" = the system's */
	bool is_plain;        /* HTTP will do */
	int64_t bytes_most, seconds_most;
	const atomic_bool *stop; /* once true it is killed: ERR_BUSY; NULL = never */
};

/* Whether a source is one of those above. */
bool skopeo_knows(const char *source);
/* ERR_INPUT: there is no such image, or not for us, or it is damaged: tried again it would be the same.
 * ERR_LIMIT: the registry is away or wants to be left alone. ERR_INTERNAL: skopeo cannot be run here. */
enum err skopeo_copy(struct ctx *cx, const struct skopeo_ask *ask);
/* The digest of what the source names now: of its list of platforms, if it has one. */
enum err skopeo_digest(struct ctx *cx, const struct skopeo_ask *ask, unsigned char digest[SHA256_BYTES]);
/* What a failure means, by skopeo's words. */
enum err skopeo_judge(struct str words);
