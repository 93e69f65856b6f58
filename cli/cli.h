#pragma once
#include "base/ctx.h"

/* What every command gets: its words and options, and how to speak. */

enum {
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_TIMED_OUT = 124, /* the job ran longer than it might */
	EXIT_UNDECIDED = 125, /* the job did not decide it: cancelled, could not start, refused, unknown, no server */
	EXIT_KILLED = 137,    /* out of memory, or killed by the system */
};

/* Groups of options that commands share. */
enum { CLI_HTTP = 1, CLI_SETTINGS = 2 };

struct cli;

struct command {
	const char *words;     /* "code register" */
	unsigned groups;       /* CLI_HTTP | CLI_SETTINGS */
	int least, most;       /* arguments that are no options; most -1 = any number */
	const char *arguments; /* as the usage line shows them */
	const char *what;      /* one sentence */
	enum err (*run)(struct cli *c);
};

struct cli {
	struct ctx cx;
	const struct command *command;
	char **args;           /* behind the command's words; cli_options leaves the arguments in front */
	int arg_count;
	bool json, quiet;
	bool usage;            /* the error is one of usage: exit status 2 */
	bool follows;          /* ends as a job did: an error is EXIT_UNDECIDED, 1 would be the job's own */
	bool helped;           /* help was asked for and has been printed */
	int exit;              /* status of a command that went well (a job's verdict); 0 otherwise */
	const char *settings;  /* -c FILE, NULL = the default */
	const char *host, *port, *scheme, *token, *project; /* flags of CLI_HTTP, NULL = not given */
};

enum cli_option_type { OPTION_FLAG, OPTION_TEXT, OPTION_INT, OPTION_LIST };

/* A growing list of texts (OPTION_LIST). Room for every argument is made by cli_options. */
struct cli_list {
	const char **text;
	size_t n;
};

/* One option of a command; `to` is a bool, a const char *, an int64_t or a struct cli_list. */
struct cli_option {
	const char *name;  /* without the dashes */
	char letter;       /* 0 = none */
	enum cli_option_type type;
	void *to;
	const char *value; /* name of its value in the help, NULL for flags */
	const char *what;
	int64_t least, most;
};

/* Reads the options of the command (its own, those of its groups, --json, --quiet, --help) and counts
 * the arguments. ERR_INPUT with c->usage, or with c->helped after the help was printed. */
enum err cli_options(struct cli *c, const struct cli_option *own, size_t n);
/* ERR_INPUT with exit status 2. */
enum err cli_usage(struct cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A notice on stderr for people, unless --quiet. */
void cli_say(const struct cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The table of commands, in the order of the help; ends with words = NULL. */
extern const struct command COMMANDS[];
/* The row whose words stand at the front of args; *used = how many words that were. NULL if none. */
const struct command *command_find(char **args, int n, int *used);
/* Are these words the beginning of longer commands? */
bool command_is_front(char **args, int n);
/* The list of commands below `prefix` ("" = all) on stdout. */
void command_help(const char *prefix);
