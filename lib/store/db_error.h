#pragma once
#include <stdbool.h>

#include "base/err.h"

/* What to do about an error of MariaDB: the one table (reliability.md 5.5). */
enum db_action {
	DB_OURS,      /* not in the table: our own bug, or a broken server; told, never tried again */
	DB_AGAIN,     /* the transaction was undone for others' sake: the whole of it again */
	DB_RECONNECT, /* the connection is lost: a new one; what was sent may have been done if `unsure` */
	DB_NEXT,      /* this server may not or cannot write now: the next one in the list */
	DB_SHED,      /* too many connections: told at once, never tried again here */
	DB_FULL,      /* the disk: likewise, until there is room */
	DB_LATE,      /* the statement came too late or too early: nothing was done, the caller decides */
	DB_CONFLICT,  /* somebody else was first: the caller knows what that means */
	DB_WORDS,     /* the caller's words are wrong */
};
enum db_action db_error_action(unsigned number);
/* The connection ended with the statement gone out and no answer. */
bool db_error_is_unsure(unsigned number);
/* The kind of error that it is for whoever asked. */
enum err db_error_kind(enum db_action action);
