#include "model/signature.h"

#include "base/crypt.h"

static const char SECRET[] = "whsec_", PRIVATE[] = "whsk_", PUBLIC[] = "whpk_";
/* Before the two halves of a key of v1a where it is kept: with it they are longer than any secret of v1. */
static const char MARK[] = "ed25519:";
enum { MARK_BYTES = sizeof MARK - 1, HALF = ED25519_KEY_BYTES };
_Static_assert(MARK_BYTES + 2 * HALF > SIGNATURE_KEY_MOST, "keys of v1 and v1a are told apart by their length");

static char *shown(struct arena *a, const char *prefix, const void *bytes, size_t n)
{
	return arena_printf(a, "%s%s", prefix, base64_format(a, bytes, n));
}

char *signature_secret_new(struct arena *a)
{
	unsigned char key[SIGNATURE_KEY_BYTES];
	char *text;

	crypt_random(key, sizeof key);
	text = shown(a, SECRET, key, sizeof key);
	explicit_bzero(key, sizeof key);
	return text;
}

char *signature_private_new(struct arena *a)
{
	unsigned char key[2 * HALF];
	char *text;

	crypt_random(key, HALF);
	crypt_ed25519_public(key, key + HALF);
	text = shown(a, PRIVATE, key, sizeof key);
	explicit_bzero(key, sizeof key);
	return text;
}

static bool private_parse(struct arena *a, struct str base64, struct str *key)
{
	char *kept = arena_take(a, MARK_BYTES + 2 * HALF);
	unsigned char *seed = (unsigned char *)kept + MARK_BYTES;
	struct str bytes;

	if (!base64_parse(a, base64, &bytes) || (bytes.n != HALF && bytes.n != 2 * HALF))
		return false;
	memcpy(kept, MARK, MARK_BYTES);
	memcpy(seed, bytes.p, HALF);
	crypt_ed25519_public(seed, seed + HALF);
	*key = str_bytes(kept, MARK_BYTES + 2 * HALF);
	return bytes.n == HALF || memcmp(seed + HALF, bytes.p + HALF, HALF) == 0;
}

bool signature_secret_parse(struct arena *a, struct str text, struct str *key)
{
	size_t prefix = sizeof SECRET - 1;

	if (str_starts(text, PRIVATE))
		return private_parse(a, str_bytes(text.p + sizeof PRIVATE - 1, text.n - (sizeof PRIVATE - 1)), key);
	return str_starts(text, SECRET) && base64_parse(a, str_bytes(text.p + prefix, text.n - prefix), key) &&
	       key->n >= SIGNATURE_KEY_LEAST && key->n <= SIGNATURE_KEY_MOST;
}

char *signature_public(struct arena *a, struct str key)
{
	return key.n == MARK_BYTES + 2 * HALF ? shown(a, PUBLIC, key.p + MARK_BYTES + HALF, HALF) : NULL;
}

static char *sign(struct arena *a, struct str key, struct str text)
{
	unsigned char mac[SHA256_BYTES], signature[ED25519_SIGNATURE_BYTES];

	if (key.n > SIGNATURE_KEY_MOST) {
		crypt_ed25519_sign((const unsigned char *)key.p + MARK_BYTES, text, signature);
		return shown(a, "v1a,", signature, sizeof signature);
	}
	crypt_hmac_sha256(key, text, mac);
	return shown(a, "v1,", mac, sizeof mac);
}

char *signature_make(struct arena *a, const struct signature_keys *keys, const char *id, int64_t timestamp_s, struct str body)
{
	char *head = arena_printf(a, "%s.%lld.", id, (long long)timestamp_s), *text = arena_text(a, "");
	size_t head_n = strlen(head);
	char *signed_text = arena_take(a, head_n + body.n + 1);

	memcpy(signed_text, head, head_n);
	memcpy(signed_text + head_n, body.p, body.n);
	for (size_t i = 0; i < keys->n; i++)
		text = arena_printf(a, "%s%s%s", text, i ? " " : "", sign(a, keys->key[i], str_bytes(signed_text, head_n + body.n)));
	return text;
}
