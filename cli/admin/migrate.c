#include "cli/commands.h"

#include "base/json.h"
#include "cli/admin/connection.h"
#include "cli/output.h"
#include "store/schema_store.h"

#include <stdio.h>
#include <unistd.h>

/* Beside the program as it is installed, as it is built, as an instance has it; at last here. */
static enum err find_folder(struct cli *c, const char **out)
{
	static const char *const PLACES[] = { "../share/stoker/sql", "../../sql", "../sql" };
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	char *slash;

	exe[n > 0 ? n : 0] = 0;
	slash = strrchr(exe, '/');
	if (slash)
		*slash = 0;
	for (size_t i = 0; slash && i < sizeof PLACES / sizeof *PLACES; i++) {
		*out = arena_printf(&c->cx.arena, "%s/%s", exe, PLACES[i]);
		if (access(arena_printf(&c->cx.arena, "%s/0001_tables.sql", *out), R_OK) == 0)
			return OK;
	}
	*out = "sql";
	if (access("sql/0001_tables.sql", R_OK) == 0)
		return OK;
	return err_set(&c->cx, ERR_INPUT, "find the folder of migrations: it is not beside the program; give --sql DIR");
}

enum err admin_migrate_command(struct cli *c)
{
	const char *folder = NULL;
	const struct cli_option options[] = {
		{ "sql", 0, OPTION_TEXT, &folder, "DIR", "folder of migrations, default beside the program", 0, 0 },
	};
	auto_admin a = { 0 };
	int applied = 0;

	TRY(cli_options(c, options, 1));
	if (!folder)
		TRY(find_folder(c, &folder));
	TRY(admin_open_any(c, &a));
	TRY(schema_store_migrate(a.db, a.logs, &c->cx, folder, &applied));
	if (c->json) {
		auto_json *j = json_pack("{s:i,s:i}", "applied", applied, "version", (int)SCHEMA_VERSION);

		output_json(&c->cx, j);
		return OK;
	}
	cli_say(c, "the schema is version %d, %d files were applied", SCHEMA_VERSION, applied);
	return OK;
}
