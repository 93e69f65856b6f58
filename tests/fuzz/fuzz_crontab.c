#include "base/text.h"
#include "model/command.h"
#include "model/cron.h"
#include "model/crontab.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* A crontab, as `stoker schedule import` reads it. Each line is one thing, and what becomes of a job is what stood
 * in its line: the shell is given the command as it was. */

static bool is_blank(struct str s)
{
	return str_trim(s).n == 0;
}

/* What a shell makes of '…', where only ' itself is written as '\''. */
static struct str unquoted(struct arena *a, struct str text)
{
	char *out = arena_take(a, text.n + 1);
	size_t n = 0;

	must(text.n >= 2 && text.p[0] == '\'' && text.p[text.n - 1] == '\'');
	for (size_t i = 1; i + 1 < text.n; i++) {
		out[n++] = text.p[i];
		if (text.p[i] != '\'')
			continue;
		must(i + 4 < text.n && memcmp(text.p + i, "'\\''", 4) == 0);
		i += 3;
	}
	return str_bytes(out, n);
}

static void judge_job(struct ctx *cx, const struct crontab_line *line)
{
	static const char SHELL[] = "/bin/sh -c ";
	struct str shell = str_of(crontab_shell(&cx->arena, STR_LIT(""), line->command));
	struct cron cron;
	struct id id = { 0 };

	must(!is_blank(line->command) && !line->why);
	must(text_utf8(&cx->arena, line->command).p == line->command.p && !memchr(line->command.p, 0, line->command.n));
	must(str_starts(shell, SHELL));
	must(str_equal(unquoted(&cx->arena, str_bytes(shell.p + strlen(SHELL), shell.n - strlen(SHELL))), line->command));
	must(command_check(cx, shell) == OK);
	must(fuzz_within(crontab_program(line->command), line->command));
	must(!memchr(crontab_program(line->command).p, '/', crontab_program(line->command).n));
	must(!str_is(line->expression, "") && !memchr(line->expression.p, '\t', line->expression.n));
	cron_parse(cx, line->expression, &id, &cron);
}

static void judge(struct ctx *cx, const struct crontab_line *line, struct str text)
{
	switch (line->kind) {
	case CRONTAB_NOTHING:
		must(is_blank(text) || str_trim(text).p[0] == '#');
		break;
	case CRONTAB_SETS:
		must(line->name.n && fuzz_within(line->name, text) && fuzz_within(line->value, text));
		must(!memchr(line->name.p, ' ', line->name.n) && !memchr(line->name.p, '=', line->name.n));
		break;
	case CRONTAB_JOB:
		judge_job(cx, line);
		break;
	case CRONTAB_REFUSED:
		must(line->why);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_bytes(data, size), line;
	auto_ctx cx = { 0 };

	while (str_cut(&text, '\n', &line))
		for (int is_system = 0; is_system < 2; is_system++) {
			struct crontab_line read = crontab_read(&cx.arena, line, is_system);

			judge(&cx, &read, line);
		}
	return 0;
}
