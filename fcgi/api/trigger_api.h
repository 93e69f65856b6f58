#pragma once
#include "fcgi/reply.h"

/* Triggers: incoming webhooks that queue tasks of one code (docs/callbacks.md). */
enum err trigger_api_list(struct request *rq, struct reply *rp);
enum err trigger_api_add(struct request *rq, struct reply *rp);
enum err trigger_api_get(struct request *rq, struct reply *rp);
enum err trigger_api_change(struct request *rq, struct reply *rp);
enum err trigger_api_delete(struct request *rq, struct reply *rp);
enum err trigger_api_rotate(struct request *rq, struct reply *rp);
enum err trigger_api_pause(struct request *rq, struct reply *rp);
enum err trigger_api_resume(struct request *rq, struct reply *rp);
enum err trigger_api_requests(struct request *rq, struct reply *rp);
/* What senders call: /hooks/{token}, with no other token. */
enum err trigger_api_receive(struct request *rq, struct reply *rp);
