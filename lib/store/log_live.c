#include "store/log_live.h"

#include "store/log_row.h"

static const struct sql ADD = {
	"INSERT INTO log_live (day, task_id, attempt, first_byte, first_line, line_count, bytes, first_at, pieces, body)"
	" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "isiiiiitss" };
static const struct sql FORGET = { "DELETE FROM log_live WHERE task_id = ? AND attempt = ? AND first_byte < ?", "sii" };
static const struct sql READ = {
	"SELECT 0, " LOG_CHUNK_VALUES " FROM log_live WHERE task_id = ? AND attempt = ? AND first_byte >= (SELECT COALESCE(MAX(first_byte), 0)"
	" FROM log_live WHERE task_id = ? AND attempt = ? AND first_byte <= ?) ORDER BY first_byte LIMIT ?", "sisiii" };

enum err log_live_append(struct db *db, struct ctx *cx, const struct id *task, int64_t attempt, int64_t day,
                         const struct log_chunk *chunk, struct log_head *head)
{
	auto_buf body = { 0 }, pieces = { 0 };
	enum err e;

	TRY(log_chunk_pack(cx, chunk, &pieces, &body));
	e = db_exec(db, cx, &ADD, VALS(v_i(day), v_id(task), v_i(attempt), v_i(chunk->first_byte), v_i(chunk->first_line),
	                               v_i(chunk->line_count), v_i((int64_t)chunk->plain.n), v_t(chunk->first_at),
	                               v_s(buf_view(&pieces)), v_s(buf_view(&body))));
	if (e == OK || (db_errno(db) != LOG_REFUSED && db_errno(db) != LOG_DUPLICATE))
		return e;
	TRY(log_store_head(db, cx, task, attempt, head));
	return err_set(cx, ERR_CONFLICT, head->closed ? "the log is closed: its byte %lld comes too late" :
	                                                "byte %lld of the log is stored already", (long long)chunk->first_byte);
}

enum err log_live_forget(struct db *db, struct ctx *cx, const struct id *task, int64_t attempt, int64_t before)
{
	return db_exec(db, cx, &FORGET, VALS(v_id(task), v_i(attempt), v_i(before)));
}

enum err log_live_read(struct db *db, struct ctx *cx, const struct id *task, const struct log_head *head, int64_t from, size_t most,
                       struct log_chunk **out, size_t *n)
{
	struct rows r = { 0 };

	if (head->live > head->bytes)
		TRY(db_query(db, cx, &READ, VALS(v_id(task), v_i(head->attempt), v_id(task), v_i(head->attempt), v_i(from), v_i((int64_t)most)),
		             &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		TRY(log_chunk_from_row(cx, row(&r, i), &(*out)[i]));
	return OK;
}
