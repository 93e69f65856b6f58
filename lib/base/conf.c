#include "base/conf.h"

#include "base/buf.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct reading {
	struct ctx *cx;
	const struct conf_key *keys;
	size_t n;
	const char *path;
	void *into;
	bool failed;
};

static bool read_bool(const char *s, bool *out)
{
	static const char *const YES[] = { "yes", "true", "on", "1" }, *const NO[] = { "no", "false", "off", "0" };

	for (size_t i = 0; i < 4; i++) {
		if (strcasecmp(s, YES[i]) == 0 || strcasecmp(s, NO[i]) == 0) {
			*out = strcasecmp(s, YES[i]) == 0;
			return true;
		}
	}
	return false;
}

static enum err set_value(struct ctx *cx, const struct conf_key *k, const char *value, void *into)
{
	char *field = (char *)into + k->offset;
	int64_t number;
	bool yes;

	switch (k->type) {
	case CONF_TEXT:
		*(char **)(void *)field = arena_text(&cx->arena, value);
		return OK;
	case CONF_INT:
		if (!str_int(str_trim(str_of(value)), &number) || number < k->least || number > k->most)
			return err_set(cx, ERR_INPUT, "%s.%s must be a whole number from %lld to %lld, not '%s'",
			               k->section, k->key, (long long)k->least, (long long)k->most, value);
		*(int64_t *)(void *)field = number;
		return OK;
	case CONF_BOOL:
		if (!read_bool(value, &yes))
			return err_set(cx, ERR_INPUT, "%s.%s must be yes or no, not '%s'", k->section, k->key, value);
		*(bool *)(void *)field = yes;
		return OK;
	}
	return err_set(cx, ERR_INTERNAL, "%s.%s has no type", k->section, k->key);
}

static const struct conf_key *find(const struct reading *r, const char *section, const char *key)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->keys[i].section, section) == 0 && strcmp(r->keys[i].key, key) == 0)
			return &r->keys[i];
	return NULL;
}

/* inih calls this for each pair; 0 makes ini_parse return the line. */
static int on_pair(void *user, const char *section, const char *key, const char *value)
{
	struct reading *r = user;
	const struct conf_key *k = find(r, section, key);

	if (r->failed)
		return 1;
	r->failed = true;
	if (!k) {
		err_set(r->cx, ERR_INPUT, "unknown key %s.%s", section, key);
		return 0;
	}
	if (set_value(r->cx, k, value, r->into) != OK)
		return 0;
	r->failed = false;
	return 1;
}

static enum err read_environment(struct reading *r)
{
	for (size_t i = 0; i < r->n; i++) {
		char *name = arena_printf(&r->cx->arena, "STOKER_%s_%s", r->keys[i].section, r->keys[i].key);
		const char *value;

		for (char *p = name; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		value = getenv(name);
		if (value && set_value(r->cx, &r->keys[i], value, r->into) != OK)
			return err_wrap(r->cx, "environment %s", name);
	}
	return OK;
}

enum err conf_read(struct ctx *cx, const struct conf_key *keys, size_t n, const char *path, void *into)
{
	struct reading r = { cx, keys, n, path, into, false };
	int line;

	for (size_t i = 0; i < n; i++)
		TRY(set_value(cx, &keys[i], keys[i].value, into));
	if (path) {
		line = ini_parse(path, on_pair, &r);
		if (line < 0)
			return err_errno(cx, "read configuration %s", path);
		if (r.failed)
			return err_wrap(cx, "%s:%d", path, line);
		if (line > 0)
			return err_set(cx, ERR_INPUT, "%s:%d: not 'key = value' and not [section]", path, line);
	}
	return read_environment(&r);
}

struct str conf_sample(struct arena *a, const struct conf_key *keys, size_t n)
{
	auto_buf b = { 0 };
	const char *section = "";

	for (size_t i = 0; i < n; i++) {
		if (strcmp(section, keys[i].section) != 0)
			buf_printf(&b, "%s[%s]\n", i ? "\n" : "", keys[i].section);
		section = keys[i].section;
		buf_printf(&b, "; %s\n;%s =%s%s\n", keys[i].what, keys[i].key, *keys[i].value ? " " : "", keys[i].value);
	}
	return str_bytes(arena_copy(a, b.p, b.n), b.n);
}

enum err conf_secret(struct ctx *cx, const char *path, char **out)
{
	char line[512];
	FILE *f = fopen(path, "re");
	bool got;

	if (!f)
		return err_errno(cx, "read secret file %s", path);
	got = fgets(line, sizeof line, f) != NULL;
	fclose(f);
	line[got ? strcspn(line, "\r\n") : 0] = 0;
	if (!line[0])
		return err_set(cx, ERR_INPUT, "secret file %s is empty", path);
	*out = arena_text(&cx->arena, line);
	explicit_bzero(line, sizeof line);
	return OK;
}
