#include "base/envelope.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include "base/crypt.h"

enum { BITS_LEAST = 1024, BITS_MOST = 8192, AES_BYTES = 16, TAG_BYTES = 16, NONCE_BYTES = 12 };

struct envelope_key {
	EVP_PKEY *pair;
};

static void bio_free(BIO **b)
{
	BIO_free(*b);
}
static void opening_free(EVP_PKEY_CTX **c)
{
	EVP_PKEY_CTX_free(*c);
}
static void cipher_free(EVP_CIPHER_CTX **c)
{
	EVP_CIPHER_CTX_free(*c);
}
#define auto_bio __attribute__((cleanup(bio_free))) BIO
#define auto_opening __attribute__((cleanup(opening_free))) EVP_PKEY_CTX
#define auto_cipher __attribute__((cleanup(cipher_free))) EVP_CIPHER_CTX

/* Only a broken libcrypto fails here. */
static void must(bool yes)
{
	if (!yes)
		abort();
}

/* --- keys ------------------------------------------------------------------------------------------ */

/* libcrypto would ask on the terminal. */
static int no_passphrase(char *into, int n, int writing, void *arg)
{
	(void)into, (void)n, (void)writing, (void)arg;
	return -1;
}

enum err envelope_key_read(struct ctx *cx, struct str pem, struct envelope_key **out)
{
	auto_bio *bio = pem.n <= 1 << 20 ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	EVP_PKEY *pair = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	int bits = pair ? EVP_PKEY_get_bits(pair) : 0;

	if (pair && EVP_PKEY_is_a(pair, "RSA") && bits >= BITS_LEAST && bits <= BITS_MOST) {
		*out = malloc(sizeof **out);
		must(*out != NULL);
		(*out)->pair = pair;
		return OK;
	}
	EVP_PKEY_free(pair);
	if (!bits)
		return err_set(cx, ERR_INPUT, "must be a private RSA key as PEM, without a passphrase");
	return err_set(cx, ERR_INPUT, "must be a private RSA key of %d to %d bits", BITS_LEAST, BITS_MOST);
}

void envelope_key_free(struct envelope_key *key)
{
	if (key)
		EVP_PKEY_free(key->pair);
	free(key);
}

struct str envelope_key_public(struct ctx *cx, const struct envelope_key *key)
{
	auto_bio *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;

	must(bio && PEM_write_bio_PUBKEY(bio, key->pair) == 1);
	n = BIO_get_mem_data(bio, &text);
	return str_bytes(arena_copy(&cx->arena, text, (size_t)n), (size_t)n);
}

/* --- opening --------------------------------------------------------------------------------------- */

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool decode(struct ctx *cx, struct str text, struct str *out)
{
	char *tight = arena_take(&cx->arena, text.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++)
		if (!is_space(text.p[i]))
			tight[n++] = text.p[i];
	return base64_parse(&cx->arena, str_bytes(tight, n), out);
}

static bool open_key(const struct envelope_key *key, struct str sealed, unsigned char aes[AES_BYTES])
{
	unsigned char plain[BITS_MOST / 8];
	auto_opening *c = EVP_PKEY_CTX_new(key->pair, NULL);
	size_t n = sizeof plain;
	bool good;

	must(c && EVP_PKEY_decrypt_init(c) == 1 && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) == 1 &&
	     EVP_PKEY_CTX_set_rsa_oaep_md(c, EVP_sha1()) == 1);
	good = EVP_PKEY_decrypt(c, plain, &n, (const unsigned char *)sealed.p, sealed.n) == 1 && n == AES_BYTES;
	memcpy(aes, plain, AES_BYTES);
	OPENSSL_cleanse(plain, sizeof plain);
	return good;
}

static bool open_body(struct ctx *cx, const unsigned char aes[AES_BYTES], struct str sealed, struct str *plain)
{
	size_t bytes = sealed.n - TAG_BYTES - NONCE_BYTES;
	const unsigned char *body = (const unsigned char *)sealed.p;
	unsigned char tag[TAG_BYTES], *out = arena_take(&cx->arena, bytes + 1);
	auto_cipher *c = EVP_CIPHER_CTX_new();
	int n = 0;

	memcpy(tag, body + bytes, TAG_BYTES);
	must(c && EVP_DecryptInit_ex(c, EVP_aes_128_gcm(), NULL, aes, body + bytes + TAG_BYTES) == 1 &&
	     EVP_DecryptUpdate(c, out, &n, body, (int)bytes) == 1 &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1);
	*plain = str_bytes(out, bytes);
	return EVP_DecryptFinal_ex(c, out + n, &n) == 1;
}

enum err envelope_open(struct ctx *cx, const struct envelope_key *key, struct str text, struct str *plain)
{
	size_t modulus = (size_t)EVP_PKEY_get_size(key->pair);
	unsigned char aes[AES_BYTES];
	struct str all;
	bool good;

	if (!decode(cx, text, &all))
		return err_set(cx, ERR_INPUT, "it is not base64");
	if (all.n < modulus + TAG_BYTES + NONCE_BYTES)
		return err_set(cx, ERR_INPUT, "its %zu bytes are fewer than a key, a tag and a nonce have", all.n);
	if (!open_key(key, str_bytes(all.p, modulus), aes))
		return err_set(cx, ERR_INPUT, "its key was not encrypted for this one");
	good = open_body(cx, aes, str_bytes(all.p + modulus, all.n - modulus), plain);
	OPENSSL_cleanse(aes, sizeof aes);
	return good ? OK : err_set(cx, ERR_INPUT, "it was changed after it was encrypted");
}
