#include "store/schedule_store.h"

#include "store/txn.h"

/* --- reading ----------------------------------------------------------------------------------- */

#define COLUMNS(payload)                                                                                    \
	"SELECT s.id, s.project_id, s.code_id, c.name, s.state, s.created_at, s.updated_at, s.start_at, s.end_at," \
	" s.next_at, s.last_at, s.run_every_s, s.run_times, s.run_count, s.priority, s.timeout_s, s.task_delay_s," \
	" s.cluster_name, s.label, s.msg, OCTET_LENGTH(s.payload), " payload                                 \
	" FROM schedule s LEFT JOIN code c ON c.id = s.code_id "

static const struct sql GET = { COLUMNS("s.payload") "WHERE s.id = ? AND s.project_id = ?", "ss" };
static const struct sql LIST = {
	COLUMNS("IF(OCTET_LENGTH(s.payload) <= 65536, s.payload, NULL)")
	"WHERE s.project_id = ? ORDER BY s.id DESC LIMIT ? OFFSET ?", "sii" };
static const struct sql LOCK = { COLUMNS("s.payload") "WHERE s.id = ? AND s.project_id = ? FOR UPDATE", "ss" };

static struct schedule from_row(const struct val *v)
{
	struct schedule s = {
		.id = val_id(&v[0]), .project_id = val_id(&v[1]), .code_id = val_id(&v[2]), .code_name = val_str(&v[3]),
		.created_at = val_time(&v[5]), .updated_at = val_time(&v[6]), .start_at = val_time(&v[7]),
		.end_at = val_time(&v[8]), .next_at = val_time(&v[9]), .last_at = val_time(&v[10]),
		.run_every_s = val_int(&v[11]), .run_times = val_int(&v[12]), .run_count = val_int(&v[13]),
		.priority = val_int(&v[14]), .timeout_s = val_int(&v[15]), .task_delay_s = val_int(&v[16]),
		.cluster_name = val_str(&v[17]), .label = val_str(&v[18]), .msg = val_str(&v[19]),
		.payload_bytes = val_int(&v[20]),
	};

	schedule_state_parse(val_str(&v[4]), &s.state);
	if (v[21].type != VAL_NULL)
		s.payload = s.payload_bytes ? val_str(&v[21]) : STR_LIT("");
	return s;
}

static enum err not_found(struct ctx *cx)
{
	return err_set(cx, ERR_NOT_FOUND, "there is no such schedule in this project");
}

enum err schedule_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct id *id, struct schedule *out)
{
	struct rows r;

	TRY(db_query(db, cx, &GET, VALS(v_id(id), v_id(project)), &r));
	if (!r.n)
		return not_found(cx);
	*out = from_row(row(&r, 0));
	return OK;
}

enum err schedule_store_list(struct db *db, struct ctx *cx, const struct id *project, int64_t page, int64_t per_page,
                             struct schedule **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &LIST, VALS(v_id(project), v_i(per_page), v_i(page * per_page)), &r));
	*out = arena_array(&cx->arena, r.n, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		(*out)[i] = from_row(row(&r, i));
	return OK;
}

/* --- making ------------------------------------------------------------------------------------ */

enum { COLUMN_COUNT = 14 };
static const struct sql ADD = {
	"INSERT INTO schedule (id, project_id, code_id, start_at, next_at, end_at, run_every_s, run_times, priority,"
	" timeout_s, task_delay_s, cluster_name, label, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	"ssstttiiiiisss" };
static const struct sql COUNT = {
	"SELECT COUNT(*) FROM (SELECT 1 FROM schedule FORCE INDEX (list) WHERE project_id = ? AND state = 'scheduled'"
	" LIMIT ?) x", "si" };
static const struct sql IS_THERE = { "SELECT 1 FROM schedule WHERE id = ?", "s" };

struct adding {
	const struct id *project;
	const struct schedule_order *orders;
	const struct code_target *targets;
	size_t n;
	int64_t most;
};

static void order_row(struct val *out, const struct id *project, const struct schedule_order *o,
                      const struct code_target *target, int64_t now)
{
	int64_t start = o->has_start_at ? o->start_at : now + o->delay_s * 1000000;
	const struct val v[COLUMN_COUNT] = {
		v_id(&o->id), v_id(project), v_id(&target->code_id), v_t(start), v_t(start), v_t(o->end_at),
		v_i(o->run_every_s), v_i(o->run_times), v_i(o->priority), v_i(o->timeout_s), v_i(o->task_delay_s),
		v_s(o->cluster_name.n ? o->cluster_name : STR_LIT("")), v_s(o->label.n ? o->label : STR_LIT("")),
		v_s(o->payload.n ? o->payload : STR_LIT("")),
	};

	memcpy(out, v, sizeof v);
}

static enum err add_work(struct db *db, struct ctx *cx, void *arg)
{
	enum { PAGE = 500 };
	const struct adding *a = arg;
	struct val *v = arena_array(&cx->arena, (a->n < PAGE ? a->n : PAGE) * COLUMN_COUNT, sizeof *v);
	struct rows r;
	int64_t now;

	TRY(db_now(db, cx, &now));
	TRY(db_query(db, cx, &COUNT, VALS(v_id(a->project), v_i(a->most + 1)), &r));
	if (val_int(&row(&r, 0)[0]) + (int64_t)a->n > a->most)
		return err_set(cx, ERR_FORBIDDEN, "a project may have %lld schedules that are not over",
		               (long long)a->most);
	for (size_t at = 0; at < a->n; at += PAGE) {
		size_t n = a->n - at < PAGE ? a->n - at : PAGE;

		for (size_t i = 0; i < n; i++)
			order_row(v + i * COLUMN_COUNT, a->project, &a->orders[at + i], &a->targets[at + i], now);
		TRY(db_exec_array(db, cx, &ADD, v, n));
	}
	return OK;
}

static enum err add_done(struct db *db, struct ctx *cx, void *arg, bool *yes)
{
	const struct adding *a = arg;
	struct rows r;

	TRY(db_query(db, cx, &IS_THERE, VALS(v_id(&a->orders[0].id)), &r));
	*yes = r.n > 0;
	return OK;
}

enum err schedule_store_add(struct db *db, struct ctx *cx, const struct id *project, const struct schedule_order *orders,
                            const struct code_target *targets, size_t n, int64_t most)
{
	static const struct txn ADDING = { add_work, add_done };
	struct adding a = { project, orders, targets, n, most };

	return n ? txn_run(db, cx, &ADDING, &a) : OK;
}

/* --- changing ---------------------------------------------------------------------------------- */

static const struct sql CHANGE = {
	"UPDATE schedule SET code_id = ?, start_at = ?, next_at = ?, end_at = ?, run_every_s = ?, run_times = ?,"
	" priority = ?, timeout_s = ?, task_delay_s = ?, cluster_name = ?, label = ?, payload = ?, updated_at = NOW(6)"
	" WHERE id = ?", "stttiiiiissss" };
static const struct sql CANCEL = {
	"UPDATE schedule SET state = 'cancelled', updated_at = NOW(6) WHERE id = ? AND project_id = ? AND state = 'scheduled'",
	"ss" };

struct changing {
	const struct id *project, *id, *code;
	const struct schedule_order *order;
};

static void apply_text(bool has, struct str from, struct str *to)
{
	if (has)
		*to = from;
}

static void apply_int(bool has, int64_t from, int64_t *to)
{
	if (has)
		*to = from;
}

static void apply(const struct schedule_order *o, struct schedule *s)
{
	apply_int(o->has_start_at, o->start_at, &s->start_at);
	apply_int(o->has_start_at, o->start_at, &s->next_at);
	apply_int(o->has_end_at, o->end_at, &s->end_at);
	apply_int(o->has_run_every, o->run_every_s, &s->run_every_s);
	apply_int(o->has_run_times, o->run_times, &s->run_times);
	apply_int(o->has_priority, o->priority, &s->priority);
	apply_int(o->has_timeout, o->timeout_s, &s->timeout_s);
	apply_int(o->has_task_delay, o->task_delay_s, &s->task_delay_s);
	apply_text(o->has_cluster, o->cluster_name, &s->cluster_name);
	apply_text(o->has_label, o->label, &s->label);
	apply_text(o->has_payload, o->payload, &s->payload);
}

static enum err change_work(struct db *db, struct ctx *cx, void *arg)
{
	const struct changing *c = arg;
	struct schedule s;
	struct rows r;

	TRY(db_query(db, cx, &LOCK, VALS(v_id(c->id), v_id(c->project)), &r));
	if (!r.n)
		return not_found(cx);
	s = from_row(row(&r, 0));
	if (s.state != SCHEDULE_SCHEDULED)
		return err_set(cx, ERR_CONFLICT, "the schedule is %s", schedule_state_name(s.state));
	apply(c->order, &s);
	return db_exec(db, cx, &CHANGE, VALS(v_id(c->code ? c->code : &s.code_id), v_t(s.start_at), v_t(s.next_at),
	                                     v_t(s.end_at), v_i(s.run_every_s), v_i(s.run_times), v_i(s.priority),
	                                     v_i(s.timeout_s), v_i(s.task_delay_s), v_s(s.cluster_name), v_s(s.label),
	                                     v_s(s.payload), v_id(c->id)));
}

enum err schedule_store_change(struct db *db, struct ctx *cx, const struct id *project, const struct id *id,
                               const struct schedule_order *order, const struct id *code)
{
	static const struct txn CHANGING = { change_work, NULL }; /* harmless to repeat */
	struct changing c = { project, id, code, order };

	return txn_run(db, cx, &CHANGING, &c);
}

enum err schedule_store_cancel(struct db *db, struct ctx *cx, const struct id *project, const struct id *id)
{
	struct schedule s;

	TRY(schedule_store_get(db, cx, project, id, &s)); /* also finds a connection that died unseen */
	return db_exec(db, cx, &CANCEL, VALS(v_id(id), v_id(project)));
}
