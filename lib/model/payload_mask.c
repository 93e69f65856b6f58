#include "model/payload_mask.h"

#include "base/arena.h"
#include "base/buf.h"

enum { KEY_BYTES_MOST = 128 };

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool has_word(struct str s, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= s.n; i++) {
		size_t k = 0;

		while (k < n && lower(s.p[i + k]) == word[k])
			k++;
		if (k == n)
			return true;
	}
	return false;
}

bool payload_is_secret_key(struct str key)
{
	static const char *const WORDS[] = { "token", "security", "pass", "secret", "connectionstring",
	                                     "api_key", "apikey", "license" };

	for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
		if (has_word(key, WORDS[i]))
			return true;
	return false;
}

/* A text that is an object or array itself (clients wrap JSON in JSON): masked, or NULL. */
static json_t *mask_inside(const json_t *text, bool *masked)
{
	const char *s = json_string_value(text);
	json_t *inner, *out = NULL;
	bool any = false;
	char *again;

	if (*s != '{' && *s != '[')
		return NULL;
	inner = json_loadb(s, json_string_length(text), JSON_ALLOW_NUL, NULL);
	if (!inner)
		return NULL;
	payload_mask(inner, &any);
	if (any && (again = json_dumps(inner, JSON_COMPACT))) {
		out = json_string(again);
		free(again);
		*masked = true;
	}
	json_decref(inner);
	return out;
}

/* The value that takes the place of `value`; NULL = it stays. */
static json_t *mask_value(struct str key, json_t *value, bool *masked)
{
	if (key.n && payload_is_secret_key(key) && !json_is_null(value)) {
		*masked = true;
		return json_string(PAYLOAD_MASK);
	}
	if (json_is_string(value))
		return mask_inside(value, masked);
	payload_mask(value, masked);
	return NULL;
}

void payload_mask(json_t *j, bool *masked)
{
	json_t *now;

	for (size_t i = 0; i < json_array_size(j); i++)
		if ((now = mask_value(STR_LIT(""), json_array_get(j, i), masked)))
			json_array_set_new(j, i, now);
	for (void *i = json_object_iter(j); i; i = json_object_iter_next(j, i))
		if ((now = mask_value(str_of(json_object_iter_key(i)), json_object_iter_value(i), masked)))
			json_object_iter_set_new(j, i, now);
}

static bool is_key_byte(char c)
{
	return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '_' || c == '-' || c == '.';
}

static size_t past_blanks(struct str t, size_t i)
{
	while (i < t.n && (t.p[i] == ' ' || t.p[i] == '\t'))
		i++;
	return i;
}

static bool is_quote(struct str t, size_t i)
{
	return i < t.n && (t.p[i] == '"' || t.p[i] == '\'');
}

/* Behind a key: where its value begins, past = or : and an opening quote; false = it has none. */
static bool value_at(struct str t, size_t i, size_t *from, char *quote)
{
	i = past_blanks(t, is_quote(t, i) ? i + 1 : i);
	if (i >= t.n || (t.p[i] != '=' && t.p[i] != ':'))
		return false;
	i = past_blanks(t, i + 1);
	*quote = is_quote(t, i) ? t.p[i++] : 0;
	*from = i;
	return i < t.n;
}

/* A value in quotes goes up to the closing one, another up to what cannot belong to it. */
static size_t value_end(struct str t, size_t i, char quote)
{
	for (; i < t.n; i++) {
		if (quote && t.p[i] == '\\')
			i++;
		else if (quote ? t.p[i] == quote : strchr(" \t\r\n\"',;&}", t.p[i]) != NULL)
			break;
	}
	return i < t.n ? i : t.n;
}

struct str payload_mask_text(struct arena *a, struct str text, bool *masked)
{
	auto_buf b = { 0 };
	size_t copied = 0;

	for (size_t i = 0; i < text.n;) {
		size_t end = i, value;
		char quote;

		while (end < text.n && end - i < KEY_BYTES_MOST && is_key_byte(text.p[end]))
			end++;
		if (end == i) {
			i++;
			continue;
		}
		if (!payload_is_secret_key(str_bytes(text.p + i, end - i)) || !value_at(text, end, &value, &quote)) {
			i = end;
			continue;
		}
		buf_add(&b, text.p + copied, value - copied);
		buf_text(&b, PAYLOAD_MASK);
		copied = i = value_end(text, value, quote);
	}
	if (!copied)
		return text;
	*masked = true;
	buf_add(&b, text.p + copied, text.n - copied);
	return str_bytes(arena_copy(a, b.p, b.n), b.n);
}
