#include "worker/monitor/engine_json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* Behind the text that begins at `p`. */
static const char *skip_text(const char *p)
{
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && p[1])
			p++;
	return *p ? p + 1 : p;
}

/* Behind the value that begins at `p`. */
static const char *skip_value(const char *p)
{
	int depth = 0;

	do {
		p = skip_blanks(p);
		if (*p == '"') {
			p = skip_text(p);
		} else if (*p == '{' || *p == '[') {
			depth++;
			p++;
		} else if (*p == '}' || *p == ']') {
			depth--;
			p++;
		} else if (*p == ',' || *p == ':') {
			p++;
		} else {
			p += strcspn(p, " \t\r\n,:{}[]\"");
		}
	} while (*p && depth > 0);
	return p;
}

const char *engine_json_find(const char *object, const char *key)
{
	size_t n = strlen(key);
	const char *p = object ? skip_blanks(object) : "";

	if (*p != '{')
		return NULL;
	for (p = skip_blanks(p + 1); *p == '"'; p = skip_blanks(p)) {
		const char *name = p + 1;
		bool is_it = strncmp(name, key, n) == 0 && name[n] == '"';

		p = skip_blanks(skip_text(p));
		if (*p != ':')
			return NULL;
		p = skip_blanks(p + 1);
		if (is_it)
			return p;
		p = skip_blanks(skip_value(p));
		if (*p == ',')
			p++;
	}
	return NULL;
}

static const char *element_at(const char *p)
{
	p = skip_blanks(p);
	return *p && *p != ']' ? p : NULL;
}

const char *engine_json_first(const char *array)
{
	const char *p = array ? skip_blanks(array) : "";

	return *p == '[' ? element_at(p + 1) : NULL;
}

const char *engine_json_next(const char *element)
{
	const char *p = element ? skip_blanks(skip_value(element)) : "";

	return *p == ',' ? element_at(p + 1) : NULL;
}

const char *engine_json_text(const char *value, char *out, size_t room)
{
	const char *end = value && *value == '"' ? skip_text(value) : NULL;
	size_t n = end && end - value >= 2 ? (size_t)(end - value - 2) : 0;

	n = n < room ? n : room - 1;
	if (n)
		memcpy(out, value + 1, n);
	out[n] = '\0';
	return out;
}

int64_t engine_json_number(const char *value)
{
	return value ? strtoll(value, NULL, 10) : 0;
}
