#include "cli/client_config.h"

#include "base/buf.h"
#include "base/json.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONFIG_BYTES = 65536 };

static const struct key {
	const char *name, *also; /* PROTOCOL is what Python's and Perl's clients call SCHEME */
	size_t at;
} KEYS[] = {
	{ "host", NULL, offsetof(struct client_config, host) },
	{ "port", NULL, offsetof(struct client_config, port) },
	{ "scheme", "protocol", offsetof(struct client_config, scheme) },
	{ "token", NULL, offsetof(struct client_config, token) },
	{ "project_id", NULL, offsetof(struct client_config, project) },
};
enum { KEY_COUNT = sizeof KEYS / sizeof *KEYS };

static const char **field(struct client_config *conf, const struct key *k)
{
	return (const char **)(void *)((char *)conf + k->at);
}

/* What is stronger has been set before. */
static void weaker(struct client_config *conf, const struct key *k, const char *value)
{
	const char **at = field(conf, k);

	if (!*at && value && *value)
		*at = value;
}

static void read_environment(struct arena *a, const char *prefix, struct client_config *conf)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const char *const names[] = { KEYS[i].name, KEYS[i].also };

		for (size_t n = 0; n < 2 && names[n]; n++) {
			char *name = arena_printf(a, "%s%s", prefix, names[n]);

			for (char *p = name; *p; p++)
				*p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
			weaker(conf, &KEYS[i], getenv(name));
		}
	}
}

/* False when the file is not there. */
static bool read_file(struct ctx *cx, const char *path, struct str *out)
{
	FILE *f = fopen(path, "re");
	char *text;
	size_t n;

	if (!f)
		return false;
	text = arena_take(&cx->arena, CONFIG_BYTES);
	n = fread(text, 1, CONFIG_BYTES, f);
	fclose(f);
	*out = str_bytes(text, n);
	return true;
}

static const char *json_field(struct arena *a, const json_t *object, const char *name)
{
	const json_t *j = json_object_get(object, name);

	if (json_is_integer(j))
		return arena_printf(a, "%lld", (long long)json_integer_value(j));
	return json_is_string(j) ? arena_text(a, json_string_value(j)) : NULL;
}

static void read_object(struct arena *a, const json_t *object, struct client_config *conf)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		weaker(conf, &KEYS[i], json_field(a, object, KEYS[i].name));
		if (KEYS[i].also)
			weaker(conf, &KEYS[i], json_field(a, object, KEYS[i].also));
	}
}

/* The section iron_worker stands above the keys at the top. */
static enum err read_iron_json(struct ctx *cx, const char *path, struct client_config *conf)
{
	static const struct json_limits LIMITS = { 16, 2000 };
	auto_json *j = NULL;
	struct str text;

	if (!read_file(cx, path, &text))
		return OK;
	if (json_read(cx, text, LIMITS, &j) != OK)
		return err_wrap(cx, "%s", path);
	if (!json_is_object(j))
		return err_set(cx, ERR_INPUT, "%s: must be a JSON object", path);
	read_object(&cx->arena, json_object_get(j, "iron_worker"), conf);
	read_object(&cx->arena, j, conf);
	return OK;
}

struct ini_reading {
	struct arena *arena;
	struct client_config *conf;
};

static int on_pair(void *user, const char *section, const char *name, const char *value)
{
	struct ini_reading *r = user;

	if (*section)
		return 0;
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (strcasecmp(name, KEYS[i].name) == 0 || (KEYS[i].also && strcasecmp(name, KEYS[i].also) == 0)) {
			weaker(r->conf, &KEYS[i], arena_text(r->arena, value));
			return 1;
		}
	}
	return 0;
}

/* Lines of "host = …"; keys in either case. */
static enum err read_own_file(struct ctx *cx, const char *path, struct client_config *conf)
{
	struct ini_reading r = { &cx->arena, conf };
	int line = ini_parse(path, on_pair, &r);

	if (line > 0)
		return err_set(cx, ERR_INPUT, "%s:%d: not one of host, port, scheme, token, project_id = value", path, line);
	return OK; /* -1: there is none */
}

enum err client_config_read(struct cli *c, struct client_config *out)
{
	struct arena *a = &c->cx.arena;
	const char *home = getenv("HOME"), *folder = getenv("XDG_CONFIG_HOME");

	*out = (struct client_config){ c->host, c->port, c->scheme, c->token, c->project };
	read_environment(a, "IRON_WORKER_", out);
	read_environment(a, "IRON_", out);
	TRY(read_iron_json(&c->cx, "iron.json", out));
	if (home && *home)
		TRY(read_iron_json(&c->cx, arena_printf(a, "%s/.iron.json", home), out));
	if (folder && *folder)
		return read_own_file(&c->cx, arena_printf(a, "%s/stoker/config", folder), out);
	if (home && *home)
		return read_own_file(&c->cx, arena_printf(a, "%s/.config/stoker/config", home), out);
	return OK;
}
