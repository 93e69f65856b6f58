#pragma once
#include "base/ctx.h"

/* Texts that were encrypted for the holder of an RSA key, as IronWorker's clients do it
 * (ironworker-api.md 10): base64 of an AES-128 key under RSA-OAEP (SHA-1), as long as the modulus, then
 * AES-128-GCM ciphertext, a tag of 16 bytes, a nonce of 12. */
struct envelope_key;

/* A private RSA key of 1024 to 8192 bits, PEM (PKCS #1 or #8) without a passphrase. ERR_INPUT says what it
 * is instead. To be freed by envelope_key_free. */
enum err envelope_key_read(struct ctx *cx, struct str pem, struct envelope_key **out);
/* NULL is allowed. */
void envelope_key_free(struct envelope_key *key);
/* Its public half as PEM ("BEGIN PUBLIC KEY"), in the ctx's arena. */
struct str envelope_key_public(struct ctx *cx, const struct envelope_key *key);
/* Opens one; white space in the base64 is passed over. *plain in the ctx's arena. ERR_INPUT with a sentence
 * when it is none, or not for this key, or was changed on its way. */
enum err envelope_open(struct ctx *cx, const struct envelope_key *key, struct str text, struct str *plain);
