#include "store/task_store.h"

#include <stdlib.h>

#include "base/clock.h"
#include "store/task_row.h"

/* Lists in two steps: the ids, out of an index that is forced, then the rows of one page by id.
 * No filter, or one by states: the index answers alone. Anything else: a walk along the index of the
 * project, in pieces, over at most SEARCH_MOST rows (docs/schema.md, "Lists"). */
enum { PER_PAGE_MOST = 100, PIECE = 2000, SEARCH_MOST = 20000, CLOCK_SLACK_S = 300 };

#define BETWEEN " AND id > ? AND id < ?"
static const struct sql ALL_DOWN = {
	"SELECT id FROM task FORCE INDEX (list) WHERE project_id = ?" BETWEEN " ORDER BY id DESC LIMIT ? OFFSET ?", "sssii" };
static const struct sql ALL_UP = {
	"SELECT id FROM task FORCE INDEX (list) WHERE project_id = ?" BETWEEN " ORDER BY id LIMIT ? OFFSET ?", "sssii" };

#define PART(key, column, order) \
	"(SELECT id FROM task FORCE INDEX (" key ") WHERE " column " = ? AND state = ?" BETWEEN " ORDER BY id" order " LIMIT ?)"
#define THREE(key, column, order) \
	PART(key, column, order) " UNION ALL " PART(key, column, order) " UNION ALL " PART(key, column, order)
#define NINE(key, column, order) \
	THREE(key, column, order) " UNION ALL " THREE(key, column, order) " UNION ALL " THREE(key, column, order)
#define NINE_TYPES "ssssissssissssissssissssissssissssissssissssi"
_Static_assert(TASK_STATE_COUNT == 9, "a part of the union for each state");

static const struct sql STATES_DOWN = { NINE("project_state", "project_id", " DESC"), NINE_TYPES };
static const struct sql STATES_UP = { NINE("project_state", "project_id", ""), NINE_TYPES };
static const struct sql CODE_DOWN = { NINE("code_state", "code_id", " DESC"), NINE_TYPES };
static const struct sql CODE_UP = { NINE("code_state", "code_id", ""), NINE_TYPES };

/* Where a piece of the walk ends. */
static const struct sql PIECE_DOWN = {
	"SELECT id FROM task FORCE INDEX (list) WHERE project_id = ?" BETWEEN " ORDER BY id DESC LIMIT 1 OFFSET ?", "sssi" };
static const struct sql PIECE_UP = {
	"SELECT id FROM task FORCE INDEX (list) WHERE project_id = ?" BETWEEN " ORDER BY id LIMIT 1 OFFSET ?", "sssi" };
#define MATCH                                                                                             \
	"SELECT id FROM task FORCE INDEX (list) WHERE project_id = ?" BETWEEN                              \
	" AND (1 << (state - 1)) & ? AND (? IS NULL OR code_id = ?) AND (? IS NULL OR label = ?)"          \
	" AND (? IS NULL OR lane_id IN (SELECT l.id FROM lane l JOIN cluster k ON k.id = l.cluster_id WHERE k.name = ?))" \
	" AND (? IS NULL OR created_at >= ?) AND (? IS NULL OR created_at <= ?) ORDER BY id"
static const struct sql MATCH_DOWN = { MATCH " DESC LIMIT ?", "sssisssssstttti" };
static const struct sql MATCH_UP = { MATCH " LIMIT ?", "sssisssssstttti" };

/* The code of that name, else the last one that was deleted: its tasks stay. */
static const struct sql CODE_OF = {
	"(SELECT id FROM code WHERE project_id = ? AND name = ?) UNION ALL"
	" (SELECT id FROM code WHERE deleted_from = ? AND name = ? ORDER BY deleted_at DESC LIMIT 1)", "ssss" };

struct list {
	struct db *db;
	struct ctx *cx;
	const struct id *project;
	const struct task_filter *f;
	unsigned states;
	bool up, has_code;
	struct id code, low, high; /* ids between, both excluded */
	size_t offset, per_page;
	struct id *ids;            /* room for wanted() */
	size_t n;
	int64_t searched_to;
	struct id searched_before;
};

/* One more than shown, to know whether there are further ones. */
static size_t wanted(const struct list *l)
{
	return l->offset + l->per_page + 1;
}

static void add_ids(struct list *l, const struct rows *r)
{
	for (size_t i = 0; i < r->n && l->n < wanted(l); i++)
		l->ids[l->n++] = val_id(&row(r, i)[0]);
}

static int ascending(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id));
}

static int descending(const void *a, const void *b)
{
	return memcmp(b, a, sizeof(struct id));
}

static enum err list_all(struct list *l)
{
	struct rows r;

	TRY(db_query(l->db, l->cx, l->up ? &ALL_UP : &ALL_DOWN,
	             VALS(v_id(l->project), v_id(&l->low), v_id(&l->high), v_i((int64_t)l->per_page + 1),
	                  v_i((int64_t)l->offset)), &r));
	l->ids = arena_array(&l->cx->arena, wanted(l), sizeof *l->ids);
	l->n = 0;
	add_ids(l, &r);
	l->offset = 0; /* the index skipped them */
	return OK;
}

/* Each state's part comes in order; together they are sorted here, at most nine pages. */
static enum err list_states(struct list *l)
{
	const struct sql *sql = l->has_code ? (l->up ? &CODE_UP : &CODE_DOWN) : l->up ? &STATES_UP : &STATES_DOWN;
	struct val v[5 * TASK_STATE_COUNT];
	struct id *all;
	struct rows r;

	for (int s = 0; s < TASK_STATE_COUNT; s++) {
		bool asked = l->states & 1u << s;
		const struct val part[5] = { v_id(l->has_code ? &l->code : l->project),
			                     asked ? v_z(task_state_name((enum task_state)s)) : v_null(),
			                     v_id(&l->low), v_id(&l->high), v_i((int64_t)wanted(l)) };

		memcpy(v + 5 * s, part, sizeof part);
	}
	TRY(db_query(l->db, l->cx, sql, v, 5 * TASK_STATE_COUNT, &r));
	all = arena_array(&l->cx->arena, r.n + 1, sizeof *all);
	for (size_t i = 0; i < r.n; i++)
		all[i] = val_id(&row(&r, i)[0]);
	qsort(all, r.n, sizeof *all, l->up ? ascending : descending);
	l->ids = all;
	l->n = r.n < wanted(l) ? r.n : wanted(l);
	return OK;
}

static struct val text_or_null(struct str s)
{
	return s.n ? v_s(s) : v_null();
}

/* Nothing was queued in 1970: 0 is as open as TIME_NONE. */
static struct val time_or_null(int64_t us)
{
	return us > 0 ? v_t(us) : v_null();
}

/* What matches between two ids. */
static enum err match_piece(struct list *l, const struct id *low, const struct id *high)
{
	struct val code = l->has_code ? v_id(&l->code) : v_null(), label = text_or_null(l->f->label);
	struct val cluster = text_or_null(l->f->cluster), from = time_or_null(l->f->from), to = time_or_null(l->f->to);
	struct rows r;

	TRY(db_query(l->db, l->cx, l->up ? &MATCH_UP : &MATCH_DOWN,
	             VALS(v_id(l->project), v_id(low), v_id(high), v_i(l->states), code, code, label, label, cluster,
	                  cluster, from, from, to, to, v_i((int64_t)(wanted(l) - l->n))), &r));
	add_ids(l, &r);
	return OK;
}

static enum err search(struct list *l)
{
	struct id low = l->low, high = l->high;
	struct rows r;

	l->ids = arena_array(&l->cx->arena, wanted(l), sizeof *l->ids);
	l->n = 0;
	for (int looked = 0; looked < SEARCH_MOST && l->n < wanted(l); looked += PIECE) {
		struct id end;

		TRY(db_query(l->db, l->cx, l->up ? &PIECE_UP : &PIECE_DOWN,
		             VALS(v_id(l->project), v_id(&low), v_id(&high), v_i(PIECE)), &r));
		if (!r.n) { /* the last piece */
			l->searched_to = TIME_NONE;
			return match_piece(l, &low, &high);
		}
		end = val_id(&row(&r, 0)[0]);
		TRY(match_piece(l, l->up ? &low : &end, l->up ? &end : &high));
		/* the id at the end was left out on both sides: it is the first of the next piece */
		if (l->up)
			for (int i = ID_BYTES - 1; i >= 0 && end.b[i]-- == 0; i--)
				;
		else
			for (int i = ID_BYTES - 1; i >= 0 && ++end.b[i] == 0; i--)
				;
		*(l->up ? &low : &high) = end;
		l->searched_to = id_ms(&end) * 1000;
		l->searched_before = end;
	}
	if (l->n == wanted(l))
		l->searched_to = TIME_NONE; /* the page is full: nothing was left out */
	return OK;
}

/* Ids carry the clock of who made them: near enough to begin and end a walk. */
static void bound_by_time(struct list *l)
{
	struct id at = { { 0 } };
	int64_t ms;

	if (l->f->from > 0 && (ms = l->f->from / 1000 - CLOCK_SLACK_S * 1000) > 0) {
		for (int i = 5; i >= 0; i--, ms >>= 8)
			at.b[i] = (unsigned char)ms;
		if (memcmp(&at, &l->low, sizeof at) > 0)
			l->low = at;
	}
	if (l->f->to > 0 && (ms = l->f->to / 1000 + CLOCK_SLACK_S * 1000) > 0 && ms < INT64_C(1) << 47) {
		for (int i = 5; i >= 0; i--, ms >>= 8)
			at.b[i] = (unsigned char)ms;
		memset(at.b + 6, 0xff, 6);
		if (memcmp(&at, &l->high, sizeof at) < 0)
			l->high = at;
	}
}

static struct list list_of(struct db *db, struct ctx *cx, const struct id *project, const struct task_filter *f)
{
	struct list l = { .db = db, .cx = cx, .project = project, .f = f, .searched_to = TIME_NONE };
	int64_t per_page = f->per_page < 1 ? 1 : f->per_page > PER_PAGE_MOST ? PER_PAGE_MOST : f->per_page;

	l.states = f->states ? f->states & ((1u << TASK_STATE_COUNT) - 1) : (1u << TASK_STATE_COUNT) - 1;
	l.up = f->has_after && !f->has_before;
	memset(&l.high, 0xff, sizeof l.high);
	if (f->has_after)
		l.low = f->after;
	if (f->has_before)
		l.high = f->before;
	l.per_page = (size_t)per_page;
	if (!f->has_after && !f->has_before && f->page > 0)
		l.offset = (size_t)(f->page > 1000000 ? 1000000 : f->page) * l.per_page;
	return l;
}

static enum err find_ids(struct list *l, bool *nothing)
{
	bool filtered = l->states != (1u << TASK_STATE_COUNT) - 1;
	struct rows r;

	*nothing = false;
	if (l->f->code_name.n) {
		TRY(db_query(l->db, l->cx, &CODE_OF, VALS(v_id(l->project), v_s(l->f->code_name), v_id(l->project),
		                                         v_s(l->f->code_name)), &r));
		*nothing = r.n == 0;
		if (*nothing)
			return OK;
		l->code = val_id(&row(&r, 0)[0]);
		l->has_code = true;
	}
	if (l->f->label.n || l->f->cluster.n || l->f->from > 0 || l->f->to > 0 ||
	    ((filtered || l->has_code) && wanted(l) > PIECE)) { /* deep pages: a walk costs less than nine */
		bound_by_time(l);
		return search(l);
	}
	return filtered || l->has_code ? list_states(l) : list_all(l);
}

enum err task_store_list(struct db *db, struct ctx *cx, const struct id *project,
                         const struct task_filter *f, struct task_page *out)
{
	struct list l = list_of(db, cx, project, f);
	struct task_page page = { .searched_to = TIME_NONE };
	size_t shown;
	bool nothing;

	TRY(find_ids(&l, &nothing));
	if (!nothing && l.n > l.offset) {
		shown = l.n - l.offset > l.per_page ? l.per_page : l.n - l.offset;
		page.more = l.n - l.offset > l.per_page;
		if (l.up)
			qsort(l.ids + l.offset, shown, sizeof *l.ids, descending);
		page.tasks = arena_array(&cx->arena, shown, sizeof *page.tasks);
		TRY(task_rows_read(db, cx, project, l.ids + l.offset, shown,
		                   f->with_payload ? PAYLOAD_LIST : PAYLOAD_NONE, page.tasks, &page.n));
	}
	page.searched_to = l.searched_to;
	page.searched_before = l.searched_before;
	*out = page;
	return OK;
}

/* --- counts ------------------------------------------------------------------------------------ */

#define COUNT(state)                                                                              \
	"(SELECT '" state "', COUNT(*) FROM (SELECT 1 FROM task FORCE INDEX (project_state)"      \
	" WHERE project_id = ? AND state = '" state "' LIMIT ?) x)"
static const struct sql COUNTS = {
	COUNT("queued") " UNION ALL " COUNT("preparing") " UNION ALL " COUNT("running") " UNION ALL "
	COUNT("complete") " UNION ALL " COUNT("error") " UNION ALL " COUNT("timeout") " UNION ALL "
	COUNT("cancelled") " UNION ALL " COUNT("killed") " UNION ALL " COUNT("expired"), "sisisisisisisisisi" };

enum err task_store_count(struct db *db, struct ctx *cx, const struct id *project, int64_t ceiling,
                          int64_t counts[TASK_STATE_COUNT])
{
	struct val v[2 * TASK_STATE_COUNT];
	struct rows r;

	for (int s = 0; s < TASK_STATE_COUNT; s++) {
		v[2 * s] = v_id(project);
		v[2 * s + 1] = v_i(ceiling);
		counts[s] = 0;
	}
	TRY(db_query(db, cx, &COUNTS, v, 2 * TASK_STATE_COUNT, &r));
	for (size_t i = 0; i < r.n; i++) {
		enum task_state s;

		if (task_state_parse(val_str(&row(&r, i)[0]), &s))
			counts[s] = val_int(&row(&r, i)[1]);
	}
	return OK;
}

static const struct sql WAITING = {
	"SELECT COUNT(*) FROM (SELECT 1 FROM task FORCE INDEX (project_state) WHERE project_id = ? AND state = 'queued'"
	" LIMIT ?) x", "si" };

enum err task_store_waiting(struct db *db, struct ctx *cx, const struct id *project, int64_t ceiling, int64_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &WAITING, VALS(v_id(project), v_i(ceiling)), &r));
	*n = val_int(&row(&r, 0)[0]);
	return OK;
}

/* Of the hour: tasks end about in the order they were queued, so the newest of each state are looked
 * at, not all. */
#define ENDED(state)                                                                                       \
	"(SELECT COUNT(*) FROM (SELECT ended_at FROM task FORCE INDEX (project_state) WHERE project_id = ?" \
	" AND state = '" state "' ORDER BY id DESC LIMIT 10000) x WHERE ended_at >= NOW(6) - INTERVAL 1 HOUR)"
/* What is due is first among the oldest by id or, where those are all for later, at the front of a lane. */
#define OLDEST_BY_ID                                                                                          \
	"(SELECT MIN(due_at) FROM (SELECT due_at FROM task FORCE INDEX (project_state) WHERE project_id = ?"  \
	" AND state = 'queued' ORDER BY id LIMIT 1000) x WHERE due_at <= NOW(6))"
#define OLDEST_IN_LANE                                                                                        \
	"(SELECT MIN((SELECT t.due_at FROM ready r JOIN task t ON t.id = r.task_id WHERE r.lane_id = l.id"    \
	" ORDER BY r.rank_at, r.task_id LIMIT 1)) FROM lane l WHERE l.project_id = ?)"
#define LATER                                                                                                 \
	"(SELECT COUNT(*) FROM (SELECT lane_id FROM `delayed` WHERE due_at > NOW(6) LIMIT 100000) d"          \
	" JOIN lane l ON l.id = d.lane_id WHERE l.project_id = ?)"
static const struct sql OVERVIEW = {
	"SELECT " OLDEST_BY_ID ", " OLDEST_IN_LANE ", " LATER ", " ENDED("complete") ", " ENDED("error") " + " ENDED("timeout") " + " ENDED("killed"),
	"sssssss" };

static int64_t earlier(int64_t a, int64_t b)
{
	if (a == TIME_NONE || b == TIME_NONE)
		return a == TIME_NONE ? b : a;
	return a < b ? a : b;
}

enum err task_store_overview(struct db *db, struct ctx *cx, const struct id *project, struct task_overview *out)
{
	enum { CEILING = 100000 };
	int64_t counts[TASK_STATE_COUNT];
	struct val p = v_id(project);
	struct rows r;

	TRY(task_store_count(db, cx, project, CEILING, counts));
	TRY(db_query(db, cx, &OVERVIEW, VALS(p, p, p, p, p, p, p), &r));
	out->later = val_int(&row(&r, 0)[2]);
	out->waiting = counts[TASK_QUEUED] > out->later ? counts[TASK_QUEUED] - out->later : 0;
	out->running = counts[TASK_PREPARING] + counts[TASK_RUNNING];
	out->oldest_waiting_at = earlier(val_time(&row(&r, 0)[0]), val_time(&row(&r, 0)[1]));
	out->complete_hour = val_int(&row(&r, 0)[3]);
	out->failed_hour = val_int(&row(&r, 0)[4]);
	return OK;
}
