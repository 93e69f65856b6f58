#include "model/token.h"

#include <stdio.h>

static void base64url(const unsigned char *in, size_t bits, char *out)
{
	static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t chars = (bits + 5) / 6;

	for (size_t i = 0; i < chars; i++) {
		unsigned value = 0;

		for (size_t b = 0; b < 6; b++) {
			size_t bit = i * 6 + b;

			value = value << 1 | (bit < bits ? in[bit / 8] >> (7 - bit % 8) & 1u : 0);
		}
		out[i] = ALPHABET[value];
	}
	out[chars] = 0;
}

struct token_text token_make(void)
{
	unsigned char secret[32], open[4];
	char secret_text[44], open_text[9];
	struct token_text t;

	crypt_random(secret, sizeof secret);
	crypt_random(open, sizeof open);
	base64url(secret, 256, secret_text);
	hex_format(open, sizeof open, open_text);
	snprintf(t.s, sizeof t.s, "stk_%s_%s", open_text, secret_text);
	explicit_bzero(secret, sizeof secret);
	explicit_bzero(secret_text, sizeof secret_text);
	return t;
}

void token_prefix(struct str text, char out[TOKEN_PREFIX])
{
	out[0] = 0;
	if (str_starts(text, "stk_") && text.n >= 13 && text.p[12] == '_')
		snprintf(out, TOKEN_PREFIX, "%.8s", text.p + 4);
}

void token_hash(struct str text, unsigned char out[SHA256_BYTES])
{
	crypt_sha256(text, out);
}
