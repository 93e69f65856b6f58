#pragma once
#include "base/ctx.h"

/* Secrets at rest: AES-256-GCM with a key out of a file. What is sealed for one place (`where`: a row's
 * key, say) cannot be opened in another. */
enum { SEAL_KEY_BYTES = 32 };
struct seal_key {
	unsigned char b[SEAL_KEY_BYTES];
};

/* Reads 64 hex digits, the file's first line. ERR_FORBIDDEN when `path` is "" or the file is not that: an
 * operator has to mend it. */
enum err seal_key_read(struct ctx *cx, const char *path, struct seal_key *out);
/* Version byte, nonce, ciphertext, tag; in the ctx's arena. */
struct str seal(struct ctx *cx, const struct seal_key *key, struct str where, struct str plain);
/* ERR_INTERNAL when it was not sealed with this key for this place, or was changed. */
enum err unseal(struct ctx *cx, const struct seal_key *key, struct str where, struct str sealed, struct str *plain);
