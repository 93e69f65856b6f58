#pragma once
#include "fcgi/reply.h"

/* Schedules on the wire (ironworker-api.md 6). */
enum err schedule_api_add(struct request *rq, struct reply *rp);
enum err schedule_api_list(struct request *rq, struct reply *rp);
enum err schedule_api_get(struct request *rq, struct reply *rp);
enum err schedule_api_change(struct request *rq, struct reply *rp);
enum err schedule_api_cancel(struct request *rq, struct reply *rp);
