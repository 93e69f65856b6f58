#pragma once
#include "base/ctx.h"

/* Lines of a crontab(5), or of /etc/crontab, whose sixth field is a user. Views are into the line or the arena. */
enum crontab_kind {
	CRONTAB_NOTHING, /* blank, or a comment */
	CRONTAB_SETS,    /* NAME = value */
	CRONTAB_JOB,
	CRONTAB_REFUSED, /* what we cannot do, and `why` */
};
struct crontab_line {
	enum crontab_kind kind;
	struct str name, value; /* of CRONTAB_SETS; the value without its quotes */
	struct str expression;  /* as model/cron.h reads it, which judges it; of a refused line, too, as far as it came */
	struct str user;        /* of CRONTAB_JOB in /etc/crontab */
	struct str command;     /* of CRONTAB_JOB, never blank: what stood there, `\%` as `%` */
	const char *why;
};
struct crontab_line crontab_read(struct arena *a, struct str line, bool is_system);
/* The name of the program that a command begins with, without its folders. */
struct str crontab_program(struct str command);
/* Does it run the scripts of a folder, as Debian's /etc/crontab does? */
bool crontab_runs_parts(struct str command);
/* `SHELL -c '…'`, by which cron runs a command; "" is /bin/sh. In the arena. */
const char *crontab_shell(struct arena *a, struct str shell, struct str command);
