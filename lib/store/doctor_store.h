#pragma once
#include "store/db.h"

/* What `stoker admin doctor` asks the database. All counts are of things that must not be. */
struct doctor_server {
	struct str version, galera; /* galera: wsrep_cluster_status, "" without Galera */
	int64_t flush;              /* innodb_flush_log_at_trx_commit; 1 = each commit is on disk */
	int64_t zone_offset_s;      /* of our sessions from UTC; 0 */
	int64_t packet_bytes;       /* max_allowed_packet */
	bool read_only;
};
enum err doctor_store_server(struct db *db, struct ctx *cx, struct doctor_server *out);

/* How many of the rights SELECT, INSERT, UPDATE, DELETE (with `ddl` also CREATE, ALTER, DROP) this
 * account has in its database; *wanted = how many it should have. */
enum err doctor_store_rights(struct db *db, struct ctx *cx, bool ddl, int64_t *has, int64_t *wanted);

struct doctor_tables {
	int64_t live_nodes, live_slots, draining_nodes;
	int64_t beat_age_us;         /* since a scheduler last said it is there */
	int64_t running_lost;        /* rows of running whose task says otherwise */
	int64_t running_on_gone;     /* … whose node is gone: nobody takes them back */
	int64_t lanes_miscounted;    /* lanes whose number of running is not that of the rows */
	int64_t ready_without_lane;  /* lanes named by ready that are not there: never claimed */
	int64_t callbacks_overdue;   /* due for over five minutes */
	int64_t oldest_waiting_us;   /* for how long the next one of any open lane has been due; 0 = none */
};
enum err doctor_store_tables(struct db *db, struct ctx *cx, struct doctor_tables *out);
/* Days from today to the last that has a partition of its own; -1 if none has. */
enum err doctor_store_log_days(struct db *logs, struct ctx *cx, int64_t *ahead);
