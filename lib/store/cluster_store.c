#include "store/cluster_store.h"

#include "store/txn.h"

/* --- reading ----------------------------------------------------------------------------------- */

#define NODES(what) \
	" (SELECT IFNULL(SUM(n." what "), 0) FROM node n WHERE n.cluster_id = k.id AND n.state = 'live'" \
	" AND n.lease_until > NOW(6))"
#define COLUMNS                                                                                               \
	"SELECT k.id, k.name, k.user_id, s.user_id IS NOT NULL, k.memory, k.disk_space, k.cpu_share, k.autoscale," \
	" k.created_at, k.updated_at," NODES("slots") "," NODES("running") ", k.public_key,"                 \
	" (SELECT w.network FROM cluster_network w WHERE w.cluster_id = k.id)"                                  \
	" FROM cluster k LEFT JOIN cluster_share s ON s.cluster_id = k.id AND s.user_id = ? WHERE k.deleted_at IS NULL"
/* The admin sees all of them. */
#define VISIBLE " AND (k.user_id IS NULL OR k.user_id = ? OR s.user_id IS NOT NULL OR ? = 1)"

static const struct sql LIST = {
	COLUMNS " AND ((k.user_id IS NULL AND ? = 1) OR (k.user_id IS NOT NULL AND (k.user_id = ? OR ? = 1) AND ? = 1)"
	" OR (s.user_id IS NOT NULL AND ? = 1)) ORDER BY k.id LIMIT 1000", "sisiii" };
static const struct sql BY_NUMBER = { COLUMNS VISIBLE " AND k.id = ?", "ssii" };
static const struct sql BY_NAME = { COLUMNS VISIBLE " AND k.name = ?", "ssis" };

static struct cluster from_row(const struct val *v)
{
	return (struct cluster){ .number = val_int(&v[0]), .name = val_str(&v[1]), .user_id = val_id(&v[2]),
		                 .is_shared = val_int(&v[3]) != 0, .memory = val_int(&v[4]), .disk_space = val_int(&v[5]),
		                 .cpu_share = val_int(&v[6]), .autoscale = val_str(&v[7]), .created_at = val_time(&v[8]),
		                 .updated_at = val_time(&v[9]), .slots = val_int(&v[10]), .running = val_int(&v[11]),
		                 .public_key = val_str(&v[12]),
		                 .network = v[13].type == VAL_NULL ? STR_LIT("none") : val_str(&v[13]) };
}

enum err cluster_store_list(struct db *db, struct ctx *cx, const struct principal *who, struct cluster_filter which,
                            struct cluster **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &LIST, VALS(v_id(&who->user_id), v_i(which.everybodys), v_id(&who->user_id),
	                                 v_i(who->role == ROLE_ADMIN), v_i(which.own), v_i(which.shared)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		(*out)[i] = from_row(row(&r, i));
	return OK;
}

enum err cluster_store_find(struct db *db, struct ctx *cx, const struct principal *who, struct str id_or_name,
                            struct cluster *out)
{
	struct val user = v_id(&who->user_id), admin = v_i(who->role == ROLE_ADMIN);
	struct rows r = { 0 };
	int64_t number;
	struct id id;

	if (id_parse(id_or_name, &id) && cluster_number(&id, &number))
		TRY(db_query(db, cx, &BY_NUMBER, VALS(user, user, admin, v_i(number)), &r));
	if (!r.n)
		TRY(db_query(db, cx, &BY_NAME, VALS(user, user, admin, v_s(id_or_name)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no such cluster");
	*out = from_row(row(&r, 0));
	return OK;
}

/* --- making and changing ----------------------------------------------------------------------- */

enum { DUPLICATE = 1062 };
static const struct sql ADD = {
	"INSERT INTO cluster (name, user_id, memory, disk_space, cpu_share, autoscale) VALUES (?, ?, ?, ?, ?, ?)", "ssiiis" };
static const struct sql NUMBER = { "SELECT id FROM cluster WHERE name = ?", "s" };
static const struct sql ADD_TURN = { "INSERT IGNORE INTO turn (cluster_id) VALUES (?)", "i" };
static const struct sql CHANGE = {
	"UPDATE cluster SET name = IFNULL(?, name), memory = IFNULL(?, memory), disk_space = IFNULL(?, disk_space),"
	" cpu_share = IFNULL(?, cpu_share), autoscale = IFNULL(?, autoscale), updated_at = NOW(6) WHERE id = ?", "siiisi" };

static const struct sql SET_KEY = {
	"UPDATE cluster SET decryption_key = ?, public_key = ?, key_number = key_number + 1, updated_at = NOW(6) WHERE id = ?", "ssi" };
static const struct sql KEY = {
	"SELECT IF(decryption_key IS NULL, 0, key_number), decryption_key FROM cluster WHERE id = ?", "i" };

struct writing {
	const struct principal *who;
	const struct cluster_order *order;
	const struct seal_key *seal;
	int64_t number;
};

/* What was sealed for one cluster cannot be opened as another's. */
static struct str place_of_key(struct ctx *cx, int64_t number)
{
	return str_of(arena_printf(&cx->arena, "cluster %lld decryption key", (long long)number));
}

static enum err set_key(struct db *db, struct ctx *cx, const struct writing *w)
{
	const struct cluster_order *o = w->order;
	struct val sealed = v_null();

	if (!o->says_key)
		return OK;
	if (o->decryption_key.n)
		sealed = v_s(seal(cx, w->seal, place_of_key(cx, w->number), o->decryption_key));
	return db_exec(db, cx, &SET_KEY, VALS(sealed, v_s(o->public_key.n ? o->public_key : STR_LIT("")), v_i(w->number)));
}

static enum err taken(struct ctx *cx, struct str name)
{
	return err_set(cx, ERR_CONFLICT, "field name: a cluster '" STR_FMT "' is there already", STR_ARG(name));
}

static struct val or_default(int64_t i, int64_t standard)
{
	return v_i(i < 0 ? standard : i);
}

static enum err add_work(struct db *db, struct ctx *cx, void *arg)
{
	struct writing *a = arg;
	const struct cluster_order *o = a->order;
	struct rows r;
	enum err e = db_exec(db, cx, &ADD, VALS(v_s(o->name), v_id(&a->who->user_id), or_default(o->memory, 536870912),
	                                        or_default(o->disk_space, INT64_C(10737418240)),
	                                        or_default(o->cpu_share, 0), v_s(o->autoscale.n ? o->autoscale : STR_LIT(""))));

	if (e != OK && db_errno(db) == DUPLICATE)
		return taken(cx, o->name);
	TRY(e);
	TRY(db_query(db, cx, &NUMBER, VALS(v_s(o->name)), &r));
	a->number = val_int(&row(&r, 0)[0]);
	TRY(db_exec(db, cx, &ADD_TURN, VALS(v_i(a->number))));
	return set_key(db, cx, a);
}

static enum err add_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	struct writing *a = arg;
	struct rows r;

	TRY(db_query(db, cx, &NUMBER, VALS(v_s(a->order->name)), &r));
	*yes = r.n && val_int(&row(&r, 0)[0]) == a->number;
	return OK;
}

enum err cluster_store_add(struct db *db, struct ctx *cx, const struct principal *who, const struct cluster_order *order,
                           const struct seal_key *key, int64_t *number)
{
	static const struct txn ADDING = { "add_cluster", add_work, add_done };
	struct writing a = { who, order, key, 0 };

	TRY(txn_run(db, cx, &ADDING, &a));
	*number = a.number;
	return OK;
}

static struct val int_or_null(int64_t i)
{
	return i < 0 ? v_null() : v_i(i);
}

static struct val text_or_null(struct str s)
{
	return s.n ? v_s(s) : v_null();
}

static enum err change_work(struct db *db, struct ctx *cx, void *arg)
{
	const struct writing *w = arg;
	const struct cluster_order *o = w->order;
	enum err e = db_exec(db, cx, &CHANGE, VALS(text_or_null(o->name), int_or_null(o->memory), int_or_null(o->disk_space),
	                                           int_or_null(o->cpu_share), text_or_null(o->autoscale), v_i(w->number)));

	if (e != OK && db_errno(db) == DUPLICATE)
		return taken(cx, o->name);
	TRY(e);
	return set_key(db, cx, w);
}

enum err cluster_store_change(struct db *db, struct ctx *cx, int64_t number, const struct cluster_order *order,
                              const struct seal_key *key)
{
	static const struct txn CHANGING = { "change_cluster", change_work, NULL }; /* harmless to repeat */
	struct writing w = { NULL, order, key, number };

	return txn_run(db, cx, &CHANGING, &w);
}

enum err cluster_store_key(struct db *db, struct ctx *cx, int64_t number, const char *key_file, int64_t *key_number,
                           struct str *pem)
{
	struct seal_key key;
	struct rows r;
	enum err e;

	TRY(db_query(db, cx, &KEY, VALS(v_i(number)), &r));
	*key_number = r.n ? val_int(&row(&r, 0)[0]) : 0;
	if (!*key_number)
		return OK;
	TRY(seal_key_read(cx, key_file, &key));
	e = unseal(cx, &key, place_of_key(cx, number), val_str(&row(&r, 0)[1]), pem);
	explicit_bzero(&key, sizeof key);
	return e;
}

static const struct sql NETWORK = {
	"REPLACE INTO cluster_network (cluster_id, network, set_by, set_at)"
	" SELECT k.id, ?, ?, NOW(6) FROM cluster k WHERE k.name = ? AND k.deleted_at IS NULL", "sss" };

enum err cluster_store_set_network(struct db *db, struct ctx *cx, struct str name, struct str network, struct str by)
{
	TRY(db_exec(db, cx, &NETWORK, VALS(v_s(network), v_s(by), v_s(name))));
	if (db_changed(db) < 1)
		return err_set(cx, ERR_NOT_FOUND, "there is no cluster '" STR_FMT "'", STR_ARG(name));
	return OK;
}

/* --- deleting ---------------------------------------------------------------------------------- */

/* Under the turn: nothing is claimed in it meanwhile. */
static const struct sql TAKE_TURN = { "UPDATE turn SET number = number + 1, by_node = NULL, at = NOW(6) WHERE cluster_id = ?", "i" };
static const struct sql IN_USE = {
	"SELECT EXISTS (SELECT 1 FROM node WHERE cluster_id = ? AND state <> 'gone'),"
	" EXISTS (SELECT 1 FROM lane l JOIN ready r ON r.lane_id = l.id WHERE l.cluster_id = ?)"
	" OR EXISTS (SELECT 1 FROM lane l JOIN `delayed` d ON d.lane_id = l.id WHERE l.cluster_id = ?)", "iii" };
static const struct sql DELETE = {
	"UPDATE cluster SET deleted_at = NOW(6), name = CONCAT(name, ' (deleted ', id, ')') WHERE id = ? AND deleted_at IS NULL",
	"i" };
static const struct sql UNSHARE_ALL = { "DELETE FROM cluster_share WHERE cluster_id = ?", "i" };

static enum err delete_work(struct db *db, struct ctx *cx, void *arg)
{
	int64_t number = *(int64_t *)arg;
	struct rows r;

	TRY(db_exec(db, cx, &TAKE_TURN, VALS(v_i(number))));
	TRY(db_query(db, cx, &IN_USE, VALS(v_i(number), v_i(number), v_i(number)), &r));
	if (val_int(&row(&r, 0)[0]))
		return err_set(cx, ERR_CONFLICT, "the cluster has nodes: stop them first");
	if (val_int(&row(&r, 0)[1]))
		return err_set(cx, ERR_CONFLICT, "tasks wait in this cluster: cancel them first");
	TRY(db_exec(db, cx, &DELETE, VALS(v_i(number))));
	return db_exec(db, cx, &UNSHARE_ALL, VALS(v_i(number)));
}

enum err cluster_store_delete(struct db *db, struct ctx *cx, int64_t number)
{
	static const struct txn DELETING = { "delete_cluster", delete_work, NULL }; /* harmless to repeat */

	return txn_run(db, cx, &DELETING, &number);
}

/* --- sharing ----------------------------------------------------------------------------------- */

static const struct sql USER = { "SELECT id FROM user WHERE id = ? OR name = ?", "ss" };
static const struct sql SHARE = { "INSERT IGNORE INTO cluster_share (cluster_id, user_id) VALUES (?, ?)", "is" };
static const struct sql UNSHARE = { "DELETE FROM cluster_share WHERE cluster_id = ? AND user_id = ?", "is" };
static const struct sql SHARED_TO = { "SELECT user_id FROM cluster_share WHERE cluster_id = ? LIMIT 1000", "i" };

enum err cluster_store_share(struct db *db, struct ctx *cx, int64_t number, struct str user, bool share)
{
	struct id id = { { 0 } };
	struct rows r;

	id_parse(user, &id);
	TRY(db_query(db, cx, &USER, VALS(v_id(&id), v_s(user)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no user '" STR_FMT "'", STR_ARG(user));
	return db_exec(db, cx, share ? &SHARE : &UNSHARE, VALS(v_i(number), row(&r, 0)[0]));
}

enum err cluster_store_shared_to(struct db *db, struct ctx *cx, int64_t number, struct id **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &SHARED_TO, VALS(v_i(number)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		(*out)[i] = val_id(&row(&r, i)[0]);
	return OK;
}

/* --- its nodes, and what waits ----------------------------------------------------------------- */

static const struct sql DRAIN = { 
	"UPDATE node FORCE INDEX (PRIMARY) SET state = 'draining' WHERE id = ? AND cluster_id = ? AND state = 'live'", "ii" };
static const struct sql WAITING = {
	"SELECT COUNT(*) FROM (SELECT 1 FROM lane l JOIN ready r ON r.lane_id = l.id WHERE l.cluster_id = ? LIMIT 100000) x",
	"i" };

enum err cluster_store_nodes(struct db *db, struct ctx *cx, int64_t number, struct node **out, size_t *n)
{
	struct node *all;
	size_t count;

	TRY(node_store_list(db, cx, &all, &count));
	*out = all;
	*n = 0;
	for (size_t i = 0; i < count; i++)
		if (all[i].cluster_id == number && !str_is(all[i].state, "gone"))
			all[(*n)++] = all[i];
	return OK;
}

enum err cluster_store_drain(struct db *db, struct ctx *cx, int64_t number, const int64_t *nodes, size_t count, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < count; i++) {
		TRY(db_exec(db, cx, &DRAIN, VALS(v_i(nodes[i]), v_i(number))));
		*n += db_changed(db) == 1;
	}
	return OK;
}

enum err cluster_store_waiting(struct db *db, struct ctx *cx, int64_t number, int64_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &WAITING, VALS(v_i(number)), &r));
	*n = val_int(&row(&r, 0)[0]);
	return OK;
}
