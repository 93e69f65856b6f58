#pragma once
#include "fcgi/reply.h"

/* Clusters on the wire, by id or by name (ironworker-api.md 7). What changes one needs its owner with
 * the role operator, or an admin; everybody's (made by nodes) are an admin's. */
enum err cluster_api_list(struct request *rq, struct reply *rp);
enum err cluster_api_list_shared(struct request *rq, struct reply *rp);
enum err cluster_api_add(struct request *rq, struct reply *rp);
enum err cluster_api_get(struct request *rq, struct reply *rp);
enum err cluster_api_change(struct request *rq, struct reply *rp);
enum err cluster_api_delete(struct request *rq, struct reply *rp);
enum err cluster_api_stats(struct request *rq, struct reply *rp);
enum err cluster_api_credentials(struct request *rq, struct reply *rp);
enum err cluster_api_tasks(struct request *rq, struct reply *rp);
enum err cluster_api_share(struct request *rq, struct reply *rp);
enum err cluster_api_unshare(struct request *rq, struct reply *rp);
enum err cluster_api_terminate(struct request *rq, struct reply *rp);
