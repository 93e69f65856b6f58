/* stoker schedule import: a crontab becomes schedules, and each line is told of. */
#include "cli/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "cli/output.h"
#include "cli/schedule.h"

struct importing {
	const char *image, *code, *prefix, *zone;
	bool is_system, is_dry;
	struct client to;
	json_t *env;       /* what the crontab has set so far */
	struct str cron_zone;
	int line, made, refused;
};

static struct str take_word(struct str *s)
{
	struct str word;
	size_t n = 0;

	*s = str_trim(*s);
	while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t')
		n++;
	word = str_bytes(s->p, n);
	*s = str_trim(str_bytes(s->p + n, s->n - n));
	return word;
}

/* "@daily", or five fields. */
static struct str take_expression(struct cli *c, struct str *line)
{
	struct str first = take_word(line);
	char *all = str_c(&c->cx.arena, first);

	if (first.n && first.p[0] == '@')
		return first;
	for (int i = 1; i < 5; i++) {
		struct str field = take_word(line);

		all = arena_printf(&c->cx.arena, "%s " STR_FMT, all, STR_ARG(field));
	}
	return str_of(all);
}

static void tell(struct cli *c, struct importing *m, const char *verdict, struct str expression, const char *what)
{
	m->made += strcmp(verdict, "refused") != 0;
	m->refused += strcmp(verdict, "refused") == 0;
	output_text(&c->cx, str_of(arena_printf(&c->cx.arena, "line %d: %s: " STR_FMT ": %s\n", m->line, verdict, STR_ARG(expression),
	                                        what)));
}

/* NAME=value, NAME = "value": false if the line is none. */
static bool read_assignment(struct cli *c, struct importing *m, struct str line)
{
	struct str name, value = line;

	if (!str_cut(&value, '=', &name) || name.n == line.n)
		return false;
	name = str_trim(name);
	value = str_trim(value);
	for (size_t i = 0; i < name.n; i++)
		if (!((name.p[i] | 32) >= 'a' && (name.p[i] | 32) <= 'z') && name.p[i] != '_' && (i == 0 || name.p[i] < '0' || name.p[i] > '9'))
			return false;
	if (!name.n)
		return false;
	if (value.n >= 2 && (value.p[0] == '"' || value.p[0] == '\'') && value.p[value.n - 1] == value.p[0])
		value = str_bytes(value.p + 1, value.n - 2);
	if (str_is(name, "CRON_TZ") || str_is(name, "TZ"))
		m->cron_zone = str_of(str_c(&c->cx.arena, value));
	else if (!str_is(name, "MAILTO") && !str_is(name, "SHELL"))
		json_object_set_new(m->env, str_c(&c->cx.arena, name), json_text(value));
	return true;
}

/* What cron reads behind an unescaped % goes to the command's standard input, which a job has not. */
static bool has_input(struct str command)
{
	for (size_t i = 0; i < command.n; i++)
		if (command.p[i] == '%' && (i == 0 || command.p[i - 1] != '\\'))
			return true;
	return false;
}

static struct str without_escapes(struct cli *c, struct str command)
{
	char *out = arena_take(&c->cx.arena, command.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < command.n; i++)
		if (command.p[i] != '\\' || i + 1 == command.n || command.p[i + 1] != '%')
			out[n++] = command.p[i];
	return str_bytes(out, n);
}

/* The code's name: the prefix, the program's own name and the line. */
static const char *name_of(struct cli *c, const struct importing *m, struct str command)
{
	struct str word = take_word(&command);
	size_t slash = word.n;

	while (slash && word.p[slash - 1] != '/')
		slash--;
	return arena_printf(&c->cx.arena, "%s" STR_FMT "-%d", m->prefix, (int)(word.n - slash), word.p + slash, m->line);
}

static const char *quoted(struct cli *c, struct str text)
{
	char *out = arena_text(&c->cx.arena, "'");

	for (size_t i = 0; i < text.n; i++)
		out = arena_printf(&c->cx.arena, text.p[i] == '\'' ? "%s'\\''" : "%s%c", out, text.p[i]);
	return arena_printf(&c->cx.arena, "%s'", out);
}

static enum err register_code(struct cli *c, struct importing *m, const char *name, struct str command)
{
	auto_json *code = json_pack("{s:s, s:s, s:s, s:O}", "name", name, "image", m->image, "command",
	                            arena_printf(&c->cx.arena, "/bin/sh -c %s", quoted(c, command)), "env_vars", m->env);

	return client_call(c, &m->to, "POST", "/codes", code, NULL);
}

static enum err make(struct cli *c, struct importing *m, json_t *schedule, struct str command, const char **said)
{
	auto_json *preview = NULL;
	struct id_text id;
	const json_t *first;

	TRY(schedule_preview(c, &m->to, schedule, 1, &preview));
	first = json_array_get(json_object_get(preview, "times"), 0);
	*said = arena_printf(&c->cx.arena, STR_FMT "; first at " STR_FMT, STR_ARG(schedule_text(preview, "words")),
	                     STR_ARG(schedule_text(first, "local_time")));
	if (m->is_dry)
		return OK;
	if (m->image)
		TRY(register_code(c, m, json_string_value(json_object_get(schedule, "code_name")), command));
	TRY(schedule_make(c, &m->to, schedule, &id));
	*said = arena_printf(&c->cx.arena, "%s; schedule %s", *said, id.s);
	return OK;
}

static enum err import_job(struct cli *c, struct importing *m, struct str line)
{
	struct str expression = take_expression(c, &line), zone = m->cron_zone.n ? m->cron_zone : str_of(m->zone);
	auto_json *schedule = NULL;
	const char *said = "";
	enum err e;

	if (m->is_system)
		take_word(&line); /* the user: a job has its own */
	if (!line.n || has_input(line)) {
		tell(c, m, "refused", expression, line.n ? "what stands behind a % would be its input, which a job has not" : "there is no command");
		return OK;
	}
	line = without_escapes(c, line);
	schedule = json_pack("{s:s, s:o, s:o}", "code_name", m->code ? m->code : name_of(c, m, line), "cron", json_text(expression),
	                     "time_zone", json_text(zone));
	if (m->code)
		json_object_set_new(schedule, "payload", json_text(line));
	e = make(c, m, schedule, line, &said);
	if (e != OK && e != ERR_INPUT)
		return e;
	tell(c, m, e != OK ? "refused" : m->is_dry ? "would do" : "done", expression, e == OK ? said : c->cx.message);
	return OK;
}

static enum err import_all(struct cli *c, struct importing *m, FILE *f)
{
	char *text = NULL;
	size_t room = 0;
	ssize_t n;
	enum err e = OK;

	while (e == OK && (n = getline(&text, &room, f)) >= 0) {
		struct str line = str_trim(str_of(arena_copy(&c->cx.arena, text, (size_t)n)));

		m->line++;
		if (line.n && line.p[0] != '#' && !read_assignment(c, m, line))
			e = import_job(c, m, line);
	}
	free(text);
	return e;
}

enum err schedule_import_command(struct cli *c)
{
	struct importing m = { .prefix = "cron/", .zone = "" };
	const struct cli_option options[] = {
		{ "image", 0, OPTION_TEXT, &m.image, "IMAGE", "each line becomes a code of this image that runs its command", 0, 0 },
		{ "code", 0, OPTION_TEXT, &m.code, "NAME", "or: this code runs, the command is its payload", 0, 0 },
		{ "prefix", 0, OPTION_TEXT, &m.prefix, "TEXT", "in front of the codes' names; default: cron/", 0, 0 },
		{ "zone", 0, OPTION_TEXT, &m.zone, "NAME", "the time zone, unless CRON_TZ says one; default: UTC", 0, 0 },
		{ "system", 0, OPTION_FLAG, &m.is_system, NULL, "the sixth field is a user, as in /etc/crontab", 0, 0 },
		{ "dry-run", 0, OPTION_FLAG, &m.is_dry, NULL, "only say what would be done", 0, 0 },
	};
	auto_json *env = json_object();
	FILE *f;
	enum err e;

	TRY(cli_options(c, options, sizeof options / sizeof *options));
	if (!m.image == !m.code)
		return cli_usage(c, "--image or --code says what runs the commands");
	m.env = env;
	TRY(client_open(c, &m.to));
	f = strcmp(c->args[0], "-") == 0 ? stdin : fopen(c->args[0], "re");
	if (!f)
		return err_errno(&c->cx, "read crontab %s", c->args[0]);
	e = import_all(c, &m, f);
	if (f != stdin)
		fclose(f);
	TRY(e);
	cli_say(c, "%d schedules, %d lines refused", m.made, m.refused);
	c->exit = m.refused ? EXIT_FAILED : 0;
	return OK;
}
