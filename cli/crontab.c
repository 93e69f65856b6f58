/* stoker schedule import: a crontab becomes schedules, and each line is told of. */
#include "cli/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "cli/output.h"
#include "cli/schedule.h"
#include "model/crontab.h"

struct importing {
	const char *image, *code, *prefix, *zone;
	bool is_system, is_dry;
	struct client to;
	json_t *env;       /* what the crontab has set so far */
	struct str cron_zone, shell;
	int line, made, refused, left_out;
};

static void tell(struct cli *c, struct importing *m, const char *verdict, struct str expression, const char *what)
{
	m->made += strcmp(verdict, "refused") != 0;
	m->refused += strcmp(verdict, "refused") == 0;
	output_text(&c->cx, str_of(arena_printf(&c->cx.arena, "line %d: %s: " STR_FMT ": %s\n", m->line, verdict, STR_ARG(expression),
	                                        what)));
}

static void tell_variable(struct cli *c, struct importing *m, const char *verdict, struct str name, const char *what)
{
	output_text(&c->cx, str_of(arena_printf(&c->cx.arena, "line %d: %s: " STR_FMT ": %s\n", m->line, verdict, STR_ARG(name), what)));
	m->left_out += strcmp(verdict, "left out") == 0;
}

/* Variables of cron's own; the others are the jobs' environment. What is left out is told: nothing is lost in silence. */
static void set_variable(struct cli *c, struct importing *m, const struct crontab_line *line)
{
	static const struct {
		const char *name, *why;
	} LEFT_OUT[] = {
		{ "MAILTO", "nothing is mailed: output is in the task's log, and a callback or log destination may take it further" },
		{ "MAILFROM", "nothing is mailed" },
		{ "CONTENT_TYPE", "nothing is mailed" },
		{ "CONTENT_TRANSFER_ENCODING", "nothing is mailed" },
		{ "RANDOM_DELAY", "give the schedules a jitter instead" },
		{ "START_HOURS_RANGE", "it is anacron's" },
	};

	if (str_is(line->name, "CRON_TZ")) {
		m->cron_zone = line->value;
		tell_variable(c, m, "kept", line->name, "the time zone of the lines below");
		return;
	}
	for (size_t i = 0; i < sizeof LEFT_OUT / sizeof *LEFT_OUT; i++)
		if (str_is(line->name, LEFT_OUT[i].name)) {
			tell_variable(c, m, "left out", line->name, LEFT_OUT[i].why);
			return;
		}
	if (!m->image) {
		tell_variable(c, m, "left out", line->name, "with --code only the commands are handed over: set it at the code");
		return;
	}
	if (str_is(line->name, "SHELL"))
		m->shell = line->value;
	json_object_set_new(m->env, str_c(&c->cx.arena, line->name), json_text(line->value));
	tell_variable(c, m, "kept", line->name,
	              str_is(line->name, "SHELL") ? "it runs the commands below; the image must have it"
	              : str_is(line->name, "TZ")  ? "in the environment of the jobs below; the schedules' zone is CRON_TZ or --zone"
	                                          : "in the environment of the jobs below");
}

/* The code's name: the prefix, the program's own name and the line. */
static const char *name_of(struct cli *c, const struct importing *m, struct str command)
{
	return arena_printf(&c->cx.arena, "%s" STR_FMT "-%d", m->prefix, STR_ARG(crontab_program(command)), m->line);
}

static enum err register_code(struct cli *c, struct importing *m, const char *name, struct str command)
{
	auto_json *code = json_pack("{s:s, s:s, s:s, s:O}", "name", name, "image", m->image, "command",
	                            crontab_shell(&c->cx.arena, m->shell, command), "env_vars", m->env);

	return client_call(c, &m->to, "POST", "/codes", code, NULL);
}

/* In words, what there is to know of all of its times, and the first of them. */
static const char *times_of(struct cli *c, const json_t *preview, bool has_id)
{
	bool is_settled = has_id || !json_is_true(json_object_get(preview, "spread_by_id"));
	const json_t *first = json_array_get(json_object_get(preview, "times"), 0);
	struct str words = schedule_text(preview, "words"), note = schedule_text(preview, "note");
	const char *said = arena_printf(&c->cx.arena, STR_FMT "%s" STR_FMT, STR_ARG(words), note.n ? "; " : "", STR_ARG(note));

	if (!is_settled)
		return said;
	return arena_printf(&c->cx.arena, "%s; first at " STR_FMT, said, STR_ARG(schedule_text(first, "local_time")));
}

/* Asked for before anything is made, so that a line which is refused leaves no code behind; and once more of what was
 * made, since only that has the times which come. */
static enum err make(struct cli *c, struct importing *m, json_t *schedule, struct str command, const char **said)
{
	auto_json *preview = NULL, *made = NULL;
	struct id_text id;

	TRY(schedule_preview(c, &m->to, schedule, 1, &preview));
	*said = times_of(c, preview, false);
	if (m->is_dry)
		return OK;
	if (m->image)
		TRY(register_code(c, m, json_string_value(json_object_get(schedule, "code_name")), command));
	TRY(schedule_make(c, &m->to, schedule, &id));
	TRY(client_call(c, &m->to, "GET", arena_printf(&c->cx.arena, "/schedules/%s/preview?n=1", id.s), NULL, &made));
	*said = arena_printf(&c->cx.arena, "%s; schedule %s", times_of(c, made, true), id.s);
	return OK;
}

/* The user of /etc/crontab: no job's user, but it is not lost. */
static const char *with_user(struct cli *c, const struct crontab_line *line, const char *said)
{
	if (!line->user.n)
		return said;
	return arena_printf(&c->cx.arena, "%s; user " STR_FMT ": kept as the label, the job runs as its image's user", said,
	                    STR_ARG(line->user));
}

static enum err import_job(struct cli *c, struct importing *m, const struct crontab_line *line)
{
	struct str zone = m->cron_zone.n ? m->cron_zone : str_of(m->zone);
	auto_json *schedule = json_pack("{s:o, s:o, s:o}", "code_name",
	                                json_text(str_of(m->code ? m->code : name_of(c, m, line->command))), "cron",
	                                json_text(line->expression), "time_zone", json_text(zone));
	const char *said = "";
	enum err e;

	if (m->image && crontab_runs_parts(line->command)) {
		tell(c, m, "refused", line->expression, "run-parts runs the scripts of a folder of this host, which an image has not:"
		     " make a line of each of them");
		return OK;
	}
	if (m->code)
		json_object_set_new(schedule, "payload", json_text(line->command));
	if (line->user.n)
		json_object_set_new(schedule, "label", json_text(line->user));
	e = make(c, m, schedule, line->command, &said);
	if (e != OK && e != ERR_INPUT)
		return e;
	tell(c, m, e != OK ? "refused" : m->is_dry ? "would do" : "done", line->expression,
	     e == OK ? with_user(c, line, said) : c->cx.message);
	return OK;
}

static enum err import_line(struct cli *c, struct importing *m, struct str text)
{
	struct crontab_line line = crontab_read(&c->cx.arena, text, m->is_system);

	if (line.kind == CRONTAB_SETS)
		set_variable(c, m, &line);
	else if (line.kind == CRONTAB_REFUSED)
		tell(c, m, "refused", line.expression, line.why);
	else if (line.kind == CRONTAB_JOB)
		return import_job(c, m, &line);
	return OK;
}

static enum err import_all(struct cli *c, struct importing *m, FILE *f)
{
	char *text = NULL;
	size_t room = 0;
	ssize_t n;
	enum err e = OK;

	while (e == OK && (n = getline(&text, &room, f)) >= 0) {
		m->line++;
		e = import_line(c, m, str_bytes(arena_copy(&c->cx.arena, text, (size_t)n), (size_t)n));
	}
	free(text);
	return e;
}

enum err schedule_import_command(struct cli *c)
{
	struct importing m = { .prefix = "cron/", .zone = "", .shell = STR_LIT("") };
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
	cli_say(c, "%d schedules, %d lines refused, %d variables left out", m.made, m.refused, m.left_out);
	c->exit = m.refused ? EXIT_FAILED : 0;
	return OK;
}
