#pragma once
#include "base/crypt.h"

/* Tokens: "stk_" + 8 public characters + "_" + 43 characters (256 random bits, base64url).
 * Stored as SHA-256 of the whole text with the public part as `prefix`; shown once. */
enum { TOKEN_TEXT = 4 + 8 + 1 + 43 + 1, TOKEN_PREFIX = 9 };

struct token_text {
	char s[TOKEN_TEXT];
};

/* A new one from the kernel's random numbers. */
struct token_text token_make(void);
/* The public eight characters, "" if `text` is not one of ours (foreign tokens may be imported). */
void token_prefix(struct str text, char out[TOKEN_PREFIX]);
/* What is stored and looked up. */
void token_hash(struct str text, unsigned char out[SHA256_BYTES]);
