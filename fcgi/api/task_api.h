#pragma once
#include "fcgi/reply.h"

/* Tasks on the wire (ironworker-api.md 5). All are handlers of rows in fcgi/routes.c. */
enum err task_api_queue(struct request *rq, struct reply *rp);
enum err task_api_webhook(struct request *rq, struct reply *rp);
enum err task_api_list(struct request *rq, struct reply *rp);
enum err task_api_get(struct request *rq, struct reply *rp);
enum err task_api_cancel(struct request *rq, struct reply *rp);
enum err task_api_progress(struct request *rq, struct reply *rp);
enum err task_api_retry(struct request *rq, struct reply *rp);

struct task_filter;
/* What the query of a list of tasks says. ERR_INPUT names the field. */
enum err task_api_filter(struct request *rq, struct task_filter *f);
