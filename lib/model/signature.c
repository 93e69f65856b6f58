#include "model/signature.h"

#include "base/crypt.h"

static const char PREFIX[] = "whsec_";

char *signature_secret_new(struct arena *a)
{
	unsigned char key[SIGNATURE_KEY_BYTES];
	char *text;

	crypt_random(key, sizeof key);
	text = arena_printf(a, "%s%s", PREFIX, base64_format(a, key, sizeof key));
	explicit_bzero(key, sizeof key);
	return text;
}

bool signature_secret_parse(struct arena *a, struct str text, struct str *key)
{
	struct str bytes;
	size_t prefix = sizeof PREFIX - 1;

	if (!str_starts(text, PREFIX) || !base64_parse(a, str_bytes(text.p + prefix, text.n - prefix), &bytes))
		return false;
	if (bytes.n < SIGNATURE_KEY_LEAST || bytes.n > SIGNATURE_KEY_MOST)
		return false;
	*key = bytes;
	return true;
}

char *signature_make(struct arena *a, const struct signature_keys *keys, const char *id, int64_t timestamp_s, struct str body)
{
	char *head = arena_printf(a, "%s.%lld.", id, (long long)timestamp_s), *text = arena_text(a, "");
	size_t head_n = strlen(head);
	char *signed_text = arena_take(a, head_n + body.n + 1);

	memcpy(signed_text, head, head_n);
	memcpy(signed_text + head_n, body.p, body.n);
	for (size_t i = 0; i < keys->n; i++) {
		unsigned char mac[SHA256_BYTES];

		crypt_hmac_sha256(keys->key[i], str_bytes(signed_text, head_n + body.n), mac);
		text = arena_printf(a, "%s%sv1,%s", text, i ? " " : "", base64_format(a, mac, sizeof mac));
	}
	return text;
}
