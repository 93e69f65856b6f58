#include "fcgi/api/fire_api.h"

#include "base/json.h"
#include "fcgi/once.h"
#include "model/fire_json.h"
#include "model/schedule_json.h"
#include "store/fire_store.h"
#include "store/schedule_store.h"

/* --- the ledger, and what comes ---------------------------------------------------------------------- */

static enum err find(struct request *rq, struct id *id, struct schedule *out)
{
	TRY(request_id(rq, "id", "schedule", id));
	return schedule_store_get(rq->db, &rq->cx, &rq->project_id, id, out);
}

static enum err read_before(struct request *rq, int64_t *before)
{
	struct str text = { 0 };

	*before = TIME_NONE;
	if (!request_query(rq, "before", &text) || !text.n || time_parse(text, before))
		return OK;
	return err_set(&rq->cx, ERR_INPUT, "field before: must be a time such as 2031-04-05T06:07:08Z");
}

enum err fire_api_fires(struct request *rq, struct reply *rp)
{
	int64_t before, page, per_page;
	struct schedule schedule;
	struct fire *fires;
	json_t *array;
	struct id id;
	size_t n;

	TRY(request_page(rq, &page, &per_page));
	TRY(read_before(rq, &before));
	TRY(find(rq, &id, &schedule));
	TRY(fire_store_list(rq->db, &rq->cx, &id, before, per_page, &fires, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, fire_to_json(&fires[i]));
	return reply_json(rp, 200, json_pack("{s:o}", "fires", array));
}

enum err fire_api_pauses(struct request *rq, struct reply *rp)
{
	int64_t page, per_page;
	struct schedule schedule;
	struct pause *pauses;
	json_t *array;
	struct id id;
	size_t n;

	TRY(request_page(rq, &page, &per_page));
	TRY(find(rq, &id, &schedule));
	TRY(schedule_store_pauses(rq->db, &rq->cx, &id, per_page, &pauses, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, pause_to_json(&pauses[i]));
	return reply_json(rp, 200, json_pack("{s:o}", "pauses", array));
}

static enum err reply_preview(struct request *rq, struct reply *rp, const struct schedule_preview *p)
{
	json_t *times = json_array();

	for (size_t i = 0; i < p->n; i++)
		json_array_append_new(times, nominal_to_json(&rq->cx.arena, &p->schedule, &p->timetable, &p->times[i]));
	return reply_json(rp, 200, json_pack("{s:s, s:b, s:b, s:s, s:o}", "words",
	                                     schedule_words(&rq->cx.arena, &p->schedule), "spread_by_id",
	                                     p->timetable.has_cron && p->timetable.cron.is_spread, "paused",
	                                     schedule_is_stopped(&p->schedule), "note",
	                                     coming_note(&rq->cx.arena, &p->schedule, &p->timetable, p->unowed), "times", times));
}

static enum err read_count(struct request *rq, int64_t *n)
{
	TRY(request_query_int(rq, "n", n));
	if (*n < 1 || *n > 1000)
		return err_set(&rq->cx, ERR_INPUT, "field n: must be 1 to 1000");
	return OK;
}

/* Of what would be made; nothing is. */
enum err fire_api_preview(struct request *rq, struct reply *rp)
{
	struct schedule_order order;
	struct schedule_preview p;
	int64_t n = 10;

	TRY(json_get_int(&rq->cx, rq->json, "n", &n));
	TRY(read_count(rq, &n));
	json_object_del(rq->json, "n"); /* it is no field of a schedule */
	TRY(schedule_order_from_json(&rq->cx, rq->set, rq->json, NULL, &order));
	TRY(schedule_store_preview(rq->db, &rq->cx, &rq->project_id, rq->set->zones.folder, NULL, &order, (size_t)n, &p));
	return reply_preview(rq, rp, &p);
}

enum err fire_api_coming(struct request *rq, struct reply *rp)
{
	struct schedule_preview p;
	int64_t n = 10;
	struct id id;

	TRY(request_id(rq, "id", "schedule", &id));
	TRY(read_count(rq, &n));
	TRY(schedule_store_preview(rq->db, &rq->cx, &rq->project_id, rq->set->zones.folder, &id, NULL, (size_t)n, &p));
	return reply_preview(rq, rp, &p);
}

/* --- by hand ----------------------------------------------------------------------------------------- */

static struct str asker(const struct request *rq)
{
	return rq->who.token_name.n ? rq->who.token_name : rq->who.user_name;
}

static enum err pause_or_resume(struct request *rq, struct reply *rp, bool paused)
{
	struct str why = { 0 };
	bool changed;
	struct id id;

	TRY(request_id(rq, "id", "schedule", &id));
	TRY(json_get_text(&rq->cx, rq->json, "reason", &why));
	TRY(schedule_store_pause(rq->db, &rq->cx, &rq->project_id, &id, paused, asker(rq), why, &changed));
	if (paused)
		return reply_msg(rp, 200, changed ? "Paused" : "Already paused", NULL);
	return reply_msg(rp, 200, changed ? "Resumed" : "Already resumed", NULL);
}

enum err fire_api_pause(struct request *rq, struct reply *rp)
{
	return pause_or_resume(rq, rp, true);
}

enum err fire_api_resume(struct request *rq, struct reply *rp)
{
	return pause_or_resume(rq, rp, false);
}

/* As reply_msg says it. */
static struct str say_queued(struct ctx *cx, void *arg, const struct id *task)
{
	struct id_text text = id_format(task);
	auto_json *j = json_pack("{s:s, s:s}", "id", text.s, "msg", "Queued up");

	(void)arg;
	return json_write(&cx->arena, j);
}

enum err fire_api_run(struct request *rq, struct reply *rp)
{
	struct idempotency_guard guard = { .say = say_queued };
	bool has_key, replayed = false;
	struct id id, task;
	enum err e;

	TRY(request_id(rq, "id", "schedule", &id));
	TRY(once_read(rq, &guard.once, &has_key));
	if (has_key)
		TRY(once_replay(rq, rp, &guard.once, &replayed));
	if (replayed)
		return OK;
	e = fire_store_run_now(rq->db, &rq->cx, rq->set->zones.folder, &rq->project_id, &id, asker(rq), has_key ? &guard : NULL, &task);
	TRY(once_end(rq, rp, &guard.once, guard.taken, e, &replayed));
	return replayed ? OK : reply_msg(rp, 200, "Queued up", &task);
}

static enum err read_moment(struct request *rq, const char *key, int64_t *out)
{
	struct str text = { 0 };

	TRY(json_get_text(&rq->cx, rq->json, key, &text));
	if (!text.n)
		return err_set(&rq->cx, ERR_REQUIRED, "field %s: is missing", key);
	if (!time_parse(text, out))
		return err_set(&rq->cx, ERR_INPUT, "field %s: must be a time such as 2031-04-05T06:07:08Z", key);
	return OK;
}

enum err fire_api_backfill(struct request *rq, struct reply *rp)
{
	size_t queued, left_alone;
	int64_t from, to;
	struct id id;

	TRY(request_id(rq, "id", "schedule", &id));
	TRY(read_moment(rq, "from", &from));
	TRY(read_moment(rq, "to", &to));
	TRY(fire_store_backfill(rq->db, &rq->cx, rq->set->zones.folder, &rq->project_id, &id, from, to, asker(rq), &queued,
	                        &left_alone));
	return reply_json(rp, 200, json_pack("{s:s, s:I, s:I}", "msg", "Queued up", "queued", (json_int_t)queued, "left_alone",
	                                     (json_int_t)left_alone));
}
