/* Log destinations: made, shown, tried. */
#include "base/buf.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>

enum { FILE_MOST = 262144 };

static struct str text_of(const json_t *j, const char *name)
{
	const json_t *v = json_object_get(j, name);

	return json_is_string(v) ? str_bytes(json_string_value(v), json_string_length(v)) : STR_LIT("");
}

/* --- adding ---------------------------------------------------------------------------------------------------- */

/* What a file holds; of a secret its first line. */
static enum err set_file(struct cli *c, json_t *j, const char *key, const char *path, bool one_line)
{
	auto_buf b = { .ceiling = FILE_MOST };
	struct str text, line;
	FILE *f;

	if (!path)
		return OK;
	f = fopen(path, "re");
	if (!f)
		return err_set(&c->cx, ERR_INPUT, "open %s: %s", path, strerror(errno));
	for (char piece[4096]; !feof(f) && !ferror(f) && !b.full;)
		buf_add(&b, piece, fread(piece, 1, sizeof piece, f));
	if (ferror(f) || b.full) {
		fclose(f);
		return err_set(&c->cx, ERR_INPUT, "read %s: it cannot be read, or is over %d bytes", path, FILE_MOST);
	}
	fclose(f);
	text = line = buf_view(&b);
	if (one_line)
		str_cut(&text, '\n', &line);
	json_object_set_new(j, key, json_text(line));
	return OK;
}

static void set_text(json_t *j, const char *key, const char *value)
{
	if (value)
		json_object_set_new(j, key, json_text(str_of(value)));
}

enum err destination_add_command(struct cli *c)
{
	const char *template = NULL, *name = NULL, *secret = NULL, *ca = NULL, *tenant = NULL;
	const struct cli_option options[] = {
		{ "template", 't', OPTION_TEXT, &template, "WORD", "ndjson, loki, elasticsearch, splunk or syslog; default: by the address", 0, 0 },
		{ "name", 0, OPTION_TEXT, &name, "TEXT", "for people", 0, 0 },
		{ "secret-file", 0, OPTION_TEXT, &secret, "FILE", "its first line goes into Authorization", 0, 0 },
		{ "ca", 0, OPTION_TEXT, &ca, "FILE", "certificates (PEM) that the receiver's must come from", 0, 0 },
		{ "tenant", 0, OPTION_TEXT, &tenant, "TEXT", "X-Scope-OrgID, for Loki", 0, 0 },
	};
	auto_json *body = json_object(), *answer = NULL;
	struct client to;

	TRY(cli_options(c, options, sizeof options / sizeof *options));
	set_text(body, "address", c->args[0]);
	set_text(body, "template", template);
	set_text(body, "name", name);
	set_text(body, "tenant", tenant);
	TRY(set_file(c, body, "secret", secret, true));
	TRY(set_file(c, body, "ca", ca, false));
	TRY(client_open(c, &to));
	TRY(client_call(c, &to, "POST", "/log_destinations", body, &answer));
	if (c->json)
		output_json(&c->cx, answer);
	else
		output_text(&c->cx, str_of(arena_printf(&c->cx.arena, STR_FMT "\n", STR_ARG(text_of(answer, "id")))));
	return OK;
}

/* --- what there is ---------------------------------------------------------------------------------------------- */

static struct str number_of(struct cli *c, const json_t *j, const char *name)
{
	return str_of(arena_printf(&c->cx.arena, "%lld", (long long)json_integer_value(json_object_get(j, name))));
}

static void print_destinations(struct cli *c, const json_t *answer)
{
	static const char *const HEADS[] = { "ID", "ADDRESS", "TEMPLATE", "STATE", "SENT", "WAITING", "LAG", "NAME", "ERROR" };
	struct table t = { .heads = HEADS, .columns = sizeof HEADS / sizeof *HEADS };
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(answer, "log_destinations"), i, d) {
		const struct str cells[] = { text_of(d, "id"), text_of(d, "address"), text_of(d, "template"), text_of(d, "state"),
			                     number_of(c, d, "sent_lines"), number_of(c, d, "waiting_logs"), number_of(c, d, "lag"),
			                     text_of(d, "name"), text_of(d, "error") };

		table_add(&c->cx, &t, cells);
	}
	table_print(c, &c->cx, &t);
}

enum err destination_list_command(struct cli *c)
{
	return client_list(c, "/log_destinations", print_destinations);
}

/* --- doing something to one --------------------------------------------------------------------------------------- */

static enum err ask(struct cli *c, const char *method, const char *what)
{
	auto_json *answer = NULL;
	struct client to;
	struct id_text id;

	TRY(cli_options(c, NULL, 0));
	TRY(client_id(c, c->args[0], &id));
	TRY(client_open(c, &to));
	TRY(client_call(c, &to, method, arena_printf(&c->cx.arena, "/log_destinations/%s%s", id.s, what), NULL, &answer));
	cli_say(c, "log destination %s: " STR_FMT, id.s, STR_ARG(text_of(answer, "msg")));
	return OK;
}

enum err destination_pause_command(struct cli *c)
{
	return ask(c, "POST", "/pause");
}

enum err destination_resume_command(struct cli *c)
{
	return ask(c, "POST", "/resume");
}

enum err destination_ping_command(struct cli *c)
{
	return ask(c, "POST", "/ping");
}

enum err destination_delete_command(struct cli *c)
{
	return ask(c, "DELETE", "");
}
