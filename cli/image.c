/* This node's own store of images. */
#include "cli/commands.h"

#include "base/json.h"
#include "cli/output.h"
#include "cli/settings_file.h"
#include "base/tree.h"
#include "worker/image/image_import.h"
#include "worker/image/skopeo.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONFIG_BYTES = 1 << 20, FETCH_SECONDS = 3600 };

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

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

/* Layers, fetched by skopeo into a folder that goes again. */
static enum err import_layers(struct cli *c, const struct settings *set, const struct skopeo_ask *ask, char *digest)
{
	__attribute__((cleanup(close_fd))) int layers = -1;
	struct image_limits limits = IMAGE_LIMITS_DEFAULT;

	TRY(skopeo_copy(&c->cx, ask));
	layers = open(ask->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (layers < 0 || fchmod(layers, 0755))
		return err_errno(&c->cx, "open what skopeo fetched");
	return image_import_layers(&c->cx, set->node.dir, str_of(c->args[0]), layers, &limits, digest);
}

static enum err fetch_and_import(struct cli *c, const struct settings *set, const char *cert_dir, bool is_plain, char *digest)
{
	struct arena *a = &c->cx.arena;
	char *folder = arena_printf(a, "%s/tmp-import-XXXXXX", set->node.dir);
	struct skopeo_ask ask = { .source = c->args[1], .login = getenv("REGISTRY_AUTH_FILE"), .cert_dir = cert_dir,
		                  .is_plain = is_plain, .bytes_most = (int64_t)IMAGE_LIMITS_DEFAULT.bytes,
		                  .seconds_most = FETCH_SECONDS };
	enum err e;

	if (!mkdtemp(folder))
		return err_errno(&c->cx, "make a folder in %s (this needs root, on a node)", set->node.dir);
	ask.folder = arena_printf(a, "%s/layers", folder);
	e = import_layers(c, set, &ask, digest);
	tree_remove(AT_FDCWD, folder);
	return e;
}

enum err image_import_command(struct cli *c)
{
	const char *config_path = NULL, *cert_dir = "";
	bool is_plain = false;
	const struct cli_option options[] = {
		{ "image-config", 0, OPTION_TEXT, &config_path, "FILE", "of a root file system: the image's OCI config (JSON: Cmd, Env, User)", 0, 0 },
		{ "cert-dir", 0, OPTION_TEXT, &cert_dir, "FOLDER", "of docker://: the registry's own CA", 0, 0 },
		{ "plain-http", 0, OPTION_FLAG, &is_plain, NULL, "of docker://: without TLS", 0, 0 },
	};
	struct settings set;
	struct str config = { "", 0 };
	char digest[72] = "";

	TRY(cli_options(c, options, sizeof options / sizeof *options));
	TRY(settings_of(c, &set));
	if (config_path)
		TRY(read_config(c, config_path, &config));
	if (skopeo_knows(c->args[1]))
		TRY(fetch_and_import(c, &set, cert_dir, is_plain, digest));
	else
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
