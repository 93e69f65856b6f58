#include "model/crontab.h"

#include "base/buf.h"
#include "base/text.h"

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

/* "@daily", or five fields, a blank between them. */
static struct str take_expression(struct arena *a, struct str *line)
{
	struct str first = take_word(line);
	char *all = str_c(a, first);

	if (first.n && first.p[0] == '@')
		return first;
	for (int i = 1; i < 5; i++) {
		struct str field = take_word(line);

		if (field.n)
			all = arena_printf(a, "%s " STR_FMT, all, STR_ARG(field));
	}
	return str_of(all);
}

static bool is_name(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!((name.p[i] | 32) >= 'a' && (name.p[i] | 32) <= 'z') && name.p[i] != '_' && (i == 0 || name.p[i] < '0' || name.p[i] > '9'))
			return false;
	return name.n > 0;
}

/* NAME=value, NAME = "value": false if the line is none. */
static bool read_assignment(struct str line, struct crontab_line *out)
{
	struct str name, value = line;

	if (!str_cut(&value, '=', &name) || name.n == line.n || !is_name(str_trim(name)))
		return false;
	value = str_trim(value);
	if (value.n >= 2 && (value.p[0] == '"' || value.p[0] == '\'') && value.p[value.n - 1] == value.p[0])
		value = str_bytes(value.p + 1, value.n - 2);
	*out = (struct crontab_line){ .kind = CRONTAB_SETS, .name = str_trim(name), .value = value };
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

static struct str without_escapes(struct arena *a, struct str command)
{
	char *out = arena_take(a, command.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < command.n; i++)
		if (command.p[i] != '\\' || i + 1 == command.n || command.p[i + 1] != '%')
			out[n++] = command.p[i];
	return str_bytes(out, n);
}

static bool is_letter_or_digit(char c)
{
	return ((c | 32) >= 'a' && (c | 32) <= 'z') || (c >= '0' && c <= '9');
}

/* "www-data"; on some systems "name:group". */
static bool is_user(struct str word)
{
	for (size_t i = 0; i < word.n; i++)
		if (!is_letter_or_digit(word.p[i]) && (i == 0 || !strchr("_-.:$", word.p[i])) && word.p[i] != '_')
			return false;
	return word.n > 0;
}

/* Bytes that no field of ours takes: a NUL would cut the command short. */
static bool is_text(struct arena *a, struct str line)
{
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] != '\t' && text_has_controls(str_bytes(line.p + i, 1)))
			return false;
	return text_utf8(a, line).p == line.p;
}

struct crontab_line crontab_read(struct arena *a, struct str line, bool is_system)
{
	struct crontab_line out = { .kind = CRONTAB_NOTHING };

	line = str_trim(line);
	if (!line.n || line.p[0] == '#')
		return out;
	out.kind = CRONTAB_REFUSED;
	out.why = "it is no UTF-8 text without control bytes";
	if (!is_text(a, line) || read_assignment(line, &out))
		return out;
	out.expression = take_expression(a, &line);
	if (is_system)
		out.user = take_word(&line);
	if (out.user.n && !is_user(out.user)) {
		out.why = "its sixth field is no user's name, as it is in /etc/crontab: read a user's own crontab without --system";
		return out;
	}
	if (!line.n || has_input(line)) {
		out.why = line.n ? "what stands behind a % would be its input, which a job has not" : "there is no command";
		return out;
	}
	out.kind = CRONTAB_JOB;
	out.why = NULL;
	out.command = without_escapes(a, line);
	return out;
}

struct str crontab_program(struct str command)
{
	struct str word = take_word(&command);
	size_t slash = word.n;

	while (slash && word.p[slash - 1] != '/')
		slash--;
	return str_bytes(word.p + slash, word.n - slash);
}

bool crontab_runs_parts(struct str command)
{
	static const char PROGRAM[] = "run-parts";
	enum { BYTES = sizeof PROGRAM - 1 };

	for (size_t i = 0; i + BYTES <= command.n; i++) {
		bool begins = i == 0 || strchr(" \t;&|({/", command.p[i - 1]);
		bool ends = i + BYTES == command.n || strchr(" \t", command.p[i + BYTES]);

		if (begins && ends && memcmp(command.p + i, PROGRAM, BYTES) == 0)
			return true;
	}
	return false;
}

static void add_quoted(struct buf *out, struct str word)
{
	buf_char(out, '\'');
	for (size_t i = 0; i < word.n; i++)
		if (word.p[i] == '\'')
			buf_text(out, "'\\''");
		else
			buf_char(out, word.p[i]);
	buf_char(out, '\'');
}

const char *crontab_shell(struct arena *a, struct str shell, struct str command)
{
	auto_buf out = { 0 };

	if (shell.n)
		add_quoted(&out, shell);
	else
		buf_text(&out, "/bin/sh");
	buf_text(&out, " -c ");
	add_quoted(&out, command);
	return str_c(a, buf_view(&out));
}
