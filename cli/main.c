/* stoker: the command line. For users a client of the HTTP API; `admin` speaks to the database. */
#include "cli/cli.h"

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "base/version.h"
#include "cli/output.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

static void complain(struct cli *c)
{
	struct str clean = text_visible(&c->cx.arena, str_of(c->cx.message));

	if (c->json) {
		auto_json *j = json_pack("{s:o}", "msg", json_text(str_of(c->cx.message)));
		struct str text = json_write(&c->cx.arena, j);

		fprintf(stderr, STR_FMT "\n", STR_ARG(text));
		return;
	}
	fprintf(stderr, "stoker: " STR_FMT "\n", STR_ARG(clean));
	if (c->usage && c->command)
		fprintf(stderr, "stoker %s --help shows how\n", c->command->words);
}

static bool is_word(const char *arg, const char *a, const char *b)
{
	return strcmp(arg, a) == 0 || strcmp(arg, b) == 0;
}

/* "stoker admin -c FILE project list": options may stand behind `admin` too. */
static enum err read_admin_front(struct cli *c, int argc, char **argv)
{
	int i = 1;

	while (i < argc && argv[i][0] == '-' && !is_word(argv[i], "-h", "--help")) {
		if (strcmp(argv[i], "--json") == 0)
			c->json = true;
		else if (is_word(argv[i], "-q", "--quiet"))
			c->quiet = true;
		else if (is_word(argv[i], "-c", "--settings") && i + 1 < argc)
			c->settings = argv[++i];
		else
			return cli_usage(c, "unknown option %s behind admin, or its value is missing", argv[i]);
		i++;
	}
	argv[i - 1] = argv[0];
	c->args = argv + i - 1;
	c->arg_count = argc - i + 1;
	return OK;
}

static enum err help(struct cli *c, const char *prefix)
{
	command_help(prefix);
	c->helped = true;
	return ERR_INPUT;
}

static enum err find_command(struct cli *c, int argc, char **argv)
{
	int used = 0;

	c->args = argv;
	c->arg_count = argc;
	if (argc == 0)
		return cli_usage(c, "no command given: stoker --help lists them");
	if (is_word(argv[0], "--help", "-h") || strcmp(argv[0], "help") == 0)
		return help(c, "");
	if (strcmp(argv[0], "admin") == 0)
		TRY(read_admin_front(c, argc, argv));
	c->command = command_find(c->args, c->arg_count, &used);
	if (c->command) {
		c->args += used;
		c->arg_count -= used;
		return OK;
	}
	if (c->arg_count > 1 && is_word(c->args[c->arg_count - 1], "--help", "-h"))
		return help(c, c->args[0]);
	if (command_is_front(c->args, c->arg_count))
		return cli_usage(c, "'%s' wants a further word: stoker %s --help lists them", c->args[0], c->args[0]);
	return cli_usage(c, "no command '%s%s%s': stoker --help lists them", c->args[0], c->arg_count > 1 ? " " : "",
	                 c->arg_count > 1 ? c->args[1] : "");
}

static int status_of_error(const struct cli *c)
{
	if (c->helped)
		return 0;
	if (c->usage)
		return EXIT_USAGE;
	if (c->exit)
		return c->exit;
	return c->follows ? EXIT_UNDECIDED : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	struct cli c = { 0 };
	enum err e;
	int status;

	setlocale(LC_CTYPE, "");
	log_name("stoker");
	if (argc == 2 && is_word(argv[1], "--version", "version")) {
		puts("stoker " STOKER_VERSION);
		return 0;
	}
	e = find_command(&c, argc - 1, argv + 1);
	if (e == OK)
		e = c.command->run(&c);
	if (e == OK)
		e = output_end(&c.cx);
	status = e == OK ? c.exit : status_of_error(&c);
	if (e != OK && !c.helped)
		complain(&c);
	ctx_release(&c.cx);
	return status;
}
