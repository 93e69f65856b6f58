#include "fcgi/timeout.h"

#include <inttypes.h>

#include "fcgi/warning.h"
#include "store/project_store.h"

int64_t timeout_most(const struct request *rq, int64_t quota_s)
{
	return quota_s > 0 ? quota_s : rq->set->limits.timeout_s;
}

enum err timeout_most_of_project(struct request *rq, int64_t *most_s)
{
	struct project project;

	TRY(project_store_get(rq->db, &rq->cx, &rq->project_id, &project));
	*most_s = timeout_most(rq, project.timeout_most_s);
	return OK;
}

void timeout_cut(struct request *rq, json_t *warnings, const char *array, size_t i, int64_t most_s, int64_t *timeout_s)
{
	if (*timeout_s <= most_s)
		return;
	*timeout_s = most_s;
	warning_add(rq, warnings, array, i, arena_printf(&rq->cx.arena, "timeout is cut to %" PRId64 " s, the most that this project may have",
	                                                 most_s));
}
