#pragma once
#include "fcgi/reply.h"

/* GET P/logs/search: which logs have a text in them, newest tasks first, among those that a filter of GET
 * P/tasks leaves. Bounded in tasks, bytes, hits and time; says where it stopped. */
/* The same answer as JSON, a new reference. */
enum err search_api_run(struct request *rq, json_t **out);
enum err search_api_logs(struct request *rq, struct reply *rp);
