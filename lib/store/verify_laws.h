#pragma once
#include "store/verify_store.h"

/* Inside lib/store: what must hold of the tables, as data (reliability.md 4.2). Each law is one
 * statement, so that it sees one moment: what a transaction writes together is seen together, also
 * while everybody works. It gives a row for each break: a text that names the rows at fault, and
 * whatever else `judge` wants to see. */
struct verify_law {
	const char *id;     /* "I1" */
	const char *what;   /* the law broken, as a sentence for people */
	struct sql sql;     /* its parameters: the piece of the walk, see below */
	bool (*is_broken)(const struct val *row); /* NULL: each row is a break */
};

/* Which rows a group of laws is asked for, a piece at a time. */
struct verify_walk {
	struct sql next;    /* (prefix,) from, rows: the last key of a piece of so many rows; nothing = the rest */
	const struct verify_law *laws; /* each: (prefix,) from exclusive, to inclusive; ends with id NULL */
};

extern const struct verify_walk VERIFY_TASKS;   /* by task id */
extern const struct verify_walk VERIFY_CODES;   /* by code id */
extern const struct verify_walk VERIFY_LANES;   /* by lane id */
extern const struct verify_walk VERIFY_READY;   /* by rank in a lane; prefix: the lane */
extern const struct verify_walk VERIFY_DELAYED; /* by due time */
extern const struct verify_walk VERIFY_OUTBOX;  /* by its id */
extern const struct verify_walk VERIFY_FIRES;   /* by schedule id */
extern const struct verify_walk VERIFY_HEADS;   /* in the logs' database, by task id; prefix: the oldest day kept */
extern const struct verify_walk VERIFY_CHUNKS;  /* in the logs' database, by task id in a day; prefix: the day */
/* Small for ever: asked as a whole, no parameters. */
extern const struct verify_law VERIFY_RUNNING[];

/* How many rows a piece has. */
int64_t verify_piece_rows(const struct verify *v);
/* I11: at no instant did more attempts of a code run than its limit, since the code was last changed.
 * Holds the attempts of limited codes in memory, 64 bytes each. */
enum err verify_limits(struct db *db, struct ctx *cx, struct verify *v);
/* I14: a key of the last day and its tasks belong to each other alone. */
enum err verify_keys(struct db *db, struct ctx *cx, struct verify *v);
