#include "store/task_row.h"

#include "store/large_payload.h"

#define TEN "?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
#define HUNDRED TEN ", " TEN ", " TEN ", " TEN ", " TEN ", " TEN ", " TEN ", " TEN ", " TEN ", " TEN
#define TEN_TYPES "ssssssssss"
#define HUNDRED_TYPES TEN_TYPES TEN_TYPES TEN_TYPES TEN_TYPES TEN_TYPES TEN_TYPES TEN_TYPES TEN_TYPES TEN_TYPES TEN_TYPES

#define WHOLE "p.body"
#define SHORT PAYLOAD_SMALL("p.body")

#define COLUMNS(payload)                                                                                 \
	"SELECT t.id, t.project_id, t.code_id, t.revision, t.lane_id, l.cluster_id, c.name, k.name,"      \
	" t.state, t.attempt, t.changes, t.priority, t.timeout_s, TIMESTAMPDIFF(SECOND, t.created_at, t.due_at)," \
	" t.created_at, t.due_at, t.started_at, t.ended_at, t.updated_at, t.exit_code, t.cause, t.note,"  \
	" t.label, t.msg, t.percent, t.callback, t.schedule_id, t.original_task_id, t.retry_task_id,"     \
	" t.retry, r.stop IS NOT NULL, t.traceparent, v.id, OCTET_LENGTH(p.body), " payload ", t.notify, x.expires_at" \
	" FROM task t FORCE INDEX (PRIMARY) LEFT JOIN code c ON c.id = t.code_id"                         \
	" LEFT JOIN lane l ON l.id = t.lane_id LEFT JOIN cluster k ON k.id = l.cluster_id"                \
	" LEFT JOIN revision v ON v.code_id = t.code_id AND v.number = t.revision"                        \
	" LEFT JOIN running r ON r.node_id = t.node_id AND r.task_id = t.id"                              \
	" LEFT JOIN expiry x ON x.task_id = t.id"                                                          \
	" LEFT JOIN payload p ON p.task_id = t.id AND ? = 1"

static const struct sql ONE = { COLUMNS(WHOLE) " WHERE t.id = ? AND t.project_id = ?", "iss" };
static const struct sql ONE_SHORT = { COLUMNS(SHORT) " WHERE t.id = ? AND t.project_id = ?", "iss" };
static const struct sql MANY = { COLUMNS(SHORT) " WHERE t.id IN (" HUNDRED ") AND t.project_id = ?", "i" HUNDRED_TYPES "s" };

static const struct sql LARGE = { "SELECT body FROM payload WHERE task_id = ?", "s" };

static void read_times(const struct val *v, struct task *t)
{
	t->created_at = val_time(&v[14]);
	t->due_at = val_time(&v[15]);
	t->started_at = val_time(&v[16]);
	t->ended_at = val_time(&v[17]);
	t->updated_at = val_time(&v[18]);
	t->expires_at = val_time(&v[36]);
}

static void read_end(const struct val *v, struct task *t)
{
	t->exit_code = v[19].type == VAL_NULL ? -1 : val_int(&v[19]);
	t->cause = val_str(&v[20]);
	t->note = val_str(&v[21]);
}

static void read_chain(const struct val *v, struct task *t)
{
	t->schedule_id = val_id(&v[26]);
	t->original_task_id = val_id(&v[27]);
	t->retry_task_id = val_id(&v[28]);
	t->retry = val_int(&v[29]);
}

/* The columns are listed above, once. */
static struct task task_of(const struct val *v, enum payload_part payload)
{
	struct task t = { .id = val_id(&v[0]), .project_id = val_id(&v[1]), .code_id = val_id(&v[2]),
		          .revision = val_int(&v[3]), .lane_id = val_int(&v[4]), .cluster_id = val_int(&v[5]),
		          .code_name = val_str(&v[6]), .cluster_name = val_str(&v[7]), .attempt = val_int(&v[9]),
		          .changes = val_int(&v[10]), .priority = val_int(&v[11]), .timeout_s = val_int(&v[12]),
		          .delay_s = val_int(&v[13]), .label = val_str(&v[22]), .msg = val_str(&v[23]),
		          .percent = val_int(&v[24]), .callback = val_str(&v[25]),
		          .cancel_asked = val_int(&v[30]) != 0, .traceparent = val_str(&v[31]),
		          .revision_id = val_id(&v[32]) };

	task_state_parse(val_str(&v[8]), &t.state);
	read_times(v, &t);
	read_end(v, &t);
	read_chain(v, &t);
	t.payload_bytes = val_int(&v[33]);
	t.notify = (unsigned)val_int(&v[35]);
	if (payload != PAYLOAD_NONE && v[34].type != VAL_NULL)
		t.payload = val_str(&v[34]);
	return t;
}

static enum err query(struct db *db, struct ctx *cx, const struct id *project, const struct id *ids, size_t n,
                      enum payload_part payload, struct rows *r)
{
	struct val joined = v_i(payload != PAYLOAD_NONE);
	static const struct id ZERO;
	struct val v[TASK_ROWS_MOST + 2];

	if (n == 1)
		return db_query(db, cx, payload == PAYLOAD_WHOLE ? &ONE : &ONE_SHORT,
		                VALS(joined, v_id(ids), v_id(project)), r);
	v[0] = joined;
	for (size_t i = 0; i < TASK_ROWS_MOST; i++)
		v[i + 1] = v_id(i < n ? &ids[i] : &ZERO);
	v[TASK_ROWS_MOST + 1] = v_id(project);
	return db_query(db, cx, &MANY, v, TASK_ROWS_MOST + 2, r);
}

static enum err add_large(struct db *db, struct ctx *cx, struct task *tasks, size_t n)
{
	int64_t left = PAYLOADS_LARGE_BYTES;

	for (size_t i = 0; i < n; i++)
		TRY(large_payload_read(db, cx, &LARGE, &tasks[i].id, tasks[i].payload_bytes, &left, &tasks[i].payload));
	return OK;
}

enum err task_rows_read(struct db *db, struct ctx *cx, const struct id *project, const struct id *ids, size_t n,
                        enum payload_part payload, struct task *out, size_t *found)
{
	struct rows r;

	*found = 0;
	if (!n)
		return OK;
	TRY(query(db, cx, project, ids, n, payload, &r));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < r.n; k++)
			if (str_equal(id_view(&ids[i]), val_str(&row(&r, k)[0])))
				out[(*found)++] = task_of(row(&r, k), payload);
	return payload == PAYLOAD_LIST ? add_large(db, cx, out, *found) : OK;
}
