#include "base/seal.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/conf.h"
#include "base/crypt.h"

enum { VERSION = 1, NONCE_BYTES = 12, TAG_BYTES = 16, OVERHEAD = 1 + NONCE_BYTES + TAG_BYTES };

static void cipher_free(EVP_CIPHER_CTX **c)
{
	EVP_CIPHER_CTX_free(*c);
}
#define auto_cipher __attribute__((cleanup(cipher_free))) EVP_CIPHER_CTX

enum err seal_key_read(struct ctx *cx, const char *path, struct seal_key *out)
{
	char *text;
	bool good;

	if (!*path)
		return err_set(cx, ERR_FORBIDDEN, "no secrets can be kept here: secrets.key_file is not set");
	if (conf_secret(cx, path, &text) != OK) {
		cx->err = ERR_FORBIDDEN;
		return err_wrap(cx, "no secrets can be kept here");
	}
	good = hex_parse(str_of(text), out->b, sizeof out->b);
	explicit_bzero(text, strlen(text));
	return good ? OK : err_set(cx, ERR_FORBIDDEN, "no secrets can be kept here: the key file has no 64 hex digits");
}

/* Only a broken libcrypto fails here. */
static void must(int yes)
{
	if (yes != 1)
		abort();
}

struct str seal(struct ctx *cx, const struct seal_key *key, struct str where, struct str plain)
{
	unsigned char *p = arena_take(&cx->arena, plain.n + OVERHEAD), *nonce = p + 1, *body = nonce + NONCE_BYTES;
	auto_cipher *c = EVP_CIPHER_CTX_new();
	int n = 0;

	p[0] = VERSION;
	crypt_random(nonce, NONCE_BYTES);
	must(c != NULL);
	must(EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key->b, nonce));
	must(EVP_EncryptUpdate(c, NULL, &n, (const unsigned char *)where.p, (int)where.n));
	must(EVP_EncryptUpdate(c, body, &n, (const unsigned char *)plain.p, (int)plain.n));
	must(EVP_EncryptFinal_ex(c, body + n, &n));
	must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, body + plain.n));
	return str_bytes(p, plain.n + OVERHEAD);
}

enum err unseal(struct ctx *cx, const struct seal_key *key, struct str where, struct str sealed, struct str *plain)
{
	const unsigned char *p = (const unsigned char *)sealed.p, *nonce = p + 1, *body = nonce + NONCE_BYTES;
	size_t bytes = sealed.n - OVERHEAD;
	unsigned char tag[TAG_BYTES], *out;
	auto_cipher *c = EVP_CIPHER_CTX_new();
	int n = 0;

	if (sealed.n < OVERHEAD || p[0] != VERSION)
		return err_set(cx, ERR_INTERNAL, "open a sealed secret: it has no form that is known");
	out = arena_take(&cx->arena, bytes + 1);
	memcpy(tag, body + bytes, TAG_BYTES);
	must(c != NULL);
	must(EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key->b, nonce));
	must(EVP_DecryptUpdate(c, NULL, &n, (const unsigned char *)where.p, (int)where.n));
	must(EVP_DecryptUpdate(c, out, &n, body, (int)bytes));
	must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag));
	if (EVP_DecryptFinal_ex(c, out + n, &n) != 1)
		return err_set(cx, ERR_INTERNAL, "open a sealed secret: it was sealed with another key, or was changed");
	*plain = str_bytes(out, bytes);
	return OK;
}
