#include "store/idempotency_store.h"

enum { DUPLICATE = 1062, PURGED_AT_ONCE = 100 };

static const struct sql FIND = {
	"SELECT body, answer FROM idempotency WHERE project_id = ? AND `key` = ? AND created_at > NOW(6) - INTERVAL 1 DAY",
	"ss" };
static const struct sql EXPIRE = {
	"DELETE FROM idempotency WHERE project_id = ? AND `key` = ? AND created_at <= NOW(6) - INTERVAL 1 DAY", "ss" };
/* Each new key takes some old ones away: the table keeps its size without anybody's watch. */
static const struct sql PURGE = {
	"DELETE FROM idempotency WHERE created_at <= NOW(6) - INTERVAL 1 DAY ORDER BY created_at LIMIT ?", "i" };
static const struct sql TAKE = {
	"INSERT INTO idempotency (project_id, `key`, body, answer) VALUES (?, ?, ?, ?)", "ssss" };

static struct val hash_of(const unsigned char hash[SHA256_BYTES])
{
	return v_s(str_bytes(hash, SHA256_BYTES));
}

enum err idempotency_store_find(struct db *db, struct ctx *cx, const struct id *project,
                                const struct idempotency *once, bool *found, struct str *answer)
{
	struct rows r;

	TRY(db_query(db, cx, &FIND, VALS(v_id(project), hash_of(once->key)), &r));
	*found = r.n > 0;
	if (!r.n)
		return OK;
	if (!str_equal(val_str(&row(&r, 0)[0]), str_bytes(once->body, SHA256_BYTES)))
		return err_set(cx, ERR_MISMATCH, "this Idempotency-Key was used before with another body");
	*answer = val_str(&row(&r, 0)[1]);
	return OK;
}

enum err idempotency_store_take(struct db *db, struct ctx *cx, const struct id *project,
                                const struct idempotency *once, bool *taken)
{
	enum err e;

	*taken = false;
	TRY(db_exec(db, cx, &EXPIRE, VALS(v_id(project), hash_of(once->key))));
	e = db_exec(db, cx, &TAKE, VALS(v_id(project), hash_of(once->key), hash_of(once->body), v_s(once->answer)));
	if (e != OK && db_errno(db) == DUPLICATE) {
		*taken = true;
		return err_set(cx, ERR_CONFLICT, "this Idempotency-Key was used meanwhile");
	}
	TRY(e);
	return db_exec(db, cx, &PURGE, VALS(v_i(PURGED_AT_ONCE)));
}

enum err idempotency_store_guard(struct db *db, struct ctx *cx, const struct id *project, struct idempotency_guard *guard,
                                 const struct id *made)
{
	if (!guard)
		return OK;
	guard->once.answer = guard->say(cx, guard->arg, made);
	return idempotency_store_take(db, cx, project, &guard->once, &guard->taken);
}
