#pragma once
#include "store/ready_store.h"

/* Inside lib/store: which rows of `ready` a claim takes. Plain reads, to be made under the turn.
 *
 * The order is that of rank, exact, out of several sources that are merged: the cluster's flat order
 * (ready.place = cluster), and the rows set aside (place = -lane) of open lanes that have some. Rows
 * of closed lanes met in the flat order are set aside once, at most PICK_ASIDE_MOST a claim; when
 * that is not enough, the heads of the open lanes serve instead (docs/schema.md, "Claim"). Lanes that
 * the node passes over are as closed ones to it; others take their rows out of those set aside. */
enum { PICK_ASIDE_MOST = 400 };

struct pick_row {
	struct id task_id;
	int64_t lane_id, rank_at, attempt;
};

/* Rows in order of (rank, id), read in pieces. */
struct pick_source {
	struct pick_row *rows;
	size_t n, at;        /* what was read; the next one to look at */
	int64_t last_rank;   /* key behind which to read on */
	struct id last_task;
	bool ended;          /* nothing follows what was read */
};

struct pick_lane {
	int64_t id, head_rank;     /* TIME_NONE: no row set aside */
	int64_t new_head;          /* what head_rank is to become */
	int64_t least_aside;       /* of the rows that this claim sets aside */
	int64_t room;              /* how many more may start; -1 = any number */
	struct id code_id;
	size_t taken;
	bool open, is_source, was_read;
	struct pick_source rows;
};

struct pick {
	struct pick_row *taken;    /* in order */
	size_t n;
	struct pick_row *aside;    /* to be set aside */
	size_t aside_n;
	struct pick_lane *lanes;   /* every lane that was met */
	size_t lane_n, lane_room;
	bool more;                 /* it ended early: another claim would find more */

	const struct node_claim *who; /* for ready_pick.c alone from here */
	size_t most;
	int64_t horizon;
	bool by_lane;
	struct pick_source flat;
};

/* Picks at most `most` rows for a node of who's cluster. In the ctx's arena. */
enum err ready_pick(struct db *db, struct ctx *cx, const struct node_claim *who, size_t most, struct pick *out);

/* Its statements, for the test that EXPLAINs each. */
extern const struct sql *const READY_PICK_STATEMENTS[];
extern const size_t READY_PICK_STATEMENT_COUNT;
/* Those of the rest of a claim, in ready_store.c. */
extern const struct sql *const READY_CLAIM_STATEMENTS[];
extern const size_t READY_CLAIM_STATEMENT_COUNT;
