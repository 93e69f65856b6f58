#include "store/doctor_store.h"

#include "base/clock.h"

static const struct sql SERVER = {
	"SELECT VERSION(), @@GLOBAL.innodb_flush_log_at_trx_commit, TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), NOW()),"
	" @@GLOBAL.max_allowed_packet, @@GLOBAL.read_only", "" };

enum err doctor_store_server(struct db *db, struct ctx *cx, struct doctor_server *out)
{
	const struct val *v;
	struct rows r;

	TRY(db_query(db, cx, &SERVER, NULL, 0, &r));
	v = row(&r, 0);
	*out = (struct doctor_server){ .version = val_str(&v[0]), .flush = val_int(&v[1]), .zone_offset_s = val_int(&v[2]),
		                       .packet_bytes = val_int(&v[3]), .read_only = val_int(&v[4]) != 0 };
	return OK;
}

/* --- Galera ------------------------------------------------------------------------------------------ */

static const struct sql NODE = {
	"SELECT @@GLOBAL.wsrep_on, @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.innodb_autoinc_lock_mode,"
	" @@GLOBAL.binlog_format, @@GLOBAL.wsrep_cluster_address,"
	" REGEXP_SUBSTR(@@GLOBAL.wsrep_provider_options, '(?<=evs.inactive_timeout = PT)[0-9.]+(?=S)')", "" };
static const struct sql NODE_STATUS = {
	"SELECT UPPER(VARIABLE_NAME), VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME IN"
	" ('WSREP_CLUSTER_SIZE', 'WSREP_CLUSTER_STATE_UUID', 'WSREP_CLUSTER_STATUS', 'WSREP_LOCAL_STATE_COMMENT')", "" };
/* What ended before `until` never changes again; what ended later counts as if it had not. */
static const struct sql RECENT = {
	"SELECT CONCAT(COUNT(*), ':', BIT_XOR(CRC32(CONCAT(LOWER(HEX(id)), IF(ended_at < ?, CONCAT(state, attempt), '')))))"
	" FROM (SELECT id, ended_at, state, attempt FROM task WHERE id < ? ORDER BY id DESC LIMIT 10000) t", "ts" };

static int64_t count_nodes(struct str address)
{
	struct str rest = address, node;
	int64_t n = 0;

	while (str_cut(&rest, ',', &node))
		n += node.n != 0;
	return str_is(address, "gcomm://") ? 0 : n;
}

/* "3.5", as the provider writes it. */
static int64_t seconds_in_us(struct str s)
{
	struct str whole = s;
	int64_t n = 0;

	str_cut(&s, '.', &whole);
	return str_int(whole, &n) ? n * 1000000 : 0;
}

static void read_status(const struct rows *r, struct doctor_galera *out)
{
	for (size_t i = 0; i < r->n; i++) {
		struct str name = val_str(&row(r, i)[0]), value = val_str(&row(r, i)[1]);

		if (str_is(name, "WSREP_CLUSTER_SIZE"))
			str_int(value, &out->size);
		else if (str_is(name, "WSREP_CLUSTER_STATE_UUID"))
			out->history = value;
		else if (str_is(name, "WSREP_CLUSTER_STATUS"))
			out->component = value;
		else
			out->state = value;
	}
}

enum err doctor_store_galera(struct db *db, struct ctx *cx, int64_t until, struct doctor_galera *out)
{
	struct id bound = id_make(until);
	struct rows r, status, recent;
	const struct val *v;

	TRY(db_query(db, cx, &NODE, NULL, 0, &r));
	TRY(db_query(db, cx, &NODE_STATUS, NULL, 0, &status));
	v = row(&r, 0);
	*out = (struct doctor_galera){ .on = val_int(&v[0]) != 0, .flush = val_int(&v[1]), .autoinc_mode = val_int(&v[2]),
		                       .binlog_format = val_str(&v[3]), .nodes = count_nodes(val_str(&v[4])),
		                       .silence_us = seconds_in_us(val_str(&v[5])) };
	read_status(&status, out);
	memset(bound.b + ID_BYTES / 2, 0, ID_BYTES / 2); /* the time alone: the same for every server */
	if (db_query(db, cx, &RECENT, VALS(v_t(until), v_id(&bound)), &recent) == OK)
		out->recent = val_str(&row(&recent, 0)[0]);
	return OK;
}

#define OWN_RIGHTS \
	"SELECT COUNT(DISTINCT g.PRIVILEGE_TYPE) FROM (SELECT GRANTEE, PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES" \
	" UNION ALL SELECT GRANTEE, PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES" \
	" WHERE DATABASE() LIKE TABLE_SCHEMA" \
	" UNION ALL SELECT GRANTEE, PRIVILEGE_TYPE FROM information_schema.TABLE_PRIVILEGES" \
	" WHERE TABLE_SCHEMA = DATABASE()) g WHERE g.GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')" \
	" AND g.PRIVILEGE_TYPE IN "
static const struct sql RIGHTS = { OWN_RIGHTS "('SELECT', 'INSERT', 'UPDATE', 'DELETE')", "" };
static const struct sql RIGHTS_DDL = {
	OWN_RIGHTS "('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'CREATE', 'ALTER', 'DROP')", "" };

enum err doctor_store_rights(struct db *db, struct ctx *cx, bool ddl, int64_t *has, int64_t *wanted)
{
	struct rows r;

	TRY(db_query(db, cx, ddl ? &RIGHTS_DDL : &RIGHTS, NULL, 0, &r));
	*has = val_int(&row(&r, 0)[0]);
	*wanted = ddl ? 7 : 4;
	return OK;
}

/* Each is one statement, and so one moment: what a claim or a settle writes is seen whole or not. */
static const struct sql NODES = {
	"SELECT COUNT(IF(state = 'live' AND lease_until > NOW(6), 1, NULL)),"
	" CAST(IFNULL(SUM(IF(state = 'live' AND lease_until > NOW(6), slots, 0)), 0) AS SIGNED),"
	" COUNT(IF(state = 'draining' AND lease_until > NOW(6), 1, NULL)) FROM node WHERE state IN ('live', 'draining')", "" };
static const struct sql BEAT = { "SELECT TIMESTAMPDIFF(MICROSECOND, at, NOW(6)) FROM beat WHERE id = 1", "" };
static const struct sql RUNNING_LOST = {
	"SELECT COUNT(*) FROM running r LEFT JOIN task t ON t.id = r.task_id AND t.attempt = r.attempt"
	" AND t.state IN ('preparing', 'running') WHERE t.id IS NULL", "" };
static const struct sql RUNNING_ON_GONE = {
	"SELECT COUNT(*) FROM running r LEFT JOIN node n ON n.id = r.node_id WHERE n.id IS NULL OR n.state = 'gone'", "" };
static const struct sql MISCOUNTED = {
	"SELECT COUNT(*) FROM lane l LEFT JOIN (SELECT lane_id, COUNT(*) AS n FROM running GROUP BY lane_id) r"
	" ON r.lane_id = l.id WHERE l.running <> IFNULL(r.n, 0)", "" };
static const struct sql WITHOUT_LANE = {
	"SELECT COUNT(*) FROM (SELECT DISTINCT lane_id FROM ready) r LEFT JOIN lane l ON l.id = r.lane_id WHERE l.id IS NULL", "" };
static const struct sql OVERDUE = {
	"SELECT COUNT(*) FROM (SELECT id FROM outbox WHERE next_at < NOW(6) - INTERVAL 5 MINUTE LIMIT 10000) o", "" };
static const struct sql OLDEST = {
	"SELECT MAX(TIMESTAMPDIFF(MICROSECOND, (SELECT t.due_at FROM ready r STRAIGHT_JOIN task t ON t.id = r.task_id"
	" WHERE r.lane_id = l.id ORDER BY r.rank_at, r.task_id LIMIT 1), NOW(6))) FROM lane l WHERE l.open = 1", "" };

static enum err one_number(struct db *db, struct ctx *cx, const struct sql *sql, int64_t *out)
{
	struct rows r;

	TRY(db_query(db, cx, sql, NULL, 0, &r));
	*out = r.n ? val_int(&row(&r, 0)[0]) : 0;
	return OK;
}

enum err doctor_store_tables(struct db *db, struct ctx *cx, struct doctor_tables *out)
{
	struct rows r;

	TRY(db_query(db, cx, &NODES, NULL, 0, &r));
	out->live_nodes = val_int(&row(&r, 0)[0]);
	out->live_slots = val_int(&row(&r, 0)[1]);
	out->draining_nodes = val_int(&row(&r, 0)[2]);
	TRY(one_number(db, cx, &BEAT, &out->beat_age_us));
	TRY(one_number(db, cx, &RUNNING_LOST, &out->running_lost));
	TRY(one_number(db, cx, &RUNNING_ON_GONE, &out->running_on_gone));
	TRY(one_number(db, cx, &MISCOUNTED, &out->lanes_miscounted));
	TRY(one_number(db, cx, &WITHOUT_LANE, &out->ready_without_lane));
	TRY(one_number(db, cx, &OVERDUE, &out->callbacks_overdue));
	return one_number(db, cx, &OLDEST, &out->oldest_waiting_us);
}

static const struct sql LAST_DAY = {
	"SELECT MAX(CAST(PARTITION_DESCRIPTION AS SIGNED)) - 1 FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE()"
	" AND TABLE_NAME = 'log_chunk' AND PARTITION_DESCRIPTION <> 'MAXVALUE'", "" };

enum err doctor_store_log_days(struct db *logs, struct ctx *cx, int64_t *ahead)
{
	int64_t last, now;

	TRY(one_number(logs, cx, &LAST_DAY, &last));
	TRY(db_now(logs, cx, &now));
	*ahead = last > 0 ? last - time_day(now) : -1;
	return OK;
}
