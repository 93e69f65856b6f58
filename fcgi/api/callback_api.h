#pragma once
#include "fcgi/reply.h"

/* Registered callbacks, their secrets, and the log of deliveries (docs/callbacks.md). */
enum err callback_api_list(struct request *rq, struct reply *rp);
enum err callback_api_add(struct request *rq, struct reply *rp);
enum err callback_api_get(struct request *rq, struct reply *rp);
enum err callback_api_change(struct request *rq, struct reply *rp);
enum err callback_api_delete(struct request *rq, struct reply *rp);
enum err callback_api_pause(struct request *rq, struct reply *rp);
enum err callback_api_resume(struct request *rq, struct reply *rp);
enum err callback_api_test(struct request *rq, struct reply *rp);
enum err callback_api_rotate(struct request *rq, struct reply *rp);
/* The secret of the project, for the URLs of its tasks and codes. */
enum err callback_api_rotate_project(struct request *rq, struct reply *rp);

enum err callback_api_deliveries(struct request *rq, struct reply *rp);
enum err callback_api_delivery(struct request *rq, struct reply *rp);
enum err callback_api_redeliver(struct request *rq, struct reply *rp);
enum err callback_api_redeliver_some(struct request *rq, struct reply *rp);
