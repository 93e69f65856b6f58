#include "store/ready_pick.h"

#include "base/clock.h"

#include <stdlib.h>

enum { PIECE = 100, PARTS = 10, PART_LEAST = 4 };

/* Behind a key: two ranges of one index, in its order. */
#define BEHIND_PLACE "(place = ? AND rank_at = ? AND task_id > ?) OR (place = ? AND rank_at > ?)"
#define BEHIND_LANE "(lane_id = ? AND rank_at = ? AND task_id > ?) OR (lane_id = ? AND rank_at > ?)"
#define ROOM "IF(c.max_running = 0, -1, GREATEST(c.max_running - c.running, 0))"

static const struct sql FLAT = {
	"SELECT p.lane_id, p.rank_at, p.task_id, p.attempt, l.open, l.code_id, l.head_rank, " ROOM
	" FROM (SELECT lane_id, rank_at, task_id, attempt FROM ready FORCE INDEX (flat) WHERE " BEHIND_PLACE
	" ORDER BY rank_at, task_id LIMIT ?) p"
	" STRAIGHT_JOIN lane l FORCE INDEX (PRIMARY) ON l.id = p.lane_id"
	" STRAIGHT_JOIN code c FORCE INDEX (PRIMARY) ON c.id = l.code_id", "itsiti" };

/* Open lanes with rows set aside, those with the least ranks first. */
static const struct sql ASIDE_LANES = {
	"SELECT l.id, l.head_rank, l.code_id, " ROOM
	" FROM lane l FORCE INDEX (pick) STRAIGHT_JOIN code c FORCE INDEX (PRIMARY) ON c.id = l.code_id"
	" WHERE l.cluster_id = ? AND l.open = 1 AND l.head_rank IS NOT NULL"
	" ORDER BY l.head_rank LIMIT ?", "ii" };

/* Every open lane and its head: three index reads a lane, for claims that meet too many closed rows. */
static const struct sql OPEN_LANES = {
	"SELECT l.id, (SELECT r.rank_at FROM ready r WHERE r.lane_id = l.id ORDER BY r.rank_at LIMIT 1) AS head,"
	" l.code_id, " ROOM ", l.head_rank"
	" FROM lane l FORCE INDEX (pick) STRAIGHT_JOIN code c FORCE INDEX (PRIMARY) ON c.id = l.code_id"
	" WHERE l.cluster_id = ? AND l.open = 1", "i" };

#define PART(order, behind)                                                                          \
	"(SELECT lane_id, rank_at, task_id, attempt FROM ready FORCE INDEX (" order ") WHERE " behind \
	" ORDER BY rank_at, task_id LIMIT ?)"
#define PARTS_5(order, behind)                                                             \
	PART(order, behind) " UNION ALL " PART(order, behind) " UNION ALL " PART(order, behind) \
		" UNION ALL " PART(order, behind) " UNION ALL " PART(order, behind)
#define TYPES_5 "itsitiitsitiitsitiitsitiitsiti"

/* Rows of up to ten lanes in one round trip; 0 for the lanes of unused parts. */
static const struct sql ASIDE_ROWS = { PARTS_5("flat", BEHIND_PLACE) " UNION ALL " PARTS_5("flat", BEHIND_PLACE),
	                               TYPES_5 TYPES_5 };
static const struct sql LANE_ROWS = { PARTS_5("PRIMARY", BEHIND_LANE) " UNION ALL " PARTS_5("PRIMARY", BEHIND_LANE),
	                              TYPES_5 TYPES_5 };

const struct sql *const READY_PICK_STATEMENTS[] = { &FLAT, &ASIDE_LANES, &OPEN_LANES, &ASIDE_ROWS, &LANE_ROWS };
const size_t READY_PICK_STATEMENT_COUNT = sizeof READY_PICK_STATEMENTS / sizeof *READY_PICK_STATEMENTS;

/* Before every rank that can be. */
static const int64_t FIRST_RANK = -30610224000000000; /* the year 1000 */

static bool comes_before(int64_t rank_a, const struct id *a, int64_t rank_b, const struct id *b)
{
	return rank_a != rank_b ? rank_a < rank_b : memcmp(a, b, sizeof *a) < 0;
}

/* --- lanes ------------------------------------------------------------------------------------- */

static struct pick_lane *find_lane(struct pick *p, int64_t id)
{
	for (size_t i = 0; i < p->lane_n; i++)
		if (p->lanes[i].id == id)
			return &p->lanes[i];
	return NULL;
}

/* A lane that is not there yet. Pointers to lanes are good until the next call. */
static struct pick_lane *append_lane(struct ctx *cx, struct pick *p, int64_t id)
{
	if (p->lane_n == p->lane_room) {
		size_t room = p->lane_room ? 2 * p->lane_room : 64;
		struct pick_lane *grown = arena_array(&cx->arena, room, sizeof *grown);

		if (p->lane_n)
			memcpy(grown, p->lanes, p->lane_n * sizeof *grown);
		p->lanes = grown;
		p->lane_room = room;
	}
	p->lanes[p->lane_n] = (struct pick_lane){ .id = id, .head_rank = TIME_NONE, .new_head = TIME_NONE,
		                                  .least_aside = TIME_NONE, .rows.last_rank = FIRST_RANK };
	return &p->lanes[p->lane_n++];
}

static struct pick_lane *add_lane(struct ctx *cx, struct pick *p, int64_t id)
{
	struct pick_lane *found = find_lane(p, id);

	return found ? found : append_lane(cx, p, id);
}

static bool is_passed(const struct pick *p, int64_t lane)
{
	for (size_t i = 0; i < p->who->passed_n; i++)
		if (p->who->passed[i] == lane)
			return true;
	return false;
}

static bool may_start(const struct pick_lane *l)
{
	return l->open && l->room != 0;
}

/* --- reading ----------------------------------------------------------------------------------- */

static void source_fill(struct pick_source *s, struct pick_row *rows, size_t n, size_t asked)
{
	s->rows = rows;
	s->n = n;
	s->at = 0;
	s->ended = n < asked;
	if (n) {
		s->last_rank = rows[n - 1].rank_at;
		s->last_task = rows[n - 1].task_id;
	}
}

static struct pick_row row_of(const struct val *v)
{
	return (struct pick_row){ .lane_id = val_int(&v[0]), .rank_at = val_time(&v[1]),
		                  .task_id = val_id(&v[2]), .attempt = val_int(&v[3]) };
}

static int by_rank(const void *a, const void *b)
{
	const struct pick_row *x = a, *y = b;

	return comes_before(x->rank_at, &x->task_id, y->rank_at, &y->task_id) ? -1 : 1;
}

/* The next piece of the flat order, with what must be known of each row's lane. A join promises no
 * order, so the piece is sorted here: without a filesort there. */
static enum err read_flat(struct db *db, struct ctx *cx, struct pick *p)
{
	struct pick_source *s = &p->flat;
	size_t asked = s->rows ? PIECE : 2 * p->most;
	struct pick_row *rows;
	struct rows r;

	TRY(db_query(db, cx, &FLAT, VALS(v_i(p->who->cluster_id), v_t(s->last_rank), v_id(&s->last_task),
	                                 v_i(p->who->cluster_id), v_t(s->last_rank), v_i((int64_t)asked)), &r));
	rows = arena_array(&cx->arena, r.n + 1, sizeof *rows);
	for (size_t i = 0; i < r.n; i++) {
		const struct val *v = row(&r, i);
		struct pick_lane *l = add_lane(cx, p, val_int(&v[0]));

		rows[i] = row_of(v);
		if (id_is_zero(&l->code_id)) {
			l->open = val_int(&v[4]) != 0 && !is_passed(p, l->id);
			l->code_id = val_id(&v[5]);
			l->head_rank = l->new_head = val_time(&v[6]);
			l->room = val_int(&v[7]);
		}
	}
	qsort(rows, r.n, sizeof *rows, by_rank);
	source_fill(s, rows, r.n, asked);
	return OK;
}

/* Lanes out of a query whose first columns are id, rank of the first row, code, room; each once, before
 * any other lane is known. */
static void add_sources(struct ctx *cx, struct pick *p, const struct rows *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct val *v = row(r, i);
		struct pick_lane *l;

		if (val_time(&v[1]) == TIME_NONE)
			continue; /* open, but nothing waits in it */
		l = append_lane(cx, p, val_int(&v[0]));
		l->rows.last_rank = val_time(&v[1]) - 1; /* nothing before it: the first read begins there */
		l->head_rank = l->new_head = r->columns > 4 ? val_time(&v[4]) : val_time(&v[1]);
		l->code_id = val_id(&v[2]);
		l->room = val_int(&v[3]);
		l->open = !is_passed(p, l->id);
		l->is_source = true;
	}
}

static enum err list_aside_lanes(struct db *db, struct ctx *cx, struct pick *p)
{
	size_t enough = p->most + p->who->passed_n; /* those to pass over may be the first */
	struct rows r;

	TRY(db_query(db, cx, &ASIDE_LANES, VALS(v_i(p->who->cluster_id), v_i((int64_t)enough + 1)), &r));
	add_sources(cx, p, &r);
	/* lanes that were not listed have no row before the last one's head */
	p->horizon = r.n > enough ? val_time(&row(&r, r.n - 1)[1]) : INT64_MAX;
	return OK;
}

static enum err list_open_lanes(struct db *db, struct ctx *cx, struct pick *p)
{
	struct rows r;

	TRY(db_query(db, cx, &OPEN_LANES, VALS(v_i(p->who->cluster_id)), &r));
	add_sources(cx, p, &r);
	p->horizon = INT64_MAX;
	return OK;
}

/* A source that must be read before anything can be said about what it has at or behind its key. */
static bool is_dry(const struct pick_lane *l)
{
	return l->is_source && may_start(l) && l->rows.at == l->rows.n && !l->rows.ended;
}

/* Up to PARTS dry lanes, those with the least keys first. */
static size_t choose_dry(struct pick *p, struct pick_lane **out)
{
	size_t n = 0;

	for (size_t i = 0; i < p->lane_n; i++) {
		struct pick_lane *l = &p->lanes[i];
		size_t at = n;

		if (!is_dry(l))
			continue;
		while (at > 0 && l->rows.last_rank < out[at - 1]->rows.last_rank)
			at--;
		if (at == PARTS)
			continue;
		if (n < PARTS)
			n++;
		memmove(out + at + 1, out + at, (n - at - 1) * sizeof *out);
		out[at] = l;
	}
	return n;
}

static enum err read_lanes(struct db *db, struct ctx *cx, struct pick *p)
{
	struct pick_lane *lanes[PARTS + 1];
	size_t n = choose_dry(p, lanes), wanted = p->most - p->n;
	size_t each = n ? (2 * wanted + n - 1) / n : 0;
	struct val v[6 * PARTS];
	struct rows r;

	each = n == 1 ? wanted : each < PART_LEAST ? PART_LEAST : each;
	for (size_t i = 0; i < PARTS; i++) {
		const struct pick_source *s = i < n ? &lanes[i]->rows : &p->flat;
		int64_t place = i >= n ? 0 : p->by_lane ? lanes[i]->id : -lanes[i]->id;
		const struct val part[6] = { v_i(place), v_t(s->last_rank), v_id(&s->last_task),
			                     v_i(place), v_t(s->last_rank), v_i((int64_t)each) };

		memcpy(v + 6 * i, part, sizeof part);
	}
	TRY(db_query(db, cx, p->by_lane ? &LANE_ROWS : &ASIDE_ROWS, v, 6 * PARTS, &r));
	for (size_t i = 0; i < n; i++) {
		struct pick_row *rows = arena_array(&cx->arena, each, sizeof *rows);
		size_t count = 0;

		for (size_t k = 0; k < r.n; k++)
			if (val_int(&row(&r, k)[0]) == lanes[i]->id)
				rows[count++] = row_of(row(&r, k));
		qsort(rows, count, sizeof *rows, by_rank);
		source_fill(&lanes[i]->rows, rows, count, each);
		lanes[i]->was_read = true;
	}
	return OK;
}

/* --- merging ----------------------------------------------------------------------------------- */

struct best {
	const struct pick_row *row; /* NULL: none, or `dry` must be read first */
	struct pick_source *from;
	bool dry;
};

/* The least row of all sources, unless one that is dry might have a lesser one. */
static struct best least(struct pick *p)
{
	struct best b = { 0 };

	if (p->flat.at < p->flat.n)
		b = (struct best){ &p->flat.rows[p->flat.at], &p->flat, false };
	for (size_t i = 0; i < p->lane_n; i++) {
		struct pick_source *s = &p->lanes[i].rows;

		if (!p->lanes[i].is_source || !may_start(&p->lanes[i]) || s->at == s->n)
			continue;
		if (!b.row || comes_before(s->rows[s->at].rank_at, &s->rows[s->at].task_id, b.row->rank_at, &b.row->task_id))
			b = (struct best){ &s->rows[s->at], s, false };
	}
	for (size_t i = 0; i < p->lane_n; i++) {
		const struct pick_lane *l = &p->lanes[i];

		if (is_dry(l) && (!b.row || comes_before(l->rows.last_rank, &l->rows.last_task, b.row->rank_at, &b.row->task_id)))
			b.dry = true;
	}
	return b;
}

static void take(struct pick *p, struct pick_lane *l, const struct best *b)
{
	p->taken[p->n++] = *b->row;
	b->from->at++;
	l->taken++;
	if (l->room > 0)
		l->room--;
}

static void set_aside(struct pick *p, struct pick_lane *l, const struct best *b)
{
	p->aside[p->aside_n++] = *b->row;
	b->from->at++;
	if (l->least_aside == TIME_NONE)
		l->least_aside = b->row->rank_at; /* rows come in order */
}

/* One step; *more = false when there is nothing further to look at. */
static enum err step(struct db *db, struct ctx *cx, struct pick *p, bool *more)
{
	struct pick_lane *l;
	struct best b;

	*more = true;
	if (!p->by_lane && p->flat.at == p->flat.n && !p->flat.ended)
		return read_flat(db, cx, p);
	b = least(p);
	if (b.dry)
		return read_lanes(db, cx, p);
	*more = b.row && b.row->rank_at <= p->horizon;
	p->more = b.row && !*more;
	if (!*more)
		return OK;
	l = find_lane(p, b.row->lane_id);
	if (may_start(l))
		take(p, l, &b);
	else if (p->aside_n < PICK_ASIDE_MOST)
		set_aside(p, l, &b);
	else
		*more = !(p->more = true);
	return OK;
}

/* A lower bound of the rows set aside in a lane, after this claim. A row that was cancelled leaves
 * head_rank too low, which costs one read and is put right here. */
static int64_t head_of(const struct pick_lane *l)
{
	const struct pick_source *s = &l->rows;
	int64_t head = l->head_rank;

	if (l->was_read)
		head = s->at < s->n ? s->rows[s->at].rank_at : s->ended ? TIME_NONE : s->last_rank;
	if (head == TIME_NONE || (l->least_aside != TIME_NONE && l->least_aside < head))
		head = l->least_aside;
	return head;
}

static void note_heads(struct pick *p)
{
	for (size_t i = 0; i < p->lane_n; i++)
		p->lanes[i].new_head = head_of(&p->lanes[i]);
}

static enum err merge(struct db *db, struct ctx *cx, struct pick *p)
{
	bool more = true;

	while (more && p->n < p->most)
		TRY(step(db, cx, p, &more));
	return OK;
}

/* Once more, by the heads of open lanes; what is to be set aside, and new heads, stay as found. */
static enum err pick_by_lane(struct db *db, struct ctx *cx, struct pick *p)
{
	struct pick again = { .who = p->who, .most = p->most, .by_lane = true,
		              .taken = p->taken, .aside = p->aside, .aside_n = p->aside_n };

	again.flat.last_rank = FIRST_RANK;
	for (size_t i = 0; i < p->lane_n; i++)
		p->lanes[i].was_read = false; /* what the first pass took out of them is not taken yet */
	note_heads(p);
	TRY(list_open_lanes(db, cx, &again));
	TRY(merge(db, cx, &again));
	for (size_t i = 0; i < p->lane_n; i++) {
		const struct pick_lane *was = &p->lanes[i];
		struct pick_lane *l;

		if (was->new_head == was->head_rank)
			continue;
		l = add_lane(cx, &again, was->id);
		l->code_id = was->code_id;
		l->head_rank = was->head_rank;
		l->new_head = was->new_head;
	}
	again.more = true;
	*p = again;
	return OK;
}

enum err ready_pick(struct db *db, struct ctx *cx, const struct node_claim *who, size_t most, struct pick *out)
{
	struct pick p = { .who = who, .most = most };

	p.taken = arena_array(&cx->arena, most, sizeof *p.taken);
	p.aside = arena_array(&cx->arena, PICK_ASIDE_MOST, sizeof *p.aside);
	p.flat.last_rank = FIRST_RANK;
	TRY(list_aside_lanes(db, cx, &p));
	TRY(merge(db, cx, &p));
	if (p.n < most && p.aside_n == PICK_ASIDE_MOST)
		TRY(pick_by_lane(db, cx, &p));
	else
		note_heads(&p);
	*out = p;
	return OK;
}
