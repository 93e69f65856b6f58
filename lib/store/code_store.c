#include "store/code_store.h"

#include "base/clock.h"
#include "model/cluster.h"
#include "model/fire.h"
#include "model/image_ref.h"
#include "store/txn.h"

/* --- reading ----------------------------------------------------------------------------------- */

/* The package's own row by subqueries: FOR UPDATE locks none of them. */
#define PACKAGE_COLUMNS \
	"r.package, r.package_name, r.runtime, r.stack, r.file_name," \
	" (SELECT md5 FROM package WHERE digest = r.package), (SELECT bytes FROM package WHERE digest = r.package)"
#define COLUMNS \
	"SELECT c.id, c.project_id, r.id, c.name, c.revision, r.image, r.command, r.env, r.config, c.callback," \
	" c.max_running, c.retries, c.retries_delay_s, c.default_priority, c.timeout_s, c.memory_mb, c.grace_s," \
	" c.created_at, c.updated_at, c.paused_at, c.on_node_loss = 'fail', " PACKAGE_COLUMNS \
	", c.scratch = 'disk', c.engine, c.follow_tag_s, c.output = 'merged', c.callback_gone_at" \
	" FROM code c JOIN revision r ON r.code_id = c.id AND r.number = c.revision "

static const struct sql GET = { COLUMNS "WHERE c.id = ? AND c.project_id = ?", "ss" };
static const struct sql FIND = { COLUMNS "WHERE c.project_id = ? AND c.name = ?", "ss" };
static const struct sql LIST = { COLUMNS "WHERE c.project_id = ? ORDER BY c.id DESC LIMIT ? OFFSET ?", "sii" };

enum { PER_PAGE_MOST = 100, DUPLICATE = 1062 };
static const int64_t PAGE_MOST = 10000000;

static void from_row(const struct val *v, struct code *out)
{
	*out = (struct code){
		.id = val_id(&v[0]), .project_id = val_id(&v[1]), .revision_id = val_id(&v[2]),
		.name = val_str(&v[3]), .revision = val_int(&v[4]),
		.image = val_str(&v[5]), .command = val_str(&v[6]), .env = val_str(&v[7]), .config = val_str(&v[8]),
		.callback = val_str(&v[9]),
		.max_concurrency = val_int(&v[10]), .retries = val_int(&v[11]), .retries_delay_s = val_int(&v[12]),
		.default_priority = val_int(&v[13]), .timeout_s = val_int(&v[14]), .memory_mb = val_int(&v[15]),
		.grace_s = val_int(&v[16]),
		.created_at = val_time(&v[17]), .updated_at = val_time(&v[18]), .paused = val_time(&v[19]) != TIME_NONE,
		.fails_on_node_loss = val_int(&v[20]) != 0,
		.package = val_str(&v[21]), .package_name = val_str(&v[22]), .runtime = val_str(&v[23]),
		.stack = val_str(&v[24]), .file_name = val_str(&v[25]), .package_md5 = val_str(&v[26]),
		.package_bytes = val_int(&v[27]), .is_on_disk = val_int(&v[28]) != 0, .engine = val_str(&v[29]),
		.follow_tag_s = val_int(&v[30]), .is_merged = val_int(&v[31]) != 0,
		.callback_gone_at = val_time(&v[32]),
	};
}

enum err code_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct id *code, struct code *out)
{
	struct rows r;

	TRY(db_query(db, cx, &GET, VALS(v_id(code), v_id(project)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no such code in this project");
	from_row(row(&r, 0), out);
	return OK;
}

static enum err not_registered(struct ctx *cx, struct str name)
{
	return err_set(cx, ERR_NOT_FOUND, "code '" STR_FMT "' is not registered in this project", STR_ARG(name));
}

enum err code_store_find(struct db *db, struct ctx *cx, const struct id *project, struct str name, struct code *out)
{
	struct rows r;

	TRY(db_query(db, cx, &FIND, VALS(v_id(project), v_s(name)), &r));
	if (!r.n)
		return not_registered(cx, name);
	from_row(row(&r, 0), out);
	return OK;
}

enum err code_store_list(struct db *db, struct ctx *cx, const struct id *project, int64_t page,
                         int64_t per_page, struct code **out, size_t *n)
{
	struct rows r;

	page = page < 0 ? 0 : page > PAGE_MOST ? PAGE_MOST : page;
	per_page = per_page < 1 ? 1 : per_page > PER_PAGE_MOST ? PER_PAGE_MOST : per_page;
	TRY(db_query(db, cx, &LIST, VALS(v_id(project), v_i(per_page), v_i(page * per_page)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		from_row(row(&r, i), &(*out)[i]);
	return OK;
}

/* --- registering --------------------------------------------------------------------------------- */

static const struct sql LOCK = { COLUMNS "WHERE c.project_id = ? AND c.name = ? FOR UPDATE", "ss" };
static const struct sql ADD = {
	"INSERT INTO code (id, project_id, name, revision, cluster_id, max_running, retries, retries_delay_s,"
	" default_priority, timeout_s, memory_mb, grace_s, callback, on_node_loss, scratch, engine, follow_tag_s, output)"
	" SELECT ?, ?, ?, 1, k.id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM cluster k WHERE k.name = 'default'",
	"sss" "iiiiiii" "ssssis" };
static const struct sql CHANGE = {
	"UPDATE code SET revision = ?, max_running = ?, retries = ?, retries_delay_s = ?, default_priority = ?,"
	" timeout_s = ?, memory_mb = ?, grace_s = ?, callback = ?, on_node_loss = ?, scratch = ?, engine = ?, follow_tag_s = ?,"
	" output = ?, callback_gone_at = IF(?, NULL, callback_gone_at), updated_at = NOW(6) WHERE id = ?",
	"iiiiiiii" "ssssisis" };
static const struct sql ADD_REVISION = {
	"INSERT INTO revision (code_id, number, id, image, command, env, config, package, package_name, runtime, stack,"
	" file_name) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "sisssss" "sssss" };
/* The sweep locks it too, before it asks whether a revision names it. */
static const struct sql LOCK_PACKAGE = { "SELECT 1 FROM package WHERE digest = ? LOCK IN SHARE MODE", "s" };
static const struct sql ADD_FIRST_LANE = {
	"INSERT INTO lane (cluster_id, code_id, project_id) SELECT cluster_id, id, project_id FROM code WHERE id = ?", "s" };
static const struct sql HAS_REVISION = { "SELECT 1 FROM revision WHERE id = ?", "s" };
/* Whoever changes what may start holds the turn: after its answer nothing starts by the old rule. */
static const struct sql TAKE_TURNS = {
	"UPDATE turn SET number = number + 1, by_node = NULL, at = NOW(6)"
	" WHERE cluster_id IN (SELECT l.cluster_id FROM lane l WHERE l.code_id = ?)", "s" };

struct putting {
	const struct id *project;
	const struct code_order *order;
	struct id code, revision; /* made before: what a lost COMMIT is asked for */
};

static bool take_text(bool has, struct str from, struct str *to)
{
	if (!has || str_equal(from, *to))
		return false;
	*to = from;
	return true;
}

static bool take_int(bool has, int64_t from, int64_t *to)
{
	if (!has || from == *to)
		return false;
	*to = from;
	return true;
}

static bool take_choice(bool has, bool from, bool *to)
{
	if (!has || from == *to)
		return false;
	*to = from;
	return true;
}

/* Set anew, the same too: it is tried again. */
static bool revive_callback(const struct code_order *o, struct code *c)
{
	bool was_gone = c->callback_gone_at > 0;

	if (o->has_callback)
		c->callback_gone_at = TIME_NONE;
	return o->has_callback && was_gone;
}

/* Puts what the order says over `c`; true if that changes anything. */
static bool apply(const struct code_order *o, struct code *c)
{
	bool changed = false;

	changed |= take_text(o->has_image, o->image, &c->image);
	changed |= take_text(o->has_package, o->package, &c->package);
	changed |= take_text(o->has_package, o->package_name, &c->package_name);
	changed |= take_text(o->has_runtime, o->runtime, &c->runtime);
	changed |= take_text(o->has_stack, o->stack, &c->stack);
	changed |= take_text(o->has_file_name, o->file_name, &c->file_name);
	changed |= take_text(o->has_command, o->command, &c->command);
	changed |= take_text(o->has_env, o->env, &c->env);
	changed |= take_text(o->has_config, o->config, &c->config);
	changed |= take_text(o->has_callback, o->callback, &c->callback);
	changed |= revive_callback(o, c);
	changed |= take_text(o->has_engine, o->engine, &c->engine);
	changed |= take_int(o->has_max_concurrency, o->max_concurrency, &c->max_concurrency);
	changed |= take_int(o->has_retries, o->retries, &c->retries);
	changed |= take_int(o->has_retries_delay, o->retries_delay_s, &c->retries_delay_s);
	changed |= take_int(o->has_priority, o->default_priority, &c->default_priority);
	changed |= take_int(o->has_timeout, o->timeout_s, &c->timeout_s);
	changed |= take_int(o->has_memory, o->memory_mb, &c->memory_mb);
	changed |= take_int(o->has_grace, o->grace_s, &c->grace_s);
	changed |= take_int(o->has_follow_tag, o->follow_tag_s, &c->follow_tag_s);
	changed |= take_choice(o->has_on_node_loss, o->fails_on_node_loss, &c->fails_on_node_loss);
	changed |= take_choice(o->has_scratch, o->is_on_disk, &c->is_on_disk);
	changed |= take_choice(o->has_output, o->is_merged, &c->is_merged);
	return changed;
}

static enum err check(struct ctx *cx, const struct code_order *o)
{
	if (!o->name.n || o->name.n > CODE_NAME_BYTES)
		return err_set(cx, ERR_INPUT, "field name: must have 1 to %d bytes", CODE_NAME_BYTES);
	if (o->has_retries && (o->retries < 0 || o->retries > CODE_RETRIES_MOST))
		return err_set(cx, ERR_INPUT, "field retries: must be 0 to %d", CODE_RETRIES_MOST);
	if (o->has_config && o->config.n > CODE_CONFIG_BYTES)
		return err_set(cx, ERR_INPUT, "field config: is longer than %d bytes", CODE_CONFIG_BYTES);
	if (o->has_image && !o->image.n)
		return err_set(cx, ERR_INPUT, "field image: is empty");
	return OK;
}

/* A package without an image of its own runs a file of it, or a command, in its runtime's. */
static enum err check_package(struct ctx *cx, const struct code *c)
{
	if (!c->package.n || c->image.n)
		return OK;
	if (!c->runtime.n && !c->stack.n)
		return err_set(cx, ERR_REQUIRED, "field runtime: is missing, and there is no image");
	if (!c->file_name.n && !c->command.n)
		return err_set(cx, ERR_REQUIRED, "field file_name: is missing: which file of the package is run?");
	return OK;
}

/* What has nothing that could be looked up again is not silently looked up once. */
static enum err check_follow(struct ctx *cx, const struct code *c)
{
	struct image_ref ref;
	bool is_daemons = c->engine.n && !str_is(c->engine, "oci");

	if (!c->follow_tag_s)
		return OK;
	if (!c->image.n)
		return err_set(cx, ERR_INPUT, "field follow_tag: the code has no image of its own");
	if (!is_daemons && !image_ref_is(c->image))
		return err_set(cx, ERR_INPUT, "field follow_tag: '" STR_FMT "' is no image of a registry: what a name of a node's"
		               " own store means is looked up for each task anyway", STR_ARG(c->image));
	if (image_ref_parse(c->image, &ref) ? ref.has_digest : memmem(c->image.p, c->image.n, "sha256:", 7) != NULL)
		return err_set(cx, ERR_INPUT, "field follow_tag: '" STR_FMT "' names a digest, which never means anything else",
		               STR_ARG(c->image));
	return OK;
}

static enum err add_revision(struct db *db, struct ctx *cx, const struct code *c, const struct id *id)
{
	struct val package = c->package.n ? v_s(c->package) : v_null();
	struct rows r;

	TRY(check_package(cx, c));
	TRY(check_follow(cx, c));
	if (c->package.n) {
		TRY(db_query(db, cx, &LOCK_PACKAGE, &package, 1, &r));
		if (!r.n)
			return err_set(cx, ERR_BUSY, "the package was swept away meanwhile; nothing was done");
	}
	return db_exec(db, cx, &ADD_REVISION, VALS(v_id(&c->id), v_i(c->revision), v_id(id), v_s(c->image), v_s(c->command),
	                                           v_s(c->env), v_s(c->config), package, v_s(c->package_name),
	                                           v_s(c->runtime), v_s(c->stack), v_s(c->file_name)));
}

static struct val on_node_loss(const struct code *c)
{
	return v_z(c->fails_on_node_loss ? "fail" : "again");
}

static struct val scratch(const struct code *c)
{
	return v_z(c->is_on_disk ? "disk" : "memory");
}

static struct val output(const struct code *c)
{
	return v_z(c->is_merged ? "merged" : "apart");
}

static enum err add(struct db *db, struct ctx *cx, const struct putting *p)
{
	struct code c = { .id = p->code, .revision = 1, .image = STR_LIT(""), .command = STR_LIT(""), .env = STR_LIT("{}"),
		          .config = STR_LIT(""), .callback = STR_LIT(""), .engine = STR_LIT(""), .grace_s = -1,
		          .package = STR_LIT(""), .package_name = STR_LIT(""), .runtime = STR_LIT(""),
		          .stack = STR_LIT(""), .file_name = STR_LIT("") };

	if (!p->order->has_image && !p->order->has_package)
		return err_set(cx, ERR_REQUIRED, "field image: is missing, and there is no zip package");
	apply(p->order, &c);
	TRY(db_exec(db, cx, &ADD, VALS(v_id(&c.id), v_id(p->project), v_s(p->order->name), v_i(c.max_concurrency),
	                               v_i(c.retries), v_i(c.retries_delay_s), v_i(c.default_priority), v_i(c.timeout_s),
	                               v_i(c.memory_mb), v_i(c.grace_s), v_s(c.callback), on_node_loss(&c), scratch(&c), v_s(c.engine),
	                               v_i(c.follow_tag_s), output(&c))));
	if (db_changed(db) != 1)
		return err_set(cx, ERR_INTERNAL, "cluster 'default' is missing from the database");
	TRY(add_revision(db, cx, &c, &p->revision));
	return db_exec(db, cx, &ADD_FIRST_LANE, VALS(v_id(&c.id)));
}

static enum err change(struct db *db, struct ctx *cx, struct putting *p, struct code *c)
{
	/* a sent image or package always makes a new revision: what an image names may have changed (4.1) */
	if (!apply(p->order, c) && !p->order->has_image && !p->order->has_package)
		return OK;
	c->revision++;
	TRY(add_revision(db, cx, c, &p->revision));
	return db_exec(db, cx, &CHANGE, VALS(v_i(c->revision), v_i(c->max_concurrency), v_i(c->retries),
	                                     v_i(c->retries_delay_s), v_i(c->default_priority), v_i(c->timeout_s),
	                                     v_i(c->memory_mb), v_i(c->grace_s), v_s(c->callback), on_node_loss(c), scratch(c), v_s(c->engine),
	                                     v_i(c->follow_tag_s), output(c), v_i(c->callback_gone_at <= 0),
	                                     v_id(&c->id)));
}

static enum err put_work(struct db *db, struct ctx *cx, void *arg)
{
	struct putting *p = arg;
	struct code c;
	struct rows r;

	if (p->order->has_max_concurrency) { /* turn before code: the lock order of schema.md 3 */
		TRY(db_query(db, cx, &FIND, VALS(v_id(p->project), v_s(p->order->name)), &r));
		if (r.n)
			TRY(db_exec(db, cx, &TAKE_TURNS, VALS(row(&r, 0)[0])));
	}
	TRY(db_query(db, cx, &LOCK, VALS(v_id(p->project), v_s(p->order->name)), &r));
	if (!r.n)
		return add(db, cx, p);
	from_row(row(&r, 0), &c);
	return change(db, cx, p, &c);
}

static enum err put_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	struct putting *p = arg;
	struct rows r;

	TRY(db_query(db, cx, &HAS_REVISION, VALS(v_id(&p->revision)), &r));
	*yes = r.n > 0;
	return OK;
}

enum err code_store_put(struct db *db, struct ctx *cx, const struct id *project,
                        const struct code_order *order, struct code *out)
{
	static const struct txn PUTTING = { "put_code", put_work, put_done };
	struct putting p = { project, order, id_make(clock_wall_us()), id_make(clock_wall_us()) };
	enum err e;

	TRY(check(cx, order));
	e = txn_run(db, cx, &PUTTING, &p);
	if (e != OK && db_errno(db) == DUPLICATE) /* somebody registered the same name meanwhile: now it is there */
		e = txn_run(db, cx, &PUTTING, &p);
	TRY(e);
	return code_store_find(db, cx, project, order->name, out);
}

/* --- what an enqueue must know -------------------------------------------------------------------- */

#define TARGET_COLUMNS \
	"SELECT c.id, c.revision, l.id, k.id, k.head_start_s, c.default_priority, c.timeout_s, c.callback," \
	" c.hooks, (SELECT p.timeout_most_s FROM project p WHERE p.id = c.project_id) FROM code c"
static const struct sql TARGET = {
	TARGET_COLUMNS " JOIN cluster k ON k.id = c.cluster_id"
	" LEFT JOIN lane l ON l.code_id = c.id AND l.cluster_id = k.id WHERE c.project_id = ? AND c.name = ?", "ss" };
/* A project may use everybody's clusters, and those of its members or shared with one of them. */
#define USABLE                                                                                               \
	" AND k.deleted_at IS NULL AND (k.user_id IS NULL OR EXISTS (SELECT 1 FROM member m WHERE m.project_id = ?" \
	" AND (m.user_id = k.user_id OR EXISTS (SELECT 1 FROM cluster_share h WHERE h.cluster_id = k.id AND h.user_id = m.user_id))))"
#define TARGET_LANE " LEFT JOIN lane l ON l.code_id = c.id AND l.cluster_id = k.id WHERE c.project_id = ? AND c.name = ?"
static const struct sql TARGET_NAMED = { TARGET_COLUMNS " LEFT JOIN cluster k ON k.name = ?" USABLE TARGET_LANE, "ssss" };
static const struct sql TARGET_NUMBERED = { TARGET_COLUMNS " LEFT JOIN cluster k ON k.id = ?" USABLE TARGET_LANE, "isss" };
static const struct sql ADD_LANE = {
	"INSERT INTO lane (cluster_id, code_id, project_id) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE id = id", "iss" };

static enum err query_target(struct db *db, struct ctx *cx, const struct id *project, struct str name,
                             struct str cluster, const struct val **out)
{
	struct val of = v_id(project);
	struct rows r = { 0 };
	int64_t number;
	struct id id;

	if (!cluster.n)
		TRY(db_query(db, cx, &TARGET, VALS(of, v_s(name)), &r));
	if (id_parse(cluster, &id) && cluster_number(&id, &number))
		TRY(db_query(db, cx, &TARGET_NUMBERED, VALS(v_i(number), of, of, v_s(name)), &r));
	if (cluster.n && (!r.n || row(&r, 0)[3].type == VAL_NULL))
		TRY(db_query(db, cx, &TARGET_NAMED, VALS(v_s(cluster), of, of, v_s(name)), &r));
	if (!r.n)
		return not_registered(cx, name);
	*out = row(&r, 0);
	if ((*out)[3].type == VAL_NULL)
		return err_set(cx, ERR_INPUT, "field cluster: there is no cluster '" STR_FMT "'", STR_ARG(cluster));
	return OK;
}

enum err code_store_target(struct db *db, struct ctx *cx, const struct id *project, struct str name,
                           struct str cluster, struct code_target *out)
{
	const struct val *v;

	TRY(query_target(db, cx, project, name, cluster, &v));
	if (v[2].type == VAL_NULL) {
		TRY(db_exec(db, cx, &ADD_LANE, VALS(v[3], v[0], v_id(project))));
		TRY(query_target(db, cx, project, name, cluster, &v));
	}
	*out = (struct code_target){ val_id(&v[0]), val_int(&v[1]), val_int(&v[2]), val_int(&v[3]), val_int(&v[4]),
		                     val_int(&v[5]), val_int(&v[6]), val_str(&v[7]), val_int(&v[8]), val_int(&v[9]) };
	return OK;
}

/* --- pausing ------------------------------------------------------------------------------------- */

static const struct sql PAUSE = { "UPDATE code SET paused_at = NOW(6) WHERE id = ? AND paused_at IS NULL", "s" };
static const struct sql RESUME = { "UPDATE code SET paused_at = NULL WHERE id = ? AND paused_at IS NOT NULL", "s" };

/* What waited for it, so that it need not be looked at again by itself. */
static const struct sql WAKE_SCHEDULES = {
	"UPDATE schedule FORCE INDEX (due) SET next_at = NOW(6), msg = '' WHERE state = 'scheduled'"
	" AND next_at <= NOW(6) + INTERVAL ? SECOND AND code_id = ? AND msg = '" FIRE_HELD "'", "is" };

struct pausing {
	const struct id *project, *code;
	bool paused, changed;
};

static enum err pause_work(struct db *db, struct ctx *cx, void *arg)
{
	struct pausing *p = arg;

	TRY(db_exec(db, cx, &TAKE_TURNS, VALS(v_id(p->code))));
	TRY(db_exec(db, cx, p->paused ? &PAUSE : &RESUME, VALS(v_id(p->code))));
	p->changed = db_changed(db) == 1;
	return OK;
}

static enum err pause_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	struct pausing *p = arg;
	struct code c;

	TRY(code_store_get(db, cx, p->project, p->code, &c));
	*yes = c.paused == p->paused;
	return OK;
}

enum err code_store_pause(struct db *db, struct ctx *cx, const struct id *project, const struct id *code,
                          bool paused, bool *changed)
{
	static const struct txn PAUSING = { "pause_code", pause_work, pause_done };
	struct pausing p = { project, code, paused, false };
	struct code c;

	TRY(code_store_get(db, cx, project, code, &c));
	TRY(txn_run(db, cx, &PAUSING, &p));
	*changed = p.changed;
	if (p.changed && !paused) /* by itself, since a schedule is locked before a turn; without it they wait a little longer */
		db_exec(db, cx, &WAKE_SCHEDULES, VALS(v_i(FIRE_AGAIN_S), v_id(code)));
	return OK;
}

static const struct sql RESUME_CALLBACK = { "UPDATE code SET callback_gone_at = NULL WHERE id = ? AND project_id = ?", "ss" };

enum err code_store_resume_callback(struct db *db, struct ctx *cx, const struct id *project, const struct id *code)
{
	return db_exec(db, cx, &RESUME_CALLBACK, VALS(v_id(code), v_id(project)));
}

/* --- the image's digest -------------------------------------------------------------------------- */

static const struct sql DIGEST = { "SELECT digest FROM revision WHERE code_id = ? AND number = ?", "si" };
static const struct sql FIX_DIGEST = {
	"UPDATE revision SET digest = ? WHERE code_id = ? AND number = ? AND digest IS NULL", "ssi" };

enum err code_store_digest(struct db *db, struct ctx *cx, const struct id *code, int64_t revision,
                           unsigned char digest[SHA256_BYTES])
{
	struct rows r;
	struct str found;

	TRY(db_query(db, cx, &DIGEST, VALS(v_id(code), v_i(revision)), &r));
	found = r.n ? val_str(&row(&r, 0)[0]) : (struct str){ 0 };
	if (found.n != SHA256_BYTES)
		return err_set(cx, ERR_NOT_FOUND, "no node has looked up the image of revision %lld yet", (long long)revision);
	memcpy(digest, found.p, SHA256_BYTES);
	return OK;
}

enum err code_store_fix_digest(struct db *db, struct ctx *cx, const struct id *code, int64_t revision,
                               unsigned char digest[SHA256_BYTES])
{
	TRY(db_exec(db, cx, &FIX_DIGEST, VALS(v_s(str_bytes(digest, SHA256_BYTES)), v_id(code), v_i(revision))));
	return code_store_digest(db, cx, code, revision, digest);
}

/* --- one that follows its tag ---------------------------------------------------------------------- */

/* Whoever changes the row looks it up, for all nodes. The first look must be waited for: who has not answered by then
 * has died. */
static const struct sql TAKE_LOOKUP = {
	"UPDATE revision SET looked_up_at = NOW(6) WHERE code_id = ? AND number = ?"
	" AND (looked_up_at IS NULL OR looked_up_at <= NOW(6) - INTERVAL IF(digest IS NULL, LEAST(?, 30), ?) SECOND)", "siii" };
static const struct sql FOLLOWED = {
	"SELECT digest, TIMESTAMPDIFF(SECOND, looked_up_at, NOW(6)) FROM revision WHERE code_id = ? AND number = ?", "si" };
static const struct sql FOLLOW = { "UPDATE revision SET digest = ? WHERE code_id = ? AND number = ?", "ssi" };
static const struct sql FORGET = { "UPDATE revision SET digest = NULL, looked_up_at = NULL WHERE code_id = ? AND number = ?", "si" };

enum err code_store_followed(struct db *db, struct ctx *cx, const struct id *code, int64_t revision, int64_t every_s,
                             struct followed *out)
{
	struct followed f = { 0 };
	struct rows r;
	struct str found;

	TRY(db_exec(db, cx, &TAKE_LOOKUP, VALS(v_id(code), v_i(revision), v_i(every_s), v_i(every_s))));
	f.is_due = db_changed(db) == 1;
	TRY(db_query(db, cx, &FOLLOWED, VALS(v_id(code), v_i(revision)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no revision %lld of the code", (long long)revision);
	found = val_str(&row(&r, 0)[0]);
	f.is_known = found.n == SHA256_BYTES;
	if (f.is_known)
		memcpy(f.digest, found.p, SHA256_BYTES);
	f.age_s = val_int(&row(&r, 0)[1]);
	*out = f;
	return OK;
}

enum err code_store_follow(struct db *db, struct ctx *cx, const struct id *code, int64_t revision, const unsigned char *digest)
{
	return db_exec(db, cx, &FOLLOW, VALS(v_s(str_bytes(digest, SHA256_BYTES)), v_id(code), v_i(revision)));
}

enum err code_store_forget(struct db *db, struct ctx *cx, const struct id *code, int64_t revision)
{
	return db_exec(db, cx, &FORGET, VALS(v_id(code), v_i(revision)));
}
