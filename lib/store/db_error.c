#include "store/db_error.h"

#include <stddef.h>

static const struct {
	unsigned number;
	enum db_action action;
	bool unsure;
} ERRORS[] = {
	{ 1213, DB_AGAIN, false },      /* deadlock; on Galera also a failed certification */
	{ 1205, DB_AGAIN, false },      /* lock wait: the transaction is open still, and rolled back by the runner */
	{ 1020, DB_AGAIN, false },      /* record changed since the snapshot */
	{ 1317, DB_AGAIN, false },      /* interrupted; on Galera by another node's transaction */
	{ 1969, DB_AGAIN, false },      /* max_statement_time */
	{ 2002, DB_RECONNECT, false },  /* no socket, refused */
	{ 2003, DB_RECONNECT, false },  /* no such host, refused */
	{ 2006, DB_RECONNECT, false },  /* gone before the statement was out */
	{ 2013, DB_RECONNECT, true },   /* lost while waiting for the answer */
	{ 2055, DB_RECONNECT, true },   /* lost while reading it */
	{ 1927, DB_RECONNECT, false },  /* connection was killed */
	{ 1053, DB_RECONNECT, false },  /* server shutdown in progress */
	{ 1047, DB_NEXT, false },       /* Galera: not in the primary component */
	{ 1180, DB_NEXT, true },        /* Galera: the node left the primary component while it committed */
	{ 1290, DB_NEXT, false },       /* read only */
	{ 1836, DB_NEXT, false },       /* read only */
	{ 1040, DB_SHED, false },       /* too many connections, to the server */
	{ 1203, DB_SHED, false },       /* … of this account */
	{ 1226, DB_SHED, false },       /* … within an hour */
	{ 1114, DB_FULL, false },       /* table is full */
	{ 1021, DB_FULL, false },       /* disk full */
	{ 1030, DB_FULL, false },       /* got an error from the storage engine: most often 28, no space */
	{ 31001, DB_LATE, false },      /* the enqueue's deadline has passed */
	{ 31006, DB_LATE, false },      /* another revision by now */
	{ 1062, DB_CONFLICT, false },   /* duplicate key */
	{ 31004, DB_CONFLICT, false },  /* log_chunk: late, doubled, skipped or closed */
	{ 31002, DB_WORDS, false },     /* queue view: a name that does not exist */
};

enum db_action db_error_action(unsigned number)
{
	for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++)
		if (ERRORS[i].number == number)
			return ERRORS[i].action;
	return DB_OURS;
}

bool db_error_is_unsure(unsigned number)
{
	for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++)
		if (ERRORS[i].number == number)
			return ERRORS[i].unsure;
	return false;
}

enum err db_error_kind(enum db_action action)
{
	switch (action) {
	case DB_CONFLICT:
		return ERR_CONFLICT;
	case DB_WORDS:
		return ERR_INPUT;
	case DB_OURS:
		return ERR_INTERNAL;
	default:
		return ERR_BUSY;
	}
}
