#include "cli/admin/findings.h"

#include "base/json.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/settings_file.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const VERDICTS[] = { "ok", "warn", "fail" };

void finding_add(struct findings *f, enum finding_verdict verdict, const char *name, const char *format, ...)
{
	char text[600];
	va_list ap;

	if (f->n == sizeof f->list / sizeof *f->list)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	f->list[f->n++] = (struct finding){ verdict, name, arena_text(&f->cx->arena, text) };
}

enum finding_verdict finding_worst(const struct findings *f)
{
	enum finding_verdict worst = FINDING_OK;

	for (size_t i = 0; i < f->n; i++)
		if (f->list[i].verdict > worst)
			worst = f->list[i].verdict;
	return worst;
}

static void print_json(struct cli *c, const struct findings *f)
{
	json_t *checks = json_array();
	auto_json *j = json_pack("{s:s,s:o}", "verdict", VERDICTS[finding_worst(f)], "checks", checks);

	for (size_t i = 0; i < f->n; i++)
		json_array_append_new(checks, json_pack("{s:s,s:s,s:o}", "name", f->list[i].name, "verdict",
		                                        VERDICTS[f->list[i].verdict], "sentence",
		                                        json_text(str_of(f->list[i].sentence))));
	output_json(&c->cx, j);
}

static void print_lines(struct cli *c, const struct findings *f)
{
	for (size_t i = 0; i < f->n; i++) {
		if (c->quiet && f->list[i].verdict == FINDING_OK)
			continue;
		printf("%-4s  %-12s  ", VERDICTS[f->list[i].verdict], f->list[i].name);
		output_text(&c->cx, str_of(f->list[i].sentence));
		putchar('\n');
	}
}

enum err admin_doctor_command(struct cli *c)
{
	struct findings f = { .cx = &c->cx };
	struct settings set;

	TRY(cli_options(c, NULL, 0));
	TRY(settings_of(c, &set));
	doctor_database(c, &set, &f);
	doctor_galera(&set, &f);
	doctor_host(&set, &f);
	doctor_slots(&set, &f);
	if (c->json)
		print_json(c, &f);
	else
		print_lines(c, &f);
	c->exit = finding_worst(&f) == FINDING_FAIL ? EXIT_FAILED : 0;
	return OK;
}
