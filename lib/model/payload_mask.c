#include "model/payload_mask.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"

enum { KEY_BYTES_MOST = 128 };

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool has_word(struct str s, struct str word)
{
	for (size_t i = 0; i + word.n <= s.n; i++) {
		size_t k = 0;

		while (k < word.n && lower(s.p[i + k]) == word.p[k])
			k++;
		if (k == word.n)
			return true;
	}
	return false;
}

bool payload_is_secret_key(struct str key, struct str words)
{
	struct str word;

	static const char *const WORDS[] = { "token", "security", "pass", "secret", "connectionstring",
	                                     "api_key", "apikey", "license" };

	for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
		if (has_word(key, str_of(WORDS[i])))
			return true;
	while (str_cut(&words, '\n', &word))
		if (word.n && has_word(key, word))
			return true;
	return false;
}

static bool has_line(struct str lines, struct str line)
{
	struct str one;

	while (str_cut(&lines, '\n', &one))
		if (str_equal(one, line))
			return true;
	return false;
}

bool payload_words(struct arena *a, const struct str *list, size_t n, struct str *out)
{
	auto_buf b = { 0 };

	for (size_t i = 0; i < n; i++) {
		struct str word = str_trim(list[i]);
		char *low = arena_copy(a, word.p, word.n);

		if (word.n < PAYLOAD_WORD_LEAST || word.n > PAYLOAD_WORD_MOST || text_has_controls(word))
			return false;
		for (size_t k = 0; k < word.n; k++)
			low[k] = lower(low[k]);
		word.p = low;
		if (has_line(buf_view(&b), word))
			continue;
		if (b.n)
			buf_char(&b, '\n');
		buf_str(&b, word);
	}
	*out = str_bytes(arena_copy(a, b.n ? b.p : "", b.n), b.n);
	return b.n <= PAYLOAD_WORDS_BYTES;
}

/* A text that is an object or array itself (clients wrap JSON in JSON): masked, or NULL. */
static json_t *mask_inside(const json_t *text, struct str words, bool *masked)
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
	payload_mask(inner, words, &any);
	if (any && (again = json_dumps(inner, JSON_COMPACT))) {
		out = json_string(again);
		free(again);
		*masked = true;
	}
	json_decref(inner);
	return out;
}

/* The value that takes the place of `value`; NULL = it stays. */
static json_t *mask_value(struct str key, json_t *value, struct str words, bool *masked)
{
	if (key.n && payload_is_secret_key(key, words) && !json_is_null(value)) {
		*masked = true;
		return json_string(PAYLOAD_MASK);
	}
	if (json_is_string(value))
		return mask_inside(value, words, masked);
	payload_mask(value, words, masked);
	return NULL;
}

void payload_mask(json_t *j, struct str words, bool *masked)
{
	json_t *now;

	for (size_t i = 0; i < json_array_size(j); i++)
		if ((now = mask_value(STR_LIT(""), json_array_get(j, i), words, masked)))
			json_array_set_new(j, i, now);
	for (void *i = json_object_iter(j); i; i = json_object_iter_next(j, i))
		if ((now = mask_value(str_of(json_object_iter_key(i)), json_object_iter_value(i), words, masked)))
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

struct str payload_mask_text(struct arena *a, struct str text, struct str words, bool *masked)
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
		if (!payload_is_secret_key(str_bytes(text.p + i, end - i), words) || !value_at(text, end, &value, &quote)) {
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

struct str payload_masked(struct arena *a, struct str payload, struct str words)
{
	static const struct json_limits LIMITS = { 64, 1000000 };
	struct str trimmed = str_trim(payload);
	auto_json *j = NULL;
	auto_ctx cx = { 0 };
	bool masked = false;

	if (!trimmed.n || (*trimmed.p != '{' && *trimmed.p != '[') || json_read_unique(&cx, payload, LIMITS, &j) != OK)
		return payload_mask_text(a, payload, words, &masked);
	payload_mask(j, words, &masked);
	return masked ? json_write(a, j) : payload;
}
