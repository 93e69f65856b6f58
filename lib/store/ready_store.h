#pragma once
#include "model/cause.h"
#include "model/task.h"
#include "store/db.h"

/* What waits, and the right to take it (design.md 6, schema.md 3). */

enum {
	READY_PAYLOAD_INLINE = 4096,    /* bytes of a payload that comes with its claim */
	READY_PAYLOAD_PIECE = 1 << 20,  /* bytes of one piece of a larger one */
};

/* One task that this node now has; attempt number raised. State preparing; from ready_store_mine also
 * running, when its start was stored. */
struct claimed {
	struct id task_id, project_id, code_id;
	struct id schedule_id;                  /* that made it; zero = none */
	enum task_state state;
	int64_t attempt, revision, lane_id;
	int64_t timeout_s, grace_s, memory_mb;  /* grace -1, memory 0 = the node's default */
	struct str image, command, env, config; /* of the revision that was current when it was queued */
	struct str package;                     /* of the same: SHA-256 of its zip (package_store.h); "" = none */
	struct str runtime, stack, file_name;   /* how the package is run; image is "" when these say it (runtime.h) */
	struct str engine;                      /* that its code wants; "" = the node's own choice */
	struct str code_name, label, traceparent;
	int64_t payload_bytes;
	struct str payload;                     /* if it has at most READY_PAYLOAD_INLINE bytes */
	int64_t key_number;                     /* of the key that opens its payload (cluster_store_key); 0 = it is not encrypted */
	int64_t network;                        /* what its cluster lets it reach: the number of a CLUSTER_NETWORKS */
	bool is_on_disk;                        /* its scratch */
	bool is_merged;                         /* one pipe for both streams */
	int64_t follow_tag_s;                   /* its image's tag is looked up so often at most; 0 = once a revision */
	int64_t relaxed;                        /* what an operator relaxed of its isolation: bits of relaxation.h */
	bool has_secrets;                       /* its output is to be masked (secret_store.h) */
	int64_t day;                            /* of its log, by the database's clock */
};

struct node_claim {
	int64_t node_id, cluster_id;
	struct str session;    /* 16 bytes */
	const int64_t *passed; /* lanes that a claim passes over, since the node lacks what their tasks need; of a claim alone */
	size_t passed_n;
};

/* Is anything due in the cluster? One autocommit SELECT. */
enum err ready_store_peek(struct db *db, struct ctx *cx, int64_t cluster_id, bool *any);
/* One claim under the cluster's turn, at most `most` tasks in exact order of rank; *n = 0 if nothing
 * may start now. The node row is locked and checked in the same transaction: a session whose lease
 * is taken back claims nothing (ERR_CONFLICT), a draining one nothing (n = 0). */
enum err ready_store_claim(struct db *db, struct ctx *cx, const struct node_claim *who, size_t most,
                           struct claimed **out, size_t *n);
/* All tasks this session has (adoption after a restart, or a lost answer to a claim). */
enum err ready_store_mine(struct db *db, struct ctx *cx, const struct node_claim *who, struct claimed **out, size_t *n);
/* The next piece of a task's payload, from byte `from` on, at most READY_PAYLOAD_PIECE: a claim of many
 * tasks with large payloads must not have them all in memory. Empty at its end. */
enum err ready_store_payload(struct db *db, struct ctx *cx, const struct id *task, int64_t from, struct str *piece);
/* Moves due rows from `delayed` to `ready`, at most `most`; *moved = how many. */
enum err ready_store_promote(struct db *db, struct ctx *cx, size_t most, size_t *moved);
