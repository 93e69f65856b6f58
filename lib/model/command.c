#include "model/command.h"

bool command_needs_shell(struct str command)
{
	for (size_t i = 0; i < command.n; i++)
		if (strchr("|&;<>()$`\\\"'*?[]#~=!{}\n\r", command.p[i]) && command.p[i])
			return true;
	return false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static enum err split(struct ctx *cx, struct str text, struct str *words, size_t *n)
{
	for (size_t i = 0; i < text.n;) {
		size_t from;

		while (i < text.n && is_blank(text.p[i]))
			i++;
		from = i;
		while (i < text.n && !is_blank(text.p[i]))
			i++;
		if (i == from)
			break;
		if (*n == COMMAND_WORDS_MOST)
			return err_set(cx, ERR_INPUT, "field command: more than %d words", COMMAND_WORDS_MOST);
		words[(*n)++] = str_bytes(text.p + from, i - from);
	}
	return OK;
}

enum err command_words(struct ctx *cx, struct str command, struct str **words, size_t *n)
{
	struct str text = str_trim(command);
	struct str *w = arena_array(&cx->arena, COMMAND_WORDS_MOST, sizeof *w);
	size_t count = 0;

	if (text.n && memchr(text.p, '\0', text.n))
		return err_set(cx, ERR_INPUT, "field command: must not hold a NUL");
	if (command_needs_shell(text)) {
		w[0] = STR_LIT("sh");
		w[1] = STR_LIT("-c");
		w[2] = text;
		count = 3;
	} else {
		TRY(split(cx, text, w, &count));
	}
	*words = w;
	*n = count;
	return OK;
}

static bool nests_quotes(struct str s)
{
	static const char *const NESTS[] = { "$(", "${", "$'", "`", "<<" };

	for (size_t i = 0; i < sizeof NESTS / sizeof *NESTS; i++)
		if (memmem(s.p, s.n, NESTS[i], strlen(NESTS[i])))
			return true;
	return false;
}

static bool begins_comment(struct str s, size_t at)
{
	return s.p[at] == '#' && (at == 0 || is_blank(s.p[at - 1]) || strchr(";&|()", s.p[at - 1]));
}

/* The quote that a shell would still wait for at the end, 0 = none. */
static char open_quote(struct str s)
{
	char quote = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\\' && quote != '\'')
			i++;
		else if (quote)
			quote = c == quote ? 0 : quote;
		else if (c == '\'' || c == '"')
			quote = c;
		else if (begins_comment(s, i))
			while (i + 1 < s.n && s.p[i + 1] != '\n')
				i++;
	}
	return quote;
}

enum err command_check(struct ctx *cx, struct str command)
{
	struct str *words;
	size_t n;
	char quote;

	TRY(command_words(cx, command, &words, &n));
	if (!command_needs_shell(command) || nests_quotes(command))
		return OK;
	quote = open_quote(command);
	return quote ? err_set(cx, ERR_INPUT, "field command: the quote %c is not closed", quote) : OK;
}

enum err command_argv(struct ctx *cx, const struct str *entrypoint, size_t entrypoint_n,
                      const struct str *cmd, size_t cmd_n, struct str command, struct str **argv, size_t *argc)
{
	struct str *words, *out;
	size_t n, total;

	TRY(command_words(cx, command, &words, &n));
	total = entrypoint_n + (n ? n : cmd_n);
	if (total == 0)
		return err_set(cx, ERR_INPUT, "the image names no program and the code no command");
	out = arena_array(&cx->arena, total, sizeof *out);
	for (size_t i = 0; i < entrypoint_n; i++)
		out[i] = entrypoint[i];
	for (size_t i = entrypoint_n; i < total; i++)
		out[i] = n ? words[i - entrypoint_n] : cmd[i - entrypoint_n];
	*argv = out;
	*argc = total;
	return OK;
}
