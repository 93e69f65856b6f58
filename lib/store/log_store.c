#include "store/log_row.h"

#include "base/clock.h"
#include "base/gzip.h"
#include "model/log_notice.h"

#include <stdio.h>

/* --- log_head ------------------------------------------------------------------------------------ */

#define HEAD_COLUMNS "SELECT " LOG_HEAD_COLUMNS " FROM log_head WHERE task_id = ? "

static const struct sql HEADS = { HEAD_COLUMNS "ORDER BY attempt", "s" };
static const struct sql HEAD = { HEAD_COLUMNS "AND attempt = ?", "si" };
/* A late beginner is closed from the start if a newer attempt has begun; that newer one closes, after
 * its own row is there, what began before it: whichever comes second sees the other. */
static const struct sql BEGIN = {
	"INSERT INTO log_head (task_id, attempt, day, project_id) VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE day = day", "siis" };
static const struct sql CLOSE_EARLIER = {
	"UPDATE log_head SET closed = 1 WHERE task_id = ? AND closed = 0"
	" AND attempt < (SELECT m.newest FROM (SELECT MAX(attempt) AS newest FROM log_head WHERE task_id = ?) m)", "ss" };
static const struct sql CLOSE = { "UPDATE log_head SET closed = 1 WHERE task_id = ? AND attempt = ?", "si" };

void log_head_from_row(const struct val *v, struct log_head *out)
{
	*out = (struct log_head){ .attempt = val_int(&v[0]), .day = val_int(&v[1]), .next = val_int(&v[2]),
		                  .bytes = val_int(&v[3]), .lines = val_int(&v[4]), .kept = val_int(&v[5]),
		                  .closed = val_int(&v[6]) != 0, .live = val_int(&v[7]) };
}

enum err log_store_begin(struct db *db, struct ctx *cx, const struct id *project, const struct id *task, int64_t attempt,
                         int64_t day)
{
	TRY(db_exec(db, cx, &BEGIN, VALS(v_id(task), v_i(attempt), v_i(day), v_id(project))));
	return db_exec(db, cx, &CLOSE_EARLIER, VALS(v_id(task), v_id(task)));
}

enum err log_store_close(struct db *db, struct ctx *cx, const struct id *task, int64_t attempt)
{
	return db_exec(db, cx, &CLOSE, VALS(v_id(task), v_i(attempt)));
}

enum err log_store_head(struct db *db, struct ctx *cx, const struct id *task, int64_t attempt, struct log_head *out)
{
	struct rows r;

	TRY(db_query(db, cx, &HEAD, VALS(v_id(task), v_i(attempt)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no log of attempt %lld", (long long)attempt);
	log_head_from_row(row(&r, 0), out);
	return OK;
}

enum err log_store_heads(struct db *db, struct ctx *cx, const struct id *task, struct log_head **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &HEADS, VALS(v_id(task)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		log_head_from_row(row(&r, i), &(*out)[i]);
	return OK;
}

/* --- pieces: for each one byte of stream, then length and time since the piece before as LEB128 ---- */

static void put_number(struct buf *b, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		buf_char(b, (char)(0x80 | (value & 0x7f)));
	buf_char(b, (char)value);
}

static bool get_number(struct str *s, uint64_t *out)
{
	*out = 0;
	for (int shift = 0; shift < 64 && s->n; shift += 7) {
		unsigned char c = (unsigned char)*s->p;

		s->p++;
		s->n--;
		*out |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			return true;
	}
	return false;
}

/* Clocks may be set back between two pieces: the sign goes into the lowest bit. */
static uint64_t fold_sign(int64_t value)
{
	return value < 0 ? ~((uint64_t)value << 1) : (uint64_t)value << 1;
}

static int64_t unfold_sign(uint64_t value)
{
	return value & 1 ? (int64_t)~(value >> 1) : (int64_t)(value >> 1);
}

static void pieces_write(const struct log_chunk *c, struct buf *out)
{
	int64_t at = c->first_at;

	for (size_t i = 0; i < c->piece_count; i++) {
		buf_char(out, (char)c->pieces[i].stream);
		put_number(out, c->pieces[i].bytes);
		put_number(out, fold_sign(c->pieces[i].at - at));
		at = c->pieces[i].at;
	}
}

static enum err pieces_read(struct ctx *cx, struct str s, struct log_chunk *c)
{
	struct log_piece *p = arena_array(&cx->arena, s.n / 3 + 1, sizeof *p);
	int64_t at = c->first_at;
	uint64_t bytes, since;

	c->pieces = p;
	c->piece_count = 0;
	while (s.n) {
		p->stream = (uint8_t)*s.p;
		s.p++;
		s.n--;
		if (!get_number(&s, &bytes) || bytes > UINT32_MAX || !get_number(&s, &since))
			return err_set(cx, ERR_INTERNAL, "the list of pieces of log chunk %lld is broken", (long long)c->number);
		p->bytes = (uint32_t)bytes;
		at += unfold_sign(since);
		p->at = at;
		p++;
		c->piece_count++;
	}
	return OK;
}

/* --- chunks -------------------------------------------------------------------------------------- */

static const struct sql ADD = {
	"INSERT INTO log_chunk (day, task_id, attempt, number, first_byte, first_line, line_count, bytes, first_at, pieces,"
	" body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "isiiiiiitss" };

#define OF_ATTEMPT "FROM log_chunk WHERE day = ? AND task_id = ? AND attempt = ? "
static const struct sql SIZES = {
	"SELECT bytes " OF_ATTEMPT "AND number >= ? ORDER BY number LIMIT ?", "isiii" };
static const struct sql READ = {
	"SELECT " LOG_CHUNK_COLUMNS " " OF_ATTEMPT
	"AND number >= ? ORDER BY number LIMIT ?", "isiii" };
static const struct sql PLACE = {
	"SELECT first_byte + bytes, first_line + line_count " OF_ATTEMPT "AND number = ?", "isii" };
static const struct sql GAPS = {
	"SELECT gap FROM (SELECT first_byte - COALESCE(LAG(first_byte + bytes) OVER (ORDER BY number), 0) AS gap " OF_ATTEMPT
	") g WHERE gap > 0", "isi" };

enum err log_chunk_pack(struct ctx *cx, const struct log_chunk *c, struct buf *pieces, struct buf *body)
{
	pieces_write(c, pieces);
	return gzip_member(cx, c->plain, body);
}

static enum err why_refused(struct db *db, struct ctx *cx, const struct id *task, int64_t attempt,
                            const struct log_chunk *chunk, struct log_head *head)
{
	long long number = chunk->number;

	TRY(log_store_head(db, cx, task, attempt, head));
	if (head->next > chunk->number)
		return err_set(cx, ERR_CONFLICT, "log chunk %lld is stored already", number);
	if (head->closed)
		return err_set(cx, ERR_CONFLICT, "the log is closed: chunk %lld comes too late", number);
	return err_set(cx, ERR_CONFLICT, "log chunk %lld is not the next one, that is %lld", number, (long long)head->next);
}

enum err log_store_append(struct db *db, struct ctx *cx, const struct id *task, int64_t attempt, int64_t day,
                          const struct log_chunk *chunk, struct log_head *head)
{
	auto_buf body = { 0 }, pieces = { 0 };
	enum err e;

	TRY(log_chunk_pack(cx, chunk, &pieces, &body));
	e = db_exec(db, cx, &ADD, VALS(v_i(day), v_id(task), v_i(attempt), v_i(chunk->number), v_i(chunk->first_byte),
	                               v_i(chunk->first_line), v_i(chunk->line_count), v_i((int64_t)chunk->plain.n),
	                               v_t(chunk->first_at), v_s(buf_view(&pieces)), v_s(buf_view(&body))));
	if (e != OK && (db_errno(db) == LOG_REFUSED || db_errno(db) == LOG_DUPLICATE))
		return why_refused(db, cx, task, attempt, chunk, head);
	return e;
}

/* How many chunks from `from` on stay below the ceiling; at least one if there is one. */
static enum err count_below(struct db *db, struct ctx *cx, const struct id *task, const struct log_head *head,
                            int64_t from, size_t most, size_t *count)
{
	enum { PLAIN_BYTES = 4 << 20 };
	int64_t total = 0;
	struct rows r;

	TRY(db_query(db, cx, &SIZES, VALS(v_i(head->day), v_id(task), v_i(head->attempt), v_i(from), v_i((int64_t)most)), &r));
	for (*count = 0; *count < r.n; ++*count) {
		total += val_int(&row(&r, *count)[0]);
		if (*count && total > PLAIN_BYTES)
			break;
	}
	return OK;
}

enum err log_chunk_from_row(struct ctx *cx, const struct val *v, struct log_chunk *out)
{
	enum { CHUNK_BYTES = 64 << 20 };
	auto_buf plain = { .ceiling = CHUNK_BYTES };

	*out = (struct log_chunk){ .number = val_int(&v[0]), .first_byte = val_int(&v[1]), .first_line = val_int(&v[2]),
		                   .line_count = val_int(&v[3]), .first_at = val_time(&v[4]) };
	TRY(pieces_read(cx, val_str(&v[5]), out));
	if (gzip_read(cx, val_str(&v[6]), &plain) != OK)
		return err_wrap(cx, "read log chunk %lld", (long long)out->number);
	out->plain = str_bytes(arena_copy(&cx->arena, plain.p, plain.n), plain.n);
	return OK;
}

enum err log_store_read(struct db *db, struct ctx *cx, const struct id *task, const struct log_head *head,
                        int64_t from, size_t most, struct log_chunk **out, size_t *n)
{
	enum { MOST = 10000 };
	struct rows r;
	size_t count = 1;

	most = most > MOST ? MOST : most;
	if (most != 1)
		TRY(count_below(db, cx, task, head, from, most, &count));
	TRY(db_query(db, cx, &READ, VALS(v_i(head->day), v_id(task), v_i(head->attempt), v_i(from), v_i((int64_t)count)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		TRY(log_chunk_from_row(cx, row(&r, i), &(*out)[i]));
	return OK;
}

/* Where byte (or line) `at` falls: the first chunk that ends behind it, by halving. */
static enum err seek(struct db *db, struct ctx *cx, const struct id *task, const struct log_head *head, size_t column,
                     int64_t at, int64_t *number)
{
	int64_t least = 0, most = head->next; /* the answer lies in least..most; most = none */
	int64_t probe = most - 1;             /* followers ask for the end */
	struct rows r = { 0 };

	while (least < most) {
		TRY(db_query(db, cx, &PLACE, VALS(v_i(head->day), v_id(task), v_i(head->attempt), v_i(probe)), &r));
		if (!r.n) /* its day was dropped meanwhile */
			break;
		if (val_int(&row(&r, 0)[column]) > at)
			most = probe;
		else
			least = probe + 1;
		probe = least + (most - least) / 2;
	}
	*number = r.n || least >= most ? most : head->next;
	return OK;
}

enum err log_store_seek(struct db *db, struct ctx *cx, const struct id *task, const struct log_head *head,
                        int64_t at, int64_t *number)
{
	if (at >= head->bytes || !head->next) {
		*number = head->next;
		return OK;
	}
	return seek(db, cx, task, head, 0, at, number);
}

enum err log_store_seek_line(struct db *db, struct ctx *cx, const struct id *task, const struct log_head *head,
                             int64_t line, int64_t *number)
{
	if (line <= 0 || !head->next) {
		*number = 0;
		return OK;
	}
	/* line n begins behind the n-th newline: the chunk that holds that newline */
	if (line > head->lines) {
		*number = head->next;
		return OK;
	}
	return seek(db, cx, task, head, 1, line - 1, number);
}

/* Only logs with something left out have gaps to ask for. */
static enum err notices_size(struct db *db, struct ctx *cx, const struct id *task, const struct log_head *head,
                             int64_t *bytes)
{
	struct rows r;

	if (head->bytes == head->kept)
		return OK;
	TRY(db_query(db, cx, &GAPS, VALS(v_i(head->day), v_id(task), v_i(head->attempt)), &r));
	for (size_t i = 0; i < r.n; i++)
		*bytes += (int64_t)log_notice(&cx->arena, 0, val_int(&row(&r, i)[0])).n;
	return OK;
}

enum err log_store_size_of(struct db *db, struct ctx *cx, const struct id *task, const struct log_head *heads, size_t n,
                           int64_t *bytes)
{
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum += heads[i].kept;
		TRY(notices_size(db, cx, task, &heads[i], &sum));
	}
	*bytes = sum;
	return OK;
}

enum err log_store_size(struct db *db, struct ctx *cx, const struct id *task, int64_t *bytes)
{
	struct log_head *heads;
	size_t n;

	TRY(log_store_heads(db, cx, task, &heads, &n));
	return log_store_size_of(db, cx, task, heads, n, bytes);
}

/* --- partitions ----------------------------------------------------------------------------------- */

/* Days as they stand in the partitions: pN holds day N and all before it that no other one holds. */
static const struct sql PARTITIONS = {
	"SELECT CAST(PARTITION_DESCRIPTION AS SIGNED) FROM information_schema.PARTITIONS"
	" WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'log_chunk' AND PARTITION_DESCRIPTION <> 'MAXVALUE'"
	" ORDER BY PARTITION_ORDINAL_POSITION", "" };
static const struct sql FORGET_HEADS = { "DELETE FROM log_head WHERE day < ? LIMIT 1000", "i" };
static const struct sql FORGET_LIVE = { "DELETE FROM log_live WHERE day < ? LIMIT 1000", "i" };

enum { AHEAD_DAYS = 7, LOCK_WAIT = 1205, SAME_NAME = 1517, NO_SUCH_PARTITION = 1507, NOT_INCREASING = 1493 };

/* Another scheduler may have done the same a moment ago. */
static enum err change_partitions(struct db *db, struct ctx *cx, struct buf *statement)
{
	enum err e;

	TRY(db_script(db, cx, STR_LIT("SET SESSION lock_wait_timeout=1"))); /* nobody queues behind us for long */
	e = db_script(db, cx, buf_view(statement));
	if (e != OK && (db_errno(db) == SAME_NAME || db_errno(db) == NO_SUCH_PARTITION || db_errno(db) == NOT_INCREASING))
		return OK;
	return e;
}

/* Splits the empty end: rows that came behind the last day are copied, so it is done a week ahead. */
static enum err make_ahead(struct db *db, struct ctx *cx, int64_t newest, int64_t last)
{
	auto_buf b = { 0 };

	if (newest >= last)
		return OK;
	buf_text(&b, "ALTER TABLE log_chunk REORGANIZE PARTITION pmax INTO (");
	for (int64_t day = newest + 1; day <= last; day++)
		buf_printf(&b, "PARTITION p%lld VALUES LESS THAN (%lld), ", (long long)day, (long long)day + 1);
	buf_text(&b, "PARTITION pmax VALUES LESS THAN (MAXVALUE))");
	return change_partitions(db, cx, &b);
}

static enum err drop_before(struct db *db, struct ctx *cx, const struct rows *bounds, int64_t oldest)
{
	auto_buf b = { 0 };

	for (size_t i = 0; i < bounds->n; i++) {
		int64_t bound = val_int(&row(bounds, i)[0]);

		if (bound <= oldest)
			buf_printf(&b, "%sp%lld", b.n ? ", " : "ALTER TABLE log_chunk DROP PARTITION ", (long long)bound - 1);
	}
	return b.n ? change_partitions(db, cx, &b) : OK;
}

static enum err forget(struct db *db, struct ctx *cx, const struct sql *a_thousand, int64_t oldest)
{
	do
		TRY(db_exec(db, cx, a_thousand, VALS(v_i(oldest))));
	while (db_changed(db) == 1000);
	return OK;
}

static const struct sql TURN_TAKE = {
	"UPDATE log_turn SET until = NOW(6) + INTERVAL 60 SECOND WHERE id = 1"
	" AND (until <= NOW(6) OR until > NOW(6) + INTERVAL 61 SECOND)", "" }; /* the second: a clock that was set back */
static const struct sql TURN_GIVE = { "UPDATE log_turn SET until = NOW(6) WHERE id = 1", "" };

static enum err keep_partitions(struct db *db, struct ctx *cx, int64_t days)
{
	int64_t now, today, newest;
	struct rows bounds;

	TRY(db_now(db, cx, &now));
	today = time_day(now);
	TRY(db_query(db, cx, &PARTITIONS, NULL, 0, &bounds));
	newest = bounds.n ? val_int(&row(&bounds, bounds.n - 1)[0]) - 1 : today - 1;
	newest = newest < today - days ? today - days : newest; /* after years without a scheduler */
	TRY(make_ahead(db, cx, newest, today + AHEAD_DAYS));
	TRY(drop_before(db, cx, &bounds, today - days));
	TRY(forget(db, cx, &FORGET_LIVE, today - days)); /* of attempts whose node was lost */
	return forget(db, cx, &FORGET_HEADS, today - days);
}

enum err log_store_partitions(struct db *db, struct ctx *cx, int64_t days)
{
	TRY(db_exec(db, cx, &TURN_TAKE, NULL, 0));
	if (db_changed(db) != 1)
		return OK;
	TRY(keep_partitions(db, cx, days)); /* else the turn is free again in a minute, as the next try is */
	return db_exec(db, cx, &TURN_GIVE, NULL, 0);
}
