#include "store/verify_store.h"

#include "store/verify_laws.h"

enum { PIECE = 2000 };

int64_t verify_piece_rows(const struct verify *v)
{
	return v->piece > 0 ? v->piece : PIECE;
}

void verify_tell(struct verify *v, const char *law, const char *what, struct str rows)
{
	struct verify_finding f = { law, what, rows };

	v->findings++;
	v->found(v->arg, &f);
}

/* One law for one piece. */
static enum err ask(struct db *db, struct ctx *cx, struct verify *v, const struct verify_law *law,
                    const struct val *values, size_t n)
{
	struct rows r;

	TRY(db_query(db, cx, &law->sql, values, n, &r));
	for (size_t i = 0; i < r.n; i++)
		if (!law->is_broken || law->is_broken(row(&r, i)))
			verify_tell(v, law->id, law->what, val_str(&row(&r, i)[0]));
	return OK;
}

/* --- a walk over a table, piece by piece --------------------------------------------------------------- */

/* Where a walk stands. `from` is a copy that outlives the pieces' memory. */
struct stand {
	const struct val *prefix; /* NULL = none */
	struct val from, last;    /* last: at or behind every key */
	char bytes[ID_BYTES];
};

static void keep_key(struct stand *s, const struct val *key)
{
	s->from = *key;
	if (key->type != VAL_BYTES)
		return;
	memcpy(s->bytes, key->s.p, key->s.n < sizeof s->bytes ? key->s.n : sizeof s->bytes);
	s->from.s.p = s->bytes;
}

static enum err piece(struct db *db, struct ctx *cx, struct verify *v, const struct verify_walk *w, struct stand *s, bool *more)
{
	struct val values[3];
	size_t n = 0;
	struct rows r;

	if (s->prefix)
		values[n++] = *s->prefix;
	values[n] = s->from;
	values[n + 1] = v_i(verify_piece_rows(v) - 1);
	TRY(db_query(db, cx, &w->next, values, n + 2, &r));
	*more = r.n > 0;
	values[n + 1] = *more ? row(&r, 0)[0] : s->last;
	for (const struct verify_law *law = w->laws; law->id; law++)
		TRY(ask(db, cx, v, law, values, n + 2));
	v->pieces++;
	keep_key(s, &values[n + 1]);
	return OK;
}

/* Each piece has memory of its own: tables are larger than this process. */
static enum err walk(struct db *db, struct ctx *cx, struct verify *v, const struct verify_walk *w, struct stand s)
{
	bool more = true;

	while (more) {
		auto_ctx own = { 0 };
		enum err e = piece(db, &own, v, w, &s, &more);

		if (e != OK)
			return err_set(cx, e, "%s", own.message);
	}
	return OK;
}

static const unsigned char ID_LAST[ID_BYTES] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };
#define LAST_US 253402300799999999LL /* 9999-12-31 23:59:59.999999 */

static struct stand by_id(const struct val *prefix)
{
	return (struct stand){ .prefix = prefix, .from = v_s(STR_LIT("")), .last = v_s(str_bytes(ID_LAST, ID_BYTES)) };
}

static struct stand by_number(void)
{
	return (struct stand){ .from = v_i(INT64_MIN), .last = v_i(INT64_MAX) };
}

static struct stand by_time(const struct val *prefix)
{
	return (struct stand){ .prefix = prefix, .from = v_t(0), .last = v_t(LAST_US) };
}

/* --- all of it -------------------------------------------------------------------------------------------------- */

static const struct sql READY_LANES = { "SELECT DISTINCT lane_id FROM ready", "" };

static enum err verify_waiting(struct db *db, struct ctx *cx, struct verify *v)
{
	struct rows r;

	TRY(db_query(db, cx, &READY_LANES, NULL, 0, &r));
	for (size_t i = 0; i < r.n; i++)
		TRY(walk(db, cx, v, &VERIFY_READY, by_time(&row(&r, i)[0])));
	return walk(db, cx, v, &VERIFY_DELAYED, by_time(NULL));
}

enum err verify_store_tasks(struct db *db, struct ctx *cx, struct verify *v)
{
	TRY(walk(db, cx, v, &VERIFY_TASKS, by_id(NULL)));
	TRY(walk(db, cx, v, &VERIFY_CODES, by_id(NULL)));
	TRY(walk(db, cx, v, &VERIFY_LANES, by_number()));
	TRY(verify_waiting(db, cx, v));
	TRY(walk(db, cx, v, &VERIFY_OUTBOX, by_number()));
	TRY(walk(db, cx, v, &VERIFY_FIRES, by_id(NULL)));
	for (const struct verify_law *law = VERIFY_RUNNING; law->id; law++)
		TRY(ask(db, cx, v, law, NULL, 0));
	TRY(verify_limits(db, cx, v));
	return verify_keys(db, cx, v);
}

/* Heads of days whose partition has been dropped go a moment later. */
static const struct sql OLDEST_DAY = {
	"SELECT IFNULL(MIN(CAST(PARTITION_DESCRIPTION AS SIGNED)) - 1, 0) FROM information_schema.PARTITIONS"
	" WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'log_chunk' AND PARTITION_DESCRIPTION <> 'MAXVALUE'", "" };
static const struct sql DAYS = { "SELECT DISTINCT day FROM log_chunk", "" };

enum err verify_store_logs(struct db *logs, struct ctx *cx, struct verify *v)
{
	struct rows r;

	TRY(db_query(logs, cx, &OLDEST_DAY, NULL, 0, &r));
	TRY(walk(logs, cx, v, &VERIFY_HEADS, by_id(&row(&r, 0)[0])));
	TRY(db_query(logs, cx, &DAYS, NULL, 0, &r));
	for (size_t i = 0; i < r.n; i++)
		TRY(walk(logs, cx, v, &VERIFY_CHUNKS, by_id(&row(&r, i)[0])));
	return OK;
}

enum err verify_store_live(struct db *db, struct ctx *cx, const struct verify_attempt *attempts, size_t n, bool *live)
{
	static const struct sql IS_LIVE = {
		"SELECT 1 FROM attempt WHERE task_id = ? AND number = ?"
		" AND (ended_at IS NULL OR ended_at > NOW(6) - INTERVAL 60 SECOND)", "si" };
	struct rows r;

	for (size_t i = 0; i < n; i++) {
		TRY(db_query(db, cx, &IS_LIVE, VALS(v_id(&attempts[i].task_id), v_i(attempts[i].attempt)), &r));
		live[i] = r.n == 1;
	}
	return OK;
}
