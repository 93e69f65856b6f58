#include "fcgi/api/project_api.h"

#include "base/json.h"
#include "store/project_store.h"

static json_t *project_to_json(const struct project *p)
{
	struct id_text id = id_format(&p->id);
	json_t *j = json_object();

	json_object_set_new(j, "id", json_string(id.s));
	json_object_set_new(j, "name", json_text(p->name));
	json_object_set_new(j, "created_at", json_time(p->created_at));
	return j;
}

/* A token bound to one project sees that one only. */
static bool is_visible(const struct principal *who, const struct project *p)
{
	return id_is_zero(&who->project_id) || id_equal(&who->project_id, &p->id);
}

enum err project_api_list(struct request *rq, struct reply *rp)
{
	struct project *projects;
	json_t *array;
	size_t n;

	TRY(project_store_list(rq->db, &rq->cx, &rq->who.user_id, &projects, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++)
		if (is_visible(&rq->who, &projects[i]))
			json_array_append_new(array, project_to_json(&projects[i]));
	return reply_json(rp, 200, json_pack("{s:o}", "projects", array));
}

enum err project_api_get(struct request *rq, struct reply *rp)
{
	struct project project;

	TRY(project_store_get(rq->db, &rq->cx, &rq->project_id, &project));
	return reply_json(rp, 200, project_to_json(&project));
}
