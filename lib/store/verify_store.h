#pragma once
#include "store/db.h"

/* The checker (`stoker admin verify`): whether the tables tell a history that may have happened
 * (reliability.md 4.2, invariants I1 to I9, I11, I14; of I7 what needs no calendar). It only reads, a piece of some thousand
 * rows a statement, and asks of each what holds within one moment: it may run beside everything, and on
 * a database of yesterday. What is judged by the clock (I5) is judged only while a scheduler runs. */
struct verify_finding {
	const char *law;  /* "I1" */
	const char *what; /* the law that is broken: a sentence */
	struct str rows;  /* which rows break it, by their keys */
};

struct verify {
	/* Called for each finding; its texts live until it returns. */
	void (*found)(void *arg, const struct verify_finding *finding);
	void *arg;
	int64_t piece; /* rows looked at in one statement; 0 = 2,000 */
	int64_t findings, pieces; /* out: how many there were */
};
/* The task tables. */
enum err verify_store_tasks(struct db *db, struct ctx *cx, struct verify *v);
/* The logs' database. */
enum err verify_store_logs(struct db *logs, struct ctx *cx, struct verify *v);
/* Which of these attempts may still have something on their node (I10): live[i] = it is under way by
 * the database, or ended less than a minute ago. */
struct verify_attempt {
	struct id task_id;
	int64_t attempt;
};
enum err verify_store_live(struct db *db, struct ctx *cx, const struct verify_attempt *attempts, size_t n, bool *live);
/* Tells a finding of the caller's own, and counts it. */
void verify_tell(struct verify *v, const char *law, const char *what, struct str rows);
