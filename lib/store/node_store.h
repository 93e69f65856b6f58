#pragma once
#include "store/db.h"

struct node {
	int64_t id, cluster_id, slots, running;
	struct str name, cluster_name, session, doorbell, runtime, state; /* live, draining, gone */
	int64_t lease_until, beat_at, started_at;
};

/* A new session of a node: a row with a fresh lease; makes cluster and turn rows when missing.
 * `session` is 16 random bytes. */
enum err node_store_register(struct db *db, struct ctx *cx, struct str name, struct str cluster,
                             struct str session, int64_t slots, struct str doorbell, struct str runtime,
                             int64_t lease_s, int64_t *node_id, int64_t *cluster_id);
/* Takes the session over that the node's last runner left (same name, same session, not gone) with a
 * fresh lease; ERR_NOT_FOUND if it was taken back meanwhile: its containers must die. */
enum err node_store_resume(struct db *db, struct ctx *cx, struct str session, int64_t slots,
                           struct str doorbell, int64_t lease_s, int64_t *node_id, int64_t *cluster_id);
/* Renews the lease; ERR_CONFLICT if the session was taken back (fence at once). *draining: take no
 * more. */
enum err node_store_renew(struct db *db, struct ctx *cx, int64_t node_id, struct str session,
                          int64_t lease_s, int64_t running, bool *draining);
/* Ends of jobs that somebody asked for: ids and attempts in running.stop of this node. */
struct stop_request {
	struct id task_id;
	int64_t attempt;
};
enum err node_store_stops(struct db *db, struct ctx *cx, int64_t node_id, struct stop_request **out, size_t *n);
/* Clean end: no jobs left; the row turns gone. */
enum err node_store_leave(struct db *db, struct ctx *cx, int64_t node_id, struct str session);
/* Drain or take up again, by name (all live sessions of it); ERR_NOT_FOUND if there is none. */
enum err node_store_drain(struct db *db, struct ctx *cx, struct str name, bool drain);
/* Newest 200 sessions: live and draining first. */
enum err node_store_list(struct db *db, struct ctx *cx, struct node **out, size_t *n);
/* At most two doorbells of live nodes of the cluster with free slots. */
enum err node_store_doorbells(struct db *db, struct ctx *cx, int64_t cluster_id, struct str out[2], size_t *n);
/* How many nodes take new tasks: live, their leases not over, not draining (for /readyz). */
enum err node_store_live(struct db *db, struct ctx *cx, int64_t *n);

/* --- by the scheduler --- */
/* The service beat each second; writes grace_until, a full lease ahead, when the beat was over 3 s
 * old (the database was away: nobody's lease may be judged yet). *grace = true while it lasts. */
enum err node_store_beat(struct db *db, struct ctx *cx, int64_t lease_s, bool *grace);
/* Takes back the tasks of nodes whose lease is over (schema.md 5): next attempt, or cancelled if that
 * was asked. Cause node_lost. Nothing during grace. *taken = tasks moved; call again while more.
 * *next_us (may be NULL) = microseconds until the next lease is over, LEASE_AHEAD_US at most. */
enum { LEASE_AHEAD_US = 1000000 };
enum err node_store_take_back(struct db *db, struct ctx *cx, int64_t *taken, int64_t *next_us);

/* --- by an operator --- */
/* Gives back tasks that are preparing or running by their rows, but in no node's `running`: what a fault of the
 * product's own left behind. Only those whose attempt has ended or whose node is gone: nothing of them runs any more.
 * Next attempt, or the end that a lost node brings. *mended = tasks moved. */
enum err node_store_mend(struct db *db, struct ctx *cx, int64_t *mended);
