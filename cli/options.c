#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

enum { GROUPS_MOST = 16 };

enum err cli_usage(struct cli *c, const char *format, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	c->usage = true;
	return err_set(&c->cx, ERR_INPUT, "%s", text);
}

void cli_say(const struct cli *c, const char *format, ...)
{
	va_list ap;

	if (c->quiet)
		return;
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static size_t shared_options(struct cli *c, struct cli_option out[GROUPS_MOST])
{
	size_t n = 0;

	out[n++] = (struct cli_option){ "json", 0, OPTION_FLAG, &c->json, NULL, "print JSON", 0, 0 };
	out[n++] = (struct cli_option){ "quiet", 'q', OPTION_FLAG, &c->quiet, NULL, "no notices", 0, 0 };
	if (c->command->groups & CLI_SETTINGS)
		out[n++] = (struct cli_option){ "settings", 'c', OPTION_TEXT, &c->settings, "FILE",
			"configuration, default /etc/stoker/stoker.conf if it is there", 0, 0 };
	if (c->command->groups & CLI_HTTP) {
		out[n++] = (struct cli_option){ "host", 0, OPTION_TEXT, &c->host, "HOST", "server", 0, 0 };
		out[n++] = (struct cli_option){ "port", 0, OPTION_TEXT, &c->port, "PORT", "its port", 0, 0 };
		out[n++] = (struct cli_option){ "scheme", 0, OPTION_TEXT, &c->scheme, "SCHEME", "http or https", 0, 0 };
		out[n++] = (struct cli_option){ "token", 0, OPTION_TEXT, &c->token, "TOKEN",
			"token; better by IRON_TOKEN, other users can read a command line", 0, 0 };
		out[n++] = (struct cli_option){ "project-id", 0, OPTION_TEXT, &c->project, "ID", "project", 0, 0 };
	}
	return n;
}

static void print_option(const struct cli_option *o)
{
	char left[48], letter[8] = "    ";

	if (o->letter)
		snprintf(letter, sizeof letter, "-%c, ", o->letter);
	snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->value ? " " : "", o->value ? o->value : "");
	printf("  %-28s %s\n", left, o->what);
}

static void print_help(const struct cli *c, const struct cli_option *own, size_t n, const struct cli_option *shared,
                       size_t shared_count)
{
	printf("Usage: stoker %s%s%s [options]\n\n%s.\n\nOptions:\n", c->command->words,
	       *c->command->arguments ? " " : "", c->command->arguments, c->command->what);
	for (size_t i = 0; i < n; i++)
		print_option(&own[i]);
	for (size_t i = 0; i < shared_count; i++)
		print_option(&shared[i]);
	print_option(&(struct cli_option){ "help", 'h', OPTION_FLAG, NULL, NULL, "print this", 0, 0 });
}

static const struct cli_option *find(const struct cli_option *o, size_t n, char letter, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (letter ? o[i].letter == letter : str_is(name, o[i].name))
			return &o[i];
	return NULL;
}

static enum err set(struct cli *c, const struct cli_option *o, const char *value)
{
	struct cli_list *list = o->to;
	int64_t number;

	switch (o->type) {
	case OPTION_FLAG:
		*(bool *)o->to = true;
		break;
	case OPTION_TEXT:
		*(const char **)o->to = value;
		break;
	case OPTION_INT:
		if (!str_int(str_of(value), &number) || number < o->least || number > o->most)
			return cli_usage(c, "--%s must be a whole number from %lld to %lld, not '%s'", o->name,
			                 (long long)o->least, (long long)o->most, value);
		*(int64_t *)o->to = number;
		break;
	case OPTION_LIST:
		if (!list->text)
			list->text = arena_array(&c->cx.arena, (size_t)c->arg_count + 1, sizeof *list->text);
		list->text[list->n++] = value;
		break;
	}
	return OK;
}

struct option_set {
	const struct cli_option *own, *shared;
	size_t own_count, shared_count;
};

static const struct cli_option *find_in(const struct option_set *s, char letter, struct str name)
{
	const struct cli_option *o = find(s->own, s->own_count, letter, name);

	return o ? o : find(s->shared, s->shared_count, letter, name);
}

/* "--name", "--name=value", "-x", "-x value", "-xvalue"; *i moves on when the next argument is eaten. */
static enum err read_option(struct cli *c, const struct option_set *s, int *i)
{
	const char *arg = c->args[*i], *value = NULL;
	bool is_long = arg[1] == '-';
	struct str rest = str_of(arg + 2), name = { "", 0 };
	const struct cli_option *o;

	if (is_long)
		str_cut(&rest, '=', &name);
	o = find_in(s, is_long ? 0 : arg[1], name);
	if (!o)
		return cli_usage(c, "unknown option %s", arg);
	if (is_long ? arg[2 + name.n] == '=' : arg[2] != 0)
		value = is_long ? arg + 3 + name.n : arg + 2;
	if (o->type == OPTION_FLAG)
		return value ? cli_usage(c, "--%s takes no value", o->name) : set(c, o, NULL);
	if (!value && *i + 1 >= c->arg_count)
		return cli_usage(c, "--%s wants a value (%s)", o->name, o->value);
	return set(c, o, value ? value : c->args[++*i]);
}

static enum err read_all(struct cli *c, const struct option_set *s, bool *help)
{
	bool options = true;
	int kept = 0;

	for (int i = 0; i < c->arg_count; i++) {
		const char *arg = c->args[i];

		if (!options || arg[0] != '-' || !arg[1]) {
			c->args[kept++] = c->args[i];
			continue;
		}
		if (strcmp(arg, "--") == 0) {
			options = false;
			continue;
		}
		*help = *help || strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
		if (!*help)
			TRY(read_option(c, s, &i));
	}
	c->arg_count = kept;
	return OK;
}

enum err cli_options(struct cli *c, const struct cli_option *own, size_t n)
{
	struct cli_option shared[GROUPS_MOST];
	struct option_set s = { own, shared, n, shared_options(c, shared) };
	bool help = false;

	TRY(read_all(c, &s, &help));
	if (help) {
		print_help(c, own, n, shared, s.shared_count);
		c->helped = true;
		return ERR_INPUT;
	}
	if (c->arg_count < c->command->least)
		return cli_usage(c, "stoker %s wants %s", c->command->words, c->command->arguments);
	if (c->command->most >= 0 && c->arg_count > c->command->most)
		return cli_usage(c, "unexpected argument '%s'", c->args[c->command->most]);
	return OK;
}
