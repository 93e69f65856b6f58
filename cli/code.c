/* Codes: what a job runs. */
#include "cli/commands.h"

#include "base/json.h"
#include "cli/client.h"
#include "cli/output.h"
#include "model/code.h"

#include <stdio.h>

static enum err read_config(struct cli *c, const char *path, json_t *code)
{
	char *text = arena_take(&c->cx.arena, CODE_CONFIG_BYTES + 1);
	FILE *f = fopen(path, "re");
	size_t n;

	if (!f)
		return err_errno(&c->cx, "read config file %s", path);
	n = fread(text, 1, CODE_CONFIG_BYTES + 1, f);
	fclose(f);
	if (n > CODE_CONFIG_BYTES)
		return err_set(&c->cx, ERR_TOO_LARGE, "config file %s is larger than %d bytes", path, CODE_CONFIG_BYTES);
	json_object_set_new(code, "config", json_text(str_bytes(text, n)));
	return OK;
}

static enum err set_env(struct cli *c, const struct cli_list *env, json_t *code)
{
	json_t *vars;

	if (!env->n)
		return OK;
	vars = json_object();
	json_object_set_new(code, "env_vars", vars);
	for (size_t i = 0; i < env->n; i++) {
		struct str value = str_of(env->text[i]), key = { "", 0 };

		str_cut(&value, '=', &key);
		if (!key.n || key.n == strlen(env->text[i]))
			return cli_usage(c, "--env wants NAME=VALUE, not '%s'", env->text[i]);
		json_object_set_new(vars, str_c(&c->cx.arena, key), json_text(value));
	}
	return OK;
}

struct register_options {
	const char *image, *zip, *runtime, *file, *command, *config, *callback, *on_node_loss, *scratch, *engine, *output;
	struct cli_list env;
	int64_t retries, retries_delay_s, timeout_s, memory_mb, max_concurrency, priority, grace_s, follow_tag_s;
};
enum { UNSET = -1, SECONDS_MOST = 31536000 };

static void set_int(json_t *code, const char *key, int64_t value)
{
	if (value != UNSET)
		json_object_set_new(code, key, json_integer(value));
}

static void set_text(json_t *code, const char *key, const char *value)
{
	if (value)
		json_object_set_new(code, key, json_text(str_of(value)));
}

static enum err register_code(struct cli *c, const struct register_options *o)
{
	auto_json *code = json_object(), *answer = NULL;
	struct client to;

	set_text(code, "name", c->args[0]);
	set_text(code, "image", o->image);
	set_text(code, "runtime", o->runtime);
	set_text(code, "file_name", o->file);
	set_text(code, "command", o->command);
	set_text(code, "callback", o->callback);
	set_text(code, "on_node_loss", o->on_node_loss);
	set_text(code, "scratch", o->scratch);
	set_text(code, "engine", o->engine);
	set_text(code, "output", o->output);
	set_int(code, "follow_tag", o->follow_tag_s);
	set_int(code, "retries", o->retries);
	set_int(code, "retries_delay", o->retries_delay_s);
	set_int(code, "timeout", o->timeout_s);
	set_int(code, "memory_mb", o->memory_mb);
	set_int(code, "max_concurrency", o->max_concurrency);
	set_int(code, "default_priority", o->priority);
	set_int(code, "grace", o->grace_s);
	TRY(set_env(c, &o->env, code));
	if (o->config)
		TRY(read_config(c, o->config, code));
	TRY(client_open(c, &to));
	if (o->zip)
		TRY(client_upload(c, &to, "/codes", code, o->zip, &answer));
	else
		TRY(client_call(c, &to, "POST", "/codes", code, &answer));
	if (c->json)
		output_json(&c->cx, answer);
	else
		cli_say(c, "code %s is registered, revision %lld", c->args[0],
		        (long long)json_integer_value(json_object_get(answer, "rev")));
	return OK;
}

enum err code_register_command(struct cli *c)
{
	struct register_options o = { .retries = UNSET, .retries_delay_s = UNSET, .timeout_s = UNSET, .memory_mb = UNSET,
		                      .max_concurrency = UNSET, .priority = UNSET, .grace_s = UNSET, .follow_tag_s = UNSET };
	const struct cli_option options[] = {
		{ "image", 0, OPTION_TEXT, &o.image, "IMAGE", "a name in the nodes' own store", 0, 0 },
		{ "zip", 0, OPTION_TEXT, &o.zip, "FILE", "a package that is unpacked for each task", 0, 0 },
		{ "runtime", 0, OPTION_TEXT, &o.runtime, "NAME", "what runs --file: sh, python, ...; the server names its image", 0, 0 },
		{ "file", 0, OPTION_TEXT, &o.file, "NAME", "the file of the package that is run", 0, 0 },
		{ "command", 0, OPTION_TEXT, &o.command, "TEXT", "what runs instead; default: the image's own", 0, 0 },
		{ "env", 'e', OPTION_LIST, &o.env, "NAME=VALUE", "environment; may be given several times", 0, 0 },
		{ "config", 0, OPTION_TEXT, &o.config, "FILE", "what the job finds in $CONFIG_FILE", 0, 0 },
		{ "retries", 0, OPTION_INT, &o.retries, "N", "new tasks after a failed one", 0, CODE_RETRIES_MOST },
		{ "retries-delay", 0, OPTION_INT, &o.retries_delay_s, "S", "seconds between them", 0, SECONDS_MOST },
		{ "timeout", 0, OPTION_INT, &o.timeout_s, "S", "seconds that a task may run", 1, SECONDS_MOST },
		{ "memory", 0, OPTION_INT, &o.memory_mb, "MB", "MiB of memory", 4, 1048576 },
		{ "max-concurrency", 0, OPTION_INT, &o.max_concurrency, "N", "at most so many at once; 0 = no limit", 0, 1000000 },
		{ "priority", 0, OPTION_INT, &o.priority, "N", "of its tasks unless they say otherwise", 0, 2 },
		{ "scratch", 0, OPTION_TEXT, &o.scratch, "memory|disk", "where its jobs write: memory of theirs, or a disk", 0, 0 },
		{ "grace", 0, OPTION_INT, &o.grace_s, "S", "seconds between TERM and KILL", 0, 3600 },
		{ "on-node-loss", 0, OPTION_TEXT, &o.on_node_loss, "WORD", "again (the default), or fail: then a lost node ends it", 0, 0 },
		{ "engine", 0, OPTION_TEXT, &o.engine, "NAME", "oci, docker, podman or swarm; default: the first of its node", 0, 0 },
		{ "output", 0, OPTION_TEXT, &o.output, "apart|merged", "merged: one pipe for both streams, so that their order is exact", 0, 0 },
		{ "follow-tag", 0, OPTION_INT, &o.follow_tag_s, "S", "look up what the image's tag means again, at most every S seconds", 0, 86400 },
		{ "callback", 0, OPTION_TEXT, &o.callback, "URL", "told when a task is over", 0, 0 },
	};

	TRY(cli_options(c, options, sizeof options / sizeof *options));
	return register_code(c, &o);
}

static struct str text_of(const json_t *j, const char *name)
{
	const json_t *v = json_object_get(j, name);

	return json_is_string(v) ? str_bytes(json_string_value(v), json_string_length(v)) : STR_LIT("");
}

static void print_codes(struct cli *c, const json_t *answer)
{
	static const char *const HEADS[] = { "NAME", "REV", "IMAGE", "COMMAND", "CHANGED", "ID" };
	struct table t = { .heads = HEADS, .columns = 6 };
	const json_t *code;
	size_t i;

	json_array_foreach(json_object_get(answer, "codes"), i, code) {
		long long rev = json_integer_value(json_object_get(code, "rev"));
		const struct str cells[] = { text_of(code, "name"), str_of(arena_printf(&c->cx.arena, "%lld", rev)),
			                     text_of(code, "image"), text_of(code, "command"),
			                     text_of(code, "updated_at"), text_of(code, "id") };

		table_add(&c->cx, &t, cells);
	}
	table_print(c, &c->cx, &t);
}

enum err code_list_command(struct cli *c)
{
	return client_list(c, "/codes", print_codes);
}
