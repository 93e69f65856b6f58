#pragma once
#include "base/ctx.h"

/* Signatures of callbacks by Standard Webhooks 1.0 (https://www.standardwebhooks.com): HMAC-SHA256 over
 * "id.timestamp.body", a secret is shown as "whsec_" and its base64. */
enum { SIGNATURE_KEYS_MOST = 2, SIGNATURE_KEY_BYTES = 32, SIGNATURE_KEY_LEAST = 24, SIGNATURE_KEY_MOST = 64 };
struct signature_keys {
	struct str key[SIGNATURE_KEYS_MOST]; /* raw bytes; the current one first */
	size_t n;
};

/* A new secret as text, in the arena. */
char *signature_secret_new(struct arena *a);
/* Its bytes; false when the text is not "whsec_" and base64 of 24 to 64 bytes. */
bool signature_secret_parse(struct arena *a, struct str text, struct str *key);
/* The header webhook-signature: "v1,…" for each key, blanks between. */
char *signature_make(struct arena *a, const struct signature_keys *keys, const char *id, int64_t timestamp_s, struct str body);
