#include "fcgi/api/service_api.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/version.h"
#include "model/runtime.h"
#include "store/node_store.h"
#include "store/schema_store.h"

enum err service_api_health(struct request *rq, struct reply *rp)
{
	(void)rq;
	return reply_msg(rp, 200, "OK", NULL);
}

static enum err ask(struct request *rq, int64_t *live)
{
	int64_t begun = clock_boot_us();
	enum err e;

	if (!breaker_allows(&rq->process->breaker, begun, 0))
		return err_set(&rq->cx, ERR_BUSY, "the database does not answer");
	e = schema_store_check(rq->db, &rq->cx);
	if (e == OK)
		e = node_store_live(rq->db, &rq->cx, live);
	breaker_note(&rq->process->breaker, begun, clock_boot_us(), e == ERR_BUSY);
	return e;
}

enum err service_api_ready(struct request *rq, struct reply *rp)
{
	int64_t live = 0;

	TRY(ask(rq, &live));
	if (!live)
		return err_set(&rq->cx, ERR_BUSY, "no node is live: tasks wait");
	return reply_json(rp, 200, json_pack("{s:s, s:I}", "msg", "OK", "nodes", (json_int_t)live));
}

enum err service_api_version(struct request *rq, struct reply *rp)
{
	(void)rq;
	return reply_json(rp, 200, json_pack("{s:s}", "version", STOKER_VERSION));
}

enum err service_api_stacks(struct request *rq, struct reply *rp)
{
	struct str rest = str_of(rq->set->runtimes.images), name, image;
	json_t *array = json_array();

	while (runtime_next(&rest, &name, &image))
		json_array_append_new(array, json_text(name));
	return reply_json(rp, 200, array);
}
