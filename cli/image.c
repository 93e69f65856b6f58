/* This node's own store of images. */
#include "cli/commands.h"

#include "base/json.h"
#include "cli/output.h"
#include "cli/settings_file.h"
#include "worker/image/image_import.h"

#include <stdio.h>

enum { CONFIG_BYTES = 1 << 20 };

static enum err read_config(struct cli *c, const char *path, struct str *out)
{
	char *text = arena_take(&c->cx.arena, CONFIG_BYTES);
	FILE *f = fopen(path, "re");
	size_t n;

	if (!f)
		return err_errno(&c->cx, "read image config %s", path);
	n = fread(text, 1, CONFIG_BYTES, f);
	fclose(f);
	if (n == CONFIG_BYTES)
		return err_set(&c->cx, ERR_TOO_LARGE, "image config %s is larger than %d bytes", path, CONFIG_BYTES);
	*out = str_bytes(text, n);
	return OK;
}

enum err image_import_command(struct cli *c)
{
	const char *config_path = NULL;
	const struct cli_option options[] = {
		{ "image-config", 0, OPTION_TEXT, &config_path, "FILE", "the image's OCI config (JSON: Cmd, Env, User)", 0, 0 },
	};
	struct settings set;
	struct str config = { "", 0 };
	char digest[72] = "";

	TRY(cli_options(c, options, 1));
	TRY(settings_of(c, &set));
	if (config_path)
		TRY(read_config(c, config_path, &config));
	TRY(image_import(&c->cx, set.node.dir, str_of(c->args[0]), c->args[1], config, &IMAGE_LIMITS_DEFAULT, digest));
	if (c->json) {
		auto_json *j = json_pack("{s:o,s:s}", "name", json_text(str_of(c->args[0])), "digest", digest);

		output_json(&c->cx, j);
		return OK;
	}
	puts(digest);
	return OK;
}

static void print_names(struct cli *c, const struct image_name *names, size_t n)
{
	static const char *const HEADS[] = { "NAME", "DIGEST" };
	struct table t = { .heads = HEADS, .columns = 2 };

	for (size_t i = 0; i < n; i++) {
		const struct str cells[] = { names[i].name, str_of(names[i].digest_text) };

		table_add(&c->cx, &t, cells);
	}
	table_print(c, &c->cx, &t);
}

enum err image_list_command(struct cli *c)
{
	struct settings set;
	struct image_name *names;
	size_t n;

	TRY(cli_options(c, NULL, 0));
	TRY(settings_of(c, &set));
	TRY(image_list(&c->cx, set.node.dir, &names, &n));
	if (!c->json) {
		print_names(c, names, n);
		return OK;
	}
	auto_json *list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:o,s:s}", "name", json_text(names[i].name), "digest",
		                                      names[i].digest_text));
	auto_json *j = json_pack("{s:O}", "images", list);
	output_json(&c->cx, j);
	return OK;
}
