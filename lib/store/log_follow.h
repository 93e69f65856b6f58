#pragma once
#include "store/log_store.h"

/* What followers of many logs ask for: what is new in all of them, in few statements. */
struct log_standing {
	struct id task;
	struct log_head head;
};
/* The heads of all attempts of these tasks, 500 tasks a statement, in the order of tasks and attempts.
 * *out in the ctx's arena. */
enum err log_follow_heads(struct db *db, struct ctx *cx, const struct id *tasks, size_t n, struct log_standing **out,
                          size_t *found);

/* A place in a log, and what stands from there on. */
enum { LOG_FOLLOW_PLACES = 16, LOG_FOLLOW_CHUNKS = 4 };
struct log_place {
	struct id task;
	int64_t attempt, day, number; /* of the first chunk */
	bool is_live;                 /* not chunks: the newest output (log_live.h), from */
	int64_t byte;                 /* this one on, or behind it */
	struct log_chunk chunks[LOG_FOLLOW_CHUNKS];
	size_t n;                     /* how many there were */
};
/* Fills the chunks of at most LOG_FOLLOW_PLACES places, in one statement, and one for the live ones. Plain bytes in the arena. */
enum err log_follow_read(struct db *db, struct ctx *cx, struct log_place *places, size_t n);
