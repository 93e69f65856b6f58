#pragma once
#include "fcgi/reply.h"

/* Codes on the wire (ironworker-api.md 4). */
enum err code_api_put(struct request *rq, struct reply *rp);
enum err code_api_list(struct request *rq, struct reply *rp);
enum err code_api_get(struct request *rq, struct reply *rp);
enum err code_api_pause(struct request *rq, struct reply *rp);
enum err code_api_resume(struct request *rq, struct reply *rp);
enum err code_api_resume_callback(struct request *rq, struct reply *rp);
enum err code_api_put_one(struct request *rq, struct reply *rp);
enum err code_api_delete(struct request *rq, struct reply *rp);
enum err code_api_revisions(struct request *rq, struct reply *rp);
enum err code_api_stats(struct request *rq, struct reply *rp);
enum err code_api_cancel_all(struct request *rq, struct reply *rp);
