#include "fcgi/api/code_api.h"

#include "base/json.h"
#include "model/code_json.h"
#include "store/code_store.h"

/* A first registration needs something to run; the store knows whether it is the first. */
enum err code_api_put(struct request *rq, struct reply *rp)
{
	struct code_order order;
	struct code code;
	json_t *j;

	TRY(code_order_from_json(&rq->cx, rq->set, rq->json, &order));
	TRY(code_store_put(rq->db, &rq->cx, &rq->project_id, &order, &code));
	j = code_to_json(&code);
	json_object_set_new(j, "msg", json_string("Upload successful.")); /* with the id: rule 12 */
	return reply_json(rp, 200, j);
}

enum err code_api_list(struct request *rq, struct reply *rp)
{
	int64_t page = 0, per_page = 30;
	struct code *codes;
	json_t *array;
	size_t n;

	TRY(request_query_int(rq, "page", &page));
	TRY(request_query_int(rq, "per_page", &per_page));
	page = page < 0 ? 0 : page > 100 ? 100 : page;
	per_page = per_page < 1 ? 30 : per_page > 100 ? 100 : per_page;
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
