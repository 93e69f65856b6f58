#pragma once
#include "fcgi/reply.h"

/* Calendars: dates on which schedules that name them do not run (docs/schedules.md). */
enum err calendar_api_list(struct request *rq, struct reply *rp);
enum err calendar_api_put(struct request *rq, struct reply *rp);
enum err calendar_api_delete(struct request *rq, struct reply *rp);
