#pragma once
#include "store/db.h"

/* What `stoker admin doctor` asks the database. All counts are of things that must not be. */
struct doctor_server {
	struct str version;
	int64_t flush;              /* innodb_flush_log_at_trx_commit; 1 = each commit is on disk */
	int64_t zone_offset_s;      /* of our sessions from UTC; 0 */
	int64_t packet_bytes;       /* max_allowed_packet */
	bool read_only;
};
enum err doctor_store_server(struct db *db, struct ctx *cx, struct doctor_server *out);

/* One server of several, or of a Galera cluster. */
struct doctor_galera {
	bool on;                       /* wsrep_on: it replicates */
	int64_t flush, autoinc_mode;   /* innodb_flush_log_at_trx_commit, innodb_autoinc_lock_mode */
	struct str binlog_format;
	int64_t nodes, size;           /* in its wsrep_cluster_address; that it sees */
	struct str history, component, state; /* wsrep_cluster_state_uuid, _cluster_status, _local_state_comment */
	int64_t silence_us;            /* evs.inactive_timeout: how long a silent node stops all writes */
	struct str recent;             /* a sum of the newest 10,000 tasks made before `until`: equal everywhere */
};
/* `until`: microseconds since 1970; "" in `recent` where tables cannot be read. */
enum err doctor_store_galera(struct db *db, struct ctx *cx, int64_t until, struct doctor_galera *out);

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
