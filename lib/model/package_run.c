#include "model/package_run.h"

#include "model/command.h"

enum { WORDS_MOST = 3, ARGUMENTS_MOST = 12 };

/* IronWorker 9.4. PHP's client calls Node's files javascript. */
static const struct {
	const char *runtime, *words[WORDS_MOST];
} INTERPRETERS[] = {
	{ "sh", { "sh" } },
	{ "ruby", { "ruby" } },
	{ "python", { "python", "-u" } },
	{ "php", { "php" } },
	{ "node", { "node" } },
	{ "javascript", { "node" } },
	{ "perl", { "perl" } },
	{ "java", { "java", "-jar" } },
	{ "mono", { "mono" } },
	{ "go", { "go", "run" } },
	{ "binary", { NULL } },
	{ "", { NULL } },
};

struct words {
	struct str *v;
	size_t n;
};

static void add(struct words *w, const char *word)
{
	w->v[w->n++] = str_of(word);
}

static void add_arguments(struct words *w, const struct package_run *run)
{
	add(w, "-d");
	add(w, run->dir);
	add(w, "-payload");
	add(w, run->payload_file);
	add(w, "-id");
	add(w, run->task_id);
	add(w, "-e");
	add(w, "production");
	if (run->config_file) {
		add(w, "-config");
		add(w, run->config_file);
	}
	if (run->schedule_id) {
		add(w, "-schedule_id");
		add(w, run->schedule_id);
	}
}

/* A program and its words, quoted perhaps: what may be given more words behind. */
static bool is_simple(struct str command)
{
	for (size_t i = 0; i < command.n; i++)
		if (strchr("|&;<>()`{}#\n\r", command.p[i]))
			return false;
	return command.n && command.p[command.n - 1] != '\\' && command.p[0] != '!';
}

static void add_command(struct arena *a, struct words *w, struct str command)
{
	add(w, "sh");
	add(w, "-c");
	if (is_simple(command))
		add(w, arena_printf(a, STR_FMT " \"$@\"", STR_ARG(command)));
	else
		w->v[w->n++] = command;
	add(w, "sh");
}

/* A file's name is no option, and the file itself is not looked for in PATH. */
static void add_file(struct arena *a, struct words *w, struct str name, bool is_program)
{
	bool needs_path = is_program ? name.p[0] != '/' : name.p[0] == '-';

	w->v[w->n++] = needs_path ? str_of(arena_printf(a, "./" STR_FMT, STR_ARG(name))) : name;
}

static enum err add_interpreter(struct ctx *cx, struct words *w, const struct package_run *run)
{
	for (size_t i = 0; i < sizeof INTERPRETERS / sizeof INTERPRETERS[0]; i++) {
		const char *const *words = INTERPRETERS[i].words;

		if (!str_is(run->runtime, INTERPRETERS[i].runtime))
			continue;
		for (size_t n = 0; n < WORDS_MOST && words[n]; n++)
			add(w, words[n]);
		add_file(&cx->arena, w, run->file_name, !words[0]);
		return OK;
	}
	return err_set(cx, ERR_INPUT, "nobody knows how the runtime \"" STR_FMT "\" runs a file; give the code a command",
	               STR_ARG(run->runtime));
}

static void add_entrypoint(struct words *w, const struct package_run *run)
{
	for (size_t i = 0; i < run->entrypoint_n; i++)
		w->v[w->n++] = run->entrypoint[i];
}

enum err package_run_argv(struct ctx *cx, const struct package_run *run, struct str **argv, size_t *argc)
{
	struct str command = str_trim(run->command);
	struct words w = { 0 };

	w.v = arena_array(&cx->arena, run->entrypoint_n + run->cmd_n + WORDS_MOST + 2 + ARGUMENTS_MOST, sizeof *w.v);
	if (command.n) {
		if (run->image_is_own)
			add_entrypoint(&w, run);
		add_command(&cx->arena, &w, command);
	} else if (run->file_name.n) {
		TRY(add_interpreter(cx, &w, run));
	} else {
		add_entrypoint(&w, run);
		for (size_t i = 0; i < run->cmd_n; i++)
			w.v[w.n++] = run->cmd[i];
	}
	if (!w.n)
		return err_set(cx, ERR_INPUT, "the code names no file of its package to run and no command, nor does its image");
	add_arguments(&w, run);
	*argv = w.v;
	*argc = w.n;
	return OK;
}
