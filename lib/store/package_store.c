#include "store/package_store.h"

#include "base/clock.h"
#include "store/txn.h"

enum { DUPLICATE = 1062, DISK_FULL = 1021, TABLE_FULL = 1114, ENGINE_ERROR = 1030 };

/* --- reading ----------------------------------------------------------------------------------- */

static const struct sql FIND = { "SELECT bytes, pieces, md5 FROM package WHERE digest = ?", "s" };
static const struct sql PIECE = {
	"SELECT b.body FROM package p JOIN package_piece b ON b.upload_id = p.upload_id"
	" WHERE p.digest = ? AND b.number = ?", "si" };

enum err package_store_find(struct db *db, struct ctx *cx, struct str digest, struct package *out)
{
	struct rows r;
	struct str md5;

	TRY(db_query(db, cx, &FIND, VALS(v_s(digest)), &r));
	if (!r.n || digest.n != SHA256_BYTES)
		return err_set(cx, ERR_NOT_FOUND, "there is no package of this digest");
	*out = (struct package){ .bytes = val_int(&row(&r, 0)[0]), .pieces = val_int(&row(&r, 0)[1]) };
	memcpy(out->digest, digest.p, SHA256_BYTES);
	md5 = val_str(&row(&r, 0)[2]);
	if (md5.n == MD5_BYTES)
		memcpy(out->md5, md5.p, MD5_BYTES);
	return OK;
}

enum err package_store_piece(struct db *db, struct ctx *cx, struct str digest, int64_t number, struct str *out)
{
	struct rows r;

	TRY(db_query(db, cx, &PIECE, VALS(v_s(digest), v_i(number)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "piece %lld of the package is not there", (long long)number);
	*out = val_str(&row(&r, 0)[0]);
	return OK;
}

/* --- storing ----------------------------------------------------------------------------------- */

static const struct sql KEEP = { "UPDATE package SET used_at = NOW(6) WHERE digest = ?", "s" };
static const struct sql BEGIN = { "INSERT INTO package_upload (id, project_id) VALUES (?, ?)", "ss" };
static const struct sql ADD = { "INSERT INTO package_piece (upload_id, number, body) VALUES (?, ?, ?)", "sis" };
static const struct sql SHOW = {
	"INSERT INTO package (digest, upload_id, bytes, pieces, md5) VALUES (?, ?, ?, ?, ?)", "ssiis" };
/* Only while it goes on: what the sweep has begun to delete can be finished by nobody. */
static const struct sql END = { "DELETE FROM package_upload WHERE id = ? AND dropped_at IS NULL", "s" };
static const struct sql DROP = {
	"UPDATE package_upload SET dropped_at = NOW(6) WHERE id = ? AND dropped_at IS NULL", "s" };

enum err package_store_keep(struct db *db, struct ctx *cx, struct str digest, bool *there)
{
	TRY(db_exec(db, cx, &KEEP, VALS(v_s(digest))));
	*there = db_changed(db) == 1;
	return OK;
}

enum err package_store_begin(struct db *db, struct ctx *cx, const struct id *project, struct id *upload)
{
	*upload = id_make(clock_wall_us());
	return db_exec(db, cx, &BEGIN, VALS(v_id(upload), v_id(project)));
}

enum err package_store_add(struct db *db, struct ctx *cx, const struct id *upload, int64_t number, struct str bytes)
{
	enum err e = db_exec(db, cx, &ADD, VALS(v_id(upload), v_i(number), v_s(bytes)));

	switch (e == OK ? 0 : db_errno(db)) {
	case DISK_FULL:
	case TABLE_FULL:
	case ENGINE_ERROR:
		return err_wrap(cx, "the disk of the database has no room for the package; nothing was done");
	default:
		return e;
	}
}

struct finishing {
	const struct id *upload;
	const struct package *package;
};

static enum err finish_work(struct db *db, struct ctx *cx, void *arg)
{
	const struct finishing *f = arg;
	const struct package *p = f->package;
	enum err e = db_exec(db, cx, &SHOW, VALS(v_s(str_bytes(p->digest, SHA256_BYTES)), v_id(f->upload), v_i(p->bytes),
	                                         v_i(p->pieces), v_s(str_bytes(p->md5, MD5_BYTES))));

	if (e != OK && db_errno(db) == DUPLICATE) /* somebody stored it meanwhile */
		return db_exec(db, cx, &DROP, VALS(v_id(f->upload)));
	TRY(e);
	TRY(db_exec(db, cx, &END, VALS(v_id(f->upload))));
	if (db_changed(db) != 1)
		return err_set(cx, ERR_BUSY, "the upload took over an hour and was given up; nothing was done");
	return OK;
}

static enum err finish_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	struct package found;
	const struct finishing *f = arg;
	enum err e = package_store_find(db, cx, str_bytes(f->package->digest, SHA256_BYTES), &found);

	*yes = e == OK; /* whose pieces they are does not matter; ours are swept away if they are not */
	return e == ERR_NOT_FOUND ? OK : e;
}

enum err package_store_finish(struct db *db, struct ctx *cx, const struct id *upload, const struct package *package)
{
	static const struct txn FINISHING = { "finish_package", finish_work, finish_done };
	struct finishing f = { upload, package };

	return txn_run(db, cx, &FINISHING, &f);
}

enum err package_store_drop(struct db *db, struct ctx *cx, const struct id *upload)
{
	return db_exec(db, cx, &DROP, VALS(v_id(upload)));
}

/* --- sweeping ---------------------------------------------------------------------------------- */

static const struct sql DROP_OLD = {
	"UPDATE package_upload SET dropped_at = NOW(6)"
	" WHERE dropped_at IS NULL AND started_at < NOW(6) - INTERVAL 1 HOUR", "" };
static const struct sql DROPPED = { "SELECT id FROM package_upload WHERE dropped_at IS NOT NULL LIMIT 1", "" };
static const struct sql DELETE_PIECES = {
	"DELETE FROM package_piece WHERE upload_id = ? ORDER BY number LIMIT 16", "s" };
static const struct sql DELETE_UPLOAD = { "DELETE FROM package_upload WHERE id = ? AND dropped_at IS NOT NULL", "s" };

/* A deleted code keeps its rows for its tasks; once none of them can run any more it needs no package. */
#define IS_UNUSED \
	" AND p.used_at < NOW(6) - INTERVAL 1 HOUR AND NOT EXISTS (SELECT 1 FROM revision r JOIN code c ON c.id = r.code_id" \
	" WHERE r.package = p.digest AND (c.deleted_at IS NULL OR EXISTS (SELECT 1 FROM task t FORCE INDEX (code_state)" \
	" WHERE t.code_id = c.id AND t.state IN ('queued', 'preparing', 'running'))))"
static const struct sql UNUSED = { "SELECT p.digest FROM package p WHERE TRUE" IS_UNUSED " LIMIT 16", "" };
/* Locked first, as registration locks it: no revision that names it comes between. */
static const struct sql LOCK = { "SELECT upload_id FROM package WHERE digest = ? FOR UPDATE", "s" };
static const struct sql STILL_UNUSED = { "SELECT 1 FROM package p WHERE p.digest = ?" IS_UNUSED, "s" };
static const struct sql ADD_DROPPED = {
	"INSERT INTO package_upload (id, project_id, dropped_at) VALUES (?, ?, NOW(6))", "ss" };
static const struct sql DELETE_PACKAGE = { "DELETE FROM package WHERE digest = ?", "s" };

static enum err let_go_work(struct db *db, struct ctx *cx, void *arg)
{
	const struct val *digest = arg;
	struct id nobody = { { 0 } };
	struct rows r, unused;

	TRY(db_query(db, cx, &LOCK, digest, 1, &r));
	TRY(db_query(db, cx, &STILL_UNUSED, digest, 1, &unused));
	if (!r.n || !unused.n)
		return OK;
	TRY(db_exec(db, cx, &ADD_DROPPED, VALS(row(&r, 0)[0], v_id(&nobody))));
	return db_exec(db, cx, &DELETE_PACKAGE, digest, 1);
}

static enum err let_go(struct db *db, struct ctx *cx)
{
	static const struct txn LETTING_GO = { "let_go_package", let_go_work, NULL };
	struct rows r;

	TRY(db_query(db, cx, &UNUSED, NULL, 0, &r));
	for (size_t i = 0; i < r.n; i++) {
		struct val digest = row(&r, i)[0];

		TRY(txn_run(db, cx, &LETTING_GO, &digest));
	}
	return OK;
}

enum err package_store_sweep(struct db *db, struct ctx *cx, bool *more)
{
	struct rows r;

	*more = false;
	TRY(db_exec(db, cx, &DROP_OLD, NULL, 0));
	TRY(let_go(db, cx));
	TRY(db_query(db, cx, &DROPPED, NULL, 0, &r));
	if (!r.n)
		return OK;
	*more = true;
	TRY(db_exec(db, cx, &DELETE_PIECES, row(&r, 0), 1));
	return db_changed(db) ? OK : db_exec(db, cx, &DELETE_UPLOAD, row(&r, 0), 1);
}
