#include "cli/commands.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/admin/connection.h"
#include "cli/output.h"
#include "store/project_store.h"
#include "store/token_store.h"

#include <stdio.h>
#include <strings.h>

struct token_options {
	const char *user, *name, *project, *role, *expires, *import;
};

/* A token never stands on a command line, where other users could read it. */
static enum err read_import(struct cli *c, const char *path, struct str *out)
{
	char line[1024] = "";
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");

	if (!f)
		return err_errno(&c->cx, "read token file %s", path);
	if (!fgets(line, sizeof line, f))
		line[0] = 0;
	if (f != stdin)
		fclose(f);
	*out = str_trim(str_of(arena_text(&c->cx.arena, line)));
	explicit_bzero(line, sizeof line);
	return out->n ? OK : err_set(&c->cx, ERR_INPUT, "token file %s is empty", path);
}

/* "30" days from now, or a time. */
static enum err read_expiry(struct cli *c, struct db *db, const char *text, int64_t *out)
{
	int64_t days, now;

	*out = TIME_NONE;
	if (!text)
		return OK;
	if (str_int(str_of(text), &days) && days > 0 && days < 100000) {
		TRY(db_now(db, &c->cx, &now));
		*out = now + days * 86400000000LL;
		return OK;
	}
	if (time_parse(str_of(text), out))
		return OK;
	return cli_usage(c, "--expires wants a number of days or a time such as 2031-04-05T06:07:08Z, not '%s'", text);
}

static enum err print_token(struct cli *c, const struct id *id, const char *text)
{
	if (c->json) {
		auto_json *j = json_pack("{s:s,s:s}", "id", id_format(id).s, "token", text);

		output_json(&c->cx, j);
		return OK;
	}
	puts(*text ? text : id_format(id).s);
	return OK;
}

static enum err create(struct cli *c, const struct token_options *o)
{
	auto_admin a = { 0 };
	struct str imported = { "", 0 };
	struct token_text text;
	struct project project;
	enum role role;
	int64_t expires_at;
	struct id id;
	enum err e;

	if (!role_parse(str_of(o->role), &role))
		return cli_usage(c, "--role wants viewer, developer, operator or admin, not '%s'", o->role);
	if (!o->project && role != ROLE_ADMIN)
		return cli_usage(c, "--project is missing (only a token with role admin goes without)");
	if (o->import)
		TRY(read_import(c, o->import, &imported));
	TRY(admin_open(c, &a));
	if (o->project)
		TRY(admin_project(c, a.db, o->project, &project));
	TRY(read_expiry(c, a.db, o->expires, &expires_at));
	TRY(token_store_add(a.db, &c->cx, str_of(o->user), str_of(o->name), o->project ? &project.id : NULL, role, expires_at,
	                    imported, &text, &id));
	e = print_token(c, &id, text.s);
	explicit_bzero(&text, sizeof text);
	return e;
}

enum err admin_token_create_command(struct cli *c)
{
	struct token_options o = { .role = "developer" };
	const struct cli_option options[] = {
		{ "user", 0, OPTION_TEXT, &o.user, "NAME", "whose; made if there is none; default as --name", 0, 0 },
		{ "name", 0, OPTION_TEXT, &o.name, "NAME", "what it is for; default as --user", 0, 0 },
		{ "project", 0, OPTION_TEXT, &o.project, "ID|NAME", "the one project it is for", 0, 0 },
		{ "role", 0, OPTION_TEXT, &o.role, "ROLE", "viewer, developer (default), operator, admin", 0, 0 },
		{ "expires", 0, OPTION_TEXT, &o.expires, "DAYS|TIME", "when it ends; default never", 0, 0 },
		{ "import", 0, OPTION_TEXT, &o.import, "FILE", "take this token (first line; - is stdin)", 0, 0 },
	};

	TRY(cli_options(c, options, sizeof options / sizeof *options));
	if (!o.user && !o.name)
		return cli_usage(c, "--user or --name is missing: whose token is it?");
	o.user = o.user ? o.user : o.name;
	o.name = o.name ? o.name : o.user;
	return create(c, &o);
}

static json_t *token_json(const struct token_row *t)
{
	json_t *j = json_pack("{s:s,s:o,s:o,s:o,s:s,s:o,s:o,s:o}", "id", id_format(&t->id).s, "name", json_text(t->name),
	                      "prefix", json_text(t->prefix), "user", json_text(t->user_name), "role", role_name(t->role),
	                      "created_at", json_time(t->created_at), "expires_at", json_time(t->expires_at), "used_at",
	                      json_time(t->used_at));

	if (!id_is_zero(&t->project_id))
		json_object_set_new(j, "project_id", json_string(id_format(&t->project_id).s));
	return j;
}

static struct str time_text(struct cli *c, int64_t us, const char *none)
{
	return str_of(us == TIME_NONE ? none : time_rfc3339(&c->cx.arena, us));
}

static void print_tokens(struct cli *c, const struct token_row *t, size_t n)
{
	static const char *const HEADS[] = { "ID", "PREFIX", "NAME", "USER", "ROLE", "PROJECT", "EXPIRES", "USED" };
	struct table table = { .heads = HEADS, .columns = 8 };
	struct arena *a = &c->cx.arena;

	for (size_t i = 0; i < n; i++) {
		const char *project = id_is_zero(&t[i].project_id) ? "all" : arena_text(a, id_format(&t[i].project_id).s);
		const struct str cells[] = { str_of(arena_text(a, id_format(&t[i].id).s)), t[i].prefix, t[i].name,
			                     t[i].user_name, str_of(role_name(t[i].role)), str_of(project),
			                     time_text(c, t[i].expires_at, "never"), time_text(c, t[i].used_at, "never") };

		table_add(&c->cx, &table, cells);
	}
	table_print(c, &c->cx, &table);
}

enum err admin_token_list_command(struct cli *c)
{
	const char *project_name = NULL;
	const struct cli_option options[] = {
		{ "project", 0, OPTION_TEXT, &project_name, "ID|NAME", "only those of this project", 0, 0 },
	};
	auto_admin a = { 0 };
	auto_json *list = NULL, *j = NULL;
	struct project project;
	struct token_row *t;
	size_t n;

	TRY(cli_options(c, options, 1));
	TRY(admin_open(c, &a));
	if (project_name)
		TRY(admin_project(c, a.db, project_name, &project));
	TRY(token_store_list(a.db, &c->cx, project_name ? &project.id : NULL, &t, &n));
	if (!c->json) {
		print_tokens(c, t, n);
		return OK;
	}
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, token_json(&t[i]));
	j = json_pack("{s:O}", "tokens", list);
	output_json(&c->cx, j);
	return OK;
}

enum err admin_token_revoke_command(struct cli *c)
{
	auto_admin a = { 0 };
	struct id id;

	TRY(cli_options(c, NULL, 0));
	for (int i = 0; i < c->arg_count; i++)
		if (!id_parse(str_of(c->args[i]), &id))
			return cli_usage(c, "'%s' is no token id (stoker admin token list shows them)", c->args[i]);
	TRY(admin_open(c, &a));
	for (int i = 0; i < c->arg_count; i++) {
		id_parse(str_of(c->args[i]), &id);
		if (token_store_revoke(a.db, &c->cx, &id) != OK)
			return err_wrap(&c->cx, "revoke %s", c->args[i]);
		cli_say(c, "token %s is revoked", c->args[i]);
	}
	return OK;
}
