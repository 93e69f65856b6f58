#pragma once
#include "fcgi/reply.h"

/* What became of a schedule's times, what comes, and what people ask of it (docs/schedules.md). */
enum err fire_api_pauses(struct request *rq, struct reply *rp);
enum err fire_api_fires(struct request *rq, struct reply *rp);
enum err fire_api_preview(struct request *rq, struct reply *rp);
enum err fire_api_coming(struct request *rq, struct reply *rp);
enum err fire_api_pause(struct request *rq, struct reply *rp);
enum err fire_api_resume(struct request *rq, struct reply *rp);
enum err fire_api_run(struct request *rq, struct reply *rp);
enum err fire_api_backfill(struct request *rq, struct reply *rp);
