#pragma once
#include "fcgi/reply.h"

/* Where a project's output goes besides (docs/logs.md). */
enum err log_destination_api_list(struct request *rq, struct reply *rp);
enum err log_destination_api_add(struct request *rq, struct reply *rp);
/* A new one of what `j` says, a POST's body. */
enum err log_destination_api_make(struct request *rq, const json_t *j, struct id *out);
enum err log_destination_api_get(struct request *rq, struct reply *rp);
enum err log_destination_api_change(struct request *rq, struct reply *rp);
enum err log_destination_api_delete(struct request *rq, struct reply *rp);
enum err log_destination_api_pause(struct request *rq, struct reply *rp);
enum err log_destination_api_resume(struct request *rq, struct reply *rp);
enum err log_destination_api_ping(struct request *rq, struct reply *rp);
