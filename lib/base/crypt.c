#include "base/crypt.h"

#include <pthread.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <sys/random.h>

/* Fetched once: by its name OpenSSL looks for it again at each use, which costs ten times the digest. */
static const EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!sha256)
		abort();
}

void crypt_sha256(struct str in, unsigned char out[SHA256_BYTES])
{
	pthread_once(&sha256_once, fetch_sha256);
	if (EVP_Digest(in.p, in.n, out, NULL, sha256, NULL) != 1)
		abort();
}

struct crypt_hash *crypt_hash_new(enum crypt_hash_kind kind)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (!md || EVP_DigestInit_ex(md, kind == CRYPT_MD5 ? EVP_md5() : EVP_sha256(), NULL) != 1)
		abort();
	return (struct crypt_hash *)md;
}

void crypt_hash_add(struct crypt_hash *h, struct str bytes)
{
	if (EVP_DigestUpdate((EVP_MD_CTX *)h, bytes.p, bytes.n) != 1)
		abort();
}

void crypt_hash_end(struct crypt_hash *h, unsigned char *out)
{
	if (EVP_DigestFinal_ex((EVP_MD_CTX *)h, out, NULL) != 1)
		abort();
	crypt_hash_free(h);
}

void crypt_hash_free(struct crypt_hash *h)
{
	EVP_MD_CTX_free((EVP_MD_CTX *)h);
}

void crypt_hmac_sha256(struct str key, struct str in, unsigned char out[SHA256_BYTES])
{
	unsigned n = SHA256_BYTES;

	if (!HMAC(EVP_sha256(), key.p, (int)key.n, (const unsigned char *)in.p, in.n, out, &n))
		abort();
}

static EVP_PKEY *ed25519_key(const unsigned char *seed)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ED25519_KEY_BYTES);

	if (!key)
		abort();
	return key;
}

void crypt_ed25519_public(const unsigned char seed[ED25519_KEY_BYTES], unsigned char out[ED25519_KEY_BYTES])
{
	EVP_PKEY *key = ed25519_key(seed);
	size_t n = ED25519_KEY_BYTES;

	if (EVP_PKEY_get_raw_public_key(key, out, &n) != 1)
		abort();
	EVP_PKEY_free(key);
}

void crypt_ed25519_sign(const unsigned char seed[ED25519_KEY_BYTES], struct str in, unsigned char out[ED25519_SIGNATURE_BYTES])
{
	EVP_PKEY *key = ed25519_key(seed);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t n = ED25519_SIGNATURE_BYTES;

	if (!md || EVP_DigestSignInit(md, NULL, NULL, NULL, key) != 1 ||
	    EVP_DigestSign(md, out, &n, (const unsigned char *)in.p, in.n) != 1)
		abort();
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(key);
}

void crypt_scrypt(struct str password, struct str salt, unsigned char *out, size_t bytes)
{
	enum { N = 1 << 14, R = 8, P = 1, MEMORY_MOST = 32 << 20 };

	if (EVP_PBE_scrypt(password.p ? password.p : "", password.n, (const unsigned char *)salt.p, salt.n, N, R, P,
	                   MEMORY_MOST, out, bytes) != 1)
		abort();
}

void crypt_random(void *out, size_t bytes)
{
	unsigned char *p = out;

	while (bytes) {
		ssize_t n = getrandom(p, bytes, 0);

		if (n < 0)
			continue; /* EINTR */
		p += n;
		bytes -= (size_t)n;
	}
}

bool crypt_equal(const void *a, const void *b, size_t bytes)
{
	return CRYPTO_memcmp(a, b, bytes) == 0;
}

void hex_format(const void *in, size_t bytes, char *out)
{
	static const char DIGITS[] = "0123456789abcdef";
	const unsigned char *p = in;

	for (size_t i = 0; i < bytes; i++) {
		*out++ = DIGITS[p[i] >> 4];
		*out++ = DIGITS[p[i] & 15];
	}
	*out = 0;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_parse(struct str text, void *out, size_t bytes)
{
	unsigned char *p = out;

	if (text.n != 2 * bytes)
		return false;
	for (size_t i = 0; i < text.n; i++)
		if (digit(text.p[i]) < 0)
			return false;
	for (size_t i = 0; i < bytes; i++)
		p[i] = (unsigned char)(digit(text.p[2 * i]) << 4 | digit(text.p[2 * i + 1]));
	return true;
}

char *base64_format(struct arena *a, const void *in, size_t bytes)
{
	char *out = arena_take(a, (bytes + 2) / 3 * 4 + 1);

	EVP_EncodeBlock((unsigned char *)out, in, (int)bytes);
	return out;
}

bool base64_parse(struct arena *a, struct str text, struct str *out)
{
	unsigned char *p = arena_take(a, text.n / 4 * 3 + 4);
	int n;

	if (text.n % 4 || text.n > (1u << 30))
		return false;
	n = EVP_DecodeBlock(p, (const unsigned char *)text.p, (int)text.n);
	if (n < 0)
		return false;
	for (size_t i = 0; i < 2 && text.n > i && text.p[text.n - 1 - i] == '='; i++)
		n--;
	*out = str_bytes(p, (size_t)n);
	return true;
}
