#include "base/json.h"

#include "base/clock.h"
#include "base/text.h"

#include <ctype.h>
#include <math.h>

static const double REAL_MOST = 9e15; /* below, a double still knows whole numbers */

void json_unref(json_t **j)
{
	json_decref(*j);
}

/* Counts before parsing, so that a hostile document never becomes a tree. */
static enum err check_size(struct ctx *cx, struct str s, struct json_limits limits)
{
	int depth = 0, nodes = 1;
	bool in_text = false;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (in_text) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_text = false;
			continue;
		}
		if (c == '"')
			in_text = true;
		else if (c == ',')
			nodes++;
		else if (c == '{' || c == '[')
			depth++, nodes++;
		else if (c == '}' || c == ']')
			depth--;
		if (depth > limits.depth)
			return err_set(cx, ERR_INPUT, "JSON is nested deeper than %d", limits.depth);
		if (nodes > limits.nodes)
			return err_set(cx, ERR_INPUT, "JSON has more than %d values", limits.nodes);
	}
	return OK;
}

/* The unit of a \uXXXX that begins at p[at]; -1 if none does. */
static int unit_at(struct str s, size_t at)
{
	int unit = 0;

	if (at + 6 > s.n || s.p[at] != '\\' || s.p[at + 1] != 'u')
		return -1;
	for (size_t i = at + 2; i < at + 6; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (!isxdigit(c))
			return -1;
		unit = unit * 16 + (isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
	}
	return unit;
}

/* Where the next half of a character is written without its other half; s.n if nowhere. Backslashes stand
 * in texts alone, so these need not be told apart from the rest. */
static size_t lone_half(struct str s, size_t from)
{
	for (size_t i = from; i < s.n; i++) {
		int unit, low;

		if (s.p[i] != '\\')
			continue;
		unit = unit_at(s, i);
		low = unit >= 0xd800 && unit < 0xdc00 ? unit_at(s, i + 6) : -1;
		if (low >= 0xdc00 && low < 0xe000)
			i += 11; /* both halves */
		else if (unit >= 0xd800 && unit < 0xe000)
			return i;
		else
			i++; /* what is escaped begins no escape */
	}
	return s.n;
}

/* U+FFFD for each, as the decoder of IronWorker's service has it; the text is as long as before. */
static struct str mend_halves(struct arena *a, struct str s)
{
	size_t at = lone_half(s, 0);
	char *p;

	if (at == s.n)
		return s;
	p = arena_copy(a, s.p, s.n);
	for (s.p = p; at < s.n; at = lone_half(s, at + 6))
		memcpy(p + at, "\\ufffd", 6);
	return s;
}

static struct str without_mark(struct str s)
{
	return str_starts(s, "\xef\xbb\xbf") ? str_bytes(s.p + 3, s.n - 3) : s;
}

static enum err read_document(struct ctx *cx, struct str text, struct json_limits limits, size_t how, json_t **out)
{
	struct arena scratch = { 0 }; /* of the mended text, which is not needed beside the tree */
	json_error_t e;
	json_t *j;

	text = without_mark(text);
	if (!str_trim(text).n) {
		*out = json_object();
		return OK;
	}
	TRY(check_size(cx, text, limits));
	text = mend_halves(&scratch, text_utf8(&scratch, text));
	j = json_loadb(text.p, text.n, how, &e);
	if (!j && json_error_code(&e) == json_error_numeric_overflow) /* an integer over 64 bits is a number all the same */
		j = json_loadb(text.p, text.n, how | JSON_DECODE_INT_AS_REAL, &e);
	arena_release(&scratch);
	if (!j)
		return err_set(cx, ERR_INPUT, "body is not JSON: line %d column %d: %s", e.line,
		               e.column, e.text);
	*out = j;
	return OK;
}

enum err json_read(struct ctx *cx, struct str text, struct json_limits limits, json_t **out)
{
	return read_document(cx, text, limits, JSON_DECODE_ANY | JSON_ALLOW_NUL, out);
}

enum err json_read_unique(struct ctx *cx, struct str text, struct json_limits limits, json_t **out)
{
	return read_document(cx, text, limits, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, out);
}

/* --- one text of a document that is not believed yet -------------------------------------------- */

/* Behind the text that begins with the quote at p[at]; s.n if it has no end. */
static size_t text_end(struct str s, size_t at)
{
	for (size_t i = at + 1; i < s.n; i++)
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	return s.n;
}

static size_t skip_blanks(struct str s, size_t at)
{
	while (at < s.n && strchr(" \t\r\n", s.p[at]) && s.p[at])
		at++;
	return at;
}

static bool decode_text(struct arena *a, struct str quoted, struct str *out)
{
	auto_json *j = json_loadb(quoted.p, quoted.n, JSON_DECODE_ANY, NULL);
	size_t n = json_string_length(j);

	if (json_is_string(j))
		*out = str_bytes(arena_copy(a, json_string_value(j), n), n);
	return json_is_string(j);
}

bool json_peek_text(struct arena *a, struct str text, const char *key, struct str *out)
{
	struct str found = { 0 }, name;
	int64_t depth = 0;

	for (size_t i = 0, end; i < text.n; i = end) {
		char c = text.p[i];

		end = i + 1;
		depth += (c == '{' || c == '[') - (c == '}' || c == ']');
		if (c != '"')
			continue;
		end = text_end(text, i);
		name = str_bytes(text.p + i, end - i);
		i = skip_blanks(text, end);
		if (depth != 1 || i >= text.n || text.p[i] != ':' || name.n < 2 || !str_is(str_bytes(name.p + 1, name.n - 2), key))
			continue;
		end = skip_blanks(text, i + 1);
		if (end < text.n && text.p[end] == '"') {
			i = end;
			end = text_end(text, i);
			found = str_bytes(text.p + i, end - i);
		}
	}
	return found.p && decode_text(a, found, out);
}

struct str json_write(struct arena *a, const json_t *j)
{
	size_t n = json_dumpb(j, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
	char *p = arena_take(a, n + 1);

	json_dumpb(j, p, n, JSON_COMPACT | JSON_ENCODE_ANY);
	return str_bytes(p, n);
}

json_t *json_text(struct str s)
{
	struct arena scratch = { 0 };
	struct str clean = text_utf8(&scratch, s);
	json_t *j = json_stringn(clean.n ? clean.p : "", clean.n);

	arena_release(&scratch);
	return j;
}

json_t *json_time(int64_t us)
{
	struct arena scratch = { 0 };
	json_t *j = json_string(time_rfc3339(&scratch, us));

	arena_release(&scratch);
	return j;
}

static json_t *field(const json_t *object, const char *name)
{
	json_t *j = json_object_get(object, name);

	return json_is_null(j) ? NULL : j;
}

enum err json_only(struct ctx *cx, const json_t *object, const char *const *names)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value) {
		const char *const *name = names;

		while (*name && strcmp(*name, key) != 0)
			name++;
		if (!*name && strcmp(key, "oauth") != 0)
			return err_set(cx, ERR_INPUT, "field %s: is not known here", key);
	}
	return OK;
}

enum err json_get_text(struct ctx *cx, const json_t *object, const char *name, struct str *out)
{
	json_t *j = field(object, name);

	if (!j)
		return OK;
	if (!json_is_string(j))
		return err_set(cx, ERR_INPUT, "field %s: must be a text", name);
	*out = str_bytes(json_string_value(j), json_string_length(j));
	return OK;
}

enum err json_get_int(struct ctx *cx, const json_t *object, const char *name, int64_t *out)
{
	json_t *j = field(object, name);

	if (!j)
		return OK;
	if (json_is_integer(j)) {
		*out = json_integer_value(j);
		return OK;
	}
	if (json_is_real(j) && fabs(json_real_value(j)) < REAL_MOST) {
		*out = (int64_t)json_real_value(j);
		return OK;
	}
	if (json_is_string(j) &&
	    str_whole(str_bytes(json_string_value(j), json_string_length(j)), out))
		return OK;
	return err_set(cx, ERR_INPUT, "field %s: must be a number", name);
}

enum err json_get_amount(struct ctx *cx, const json_t *object, const char *name, int64_t *out)
{
	double real = json_real_value(field(object, name)); /* 0 of whatever is no real */

	if (fabs(real) >= REAL_MOST) {
		*out = real < 0 ? INT64_MIN : INT64_MAX;
		return OK;
	}
	TRY(json_get_int(cx, object, name, out));
	if (real > 0 && real < 1)
		*out = 1;
	return OK;
}

enum err json_get_bool(struct ctx *cx, const json_t *object, const char *name, bool *out)
{
	json_t *j = field(object, name);

	if (!j)
		return OK;
	if (!json_is_boolean(j))
		return err_set(cx, ERR_INPUT, "field %s: must be true or false", name);
	*out = json_is_true(j);
	return OK;
}

enum err json_get_object(struct ctx *cx, const json_t *object, const char *name, json_t **out)
{
	json_t *j = field(object, name);

	if (j && !json_is_object(j))
		return err_set(cx, ERR_INPUT, "field %s: must be an object", name);
	*out = j;
	return OK;
}

enum err json_get_array(struct ctx *cx, const json_t *object, const char *name, json_t **out)
{
	json_t *j = field(object, name);

	if (j && !json_is_array(j))
		return err_set(cx, ERR_INPUT, "field %s: must be an array", name);
	*out = j;
	return OK;
}
