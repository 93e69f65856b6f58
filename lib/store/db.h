#pragma once
#include "base/ctx.h"
#include "base/id.h"
#include "model/settings.h"

/* One connection to MariaDB. Prepared statements only, every value bound, no automatic reconnect
 * inside a transaction. One per process or thread; never shared. */
struct db;

/* A statement. `in` names the types of its parameters and is asserted at each call:
 * i = whole number, s = bytes or text, t = time. */
struct sql {
	const char *text;
	const char *in;
};

/* A typed value, going in or coming out. */
struct val {
	enum { VAL_NULL, VAL_INT, VAL_BYTES, VAL_TIME } type;
	int64_t i; /* VAL_INT; VAL_TIME: microseconds since 1970 */
	struct str s;
};
static inline struct val v_i(int64_t i)
{
	return (struct val){ VAL_INT, i, { 0, 0 } };
}
static inline struct val v_s(struct str s)
{
	return (struct val){ VAL_BYTES, 0, s };
}
static inline struct val v_z(const char *z)
{
	return v_s(str_of(z));
}
static inline struct val v_id(const struct id *id)
{
	return v_s(id_view(id));
}
/* NULL for an id of zeroes. */
static inline struct val v_id_or_null(const struct id *id)
{
	return id_is_zero(id) ? (struct val){ VAL_NULL, 0, { 0, 0 } } : v_id(id);
}
/* NULL for TIME_NONE. */
struct val v_t(int64_t us);
static inline struct val v_null(void)
{
	return (struct val){ VAL_NULL, 0, { 0, 0 } };
}

/* Rows that a query gave, all of them, in the ctx's arena. */
struct rows {
	size_t n, columns;
	const struct val *v; /* row-major */
};
static inline const struct val *row(const struct rows *r, size_t i)
{
	return r->v + i * r->columns;
}
/* Readers of one column: NULL gives 0, "", TIME_NONE, the zero id. */
int64_t val_int(const struct val *v);
struct str val_str(const struct val *v);
int64_t val_time(const struct val *v);
struct id val_id(const struct val *v);

enum db_use {
	DB_TASKS, /* the [database] key */
	DB_LOGS,  /* the [logs] key */
};
/* How long the owner of a connection may wait for an answer, in seconds. */
enum { DB_WAIT_API_S = 2, DB_WAIT_WORKER_S = 10 };

/* A connection that connects when first used (and again after it was lost, outside transactions).
 * `wait_s` bounds connecting and each answer. The settings must outlive it. Of several servers it
 * prefers the first (with `spread` any one), passes over those that are away or have no part in their
 * Galera cluster, and goes back between transactions, 5 s later or, the longer it was away, up to 60. */
struct db *db_new(const struct settings *set, enum db_use use, int wait_s);
void db_free(struct db *db);
/* Connects now if it is not; ERR_BUSY with a sentence when no configured server answers. */
enum err db_open(struct db *db, struct ctx *cx);

#define VALS(...) (const struct val[]){ __VA_ARGS__ }, sizeof((const struct val[]){ __VA_ARGS__ }) / sizeof(struct val)
/* Runs a statement; values by VALS(v_i(1), v_s(x)) or NULL, 0. Outside a transaction one that a deadlock
 * or a failed certification undid is sent again, at most 5 times. */
enum err db_exec(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, size_t n);
/* Runs a statement once for each of `count` rows of values (row-major, the statement's number of
 * columns each) by array binding: one round trip. db_changed gives the sum. An INSERT is all or
 * nothing under autocommit; an UPDATE or DELETE is not: use it inside a transaction. There, on a Galera
 * cluster, it runs row by row (see db.c). */
enum err db_exec_array(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, size_t count);
/* Runs a query and reads all of it into the arena. */
enum err db_query(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, size_t n, struct rows *out);
/* Rows changed by the last statement: really changed ones, not merely matched. */
int64_t db_changed(const struct db *db);
/* MariaDB's number of the last error (0 = none), for the table in txn.c. */
unsigned db_errno(const struct db *db);
/* The database's clock now, microseconds since 1970, from an offset measured when the connection was
 * made: no round trip. Connects if need be. */
enum err db_now(struct db *db, struct ctx *cx, int64_t *us);
/* By how many microseconds db_now may be wrong: half of what asking took. */
int64_t db_clock_error(const struct db *db);
/* Whether the last error was that of a lost connection: what was sent may or may not have been done. */
bool db_is_lost(const struct db *db);
/* Whether it was lost after the statement had gone out, with no answer: the cases of db_is_lost in
 * which something may have been done. */
bool db_is_unsure(const struct db *db);
/* Whether, of those, the server had not read the statement to its end: it has not begun it, and reads it when it wakes
 * up. Only ever true of a server on this host that is asked over its own socket. */
bool db_was_unread(const struct db *db);
/* Statements sent since db_new (tests and `idle_qps`). */
int64_t db_statements(const struct db *db);
/* Tests: the n-th statement from here (1 = the next; COMMIT counts) reports a lost connection,
 * `after` = it was done first. */
void db_fail_at(struct db *db, int n, bool after);
/* Tests: the n-th statement from here that locks or changes something (COMMIT counts) is refused with MariaDB's
 * error `number`, and not done. */
void db_refuse_at(struct db *db, int n, unsigned number);
/* Tests: whether what one of the two asked for is still to come. */
bool db_fails_later(const struct db *db);
/* Tests: turns the session's clock (MariaDB's variable `timestamp`); TIME_NONE = the real one. */
enum err db_set_clock(struct db *db, struct ctx *cx, int64_t us);

/* For txn.c and schema_store.c only. */
enum err db_begin(struct db *db, struct ctx *cx);
enum err db_commit(struct db *db, struct ctx *cx);
void db_rollback(struct db *db);
int db_wait_s(const struct db *db);
/* One statement as plain text without values (DDL, triggers). */
enum err db_script(struct db *db, struct ctx *cx, struct str statement);
