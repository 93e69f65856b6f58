#pragma once
#include "fcgi/reply.h"

/* What watches the service asks, without a token. */
enum err service_api_health(struct request *rq, struct reply *rp);  /* the process answers */
enum err service_api_ready(struct request *rq, struct reply *rp);   /* database, schema, a live node */
enum err service_api_version(struct request *rq, struct reply *rp);
/* The runtimes that have an image here: an array, the only one on this wire. */
enum err service_api_stacks(struct request *rq, struct reply *rp);
