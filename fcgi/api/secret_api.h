#pragma once
#include "fcgi/reply.h"

/* Declared secret values, masked in what jobs print (model/output_mask.h). Never shown again. */
enum err secret_api_list(struct request *rq, struct reply *rp);
enum err secret_api_put(struct request *rq, struct reply *rp);
enum err secret_api_delete(struct request *rq, struct reply *rp);
