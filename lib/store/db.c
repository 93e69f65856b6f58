#include "store/db.h"

#include "base/clock.h"
#include "store/db_error.h"
#include "store/db_place.h"

#include <assert.h>
#include <errmsg.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CACHE_MOST = 256, DEADLOCK = 1213, SYNTAX = 1064, AGAIN_MOST = 5 };

struct cached {
	uint64_t hash;
	char *text;
	MYSQL_STMT *stmt;
	unsigned array; /* what STMT_ATTR_ARRAY_SIZE was last set to */
};

struct db {
	const struct settings_database *set;
	int wait_s;
	MYSQL *my; /* NULL = not connected */
	bool in_txn, in_cluster; /* in_cluster: the server is a node of a Galera cluster */
	int way; /* its socket once more, which outlives the connection's own end; -1 = none */
	int64_t clock_offset; /* database's clock minus CLOCK_BOOTTIME, microseconds */
	int64_t clock_error;  /* by how many it may be wrong */
	struct cached cache[CACHE_MOST];
	size_t cached;
	int64_t changed, statements;
	unsigned err;
	bool lost, unsure, unread;
	struct db_place place;
	int fail_in; /* tests: 0 = off */
	bool fail_after;
	unsigned fail_as;
};

struct val v_t(int64_t us)
{
	return us == TIME_NONE ? v_null() : (struct val){ VAL_TIME, us, { 0, 0 } };
}

int64_t val_int(const struct val *v)
{
	return v->type == VAL_INT ? v->i : 0;
}

struct str val_str(const struct val *v)
{
	return v->type == VAL_BYTES ? v->s : STR_LIT("");
}

int64_t val_time(const struct val *v)
{
	return v->type == VAL_TIME ? v->i : TIME_NONE;
}

struct id val_id(const struct val *v)
{
	struct id id = { { 0 } };

	if (v->type == VAL_BYTES && v->s.n == ID_BYTES)
		memcpy(id.b, v->s.p, ID_BYTES);
	return id;
}

struct db *db_new(const struct settings *set, enum db_use use, int wait_s)
{
	struct db *db = calloc(1, sizeof *db);

	if (!db)
		abort();
	db->set = use == DB_LOGS ? &set->logs : &set->database;
	db->wait_s = wait_s;
	db->way = -1;
	db_place_init(&db->place, db->set);
	return db;
}

static void disconnect(struct db *db)
{
	for (size_t i = 0; i < db->cached; i++) {
		mysql_stmt_close(db->cache[i].stmt);
		free(db->cache[i].text);
	}
	db->cached = 0;
	if (db->my)
		mysql_close(db->my);
	db->my = NULL;
	if (db->way >= 0)
		close(db->way);
	db->way = -1;
}

void db_free(struct db *db)
{
	if (!db)
		return;
	disconnect(db);
	free(db);
}

int64_t db_changed(const struct db *db)
{
	return db->changed;
}

unsigned db_errno(const struct db *db)
{
	return db->err;
}

bool db_is_lost(const struct db *db)
{
	return db->lost;
}

bool db_is_unsure(const struct db *db)
{
	return db->unsure;
}

bool db_was_unread(const struct db *db)
{
	return db->unread;
}

int64_t db_statements(const struct db *db)
{
	return db->statements;
}

int db_wait_s(const struct db *db)
{
	return db->wait_s;
}

void db_fail_at(struct db *db, int n, bool after)
{
	db->fail_in = n;
	db->fail_after = after;
	db->fail_as = CR_SERVER_LOST;
}

void db_refuse_at(struct db *db, int n, unsigned number)
{
	db_fail_at(db, n, false);
	db->fail_as = number;
}

bool db_fails_later(const struct db *db)
{
	return db->fail_in > 0;
}

/* --- errors ------------------------------------------------------------------------------------ */

/* A Galera node that undoes a transaction while that reads a table's triggers calls it an error of syntax in them:
 * MariaDB 10.11 "Unknown trigger has an error in its body: 'Query was empty'", or a trigger's name and the place
 * where it stopped to read. What is in them was read when they were made. Any other is our own. */
static unsigned meant(const struct db *db, unsigned number, const char *text)
{
	return db->in_cluster && number == SYNTAX && strstr(text, "has an error in its body") ? DEADLOCK : number;
}

/* A server beside us that hangs leaves what it was sent in its socket, and the kernel says so (unix(7): SIOCOUTQ). A
 * statement is begun when all of it was read. Over TCP the peer's kernel takes it, and nobody knows. */
static bool left_unread(const struct db *db)
{
	int bytes = 0;

	return db->way >= 0 && ioctl(db->way, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

static enum err failed(struct db *db, struct ctx *cx, unsigned told, const char *text)
{
	unsigned number = meant(db, told, text);
	enum db_action action = db_error_action(number);

	db->err = number;
	db->lost = action == DB_RECONNECT || action == DB_NEXT;
	db->unsure = db_error_is_unsure(number);
	db->unread = db->unsure && left_unread(db);
	if (db->lost) {
		db_place_pass_over(&db->place);
		disconnect(db);
		return err_set(cx, ERR_BUSY, "the database does not answer: %s (%u)", text, number);
	}
	return err_set(cx, db_error_kind(action), "the database refuses: %s (%u)", text, number);
}

static enum err stmt_failed(struct db *db, struct ctx *cx, MYSQL_STMT *st)
{
	char text[256];

	snprintf(text, sizeof text, "%s", mysql_stmt_error(st));
	return failed(db, cx, mysql_stmt_errno(st), text);
}

static enum err my_failed(struct db *db, struct ctx *cx)
{
	char text[256];

	snprintf(text, sizeof text, "%s", mysql_error(db->my));
	return failed(db, cx, mysql_errno(db->my), text);
}

/* Tests: counts the statement; true = pretend that it failed here. */
static bool inject(struct db *db, bool after, const char *text)
{
	if (!db->fail_in || after != db->fail_after)
		return false;
	if (db->fail_as != CR_SERVER_LOST && strstr(text, "SELECT") == text && !strstr(text, "FOR UPDATE"))
		return false; /* nobody refuses to read */
	return --db->fail_in == 0;
}

static enum err injected(struct db *db, struct ctx *cx)
{
	return failed(db, cx, db->fail_as, "failed on purpose");
}

/* --- connecting -------------------------------------------------------------------------------- */

static enum err dial(struct db *db, struct ctx *cx)
{
	unsigned number;

	db->my = db_place_connect(&db->place, cx, db->set, db->wait_s, &number);
	if (db->my)
		return OK;
	db->err = number;
	db->lost = number != 0;
	db->unsure = db->unread = false;
	return cx->err;
}

/* The connector closes its own when it gives up waiting, and with it goes what could be asked of it. */
static void keep_way(struct db *db)
{
	int fd = mysql_get_socket(db->my), domain = 0;
	socklen_t n = sizeof domain;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain == AF_UNIX)
		db->way = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* What each new connection begins with. */
static enum err greet(struct db *db, struct ctx *cx)
{
	static const struct sql NOW = { "SELECT NOW(6), @@wsrep_on", "" };
	int64_t before = clock_boot_us(), after;
	struct rows r;

	keep_way(db);
	TRY(db_query(db, cx, &NOW, NULL, 0, &r));
	after = clock_boot_us();
	db->in_cluster = val_int(&row(&r, 0)[1]) != 0;
	db->clock_offset = val_time(row(&r, 0)) - (before + after) / 2;
	db->clock_error = (after - before + 1) / 2;
	return OK;
}

/* The connection in use is kept until the preferred server is there again. */
static enum err go_home(struct db *db, struct ctx *cx)
{
	MYSQL *my = db_place_home(&db->place, cx, db->set, db->wait_s);

	if (!my)
		return OK;
	disconnect(db);
	db->my = my;
	return greet(db, cx);
}

enum err db_open(struct db *db, struct ctx *cx)
{
	if (db->my && !db->in_txn && db_place_may_go_home(&db->place))
		return go_home(db, cx);
	if (db->my)
		return OK;
	if (db->in_txn) {
		db->lost = true;
		return err_set(cx, ERR_BUSY, "the connection was lost inside a transaction");
	}
	TRY(dial(db, cx));
	return greet(db, cx);
}

enum err db_now(struct db *db, struct ctx *cx, int64_t *us)
{
	TRY(db_open(db, cx));
	*us = clock_boot_us() + db->clock_offset;
	return OK;
}

int64_t db_clock_error(const struct db *db)
{
	return db->clock_error;
}

/* --- statements -------------------------------------------------------------------------------- */

static uint64_t hash_of(const char *text)
{
	uint64_t h = 1469598103934665603u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 1099511628211u;
	return h;
}

static void forget_oldest(struct db *db)
{
	mysql_stmt_close(db->cache[0].stmt);
	free(db->cache[0].text);
	memmove(db->cache, db->cache + 1, (--db->cached) * sizeof *db->cache);
}

static bool is_inside(const struct db *db)
{
	return (db->my->server_status & SERVER_STATUS_IN_TRANS) != 0;
}

/* On Galera a transaction that another server undoes while it is at rest is told of that with its next
 * command; with a PREPARE it is not, and what is executed then would be a transaction of its own. */
static enum err still_inside(struct db *db, struct ctx *cx)
{
	static const char NOTHING[] = "DO 0";

	if (mysql_real_query(db->my, NOTHING, sizeof NOTHING - 1))
		return my_failed(db, cx);
	return is_inside(db) ? OK : failed(db, cx, DEADLOCK, "the transaction was undone meanwhile");
}

static enum err prepare(struct db *db, struct ctx *cx, const struct sql *sql, struct cached **out)
{
	uint64_t hash = hash_of(sql->text);
	my_bool yes = 1;
	struct cached *c;

	for (size_t i = 0; i < db->cached; i++) {
		if (db->cache[i].hash == hash && strcmp(db->cache[i].text, sql->text) == 0) {
			*out = &db->cache[i];
			return OK;
		}
	}
	if (db->cached == CACHE_MOST)
		forget_oldest(db);
	c = &db->cache[db->cached];
	*c = (struct cached){ hash, strdup(sql->text), mysql_stmt_init(db->my), 0 };
	if (!c->text || !c->stmt)
		abort();
	db->cached++; /* disconnect() and the next line own it from here */
	if (mysql_stmt_prepare(c->stmt, sql->text, (unsigned long)strlen(sql->text))) {
		enum err e = stmt_failed(db, cx, c->stmt);

		if (db->my) {
			mysql_stmt_close(c->stmt);
			free(c->text);
			db->cached--;
		}
		return e;
	}
	mysql_stmt_attr_set(c->stmt, STMT_ATTR_UPDATE_MAX_LENGTH, &yes);
	assert(mysql_stmt_param_count(c->stmt) == strlen(sql->in));
	*out = c;
	return db->in_txn && db->in_cluster ? still_inside(db, cx) : OK;
}

static void to_mysql_time(int64_t us, MYSQL_TIME *t)
{
	int64_t day = time_day(us), rest = us - day * 86400000000LL;
	int year, month, mday;

	time_civil(day, &year, &month, &mday);
	*t = (MYSQL_TIME){ .year = (unsigned)year, .month = (unsigned)month, .day = (unsigned)mday,
	                   .hour = (unsigned)(rest / 3600000000LL),
	                   .minute = (unsigned)(rest / 60000000 % 60),
	                   .second = (unsigned)(rest / 1000000 % 60),
	                   .second_part = (unsigned long)(rest % 1000000),
	                   .time_type = MYSQL_TIMESTAMP_DATETIME };
}

static int64_t from_mysql_time(const MYSQL_TIME *t)
{
	int64_t day = time_days_from_civil((int)t->year, (int)t->month, (int)t->day);

	return ((day * 24 + t->hour) * 60 + t->minute) * 60000000LL + t->second * 1000000LL +
	       (int64_t)t->second_part;
}

/* Values as columns: what the client library wants for arrays, and for single rows alike. */
static void bind_column(struct arena *a, MYSQL_BIND *b, char type, const struct val *v, size_t step, size_t n)
{
	char *null = arena_take(a, n);
	int64_t *ints = type == 'i' ? arena_array(a, n, sizeof *ints) : NULL;
	MYSQL_TIME *times = type == 't' ? arena_array(a, n, sizeof *times) : NULL;
	MYSQL_TIME **time_at = type == 't' ? arena_array(a, n, sizeof *time_at) : NULL; /* the library's form */
	const char **texts = type == 's' ? arena_array(a, n, sizeof *texts) : NULL;
	unsigned long *lengths = type == 's' ? arena_array(a, n, sizeof *lengths) : NULL;

	for (size_t i = 0; i < n; i++, v += step) {
		null[i] = v->type == VAL_NULL ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
		assert(v->type == VAL_NULL || (type == 'i' && v->type == VAL_INT) ||
		       (type == 's' && v->type == VAL_BYTES) || (type == 't' && v->type == VAL_TIME));
		if (type == 'i')
			ints[i] = v->i;
		else if (type == 't') {
			to_mysql_time(v->type == VAL_TIME ? v->i : 0, &times[i]);
			time_at[i] = &times[i];
		} else if (type == 's') {
			texts[i] = v->s.n ? v->s.p : "";
			lengths[i] = v->type == VAL_NULL ? 0 : v->s.n;
		}
	}
	b->buffer_type = type == 'i' ? MYSQL_TYPE_LONGLONG : type == 't' ? MYSQL_TYPE_DATETIME : MYSQL_TYPE_STRING;
	b->buffer = type == 'i' ? (void *)ints : type == 't' ? (void *)time_at : (void *)texts;
	b->length = lengths;
	b->u.indicator = null;
}

static void bind_single(struct arena *a, MYSQL_BIND *b, char type, const struct val *v)
{
	bind_column(a, b, type, v, 0, 1);
	if (type == 's') {
		b->buffer_length = *b->length;
		b->buffer = (void *)(uintptr_t) * (const char **)b->buffer;
	}
	if (type == 't')
		b->buffer = *(MYSQL_TIME **)b->buffer;
	b->u.indicator = NULL;
	b->is_null = arena_take(a, sizeof(my_bool));
	*b->is_null = v->type == VAL_NULL;
}

static enum err run(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, size_t count,
                    bool array, struct cached **out)
{
	size_t columns = strlen(sql->in);
	MYSQL_BIND *binds = arena_array(&cx->arena, columns + 1, sizeof *binds);
	unsigned size = array ? (unsigned)count : 0;
	struct cached *c;

	db->err = 0;
	db->lost = db->unsure = db->unread = false;
	db->changed = 0;
	TRY(prepare(db, cx, sql, &c));
	for (size_t i = 0; i < columns; i++) {
		if (array)
			bind_column(&cx->arena, &binds[i], sql->in[i], v + i, columns, count);
		else
			bind_single(&cx->arena, &binds[i], sql->in[i], v + i);
	}
	if (c->array != size)
		mysql_stmt_attr_set(c->stmt, STMT_ATTR_ARRAY_SIZE, &size);
	c->array = size;
	if (columns && mysql_stmt_bind_param(c->stmt, binds))
		return stmt_failed(db, cx, c->stmt);
	if (inject(db, false, sql->text))
		return injected(db, cx);
	db->statements++;
	if (mysql_stmt_execute(c->stmt))
		return stmt_failed(db, cx, c->stmt);
	if (db->in_txn && !is_inside(db))
		return failed(db, cx, DEADLOCK, "the transaction was undone meanwhile");
	if (inject(db, true, sql->text))
		return injected(db, cx);
	db->changed = (int64_t)mysql_stmt_affected_rows(c->stmt);
	*out = c;
	return OK;
}

static enum err exec_once(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, size_t count,
                          bool array)
{
	struct cached *c;

	TRY(db_open(db, cx));
	TRY(run(db, cx, sql, v, count, array, &c));
	mysql_stmt_free_result(c->stmt);
	return OK;
}

/* Outside a transaction a deadlock, and on Galera a write on another server at the same time, undoes the
 * statement and nothing else: it is sent again. Of an array, an INSERT is undone as a whole. */
static enum err exec_alone(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, size_t count,
                           bool array)
{
	bool alone = !db->in_txn && (!array || strncmp(sql->text, "INSERT", 6) == 0);
	enum err e = exec_once(db, cx, sql, v, count, array);

	for (int again = 0; again < AGAIN_MOST && alone && e != OK && db->err == DEADLOCK; again++)
		e = exec_once(db, cx, sql, v, count, array);
	return e;
}

enum err db_exec(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, size_t n)
{
	assert(n == strlen(sql->in));
	return exec_alone(db, cx, sql, v, 1, false);
}

/* On Galera (MariaDB 10.11) an array whose transaction another server undoes in its middle is told as done:
 * the rows behind that place are then a transaction of their own. One by one, each hears of it. */
static enum err exec_rows(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, size_t count)
{
	size_t columns = strlen(sql->in);
	int64_t changed = 0;

	for (size_t i = 0; i < count; i++) {
		TRY(exec_once(db, cx, sql, v + i * columns, 1, false));
		changed += db->changed;
	}
	db->changed = changed;
	return OK;
}

enum err db_exec_array(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, size_t count)
{
	db->changed = 0;
	if (!count)
		return OK;
	if (db->in_txn && db->in_cluster)
		return exec_rows(db, cx, sql, v, count);
	return exec_alone(db, cx, sql, v, count, true);
}

/* --- results ----------------------------------------------------------------------------------- */

struct column {
	int64_t i;
	MYSQL_TIME t;
	char *bytes;
	unsigned long length;
	my_bool null;
};

static char type_out(enum enum_field_types t)
{
	switch (t) {
	case MYSQL_TYPE_TINY: case MYSQL_TYPE_SHORT: case MYSQL_TYPE_INT24: case MYSQL_TYPE_LONG:
	case MYSQL_TYPE_LONGLONG: case MYSQL_TYPE_YEAR: case MYSQL_TYPE_DECIMAL: case MYSQL_TYPE_NEWDECIMAL:
	case MYSQL_TYPE_FLOAT: case MYSQL_TYPE_DOUBLE:
		return 'i';
	case MYSQL_TYPE_DATE: case MYSQL_TYPE_DATETIME: case MYSQL_TYPE_TIMESTAMP:
		return 't';
	default:
		return 's';
	}
}

static void bind_out(struct arena *a, MYSQL_BIND *b, struct column *c, const MYSQL_FIELD *f, char type)
{
	b->is_null = &c->null;
	b->length = &c->length;
	if (type == 'i') {
		b->buffer_type = MYSQL_TYPE_LONGLONG;
		b->buffer = &c->i;
	} else if (type == 't') {
		b->buffer_type = MYSQL_TYPE_DATETIME;
		b->buffer = &c->t;
	} else {
		c->bytes = arena_take(a, f->max_length + 1);
		b->buffer_type = MYSQL_TYPE_BLOB;
		b->buffer = c->bytes;
		b->buffer_length = f->max_length;
	}
}

static struct val take(struct arena *a, const struct column *c, char type)
{
	if (c->null)
		return v_null();
	if (type == 'i')
		return v_i(c->i);
	if (type == 't')
		return v_t(from_mysql_time(&c->t));
	return v_s(str_bytes(arena_copy(a, c->bytes, c->length), c->length));
}

static enum err fetch_all(struct db *db, struct ctx *cx, MYSQL_STMT *st, struct rows *out)
{
	size_t columns = mysql_stmt_field_count(st), n;
	struct column *c = arena_array(&cx->arena, columns, sizeof *c);
	MYSQL_BIND *b = arena_array(&cx->arena, columns, sizeof *b);
	char *types = arena_take(&cx->arena, columns + 1);
	struct val *v;
	MYSQL_RES *meta;

	if (mysql_stmt_store_result(st))
		return stmt_failed(db, cx, st);
	meta = mysql_stmt_result_metadata(st);
	if (!meta)
		return stmt_failed(db, cx, st);
	for (size_t i = 0; i < columns; i++) {
		const MYSQL_FIELD *f = mysql_fetch_field_direct(meta, (unsigned)i);

		types[i] = type_out(f->type);
		bind_out(&cx->arena, &b[i], &c[i], f, types[i]);
	}
	mysql_free_result(meta);
	if (mysql_stmt_bind_result(st, b))
		return stmt_failed(db, cx, st);
	n = (size_t)mysql_stmt_num_rows(st);
	v = arena_array(&cx->arena, n * columns, sizeof *v);
	*out = (struct rows){ 0, columns, v };
	while (out->n < n && mysql_stmt_fetch(st) == 0) {
		for (size_t i = 0; i < columns; i++)
			v[out->n * columns + i] = take(&cx->arena, &c[i], types[i]);
		out->n++;
	}
	return OK;
}

static enum err query_once(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, struct rows *out)
{
	struct cached *c;
	enum err e = OK;

	TRY(db_open(db, cx));
	TRY(run(db, cx, sql, v, 1, false, &c));
	*out = (struct rows){ 0 };
	if (mysql_stmt_field_count(c->stmt))
		e = fetch_all(db, cx, c->stmt, out);
	if (db->my)
		mysql_stmt_free_result(c->stmt);
	return e;
}

static bool only_reads(const struct sql *sql)
{
	return strncmp(sql->text, "SELECT", 6) == 0 || strncmp(sql->text, "(SELECT", 7) == 0;
}

enum err db_query(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, size_t n, struct rows *out)
{
	int64_t began = clock_boot_us();
	bool idle = db->my && !db->in_txn;
	enum err e;

	assert(n == strlen(sql->in));
	e = query_once(db, cx, sql, v, out);
	/* An idle connection that the server closed meanwhile (restart, wait_timeout) shows only when it
	 * is used: a read may simply be sent again, unless the server took its time to fail. */
	if (e != OK && db->lost && idle && only_reads(sql) && clock_boot_us() - began < 500000)
		e = query_once(db, cx, sql, v, out);
	return e;
}

/* --- transactions, scripts, tests -------------------------------------------------------------- */

static enum err plain(struct db *db, struct ctx *cx, struct str statement)
{
	db->err = 0;
	db->lost = db->unsure = db->unread = false;
	if (inject(db, false, statement.p))
		return injected(db, cx);
	db->statements++;
	if (mysql_real_query(db->my, statement.p, (unsigned long)statement.n))
		return my_failed(db, cx);
	if (inject(db, true, statement.p))
		return injected(db, cx);
	while (mysql_field_count(db->my)) {
		MYSQL_RES *r = mysql_store_result(db->my);

		mysql_free_result(r);
		if (mysql_next_result(db->my) != 0)
			break;
	}
	return OK;
}

enum err db_begin(struct db *db, struct ctx *cx)
{
	TRY(db_open(db, cx));
	TRY(plain(db, cx, STR_LIT("START TRANSACTION")));
	db->in_txn = true;
	return OK;
}

enum err db_commit(struct db *db, struct ctx *cx)
{
	enum err e;

	if (!db->my)
		e = db_open(db, cx); /* in_txn: says that the connection was lost */
	else
		e = plain(db, cx, STR_LIT("COMMIT"));
	db->in_txn = false;
	return e;
}

void db_rollback(struct db *db)
{
	db->in_txn = false;
	if (db->my && mysql_rollback(db->my))
		disconnect(db);
}

enum err db_script(struct db *db, struct ctx *cx, struct str statement)
{
	TRY(db_open(db, cx));
	return plain(db, cx, statement);
}

enum err db_set_clock(struct db *db, struct ctx *cx, int64_t us)
{
	char text[80];
	int n = us == TIME_NONE ? snprintf(text, sizeof text, "SET timestamp=DEFAULT")
	                        : snprintf(text, sizeof text, "SET timestamp=%lld.%06lld", (long long)(us / 1000000),
	                                   (long long)(us % 1000000));

	TRY(db_script(db, cx, str_bytes(text, (size_t)n)));
	return greet(db, cx);
}
