#pragma once
#include <jansson.h>

#include "base/str.h"

struct arena;

/* Payloads are shown without what looks secret: the values of keys that contain one of token,
 * security, password, secret, pass, connectionstring, api_key, license, in any case and at any
 * depth (ironworker-api.md 10). */
#define PAYLOAD_MASK "[FILTERED]"

bool payload_is_secret_key(struct str key);
/* Replaces such values in `j`, however deep; *masked = whether there was one. Texts that are JSON
 * themselves are masked inside. */
void payload_mask(json_t *j, bool *masked);
/* For payloads that are no JSON: key=value and key: value up to the next blank, quote, comma,
 * semicolon or ampersand, "key": "value" up to the closing quote. In the arena, or `text` itself. */
struct str payload_mask_text(struct arena *a, struct str text, bool *masked);
