#include "fcgi/api/code_api.h"

#include "base/clock.h"
#include "base/json.h"
#include "fcgi/api/package_api.h"
#include "fcgi/doorbell.h"
#include "fcgi/targets.h"
#include "fcgi/timeout.h"
#include "fcgi/warning.h"
#include "model/code_json.h"
#include "store/code_store.h"
#include "store/task_store.h"

/* A first registration needs something to run; the store knows whether it is the first. */
enum err code_api_put(struct request *rq, struct reply *rp)
{
	auto_json *warnings = json_array();
	struct code_order order;
	struct code code;
	int64_t most_s;
	json_t *j;

	TRY(code_order_from_json(&rq->cx, rq->set, rq->json, &order));
	TRY(timeout_most_of_project(rq, &most_s));
	timeout_cut(rq, warnings, NULL, 0, most_s, &order.timeout_s);
	TRY(package_api_take(rq, &order));
	TRY(code_store_put(rq->db, &rq->cx, &rq->project_id, &order, &code));
	if (code.revision > 1)
		targets_outlast(rq->process->targets);
	j = code_to_json(&code);
	json_object_set_new(j, "msg", json_string("Upload successful.")); /* with the id: rule 12 */
	warning_say(j, warnings);
	return reply_json(rp, 200, j);
}

/* POST P/codes/{id}: a revision of this code, whatever name the body says. */
enum err code_api_put_one(struct request *rq, struct reply *rp)
{
	struct code code;
	struct id id;

	TRY(request_id(rq, "id", "code", &id));
	TRY(code_store_get(rq->db, &rq->cx, &rq->project_id, &id, &code));
	json_object_set_new(rq->json, "name", json_text(code.name));
	return code_api_put(rq, rp);
}

enum err code_api_list(struct request *rq, struct reply *rp)
{
	int64_t page, per_page;
	struct code *codes;
	json_t *array;
	size_t n;

	TRY(request_page(rq, &page, &per_page));
	TRY(code_store_list(rq->db, &rq->cx, &rq->project_id, page, per_page, &codes, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, code_to_json(&codes[i]));
	return reply_json(rp, 200, json_pack("{s:o}", "codes", array));
}

enum err code_api_get(struct request *rq, struct reply *rp)
{
	struct code code;
	struct id id;

	TRY(request_id(rq, "id", "code", &id));
	TRY(code_store_get(rq->db, &rq->cx, &rq->project_id, &id, &code));
	return reply_json(rp, 200, code_to_json(&code));
}

static enum err set_paused(struct request *rq, struct reply *rp, bool paused, const char *now, const char *already)
{
	bool changed;
	struct id id;

	TRY(request_id(rq, "id", "code", &id));
	TRY(code_store_pause(rq->db, &rq->cx, &rq->project_id, &id, paused, &changed));
	return reply_msg(rp, 200, changed ? now : already, NULL);
}

enum err code_api_pause(struct request *rq, struct reply *rp)
{
	return set_paused(rq, rp, true, "Paused", "Already paused");
}

enum err code_api_resume(struct request *rq, struct reply *rp)
{
	return set_paused(rq, rp, false, "Resumed", "Already resumed");
}

enum err code_api_resume_callback(struct request *rq, struct reply *rp)
{
	struct code code;
	struct id id;

	TRY(request_id(rq, "id", "code", &id));
	TRY(code_store_get(rq->db, &rq->cx, &rq->project_id, &id, &code));
	TRY(code_store_resume_callback(rq->db, &rq->cx, &rq->project_id, &id));
	return reply_msg(rp, 200, code.callback_gone_at > 0 ? "Resumed" : "Already resumed", NULL);
}

/* --- its end, its past, its figures ------------------------------------------------------------ */
enum { CANCEL_BUDGET_US = 10000000 };

static enum err cancel_all(struct request *rq, const struct id *code)
{
	struct str who = rq->who.token_name.n ? rq->who.token_name : rq->who.user_name, bells[CANCEL_BELLS_MOST];
	size_t n = 0;

	TRY(task_store_cancel_code(rq->db, &rq->cx, &rq->project_id, code, who, CANCEL_BUDGET_US, bells, &n));
	for (size_t i = 0; i < n; i++)
		doorbells_note_address(rq->process->bells, bells[i]);
	return OK;
}

enum err code_api_cancel_all(struct request *rq, struct reply *rp)
{
	struct code code;
	struct id id;

	TRY(request_id(rq, "id", "code", &id));
	TRY(code_store_get(rq->db, &rq->cx, &rq->project_id, &id, &code));
	TRY(cancel_all(rq, &id));
	return reply_msg(rp, 200, "Cancelled", NULL);
}

/* The records of its tasks stay, and what was queued runs as it was queued; of a paused code nothing
 * could ever resume it. */
enum err code_api_delete(struct request *rq, struct reply *rp)
{
	struct code code;
	struct id id;

	TRY(request_id(rq, "id", "code", &id));
	TRY(code_store_get(rq->db, &rq->cx, &rq->project_id, &id, &code));
	if (code.paused)
		TRY(cancel_all(rq, &id));
	TRY(code_store_delete(rq->db, &rq->cx, &rq->project_id, &id));
	targets_outlast(rq->process->targets);
	return reply_msg(rp, 200, "Deleted", NULL);
}

enum err code_api_revisions(struct request *rq, struct reply *rp)
{
	struct code_revision *revisions;
	int64_t page, per_page;
	struct code code;
	json_t *array;
	struct id id;
	size_t n;

	TRY(request_id(rq, "id", "code", &id));
	TRY(request_page(rq, &page, &per_page));
	TRY(code_store_revisions(rq->db, &rq->cx, &rq->project_id, &id, page, per_page, &code, &revisions, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++) {
		struct code was = code;

		was.revision = revisions[i].number;
		was.image = revisions[i].image;
		was.command = revisions[i].command;
		was.env = revisions[i].env;
		was.config = revisions[i].config;
		was.package = revisions[i].package;
		was.package_name = revisions[i].package_name;
		was.package_md5 = revisions[i].package_md5;
		was.package_bytes = revisions[i].package_bytes;
		was.runtime = revisions[i].runtime;
		was.stack = revisions[i].stack;
		was.file_name = revisions[i].file_name;
		was.created_at = was.updated_at = revisions[i].created_at;
		json_array_append_new(array, code_revision_to_json(&was, &revisions[i].id));
	}
	return reply_json(rp, 200, json_pack("{s:o}", "revisions", array));
}

/* expired is cancelled and preparing queued on this wire, as everywhere (rule 18). */
static json_t *stats_to_json(const int64_t counts[TASK_STATE_COUNT])
{
	json_t *j = json_object();

	for (int s = 0; s < TASK_STATE_COUNT; s++)
		json_object_set_new(j, task_state_wire((enum task_state)s), json_integer(0));
	json_object_set_new(j, "preparing", json_integer(0));
	for (int s = 0; s < TASK_STATE_COUNT; s++) {
		json_t *at = json_object_get(j, task_state_wire((enum task_state)s));

		json_integer_set(at, json_integer_value(at) + counts[s]);
	}
	return j;
}

enum err code_api_stats(struct request *rq, struct reply *rp)
{
	int64_t counts[TASK_STATE_COUNT], from = TIME_NONE, to = TIME_NONE;
	struct id id;

	TRY(request_id(rq, "id", "code", &id));
	TRY(request_query_time(rq, "start_date", &from));
	TRY(request_query_time(rq, "end_date", &to));
	TRY(code_store_stats(rq->db, &rq->cx, &rq->project_id, &id, from, to, counts));
	return reply_json(rp, 200, stats_to_json(counts));
}
