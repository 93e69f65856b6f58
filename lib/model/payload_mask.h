#pragma once
#include <jansson.h>

#include "base/str.h"

struct arena;

/* Payloads are shown without what looks secret: the values of keys that contain one of token,
 * security, password, secret, pass, connectionstring, api_key, license, or a word of the project's
 * own, in any case and at any depth (ironworker-api.md 10). `words`: the project's, a line each, in
 * lower case. */
#define PAYLOAD_MASK "[FILTERED]"
#define PAYLOAD_WORDS_RULE "takes words of 2 to 64 bytes without control characters, at most 2,048 bytes in all"
enum { PAYLOAD_WORDS_BYTES = 2048, PAYLOAD_WORD_LEAST = 2, PAYLOAD_WORD_MOST = 64 };

bool payload_is_secret_key(struct str key, struct str words);
/* A project's words out of a list of texts, trimmed, in lower case, each once; in the arena. False: one is too short,
 * too long or has control characters, or there are too many. */
bool payload_words(struct arena *a, const struct str *list, size_t n, struct str *out);
/* Replaces such values in `j`, however deep; *masked = whether there was one. Texts that are JSON
 * themselves are masked inside. */
void payload_mask(json_t *j, struct str words, bool *masked);
/* For payloads that are no JSON: key=value and key: value up to the next blank, quote, comma,
 * semicolon or ampersand, "key": "value" up to the closing quote. In the arena, or `text` itself. */
struct str payload_mask_text(struct arena *a, struct str text, struct str words, bool *masked);
/* One or the other, as it is JSON or not; `payload` itself, byte for byte, when nothing is masked. */
struct str payload_masked(struct arena *a, struct str payload, struct str words);
