#pragma once
#include "model/event.h"
#include "store/db.h"

/* The stream of all changes of tasks, by project. Events are written by the triggers of `task` and commit
 * in any order; what orders them is a place that is given afterwards, to those that are committed, by one
 * transaction at a time. So a reader goes on behind the last place he has read: nothing comes before it any
 * more, and a task's events are in their order. */

/* --- giving places (the scheduler) */
/* Is there anything without a place, and has somebody read within the last minute? One statement. */
enum err event_store_waiting(struct db *db, struct ctx *cx, bool *any, bool *asked);
/* Gives places to at most EVENT_BATCH events. */
enum { EVENT_BATCH = 500 };
enum err event_store_place(struct db *db, struct ctx *cx, size_t *n);

/* --- reading */
/* The last place given: behind all that can be read now. */
enum err event_store_end(struct db *db, struct ctx *cx, int64_t *place);
/* Says that somebody reads; written at most every five seconds. */
enum err event_store_ask(struct db *db, struct ctx *cx);

/* Readers of different projects, or at different places, in one statement. */
enum { EVENT_PLACES = 16, EVENT_PIECE = 100 };
struct event_place {
	struct id project;
	int64_t place;        /* read up to here */
	struct event *events; /* in the arena; those behind it, at most EVENT_PIECE */
	size_t n;
};
enum err event_store_follow(struct db *db, struct ctx *cx, struct event_place *places, size_t n);

/* For the test that EXPLAINs them. */
extern const struct sql EVENT_WAITING, EVENT_UNPLACED, EVENT_FOLLOW_ONE;
