#include "model/code_json.h"

#include <inttypes.h>

#include "base/crypt.h"
#include "base/json.h"
#include "base/text.h"
#include "model/callback.h"
#include "model/command.h"
#include "model/image_name.h"
#include "model/runtime.h"

enum { IMAGE_BYTES = 512, RUNTIME_BYTES = 64, FILE_NAME_BYTES = 1024, COMMAND_BYTES = 65536, MEMORY_MB_MOST = 1048576, GRACE_S_MOST = 3600,
       FOLLOW_S_MOST = 86400 };
static const int64_t RETRIES_DELAY_S_MOST = INT64_C(365) * 86400;

static void set_id(json_t *j, const char *key, const struct id *id)
{
	struct id_text text = id_format(id);

	json_object_set_new(j, key, json_string(text.s));
}

static void set_int(json_t *j, const char *key, int64_t i)
{
	json_object_set_new(j, key, json_integer(i));
}

static void set_text(json_t *j, const char *key, struct str s)
{
	json_object_set_new(j, key, json_text(s));
}

static void set_what_it_runs(json_t *j, const struct code *c)
{
	json_t *env = c->env.n ? json_loadb(c->env.p, c->env.n, 0, NULL) : NULL;

	set_text(j, "image", c->image);
	set_text(j, "command", c->command);
	set_text(j, "config", c->config);
	json_object_set_new(j, "env_vars", json_is_object(env) ? json_incref(env) : json_object());
	json_decref(env);
	set_text(j, "runtime", c->runtime);
	set_text(j, "stack", c->stack);
	set_text(j, "file_name", c->file_name);
}

static void set_hex(json_t *j, const char *key, struct str bytes)
{
	char hex[2 * SHA256_BYTES + 1];

	if (bytes.n > SHA256_BYTES)
		return;
	hex_format(bytes.p, bytes.n, hex);
	json_object_set_new(j, key, json_string(hex));
}

/* The checksum is MD5 under each of the names that IronWorker has for it. */
static void set_package(json_t *j, const struct code *c, const char *checksum)
{
	if (!c->package.n)
		return;
	set_hex(j, checksum, c->package_md5);
	set_hex(j, "sha256", c->package);
	set_int(j, "code_size", c->package_bytes);
	set_text(j, "package_name", c->package_name);
}

static void set_policy(json_t *j, const struct code *c)
{
	set_int(j, "max_concurrency", c->paused ? -1 : c->max_concurrency);
	set_int(j, "retries", c->retries);
	set_int(j, "retries_delay", c->retries_delay_s);
	set_int(j, "priority", c->default_priority);
	set_int(j, "default_priority", c->default_priority);
	set_int(j, "timeout", c->timeout_s > 0 ? c->timeout_s : 3600);
	if (c->memory_mb > 0)
		set_int(j, "memory_mb", c->memory_mb);
	if (c->grace_s >= 0)
		set_int(j, "grace", c->grace_s);
	if (c->callback.n)
		set_text(j, "callback", c->callback);
	if (c->callback_gone_at > 0)
		json_object_set_new(j, "callback_disabled_at", json_time(c->callback_gone_at));
	if (c->engine.n)
		set_text(j, "engine", c->engine);
	set_text(j, "on_node_loss", c->fails_on_node_loss ? STR_LIT("fail") : STR_LIT("again"));
	set_text(j, "scratch", c->is_on_disk ? STR_LIT("disk") : STR_LIT("memory"));
	set_int(j, "follow_tag", c->follow_tag_s);
	set_text(j, "output", c->is_merged ? STR_LIT("merged") : STR_LIT("apart"));
	json_object_set_new(j, "paused", json_boolean(c->paused));
}

json_t *code_to_json(const struct code *c)
{
	json_t *j = json_object();

	set_id(j, "id", &c->id);
	set_id(j, "project_id", &c->project_id);
	set_text(j, "name", c->name);
	set_int(j, "rev", c->revision);
	set_id(j, "latest_history_id", &c->revision_id);
	json_object_set_new(j, "latest_change", json_time(c->updated_at));
	json_object_set_new(j, "created_at", json_time(c->created_at));
	json_object_set_new(j, "updated_at", json_time(c->updated_at));
	json_object_set_new(j, "archived_at", json_time(TIME_NONE));
	set_what_it_runs(j, c);
	set_package(j, c, "latest_checksum");
	set_policy(j, c);
	return j;
}

json_t *code_revision_to_json(const struct code *was, const struct id *revision)
{
	json_t *j = json_object();

	set_id(j, "id", revision);
	set_id(j, "code_id", &was->id);
	set_id(j, "project_id", &was->project_id);
	set_text(j, "name", was->name);
	set_int(j, "rev", was->revision);
	json_object_set_new(j, "created_at", json_time(was->created_at));
	json_object_set_new(j, "updated_at", json_time(was->updated_at));
	set_text(j, "checksum", STR_LIT(""));
	set_int(j, "code_size", 0);
	set_what_it_runs(j, was);
	set_package(j, was, "checksum");
	return j;
}

static bool is_given(const json_t *j, const char *key)
{
	json_t *v = json_object_get(j, key);

	return v && !json_is_null(v);
}

static enum err read_text(struct ctx *cx, const json_t *j, const char *key, size_t most, bool *has,
                          struct str *out)
{
	TRY(json_get_text(cx, j, key, out));
	*has = is_given(j, key);
	if (out->n > most)
		return err_set(cx, ERR_INPUT, "field %s: is longer than %zu bytes", key, most);
	if (out->n && memchr(out->p, 0, out->n))
		return err_set(cx, ERR_INPUT, "field %s: must not hold a NUL", key);
	return OK;
}

static enum err read_int(struct ctx *cx, const json_t *j, const char *key, int64_t least, int64_t most,
                         bool *has, int64_t *out)
{
	TRY(json_get_amount(cx, j, key, out));
	*has = is_given(j, key);
	if (*has && (*out < least || *out > most))
		return err_set(cx, ERR_INPUT, "field %s: must be %" PRId64 " to %" PRId64, key, least, most);
	return OK;
}

static bool is_variable_name(const char *s)
{
	return *s && !strchr(s, '=');
}

/* An object of texts. */
static enum err read_env(struct ctx *cx, const json_t *j, struct code_order *o)
{
	json_t *env = NULL, *value;
	const char *name;

	TRY(json_get_object(cx, j, "env_vars", &env));
	if (!env)
		return OK;
	json_object_foreach(env, name, value) {
		if (!is_variable_name(name))
			return err_set(cx, ERR_INPUT, "field env_vars: '%s' is no name of a variable", name);
		if (!json_is_string(value))
			return err_set(cx, ERR_INPUT, "field env_vars.%s: must be a text", name);
		if (memchr(json_string_value(value), 0, json_string_length(value)))
			return err_set(cx, ERR_INPUT, "field env_vars.%s: must not hold a NUL", name);
	}
	o->has_env = true;
	o->env = json_write(&cx->arena, env);
	if (o->env.n > CODE_CONFIG_BYTES)
		return err_set(cx, ERR_INPUT, "field env_vars: is longer than %d bytes", CODE_CONFIG_BYTES);
	return OK;
}

/* config is a text; clients that hold an object hand it in as one. */
static enum err read_config(struct ctx *cx, const json_t *j, struct code_order *o)
{
	json_t *config = json_object_get(j, "config");

	if (json_is_object(config) || json_is_array(config)) {
		o->has_config = true;
		o->config = json_write(&cx->arena, config);
		if (o->config.n > CODE_CONFIG_BYTES)
			return err_set(cx, ERR_INPUT, "field config: is longer than %d bytes", CODE_CONFIG_BYTES);
		return OK;
	}
	return read_text(cx, j, "config", CODE_CONFIG_BYTES, &o->has_config, &o->config);
}

/* "registry/team/thumbs:3" → "team/thumbs" is what IronWorker's users would type; we keep the path
 * as it is and cut tag and digest only. */
static struct str name_of_image(struct str image)
{
	struct str name = image;
	size_t slash = 0;

	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '@')
			name.n = i;
		else if (name.p[i] == '/')
			slash = i;
	}
	for (size_t i = slash; i < name.n; i++)
		if (name.p[i] == ':')
			name.n = i;
	return name;
}

static enum err read_name(struct ctx *cx, const json_t *j, struct code_order *o)
{
	TRY(json_get_text(cx, j, "name", &o->name));
	if (!o->name.n)
		o->name = name_of_image(o->image);
	if (!o->name.n)
		return err_set(cx, ERR_REQUIRED, "field name: is missing");
	if (o->name.n > CODE_NAME_BYTES)
		return err_set(cx, ERR_INPUT, "field name: is longer than %d bytes", CODE_NAME_BYTES);
	if (text_has_controls(o->name))
		return err_set(cx, ERR_INPUT, "field name: must not have control characters");
	return OK;
}

/* One of two words. */
static enum err read_choice(struct ctx *cx, const json_t *j, const char *key, const char *const words[2], bool *has,
                            bool *is_second)
{
	struct str word = { 0 };

	TRY(json_get_text(cx, j, key, &word));
	if (word.n && !str_is(word, words[0]) && !str_is(word, words[1]))
		return err_set(cx, ERR_INPUT, "field %s: must be \"%s\" or \"%s\"", key, words[0], words[1]);
	*has = word.n > 0;
	*is_second = str_is(word, words[1]);
	return OK;
}

static enum err read_engine(struct ctx *cx, const json_t *j, struct code_order *o)
{
	static const char *const names[] = { "", "oci", "docker", "podman", "swarm" };

	TRY(json_get_text(cx, j, "engine", &o->engine));
	o->has_engine = json_object_get(j, "engine") != NULL;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (str_is(o->engine, names[i]))
			return OK;
	return err_set(cx, ERR_INPUT, "field engine: must be \"oci\", \"docker\", \"podman\" or \"swarm\", or \"\" for the node's own choice");
}

/* Texts; PHP also sends false. What is "" is not said. */
static enum err read_name_of(struct ctx *cx, const json_t *j, const char *key, size_t most, bool *has, struct str *out)
{
	if (json_is_false(json_object_get(j, key)))
		return OK;
	TRY(read_text(cx, j, key, most, has, out));
	*has = out->n > 0;
	return OK;
}

static enum err unknown_runtime(struct ctx *cx, const struct settings *set, const struct code_order *o)
{
	return err_set(cx, ERR_INPUT, "field %s: '" STR_FMT "' is none that this server has; [runtimes] images are: %s",
	               o->has_stack ? "stack" : "runtime", STR_ARG(o->has_stack ? o->stack : o->runtime),
	               set->runtimes.images);
}

/* With an image of its own a package needs no other. */
static enum err read_runtime(struct ctx *cx, const struct settings *set, const json_t *j, struct code_order *o)
{
	struct str image;

	TRY(read_name_of(cx, j, "runtime", RUNTIME_BYTES, &o->has_runtime, &o->runtime));
	TRY(read_name_of(cx, j, "stack", RUNTIME_BYTES, &o->has_stack, &o->stack));
	TRY(read_name_of(cx, j, "file_name", FILE_NAME_BYTES, &o->has_file_name, &o->file_name));
	if ((o->has_runtime || o->has_stack) && !o->has_image && !runtime_image(set, o->runtime, o->stack, &image))
		return unknown_runtime(cx, set, o);
	return OK;
}

/* Clients send timeout 0 and priority -1000 for "not given" (rule 20). */
static enum err read_policy(struct ctx *cx, const json_t *j, struct code_order *o)
{
	TRY(read_int(cx, j, "max_concurrency", -1, 1000000, &o->has_max_concurrency, &o->max_concurrency));
	if (o->max_concurrency < 0) /* what a paused code shows; handed back it must not change the limit */
		o->has_max_concurrency = false;
	TRY(read_int(cx, j, "retries", 0, CODE_RETRIES_MOST, &o->has_retries, &o->retries));
	TRY(read_int(cx, j, "retries_delay", 0, RETRIES_DELAY_S_MOST, &o->has_retries_delay, &o->retries_delay_s));
	TRY(json_get_int(cx, j, "default_priority", &o->default_priority));
	o->has_priority = is_given(j, "default_priority") && o->default_priority >= 0 && o->default_priority <= 2;
	TRY(read_int(cx, j, "timeout", 0, INT64_MAX, &o->has_timeout, &o->timeout_s));
	o->has_timeout = o->has_timeout && o->timeout_s > 0;
	TRY(read_int(cx, j, "memory_mb", 0, MEMORY_MB_MOST, &o->has_memory, &o->memory_mb));
	TRY(read_int(cx, j, "grace", -1, GRACE_S_MOST, &o->has_grace, &o->grace_s));
	TRY(read_int(cx, j, "follow_tag", 0, FOLLOW_S_MOST, &o->has_follow_tag, &o->follow_tag_s));
	TRY(read_engine(cx, j, o));
	TRY(read_choice(cx, j, "output", (const char *const[]){ "apart", "merged" }, &o->has_output, &o->is_merged));
	TRY(read_choice(cx, j, "on_node_loss", (const char *const[]){ "again", "fail" }, &o->has_on_node_loss,
	                &o->fails_on_node_loss));
	return read_choice(cx, j, "scratch", (const char *const[]){ "memory", "disk" }, &o->has_scratch, &o->is_on_disk);
}

enum err code_order_from_json(struct ctx *cx, const struct settings *set, const json_t *j, struct code_order *out)
{
	struct code_order o = { .grace_s = -1, .engine = STR_LIT("") };

	TRY(read_text(cx, j, "image", IMAGE_BYTES, &o.has_image, &o.image));
	if (o.image.n)
		TRY(image_name_check(cx, o.image));
	o.has_image = o.image.n > 0; /* "" from those who fill in every field */
	TRY(read_text(cx, j, "command", COMMAND_BYTES, &o.has_command, &o.command));
	TRY(command_check(cx, o.command));
	TRY(read_name(cx, j, &o));
	TRY(read_runtime(cx, set, j, &o));
	TRY(read_env(cx, j, &o));
	TRY(read_config(cx, j, &o));
	TRY(read_text(cx, j, "callback", CALLBACK_URL_BYTES, &o.has_callback, &o.callback));
	TRY(callback_check(cx, o.callback));
	TRY(read_policy(cx, j, &o));
	*out = o;
	return OK;
}
