#pragma once
#include "base/ctx.h"

/* Faces of libcrypto. */
enum { SHA256_BYTES = 32 };

void crypt_sha256(struct str in, unsigned char out[SHA256_BYTES]);
/* A hash of what comes in pieces. */
struct crypt_hash;
enum crypt_hash_kind { CRYPT_SHA256, CRYPT_MD5 /* IronWorker's checksums; keeps nothing safe */ };
enum { MD5_BYTES = 16 };
struct crypt_hash *crypt_hash_new(enum crypt_hash_kind kind);
void crypt_hash_add(struct crypt_hash *h, struct str bytes);
/* Writes SHA256_BYTES or MD5_BYTES and frees it. */
void crypt_hash_end(struct crypt_hash *h, unsigned char *out);
/* Frees one that was not ended; NULL is fine. */
void crypt_hash_free(struct crypt_hash *h);
/* HMAC-SHA256. */
void crypt_hmac_sha256(struct str key, struct str in, unsigned char out[SHA256_BYTES]);
/* Ed25519 (RFC 8032): the public half of a private key (its seed), and a signature. */
enum { ED25519_KEY_BYTES = 32, ED25519_SIGNATURE_BYTES = 64 };
void crypt_ed25519_public(const unsigned char seed[ED25519_KEY_BYTES], unsigned char out[ED25519_KEY_BYTES]);
void crypt_ed25519_sign(const unsigned char seed[ED25519_KEY_BYTES], struct str in, unsigned char out[ED25519_SIGNATURE_BYTES]);
/* scrypt with N 2^14, r 8, p 1: some 50 ms and 16 MiB. */
void crypt_scrypt(struct str password, struct str salt, unsigned char *out, size_t bytes);
/* From the kernel (getrandom); never fails once the system is up. */
void crypt_random(void *out, size_t bytes);
/* Equal, in time that depends on the length only. */
bool crypt_equal(const void *a, const void *b, size_t bytes);
/* Lower-case hex of `bytes`, NUL-terminated; out has room for 2 * bytes + 1. */
void hex_format(const void *in, size_t bytes, char *out);
/* Exactly 2 * bytes hex digits, either case; false on anything else. */
bool hex_parse(struct str text, void *out, size_t bytes);
/* Standard base64 with padding, into the arena. */
char *base64_format(struct arena *a, const void *in, size_t bytes);
/* Standard base64; false on anything else. *out in the arena. */
bool base64_parse(struct arena *a, struct str text, struct str *out);
