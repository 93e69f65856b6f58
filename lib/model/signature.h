#pragma once
#include "base/ctx.h"

/* Signatures of callbacks by Standard Webhooks 1.0 (https://www.standardwebhooks.com) over
 * "id.timestamp.body": v1 is HMAC-SHA256 with a secret that is shown as "whsec_" and its base64; v1a is
 * Ed25519 with a private key, "whsk_" and base64 of its seed and its public half, which alone is
 * "whpk_…". */
enum { SIGNATURE_KEYS_MOST = 2, SIGNATURE_KEY_BYTES = 32, SIGNATURE_KEY_LEAST = 24, SIGNATURE_KEY_MOST = 64 };
struct signature_keys {
	struct str key[SIGNATURE_KEYS_MOST]; /* as signature_secret_parse made them; the current one first */
	size_t n;
};

/* A new secret of v1, or private key of v1a, as text, in the arena. */
char *signature_secret_new(struct arena *a);
char *signature_private_new(struct arena *a);
/* What is kept of it and signs. False when the text is neither "whsec_" and base64 of 24 to 64 bytes nor
 * "whsk_" and base64 of 32 bytes, or of 64 whose second half is the first one's public key. */
bool signature_secret_parse(struct arena *a, struct str text, struct str *key);
/* "whpk_…" of a key of v1a; NULL of one of v1. */
char *signature_public(struct arena *a, struct str key);
/* The header webhook-signature: "v1,…" or "v1a,…" for each key, blanks between. */
char *signature_make(struct arena *a, const struct signature_keys *keys, const char *id, int64_t timestamp_s, struct str body);
