#include "cli/admin/findings.h"

#include "base/clock.h"
#include "model/settings.h"
#include "store/doctor_store.h"
#include "store/node_store.h"
#include "store/schema_store.h"

enum { WAIT_S = 5, PACKET_LEAST = 16 << 20 };

static void server(struct db *db, struct findings *f, const char *name)
{
	struct doctor_server s;

	if (doctor_store_server(db, f->cx, &s) != OK) {
		finding_add(f, FINDING_FAIL, name, "%s", f->cx->message);
		return;
	}
	finding_add(f, s.read_only ? FINDING_FAIL : FINDING_OK, name, "MariaDB " STR_FMT " answers%s", STR_ARG(s.version),
	            s.read_only ? ", but it is read only" : "");
	if (s.flush == 1)
		finding_add(f, FINDING_OK, "flush", "innodb_flush_log_at_trx_commit = 1: what was accepted is on disk");
	else
		finding_add(f, FINDING_FAIL, "flush", "innodb_flush_log_at_trx_commit = %lld: a power cut loses accepted tasks; set 1",
		            (long long)s.flush);
	finding_add(f, s.zone_offset_s ? FINDING_FAIL : FINDING_OK, "zone", "our sessions are %lld s off UTC", (long long)s.zone_offset_s);
	if (s.packet_bytes < PACKET_LEAST)
		finding_add(f, FINDING_WARN, "packet", "max_allowed_packet is %lld bytes: large payloads are refused; set 64M",
		            (long long)s.packet_bytes);
}

static void schema(struct db *db, struct findings *f)
{
	if (schema_store_check(db, f->cx) == OK)
		finding_add(f, FINDING_OK, "schema", "version %d, as this program wants it", SCHEMA_VERSION);
	else
		finding_add(f, FINDING_FAIL, "schema", "%s", f->cx->message);
}

static void rights(struct db *db, struct findings *f, const char *name, bool ddl)
{
	int64_t has, wanted;

	if (doctor_store_rights(db, f->cx, ddl, &has, &wanted) != OK)
		finding_add(f, FINDING_WARN, name, "%s", f->cx->message);
	else if (has < wanted)
		finding_add(f, FINDING_FAIL, name, "this account has %lld of the %lld rights it needs (%s)", (long long)has,
		            (long long)wanted, ddl ? "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP" : "SELECT, INSERT, UPDATE, DELETE");
	else
		finding_add(f, FINDING_OK, name, "this account may %s", ddl ? "read, write and partition" : "read and write");
}

static void clock_skew(struct db *db, struct findings *f)
{
	int64_t there, skew;

	if (db_now(db, f->cx, &there) != OK)
		return;
	skew = there - clock_wall_us();
	skew = skew < 0 ? -skew : skew;
	finding_add(f, skew > 1000000 ? FINDING_WARN : FINDING_OK, "clock", "this machine is %lld ms off the database's clock",
	            (long long)(skew / 1000));
}

static void bad_count(struct findings *f, const char *name, int64_t n, const char *what, const char *fine)
{
	if (n)
		finding_add(f, FINDING_FAIL, name, "%lld %s", (long long)n, what);
	else
		finding_add(f, FINDING_OK, name, "%s", fine);
}

/* What each node said of itself when it began. */
static void nodes(struct db *db, struct findings *f)
{
	enum { SHOWN = 10 };
	struct node *list;
	size_t n, shown = 0;

	if (node_store_list(db, f->cx, &list, &n) != OK)
		return;
	for (size_t i = 0; i < n && shown < SHOWN; i++) {
		if (!str_is(list[i].state, "live"))
			continue;
		shown++;
		if (list[i].runtime.n)
			finding_add(f, FINDING_OK, "node", STR_FMT " starts jobs of cluster " STR_FMT " by " STR_FMT,
			            STR_ARG(list[i].name), STR_ARG(list[i].cluster_name), STR_ARG(list[i].runtime));
		else
			finding_add(f, FINDING_WARN, "node", STR_FMT " does not say by what it starts jobs", STR_ARG(list[i].name));
	}
}

static void who_works(const struct doctor_tables *t, struct findings *f)
{
	if (t->live_nodes)
		finding_add(f, FINDING_OK, "nodes", "%lld live with %lld slots, %lld draining", (long long)t->live_nodes,
		            (long long)t->live_slots, (long long)t->draining_nodes);
	else
		finding_add(f, FINDING_FAIL, "nodes", "no node is live: nothing will start (%lld draining)", (long long)t->draining_nodes);
	if (t->beat_age_us > 10000000)
		finding_add(f, FINDING_FAIL, "scheduler", "none has been seen for %lld s: delayed tasks and lost nodes wait",
		            (long long)(t->beat_age_us / 1000000));
	else
		finding_add(f, FINDING_OK, "scheduler", "seen %lld ms ago", (long long)(t->beat_age_us / 1000));
	if (t->callbacks_overdue)
		finding_add(f, FINDING_WARN, "callbacks", "%lld are overdue by more than five minutes: does a courier run?",
		            (long long)t->callbacks_overdue);
	else
		finding_add(f, FINDING_OK, "callbacks", "none is overdue");
	if (t->oldest_waiting_us > 0)
		finding_add(f, FINDING_OK, "waiting", "the first in line has been due for %lld s", (long long)(t->oldest_waiting_us / 1000000));
}

static void tables(struct db *db, struct findings *f)
{
	struct doctor_tables t;

	if (doctor_store_tables(db, f->cx, &t) != OK) {
		finding_add(f, FINDING_FAIL, "tables", "%s", f->cx->message);
		return;
	}
	who_works(&t, f);
	nodes(db, f);
	bad_count(f, "running", t.running_lost, "rows of running have no task that runs", "every row of running has its task");
	bad_count(f, "taken back", t.running_on_gone, "rows of running belong to nodes that are gone: the next scheduler takes them back",
	          "no row of running belongs to a node that is gone");
	bad_count(f, "limits", t.lanes_miscounted, "lanes count their running tasks wrongly", "lanes count their running tasks right");
	bad_count(f, "lanes", t.ready_without_lane, "lanes are missing: their waiting tasks are never claimed", "every waiting task has its lane");
}

static void log_days(struct db *logs, struct findings *f)
{
	int64_t ahead;

	if (doctor_store_log_days(logs, f->cx, &ahead) != OK)
		finding_add(f, FINDING_FAIL, "log days", "%s", f->cx->message);
	else if (ahead < 2)
		finding_add(f, FINDING_WARN, "log days", "partitions of the log tables end %s: does a scheduler run?",
		            ahead < 0 ? "before today" : "tomorrow");
	else
		finding_add(f, FINDING_OK, "log days", "partitions are there for %lld days ahead", (long long)ahead);
}

static void logs_database(struct cli *c, const struct settings *set, struct findings *f)
{
	struct db *logs = db_new(set, DB_LOGS, WAIT_S);

	if (db_open(logs, &c->cx) != OK) {
		finding_add(f, FINDING_FAIL, "logs", "%s", c->cx.message);
	} else {
		finding_add(f, FINDING_OK, "logs", "the logs' database %s answers", set->logs.name);
		rights(logs, f, "log rights", true);
		log_days(logs, f);
	}
	db_free(logs);
}

void doctor_database(struct cli *c, const struct settings *set, struct findings *f)
{
	struct db *db = db_new(set, DB_TASKS, WAIT_S);
	enum err e = db_open(db, &c->cx);

	if (e != OK) {
		finding_add(f, FINDING_FAIL, "database", "%s", c->cx.message);
	} else {
		server(db, f, "database");
		rights(db, f, "rights", false);
		clock_skew(db, f);
		schema(db, f);
		tables(db, f);
	}
	db_free(db);
	logs_database(c, set, f);
}
