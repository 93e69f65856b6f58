#include "store/ready_store.h"

#include "store/expiry_store.h"
#include "store/ready_pick.h"
#include "store/txn.h"

#include <stdlib.h>

enum { CLAIM_TRIES = 5, CLAIM_ROUNDS = 4, READ_AT_ONCE = 16, CLAIM_MOST = 1000 };

/* --- the claim --------------------------------------------------------------------------------- */

static const struct sql PEEK = {
	"SELECT EXISTS (SELECT 1 FROM ready FORCE INDEX (flat) WHERE place = ? LIMIT 1)"
	" OR EXISTS (SELECT 1 FROM lane FORCE INDEX (pick)"
	" WHERE cluster_id = ? AND open = 1 AND head_rank IS NOT NULL LIMIT 1)", "ii" };

static const struct sql TURN = {
	"UPDATE turn SET number = number + 1, by_node = ?, at = NOW(6) WHERE cluster_id = ?", "ii" };
/* Written and not only locked: on Galera a take-back elsewhere then cannot commit beside us. Everybody
 * comes to the row of a node by its primary key: by `lease` or `session` two of them meet in a deadlock. */
static const struct sql NODE_CLAIMS = {
	"UPDATE node FORCE INDEX (PRIMARY) SET claims = claims + 1"
	" WHERE id = ? AND session = ? AND state = 'live' AND lease_until > NOW(6)", "is" };
static const struct sql NODE_STATE = {
	"SELECT 1 FROM node WHERE id = ? AND session = ? AND state <> 'gone'", "is" };
static const struct sql CLUSTER_PAUSED = { "SELECT 1 FROM cluster WHERE id = ? AND paused_at IS NOT NULL", "i" };

static const struct sql CODE_COUNT = { "UPDATE code SET running = running + ? WHERE id = ?", "is" };
static const struct sql CODE_LIMIT = {
	"UPDATE code SET running = running + ? WHERE id = ?"
	" AND (max_running = 0 OR running + ? <= max_running)", "isi" };
static const struct sql READY_ASIDE = {
	"UPDATE ready SET place = -lane_id WHERE lane_id = ? AND rank_at = ? AND task_id = ?", "its" };
/* By primary key, one row a statement of the array: an IN list locks other claimers' rows. */
static const struct sql READY_DELETE = {
	"DELETE FROM ready WHERE lane_id = ? AND rank_at = ? AND task_id = ?", "its" };
static const struct sql TASK_CLAIM = {
	"UPDATE task SET state = 'preparing', attempt = attempt + 1, node_id = ?, node_session = ?, cause = NULL,"
	" note = NULL WHERE id = ? AND state = 'queued' AND attempt = ? AND NOT " EXPIRY_IS_OVER, "issi" };
static const struct sql ATTEMPT_ADD = {
	"INSERT INTO attempt (task_id, number, node_id, node_session, day, claimed_at)"
	" VALUES (?, ?, ?, ?, DATEDIFF(NOW(6), '1970-01-01'), NOW(6))", "siis" };
static const struct sql RUNNING_ADD = {
	"INSERT INTO running (node_id, task_id, attempt, lane_id) VALUES (?, ?, ?, ?)", "isii" };
static const struct sql LANE_TAKE = {
	"UPDATE lane SET running = running + ?, head_rank = ? WHERE id = ?", "iti" };
static const struct sql ATTEMPT_IS_OURS = {
	"SELECT 1 FROM attempt WHERE task_id = ? AND number = ? AND node_session = ?", "sis" };

const struct sql *const READY_CLAIM_STATEMENTS[] = {
	&PEEK, &TURN, &NODE_CLAIMS, &NODE_STATE, &CLUSTER_PAUSED, &CODE_COUNT, &CODE_LIMIT,
	&READY_ASIDE, &READY_DELETE, &TASK_CLAIM, &LANE_TAKE, &ATTEMPT_IS_OURS };
const size_t READY_CLAIM_STATEMENT_COUNT = sizeof READY_CLAIM_STATEMENTS / sizeof(struct sql *);

struct claim {
	const struct node_claim *who;
	size_t most;
	struct pick pick;
	bool one_by_one; /* a row that was picked did not move as expected: find out which */
	bool collided;
};

enum err ready_store_peek(struct db *db, struct ctx *cx, int64_t cluster_id, bool *any)
{
	struct rows r;

	TRY(db_query(db, cx, &PEEK, VALS(v_i(cluster_id), v_i(cluster_id)), &r));
	*any = val_int(&row(&r, 0)[0]) != 0;
	return OK;
}

static enum err take_turn(struct db *db, struct ctx *cx, const struct node_claim *who, bool *may)
{
	struct rows r;

	TRY(db_exec(db, cx, &TURN, VALS(v_i(who->node_id), v_i(who->cluster_id))));
	if (db_changed(db) != 1)
		return err_set(cx, ERR_INTERNAL, "claim in cluster %lld: it has no turn row", (long long)who->cluster_id);
	TRY(db_exec(db, cx, &NODE_CLAIMS, VALS(v_i(who->node_id), v_s(who->session))));
	*may = db_changed(db) == 1;
	if (!*may) {
		TRY(db_query(db, cx, &NODE_STATE, VALS(v_i(who->node_id), v_s(who->session)), &r));
		return r.n ? OK : err_set(cx, ERR_CONFLICT, "claim: this node's session was taken back");
	}
	TRY(db_query(db, cx, &CLUSTER_PAUSED, VALS(v_i(who->cluster_id)), &r));
	*may = r.n == 0;
	return OK;
}

static enum err collide(struct claim *c, struct ctx *cx, const char *what)
{
	c->collided = true;
	return err_set(cx, ERR_CONFLICT, "claim: %s changed under the turn", what);
}

static enum err set_aside(struct db *db, struct ctx *cx, const struct pick *p)
{
	struct val *v = arena_array(&cx->arena, 3 * p->aside_n + 1, sizeof *v);

	for (size_t i = 0; i < p->aside_n; i++) {
		v[3 * i] = v_i(p->aside[i].lane_id);
		v[3 * i + 1] = v_t(p->aside[i].rank_at);
		v[3 * i + 2] = v_id(&p->aside[i].task_id);
	}
	/* one that was cancelled meanwhile is gone, which is as good */
	return db_exec_array(db, cx, &READY_ASIDE, v, p->aside_n);
}

static int by_task(const void *a, const void *b)
{
	const struct pick_row *const *x = a, *const *y = b;

	return memcmp(&(*x)->task_id, &(*y)->task_id, sizeof(struct id));
}

/* What was taken, in order of the tasks' ids: rows are locked in this order, as settlements, take-backs
 * and cancels of a whole code do. In order of rank a claim and the late words of a dead node, which lock
 * rows that are not theirs any more, waited for each other crosswise. */
static struct pick_row **in_order_of_ids(struct ctx *cx, const struct pick *p)
{
	struct pick_row **rows = arena_array(&cx->arena, p->n + 1, sizeof(struct pick_row *));

	for (size_t i = 0; i < p->n; i++)
		rows[i] = &p->taken[i];
	qsort(rows, p->n, sizeof(struct pick_row *), by_task);
	return rows;
}

static enum err move_rows(struct db *db, struct ctx *cx, struct claim *c)
{
	const struct pick *p = &c->pick;
	struct pick_row **rows = in_order_of_ids(cx, p);
	struct val *keys = arena_array(&cx->arena, 3 * p->n, sizeof *keys);
	struct val *moves = arena_array(&cx->arena, 4 * p->n, sizeof *moves);

	for (size_t i = 0; i < p->n; i++) {
		const struct pick_row *r = rows[i];
		const struct val key[3] = { v_i(r->lane_id), v_t(r->rank_at), v_id(&r->task_id) };
		const struct val move[4] = { v_i(c->who->node_id), v_s(c->who->session), v_id(&r->task_id),
			                     v_i(r->attempt) };

		memcpy(keys + 3 * i, key, sizeof key);
		memcpy(moves + 4 * i, move, sizeof move);
	}
	TRY(db_exec_array(db, cx, &READY_DELETE, keys, p->n));
	if (db_changed(db) != (int64_t)p->n)
		return collide(c, cx, "what waits");
	TRY(db_exec_array(db, cx, &TASK_CLAIM, moves, p->n));
	return db_changed(db) == (int64_t)p->n ? OK : collide(c, cx, "a task");
}

static enum err move_one(struct db *db, struct ctx *cx, const struct claim *c, const struct pick_row *r, bool *moved)
{
	*moved = false;
	TRY(db_exec(db, cx, &READY_DELETE, VALS(v_i(r->lane_id), v_t(r->rank_at), v_id(&r->task_id))));
	if (db_changed(db) != 1)
		return OK; /* cancelled meanwhile */
	TRY(db_exec(db, cx, &TASK_CLAIM, VALS(v_i(c->who->node_id), v_s(c->who->session), v_id(&r->task_id),
	                                      v_i(r->attempt))));
	*moved = db_changed(db) == 1;
	/* else its time is over, or the row stood here without a task that waits: gone now */
	return *moved ? OK : expiry_store_end_taken(db, cx, &r->task_id);
}

/* The slow way, when an array did not move all of its rows: leaves out those that did not. */
static enum err move_one_by_one(struct db *db, struct ctx *cx, struct claim *c)
{
	struct pick *p = &c->pick;
	struct pick_row **rows = in_order_of_ids(cx, p);
	bool *moved = arena_array(&cx->arena, p->n, sizeof *moved);
	size_t kept = 0;

	for (size_t i = 0; i < p->n; i++)
		TRY(move_one(db, cx, c, rows[i], &moved[rows[i] - p->taken]));
	for (size_t i = 0; i < p->n; i++) {
		if (moved[i]) {
			p->taken[kept++] = p->taken[i];
			continue;
		}
		for (size_t k = 0; k < p->lane_n; k++)
			p->lanes[k].taken -= p->lanes[k].id == p->taken[i].lane_id;
	}
	p->n = kept;
	return OK;
}

static enum err add_attempts(struct db *db, struct ctx *cx, const struct claim *c)
{
	const struct pick *p = &c->pick;
	struct val *attempts = arena_array(&cx->arena, 4 * p->n + 1, sizeof *attempts);
	struct val *running = arena_array(&cx->arena, 4 * p->n + 1, sizeof *running);

	for (size_t i = 0; i < p->n; i++) {
		const struct pick_row *r = &p->taken[i];
		const struct val a[4] = { v_id(&r->task_id), v_i(r->attempt + 1), v_i(c->who->node_id),
			                  v_s(c->who->session) };
		const struct val b[4] = { v_i(c->who->node_id), v_id(&r->task_id), v_i(r->attempt + 1),
			                  v_i(r->lane_id) };

		memcpy(attempts + 4 * i, a, sizeof a);
		memcpy(running + 4 * i, b, sizeof b);
	}
	TRY(db_exec_array(db, cx, &ATTEMPT_ADD, attempts, p->n));
	return db_exec_array(db, cx, &RUNNING_ADD, running, p->n);
}

static int by_code(const void *a, const void *b)
{
	const struct pick_lane *const *x = a, *const *y = b;

	return memcmp(&(*x)->code_id, &(*y)->code_id, sizeof(*x)->code_id);
}

/* Codes without a limit, all of them in one array. None gets one meanwhile: that takes the turn. */
static enum err count_codes(struct db *db, struct ctx *cx, struct pick_lane *const *lanes, size_t n)
{
	struct val *v = arena_array(&cx->arena, 2 * n + 1, sizeof *v);

	for (size_t i = 0; i < n; i++) {
		v[2 * i] = v_i((int64_t)lanes[i]->taken);
		v[2 * i + 1] = v_id(&lanes[i]->code_id);
	}
	return db_exec_array(db, cx, &CODE_COUNT, v, n);
}

/* The counters of codes: near the end, since settlements write the same rows, and in order of the
 * codes' ids (lane_count.h). With a limit among them one by one, since an array also counts the lanes
 * that a trigger closes. */
static enum err take_codes(struct db *db, struct ctx *cx, struct claim *c)
{
	struct pick *p = &c->pick;
	struct pick_lane **lanes = arena_array(&cx->arena, p->lane_n + 1, sizeof(struct pick_lane *));
	bool limited = false;
	size_t n = 0;

	for (size_t i = 0; i < p->lane_n; i++) {
		if (!p->lanes[i].taken)
			continue;
		lanes[n++] = &p->lanes[i];
		limited |= p->lanes[i].room >= 0;
	}
	qsort(lanes, n, sizeof(struct pick_lane *), by_code);
	if (!limited)
		return count_codes(db, cx, lanes, n);
	for (size_t i = 0; i < n; i++) {
		struct val taken = v_i((int64_t)lanes[i]->taken);

		TRY(db_exec(db, cx, &CODE_LIMIT, VALS(taken, v_id(&lanes[i]->code_id), taken)));
		if (db_changed(db) != 1) /* used up from another cluster */
			return collide(c, cx, "a limit");
	}
	return OK;
}

/* As lane_count.c has it: a lane of a code that this claim does not count is written too. */
static int by_code_and_id(const void *a, const void *b)
{
	const struct pick_lane *x = a, *y = b;
	int order = memcmp(&x->code_id, &y->code_id, sizeof x->code_id);

	return order ? order : (x->id > y->id) - (x->id < y->id);
}

static enum err write_lanes(struct db *db, struct ctx *cx, struct pick *p)
{
	struct val *v = arena_array(&cx->arena, 3 * p->lane_n + 1, sizeof *v);
	size_t n = 0;

	if (p->lane_n) /* qsort must not see the NULL of an empty array */
		qsort(p->lanes, p->lane_n, sizeof *p->lanes, by_code_and_id);
	for (size_t i = 0; i < p->lane_n; i++) {
		const struct pick_lane *l = &p->lanes[i];

		if (!l->taken && l->new_head == l->head_rank)
			continue;
		v[3 * n] = v_i((int64_t)l->taken);
		v[3 * n + 1] = v_t(l->new_head);
		v[3 * n + 2] = v_i(l->id);
		n++;
	}
	return db_exec_array(db, cx, &LANE_TAKE, v, n);
}

static enum err claim_work(struct db *db, struct ctx *cx, void *arg)
{
	struct claim *c = arg;
	bool may = false;

	c->collided = false;
	c->pick = (struct pick){ 0 };
	TRY(take_turn(db, cx, c->who, &may));
	if (!may)
		return OK;
	TRY(ready_pick(db, cx, c->who, c->most, &c->pick));
	TRY(set_aside(db, cx, &c->pick));
	if (c->pick.n)
		TRY(c->one_by_one ? move_one_by_one(db, cx, c) : move_rows(db, cx, c));
	TRY(add_attempts(db, cx, c));
	TRY(take_codes(db, cx, c));
	return write_lanes(db, cx, &c->pick);
}

/* All of a claim is there, or nothing: its first attempt tells. */
static enum err claim_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	const struct claim *c = arg;
	struct rows r;

	*yes = c->pick.n == 0;
	if (*yes)
		return OK;
	TRY(db_query(db, cx, &ATTEMPT_IS_OURS, VALS(v_id(&c->pick.taken[0].task_id), v_i(c->pick.taken[0].attempt + 1),
	                                            v_s(c->who->session)), &r));
	*yes = r.n == 1;
	return OK;
}

static enum err claim_once(struct db *db, struct ctx *cx, struct claim *c)
{
	static const struct txn TXN = { "claim", claim_work, claim_done };
	enum err e = ERR_CONFLICT;

	for (int try = 0; try < CLAIM_TRIES; try++) {
		c->one_by_one = try > 1;
		e = txn_run(db, cx, &TXN, c);
		if (e == OK || !c->collided)
			return e;
	}
	cx->err = ERR_BUSY;
	return ERR_BUSY;
}

/* --- what was claimed, with all that a launch needs ----------------------------------------------- */

#define CLAIMED                                                                                        \
	"SELECT t.id, t.project_id, t.code_id, t.state, t.attempt, t.revision, t.lane_id, t.timeout_s," \
	" c.grace_s, c.memory_mb, v.image, v.command, v.env, v.config, c.name, t.label,"               \
	" IF(OCTET_LENGTH(p.body) <= 4096, p.body, NULL), a.day, t.traceparent, OCTET_LENGTH(p.body),"        \
	" v.package, v.runtime, v.stack, v.file_name,"                                                        \
	" (SELECT IF(k.decryption_key IS NULL, 0, k.key_number) FROM cluster k WHERE k.id = ?),"    \
	" t.schedule_id, (SELECT w.network + 0 FROM cluster_network w WHERE w.cluster_id = ?)," \
	" c.scratch = 'disk',"                                                                                 \
	" (SELECT x.items FROM relaxation x WHERE x.code_id = t.code_id ORDER BY x.set_at DESC LIMIT 1), c.engine," \
	" EXISTS (SELECT 1 FROM secret s WHERE s.project_id = t.project_id"                                    \
	" AND s.code_id IN (x'000000000000000000000000', t.code_id)), c.follow_tag_s, c.output = 'merged'"
#define CLAIMED_JOINS                                                                    \
	" JOIN attempt a ON a.task_id = t.id AND a.number = t.attempt"                    \
	" LEFT JOIN code c ON c.id = t.code_id"                                           \
	" LEFT JOIN revision v ON v.code_id = t.code_id AND v.number = t.revision"        \
	" LEFT JOIN payload p ON p.task_id = t.id"

static const struct sql BY_IDS = {
	CLAIMED " FROM task t" CLAIMED_JOINS
	" WHERE t.id IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AND t.node_session = ?", "iisssssssssssssssss" };
static const struct sql MINE = {
	CLAIMED " FROM running r STRAIGHT_JOIN task t ON t.id = r.task_id AND t.attempt = r.attempt" CLAIMED_JOINS
	" WHERE r.node_id = ? AND t.node_session = ? ORDER BY r.task_id", "iiis" };

_Static_assert(READY_PAYLOAD_INLINE == 4096, "the statement says so too");
static const struct sql PAYLOAD = {
	"SELECT SUBSTRING(body, ? + 1, ?) FROM payload WHERE task_id = ?", "iis" };

static struct claimed claimed_of(const struct val *v)
{
	struct claimed c = { .task_id = val_id(&v[0]), .project_id = val_id(&v[1]), .code_id = val_id(&v[2]),
		             .attempt = val_int(&v[4]), .revision = val_int(&v[5]), .lane_id = val_int(&v[6]),
		             .timeout_s = val_int(&v[7]), .grace_s = v[8].type == VAL_NULL ? -1 : val_int(&v[8]),
		             .memory_mb = val_int(&v[9]), .image = val_str(&v[10]), .command = val_str(&v[11]),
		             .env = val_str(&v[12]), .config = val_str(&v[13]), .code_name = val_str(&v[14]),
		             .label = val_str(&v[15]), .payload = val_str(&v[16]), .day = val_int(&v[17]),
		             .traceparent = val_str(&v[18]), .payload_bytes = val_int(&v[19]),
		             .package = val_str(&v[20]), .runtime = val_str(&v[21]), .stack = val_str(&v[22]),
		             .file_name = val_str(&v[23]), .key_number = val_int(&v[24]),
		             .schedule_id = val_id(&v[25]),
		             .network = v[26].type == VAL_NULL ? 0 : val_int(&v[26]) - 1,
		             .engine = val_str(&v[29]), .has_secrets = val_int(&v[30]) != 0,
		             .follow_tag_s = v[31].type == VAL_NULL ? 0 : val_int(&v[31]),
		             .is_merged = v[32].type != VAL_NULL && val_int(&v[32]),
		             .is_on_disk = v[27].type != VAL_NULL && val_int(&v[27]),
		             .relaxed = v[28].type == VAL_NULL ? 0 : val_int(&v[28]) };

	task_state_parse(val_str(&v[3]), &c.state);
	return c;
}

static enum err read_claimed(struct db *db, struct ctx *cx, const struct claim *c, struct claimed *out, size_t *n)
{
	static const struct id ZERO;
	const struct pick *p = &c->pick;
	struct rows r;

	*n = 0;
	for (size_t at = 0; at < p->n; at += READ_AT_ONCE) {
		size_t end = at + READ_AT_ONCE < p->n ? at + READ_AT_ONCE : p->n;
		struct val v[READ_AT_ONCE + 3] = { v_i(c->who->cluster_id), v_i(c->who->cluster_id) };

		for (size_t i = 0; i < READ_AT_ONCE; i++)
			v[2 + i] = v_id(at + i < end ? &p->taken[at + i].task_id : &ZERO);
		v[READ_AT_ONCE + 2] = v_s(c->who->session);
		TRY(db_query(db, cx, &BY_IDS, v, READ_AT_ONCE + 3, &r));
		for (size_t i = at; i < end; i++)
			for (size_t k = 0; k < r.n; k++)
				if (str_equal(id_view(&p->taken[i].task_id), val_str(&row(&r, k)[0])))
					out[(*n)++] = claimed_of(row(&r, k));
	}
	return OK;
}

enum err ready_store_claim(struct db *db, struct ctx *cx, const struct node_claim *who, size_t most,
                           struct claimed **out, size_t *n)
{
	struct claim c = { .who = who, .most = most > CLAIM_MOST ? CLAIM_MOST : most };
	struct claimed *list;
	size_t count = 0;

	*n = 0;
	*out = NULL;
	if (!most)
		return OK;
	for (int round = 0; round < CLAIM_ROUNDS; round++) {
		TRY(claim_once(db, cx, &c));
		if (c.pick.n || !c.pick.more)
			break; /* else all it did was to set rows aside */
	}
	list = arena_array(&cx->arena, c.pick.n + 1, sizeof *list);
	TRY(read_claimed(db, cx, &c, list, &count));
	*out = list;
	*n = count;
	return OK;
}

enum err ready_store_mine(struct db *db, struct ctx *cx, const struct node_claim *who, struct claimed **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &MINE, VALS(v_i(who->cluster_id), v_i(who->cluster_id), v_i(who->node_id), v_s(who->session)), &r));
	*out = arena_array(&cx->arena, r.n + 1, sizeof **out);
	for (size_t i = 0; i < r.n; i++)
		(*out)[i] = claimed_of(row(&r, i));
	*n = r.n;
	return OK;
}

enum err ready_store_payload(struct db *db, struct ctx *cx, const struct id *task, int64_t from, struct str *piece)
{
	struct rows r;

	TRY(db_query(db, cx, &PAYLOAD, VALS(v_i(from), v_i(READY_PAYLOAD_PIECE), v_id(task)), &r));
	*piece = r.n ? val_str(&row(&r, 0)[0]) : STR_LIT("");
	return OK;
}

/* --- promotion --------------------------------------------------------------------------------- */

static const struct sql ANY_DUE = { "SELECT EXISTS (SELECT 1 FROM `delayed` WHERE due_at <= NOW(6) LIMIT 1)", "" };
/* One statement decides which rows move: a second look by range would lose what commits between. */
static const struct sql TAKE_DUE = {
	"DELETE FROM `delayed` WHERE due_at <= NOW(6) ORDER BY due_at, task_id LIMIT ?"
	" RETURNING lane_id, rank_at, task_id, place, attempt", "i" };
static const struct sql READY_ADD = {
	"INSERT INTO ready (lane_id, rank_at, task_id, place, attempt) VALUES (?, ?, ?, ?, ?)", "itsii" };

struct promotion {
	size_t most, moved;
};

static enum err promote_work(struct db *db, struct ctx *cx, void *arg)
{
	struct promotion *p = arg;
	struct rows r;

	TRY(db_query(db, cx, &TAKE_DUE, VALS(v_i((int64_t)p->most)), &r));
	p->moved = r.n;
	return db_exec_array(db, cx, &READY_ADD, r.v, r.n);
}

enum err ready_store_promote(struct db *db, struct ctx *cx, size_t most, size_t *moved)
{
	static const struct txn TXN = { "promote", promote_work, NULL };
	struct promotion p = { .most = most };
	struct rows r;

	*moved = 0;
	TRY(db_query(db, cx, &ANY_DUE, NULL, 0, &r));
	if (!val_int(&row(&r, 0)[0]))
		return OK;
	TRY(txn_run(db, cx, &TXN, &p));
	*moved = p.moved;
	return OK;
}
