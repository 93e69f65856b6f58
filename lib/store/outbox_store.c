#include "store/outbox_store.h"

#include <stdlib.h>

#include "base/text.h"
#include "model/callback.h"
#include "store/txn.h"
#include "store/url_hold.h"

/* --- taking ---------------------------------------------------------------------------------------------- */

#define NOBODY "x'000000000000000000000000'"
/* The earlier rows of an ordered one are read, not locked. By the number of the event, then the kind: the
 * servers of a Galera cluster number rows each in its own sequence. */
#define COLUMNS                                                                                                 \
	"SELECT o.id, o.number, o.tries, o.plan_from, o.task_id, o.project_id, o.callback_id, o.url, o.task_state," \
	" o.at, o.lane, o.flags, o.flags & 1 AND EXISTS (SELECT 1 FROM outbox e WHERE e.task_id = o.task_id"     \
	" AND e.callback_id = o.callback_id AND e.state = 'waiting' AND (e.number < o.number"                    \
	" OR (e.number = o.number AND e.task_state + 0 < o.task_state + 0))), o.by_hand,"                         \
	" (SELECT TIMESTAMPDIFF(SECOND, NOW(6), h.until) + 1 FROM url_hold h WHERE h.url_id = "                   \
	URL_HOLD_ID("o.project_id", "o.url") " AND h.until > NOW(6)), o.named,"                                   \
	" (SELECT v.attempt FROM event v WHERE v.task_id = o.task_id AND v.number = o.number),"                  \
	" IF(o.callback_id <> " NOBODY " OR o.by_hand, 0, CASE WHEN EXISTS (SELECT 1 FROM outbox g WHERE"        \
	" g.task_id = o.task_id AND g.callback_id = " NOBODY " AND g.url = o.url AND g.state = 'exhausted'"      \
	" AND g.last_status = 410) THEN 1 WHEN EXISTS (SELECT 1 FROM task t JOIN code c ON c.id = t.code_id"     \
	" WHERE t.id = o.task_id AND c.callback_gone_at IS NOT NULL AND c.callback = o.url) THEN 2 ELSE 0 END)"
static const struct sql OF_LANE = {
	COLUMNS " FROM outbox o FORCE INDEX (lane) WHERE o.lane = ? AND o.next_at <= NOW(6)"
	" ORDER BY o.next_at, o.id LIMIT ? FOR UPDATE SKIP LOCKED", "ii" };
/* At rest this is all that a courier asks. */
static const struct sql ANY_DUE = {
	"SELECT EXISTS (SELECT 1 FROM outbox FORCE INDEX (lane) WHERE lane = 0 AND next_at <= NOW(6)),"
	" EXISTS (SELECT 1 FROM receiver FORCE INDEX (next_at) WHERE next_at <= NOW(6))", "" };
static const struct sql DUE_LANES = {
	"SELECT lane, failures FROM receiver FORCE INDEX (next_at) WHERE next_at <= NOW(6) ORDER BY next_at, lane LIMIT ?"
	" FOR UPDATE SKIP LOCKED", "i" };
static const struct sql ONE_LANE = { "SELECT lane, failures FROM receiver WHERE lane = ? FOR UPDATE SKIP LOCKED", "i" };
static const struct sql NEXT_OF_LANE = {
	"SELECT MIN(next_at), MIN(next_at) <= NOW(6) FROM outbox FORCE INDEX (lane) WHERE lane = ? AND next_at IS NOT NULL", "i" };
static const struct sql HOLD = { "UPDATE outbox SET lane = ?, next_at = NOW(6) + INTERVAL ? SECOND, waits = ? WHERE id = ?", "iisi" };
static const struct sql PARK = { "UPDATE outbox SET lane = ?, waits = NULL WHERE id = ?", "ii" };
static const struct sql KNOW_LANE = {
	"INSERT INTO receiver (lane, project_id, origin, next_at) VALUES (?, ?, ?, NOW(6) + INTERVAL ? SECOND)"
	" ON DUPLICATE KEY UPDATE next_at = LEAST(IFNULL(next_at, VALUES(next_at)), VALUES(next_at))", "issi" };
static const struct sql LOOK_AT = { "UPDATE receiver SET next_at = ? WHERE lane = ?", "ti" };
static const struct sql LOOK_LATER = { "UPDATE receiver SET next_at = NOW(6) + INTERVAL ? SECOND WHERE lane = ?", "ii" };

/* FULL_S: a lane without room is looked at again after that by any courier; the one that filled it asks
 * for it by key as soon as it has room. */
enum { NEW_MOST = 2000, LANES_MOST = 64, ORDER_WAIT_S = 30, FULL_S = 10, ERROR_BYTES = 500 };

struct taking {
	struct outbox_want *want;
	struct outbox_taken *out;
	size_t room;            /* of out->rows */
	struct outbox_lane *begun; /* the lanes as they were */
	size_t begun_n, rows_begun, full_begun;
	bool news, lanes;       /* something is due there */
};

/* What is known of a lane; one that is met first becomes known. There is room for those of one taking. */
static struct outbox_lane *lane_of(struct outbox_want *w, int64_t lane)
{
	size_t low = 0, high = w->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (w->lanes[middle].lane < lane)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < w->n && w->lanes[low].lane == lane)
		return &w->lanes[low];
	memmove(w->lanes + low + 1, w->lanes + low, (w->n - low) * sizeof *w->lanes);
	w->lanes[low] = (struct outbox_lane){ .lane = lane, .room = w->room_of_unknown };
	w->n++;
	return &w->lanes[low];
}

static struct outbox_row row_of(const struct val *v)
{
	return (struct outbox_row){ .id = val_int(&v[0]), .number = val_int(&v[1]), .tries = val_int(&v[2]),
		                    .plan_from = val_int(&v[3]), .task_id = val_id(&v[4]), .project_id = val_id(&v[5]),
		                    .callback_id = val_id(&v[6]), .url = val_str(&v[7]), .kind = val_str(&v[8]),
		                    .at = val_time(&v[9]), .lane = val_int(&v[10]), .flags = (unsigned)val_int(&v[11]),
		                    .by_hand = (unsigned)val_int(&v[13]), .is_named = val_int(&v[15]) != 0,
		                    .attempt = v[16].type == VAL_NULL ? -1 : val_int(&v[16]),
		                    .gone = (enum outbox_gone)val_int(&v[17]), .lane_failures = -1 };
}

/* A transaction may run again: everything is as it was before it. */
static void begin(struct ctx *cx, struct taking *t)
{
	struct outbox_want *w = t->want;

	if (!t->begun) {
		t->begun = arena_array(&cx->arena, w->n + 1, sizeof *t->begun);
		t->begun_n = w->n;
		t->rows_begun = t->out->n;
		t->full_begun = t->out->full_n;
		memcpy(t->begun, w->lanes, w->n * sizeof *t->begun);
		return;
	}
	memcpy(w->lanes, t->begun, t->begun_n * sizeof *t->begun);
	w->n = t->begun_n;
	t->out->n = t->rows_begun;
	t->out->full_n = t->full_begun;
}

static void note_full(struct taking *t, struct outbox_lane *lane)
{
	if (lane->is_full)
		return;
	lane->is_full = true;
	t->out->full[t->out->full_n++] = lane->lane;
}

enum { HOLD_COLUMNS = 4 };

/* Held for a courier, or because something must come before it: the one before, the end of what its receiver asked for. */
static bool hold_one(const struct taking *t, struct val *hold, size_t *held, int64_t lane, const struct val *v)
{
	bool ordered = val_int(&v[12]) != 0, asked = v[14].type != VAL_NULL;
	int64_t s = asked ? val_int(&v[14]) : ordered ? ORDER_WAIT_S : t->want->hold_s;
	struct val *h = hold + HOLD_COLUMNS * (*held)++;

	h[0] = v_i(lane);
	h[1] = v_i(s);
	h[2] = v_z(asked ? "retry_after" : ordered ? "order" : "call");
	h[3] = v[0];
	return !asked && !ordered;
}

/* Room for it; a row by hand is tried at a receiver that rests, too, when nothing is under way there. */
static bool has_room(const struct taking *t, struct outbox_lane *lane, unsigned by_hand)
{
	size_t *room = lane->room ? &lane->room : by_hand > 1 ? &lane->probes : NULL;

	if (!room || !*room || t->out->n >= t->room)
		return false;
	--*room;
	return true;
}

/* --- new rows: from lane 0 into their lanes ------------------------------------------------------------------ */

struct sorted {
	struct val *hold, *park, *know;
	size_t held, parked, known;
};

static void sort_one(struct ctx *cx, struct taking *t, struct sorted *s, const struct val *v)
{
	struct outbox_row r = row_of(v);
	struct str origin = callback_origin(&cx->arena, r.url);
	struct outbox_lane *lane;
	bool waits = val_int(&v[12]) != 0 || v[14].type != VAL_NULL;

	r.lane = callback_lane(&r.project_id, origin);
	lane = lane_of(t->want, r.lane);
	if (!lane->is_met) {
		struct val *k = &s->know[4 * s->known++];
		int64_t wait_s = lane->room ? t->want->hold_s : lane->wait_s ? lane->wait_s : FULL_S;

		k[0] = v_i(r.lane);
		k[1] = v[5];
		k[2] = v_s(origin);
		k[3] = v_i(wait_s < FULL_S ? wait_s : FULL_S);
		lane->is_met = true;
	}
	if (waits || has_room(t, lane, r.by_hand)) {
		if (hold_one(t, s->hold, &s->held, r.lane, v))
			t->out->rows[t->out->n++] = r;
		return;
	}
	s->park[2 * s->parked] = v_i(r.lane);
	s->park[2 * s->parked++ + 1] = v[0];
	note_full(t, lane);
}

static int by_first(const void *a, const void *b)
{
	const struct val *x = a, *y = b;

	return x->i < y->i ? -1 : x->i > y->i;
}

static enum err news_work(struct db *db, struct ctx *cx, void *arg)
{
	struct taking *t = arg;
	struct arena *a = &cx->arena;
	struct sorted s = { 0 };
	struct rows r;

	begin(cx, t);
	TRY(db_query(db, cx, &OF_LANE, VALS(v_i(0), v_i(NEW_MOST)), &r));
	s.hold = arena_array(a, r.n, HOLD_COLUMNS * sizeof *s.hold);
	s.park = arena_array(a, r.n, 2 * sizeof *s.park);
	s.know = arena_array(a, r.n, 4 * sizeof *s.know);
	for (size_t i = 0; i < r.n; i++)
		sort_one(cx, t, &s, row(&r, i));
	if (s.held)
		TRY(db_exec_array(db, cx, &HOLD, s.hold, s.held));
	if (s.parked)
		TRY(db_exec_array(db, cx, &PARK, s.park, s.parked));
	if (!s.known)
		return OK;
	qsort(s.know, s.known, 4 * sizeof *s.know, by_first); /* all couriers in the same order: no deadlocks */
	return db_exec_array(db, cx, &KNOW_LANE, s.know, s.known);
}

/* --- rows of lanes that are due, or have room again -------------------------------------------------------------- */

static enum err plan_lane(struct db *db, struct ctx *cx, int64_t lane, const struct outbox_lane *known)
{
	struct rows r;
	const struct val *v;

	TRY(db_query(db, cx, &NEXT_OF_LANE, VALS(v_i(lane)), &r));
	v = row(&r, 0);
	if (v[0].type != VAL_NULL && val_int(&v[1]))
		return db_exec(db, cx, &LOOK_LATER, VALS(v_i(known->wait_s > FULL_S ? known->wait_s : FULL_S), v_i(lane)));
	return db_exec(db, cx, &LOOK_AT, VALS(v[0], v_i(lane)));
}

static enum err take_lane(struct db *db, struct ctx *cx, struct taking *t, const struct val *of)
{
	int64_t lane = val_int(&of[0]);
	struct outbox_lane *known = lane_of(t->want, lane);
	size_t room = known->room < t->room - t->out->n ? known->room : t->room - t->out->n, held = 0;
	struct val *hold;
	struct rows r = { 0 };

	if (room)
		TRY(db_query(db, cx, &OF_LANE, VALS(v_i(lane), v_i((int64_t)room)), &r));
	hold = arena_array(&cx->arena, r.n, HOLD_COLUMNS * sizeof *hold);
	for (size_t i = 0; i < r.n; i++) {
		const struct val *v = row(&r, i);

		if (!hold_one(t, hold, &held, lane, v))
			continue;
		t->out->rows[t->out->n] = row_of(v);
		t->out->rows[t->out->n++].lane_failures = val_int(&of[1]);
		known->room--;
	}
	if (held)
		TRY(db_exec_array(db, cx, &HOLD, hold, held));
	if (r.n == room)
		note_full(t, known);
	return plan_lane(db, cx, lane, known);
}

static enum err lanes_work(struct db *db, struct ctx *cx, void *arg)
{
	struct taking *t = arg;
	struct rows r;

	begin(cx, t);
	TRY(db_query(db, cx, &DUE_LANES, VALS(v_i(LANES_MOST)), &r));
	for (size_t i = 0; i < r.n; i++)
		TRY(take_lane(db, cx, t, row(&r, i)));
	for (size_t i = 0, asked = 0; i < t->want->n && asked < LANES_MOST; i++) {
		struct outbox_lane *l = &t->want->lanes[i];
		struct rows one;

		if (!l->more || !l->room)
			continue;
		asked++;
		TRY(db_query(db, cx, &ONE_LANE, VALS(v_i(l->lane)), &one));
		if (one.n)
			TRY(take_lane(db, cx, t, row(&one, 0)));
	}
	return OK;
}

static bool wants_more(const struct outbox_want *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->lanes[i].more && w->lanes[i].room)
			return true;
	return false;
}

/* A COMMIT without an answer: the rows may be held by nobody now, and come back after hold_s. */
enum err outbox_store_take(struct db *db, struct ctx *cx, struct outbox_want *want, struct outbox_taken *out)
{
	static const struct txn NEWS = { "take_news", news_work, NULL }, LANES = { "take_lanes", lanes_work, NULL };
	struct taking t = { .want = want, .out = out, .room = want->most };
	struct outbox_lane *lanes = arena_array(&cx->arena, want->n + NEW_MOST + LANES_MOST, sizeof *lanes);
	struct rows any;

	*out = (struct outbox_taken){ 0 };
	if (want->n)
		memcpy(lanes, want->lanes, want->n * sizeof *lanes);
	want->lanes = lanes;
	TRY(db_query(db, cx, &ANY_DUE, NULL, 0, &any));
	t.news = val_int(&row(&any, 0)[0]) != 0;
	t.lanes = val_int(&row(&any, 0)[1]) != 0 || wants_more(want);
	out->rows = arena_array(&cx->arena, want->most, sizeof *out->rows);
	out->full = arena_array(&cx->arena, want->n + NEW_MOST + LANES_MOST, sizeof *out->full);
	if (t.news)
		TRY(txn_run(db, cx, &NEWS, &t));
	t.begun = NULL;
	if (t.lanes)
		return txn_run(db, cx, &LANES, &t);
	return OK;
}

/* --- telling what became of them ---------------------------------------------------------------------------------- */

static const struct sql DELIVERED = {
	"UPDATE outbox SET state = 'delivered', next_at = NULL, tries = tries + 1, last_status = ?, last_error = NULL,"
	" took_ms = ?, delivered_at = NOW(6) WHERE id = ? AND state = 'waiting' AND tries = ?", "iiii" };
static const struct sql AGAIN = {
	"UPDATE outbox SET next_at = NOW(6) + INTERVAL ? SECOND, tries = tries + ?, last_status = ?, last_error = ?, waits = ?, by_hand = 0"
	" WHERE id = ? AND state = 'waiting' AND tries = ?", "iiissii" };
static const struct sql GIVEN_UP = {
	"UPDATE outbox SET state = 'exhausted', next_at = NULL, tries = tries + ?, last_status = ?, last_error = ?"
	" WHERE id = ? AND state = 'waiting' AND tries = ?", "iisii" };
static const struct sql RELEASED = {
	"UPDATE outbox SET next_at = NOW(6) + INTERVAL ? SECOND, waits = ? WHERE id = ? AND state = 'waiting' AND tries = ?", "isii" };
static const struct sql TRIED = {
	"INSERT IGNORE INTO delivery (outbox_id, number, at, status, address, lookup_ms, connect_ms, first_byte_ms, took_ms, error, answer,"
	" request, request_body, request_bytes, answer_headers)"
	" VALUES (?, ?, NOW(6) - INTERVAL ? MICROSECOND, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "iiiisiiiissssis" };
static const struct sql HEALTH = {
	"UPDATE receiver SET failures = ?, failing_at = IF(? = 0, NULL, IFNULL(failing_at, NOW(6))),"
	" open_at = IF(? = 0, NULL, NOW(6) + INTERVAL ? SECOND) WHERE lane = ?", "iiiii" };
/* Its lane is looked at when it is due. */
static const struct sql WAKE_LANE = {
	"UPDATE receiver SET next_at = LEAST(IFNULL(next_at, NOW(6) + INTERVAL ? SECOND), NOW(6) + INTERVAL ? SECOND)"
	" WHERE lane = ?", "iii" };
static const struct sql WAKE_ORDERED = {
	"UPDATE outbox SET next_at = NOW(6) WHERE task_id = ? AND callback_id = ? AND id > ? AND state = 'waiting'", "ssi" };
static const struct sql DISABLE = {
	"UPDATE callback SET states = 0, disabled_at = NOW(6) WHERE id = ? AND disabled_at IS NULL", "s" };

static const struct sql DISABLE_CODE = {
	"UPDATE code SET callback_gone_at = NOW(6) WHERE id = (SELECT code_id FROM task WHERE id = ?) AND callback = ?"
	" AND callback_gone_at IS NULL", "ss" };

/* A task's own URL has no row of its own to disable: what waits for it ends with the one that met the 410, and by that
 * one, what comes later (COLUMNS). */
static const struct sql END_OWN = {
	"UPDATE outbox SET state = 'exhausted', next_at = NULL, last_status = 410, last_error = 'its receiver answered 410 to another'"
	" WHERE task_id = ? AND callback_id = ? AND url = ? AND state = 'waiting' AND id <> ?", "sssi" };

enum { DELIVERED_COLUMNS = 4, AGAIN_COLUMNS = 7, GIVEN_UP_COLUMNS = 5, RELEASED_COLUMNS = 4, TRIED_COLUMNS = 15, WAKE_COLUMNS = 3 };

struct telling {
	const struct outbox_outcome *outcomes;
	size_t n;
	const struct outbox_health *lanes;
	size_t lanes_n;
};
/* One array a statement. */
struct told {
	struct val *delivered, *again, *given_up, *released, *tried, *wake;
	size_t delivered_n, again_n, given_up_n, released_n, tried_n, wake_n;
};

static struct val status_or_null(int64_t status)
{
	return status > 0 && status < 1000 ? v_i(status) : v_null();
}

static struct val text_or_null(struct ctx *cx, struct str s)
{
	return s.n ? v_s(text_cut(text_utf8(&cx->arena, s), ERROR_BYTES)) : v_null();
}

static void add_row(struct val *array, size_t *n, const struct val *v, size_t columns)
{
	memcpy(array + *n * columns, v, columns * sizeof *v);
	(*n)++;
}

static struct val wait_of(const struct outbox_outcome *o)
{
	static const char *const NAMES[] = { NULL, "retry", "retry_after", "receiver", "paused" };

	return o->waits ? v_z(NAMES[o->waits]) : v_null();
}

/* Seconds for which its URL is held. */
static int64_t held_s(const struct outbox_outcome *o)
{
	return o->asked_s < URL_HOLD_S_MOST ? o->asked_s : URL_HOLD_S_MOST;
}

/* When its lane is looked at: for itself, or for others that wait for its URL. */
static int64_t look_s(const struct outbox_outcome *o)
{
	bool comes = o->end == OUTBOX_AGAIN || o->end == OUTBOX_RELEASED;

	return o->asked_s && (!comes || held_s(o) < o->next_s) ? held_s(o) : o->next_s;
}

/* No more than there is room for. */
static struct val bytes_or_null(struct str s, size_t most)
{
	return s.n ? v_s(str_bytes(s.p, s.n < most ? s.n : most)) : v_null();
}

static void put_try(struct told *t, const struct outbox_outcome *o, struct val status, struct val error)
{
	size_t bytes = o->answer.n < OUTBOX_ANSWER_BYTES ? o->answer.n : OUTBOX_ANSWER_BYTES;
	bool sent = o->request.n > 0;

	add_row(t->tried, &t->tried_n,
	        (struct val[]){ v_i(o->row.id), v_i(o->row.tries + 1), v_i(o->took_ms * 1000), status, v_s(o->address), v_i(o->lookup_ms),
	                        v_i(o->connect_ms), v_i(o->first_byte_ms), v_i(o->took_ms), error,
	                        v_s(str_bytes(bytes ? o->answer.p : "", bytes)), bytes_or_null(o->request, OUTBOX_LINES_BYTES),
	                        sent ? bytes_or_null(o->body, OUTBOX_BODY_BYTES) : v_null(), sent ? v_i((int64_t)o->body.n) : v_null(),
	                        bytes_or_null(o->answer_headers, OUTBOX_LINES_BYTES) }, TRIED_COLUMNS);
}

static void put_one(struct ctx *cx, struct told *t, const struct outbox_outcome *o)
{
	struct val status = status_or_null(o->status), error = text_or_null(cx, o->error);
	struct val id = v_i(o->row.id), tries = v_i(o->row.tries);

	switch (o->end) {
	case OUTBOX_DELIVERED:
		add_row(t->delivered, &t->delivered_n, (struct val[]){ status, v_i(o->took_ms), id, tries }, DELIVERED_COLUMNS);
		break;
	case OUTBOX_AGAIN:
		add_row(t->again, &t->again_n, (struct val[]){ v_i(o->next_s), v_i(o->tried), status, error, wait_of(o), id, tries }, AGAIN_COLUMNS);
		break;
	case OUTBOX_GIVEN_UP:
		add_row(t->given_up, &t->given_up_n, (struct val[]){ v_i(o->tried), status, error, id, tries }, GIVEN_UP_COLUMNS);
		break;
	case OUTBOX_RELEASED:
		add_row(t->released, &t->released_n, (struct val[]){ v_i(o->next_s), wait_of(o), id, tries }, RELEASED_COLUMNS);
		break;
	}
	if (o->end == OUTBOX_AGAIN || o->end == OUTBOX_RELEASED || o->asked_s)
		add_row(t->wake, &t->wake_n, (struct val[]){ v_i(look_s(o)), v_i(look_s(o)), v_i(o->row.lane) }, WAKE_COLUMNS);
	if (o->tried)
		put_try(t, o, status, error);
}

static enum err exec_some(struct db *db, struct ctx *cx, const struct sql *sql, const struct val *v, size_t n)
{
	return n ? db_exec_array(db, cx, sql, v, n) : OK;
}

static int by_wake_lane(const void *a, const void *b)
{
	const struct val *x = a, *y = b;

	return x[2].i < y[2].i ? -1 : x[2].i > y[2].i;
}

static enum err end_own(struct db *db, struct ctx *cx, const struct outbox_row *r)
{
	TRY(db_exec(db, cx, &END_OWN, VALS(v_id(&r->task_id), v_id(&r->callback_id), v_s(r->url), v_i(r->id))));
	return db_exec(db, cx, &DISABLE_CODE, VALS(v_id(&r->task_id), v_s(r->url)));
}

/* The rows behind an ordered one, URLs that are to rest, and callbacks that are gone: few. */
static enum err tell_others(struct db *db, struct ctx *cx, const struct telling *t)
{
	static const struct sql WAKE_NOW = { "UPDATE receiver SET next_at = NOW(6) WHERE lane = ?", "i" };

	for (size_t i = 0; i < t->n; i++) {
		const struct outbox_outcome *o = &t->outcomes[i];
		bool over = o->end == OUTBOX_DELIVERED || o->end == OUTBOX_GIVEN_UP;

		if (over && o->row.flags & CALLBACK_ORDERED) {
			TRY(db_exec(db, cx, &WAKE_ORDERED, VALS(v_id(&o->row.task_id), v_id(&o->row.callback_id), v_i(o->row.id))));
			if (db_changed(db))
				TRY(db_exec(db, cx, &WAKE_NOW, VALS(v_i(o->row.lane))));
		}
		if (o->asked_s)
			TRY(url_hold_set(db, cx, &o->row.project_id, o->row.url, o->row.lane, held_s(o)));
		if (o->gone && !id_is_zero(&o->row.callback_id))
			TRY(db_exec(db, cx, &DISABLE, VALS(v_id(&o->row.callback_id))));
		else if (o->gone)
			TRY(end_own(db, cx, &o->row));
	}
	return OK;
}

static enum err tell_work(struct db *db, struct ctx *cx, void *arg)
{
	const struct telling *t = arg;
	struct arena *a = &cx->arena;
	struct val *health = arena_array(a, t->lanes_n, 5 * sizeof *health);
	struct told s = {
		.delivered = arena_array(a, t->n, DELIVERED_COLUMNS * sizeof(struct val)),
		.again = arena_array(a, t->n, AGAIN_COLUMNS * sizeof(struct val)),
		.given_up = arena_array(a, t->n, GIVEN_UP_COLUMNS * sizeof(struct val)),
		.released = arena_array(a, t->n, RELEASED_COLUMNS * sizeof(struct val)),
		.tried = arena_array(a, t->n, TRIED_COLUMNS * sizeof(struct val)),
		.wake = arena_array(a, t->n, WAKE_COLUMNS * sizeof(struct val)),
	};

	for (size_t i = 0; i < t->n; i++)
		put_one(cx, &s, &t->outcomes[i]);
	TRY(exec_some(db, cx, &DELIVERED, s.delivered, s.delivered_n));
	TRY(exec_some(db, cx, &AGAIN, s.again, s.again_n));
	TRY(exec_some(db, cx, &GIVEN_UP, s.given_up, s.given_up_n));
	TRY(exec_some(db, cx, &RELEASED, s.released, s.released_n));
	TRY(exec_some(db, cx, &TRIED, s.tried, s.tried_n));
	TRY(tell_others(db, cx, t));
	qsort(s.wake, s.wake_n, WAKE_COLUMNS * sizeof(struct val), by_wake_lane);
	TRY(exec_some(db, cx, &WAKE_LANE, s.wake, s.wake_n));
	for (size_t i = 0; i < t->lanes_n; i++) {
		const struct outbox_health *h = &t->lanes[i];
		const struct val v[] = { v_i(h->failures), v_i(h->failures), v_i(h->open_s), v_i(h->open_s), v_i(h->lane) };

		memcpy(health + 5 * i, v, sizeof v);
	}
	return exec_some(db, cx, &HEALTH, health, t->lanes_n);
}

enum err outbox_store_tell(struct db *db, struct ctx *cx, const struct outbox_outcome *outcomes, size_t n,
                           const struct outbox_health *lanes, size_t lanes_n)
{
	static const struct txn TELLING = { "told", tell_work, NULL };
	struct telling t = { outcomes, n, lanes, lanes_n };

	return txn_run(db, cx, &TELLING, &t);
}
