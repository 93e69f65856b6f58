#pragma once
#include "fcgi/request.h"

/* How long a task may run at most: the project's quota (`stoker admin project set`), else [limits]
 * timeout_s. What asks for more is cut, and the answer says so (IronWorker 5.1: clamp rather than refuse). */

/* `quota_s`: the project's own, 0 = none. */
int64_t timeout_most(const struct request *rq, int64_t quota_s);
/* The same, of the request's project. */
enum err timeout_most_of_project(struct request *rq, int64_t *most_s);
/* Cuts *timeout_s; then a sentence about it goes to the array `warnings` (NULL = nowhere; at most ten). Of
 * a request for several `array` is the name of its field and `i` the place in it; NULL = a single one. */
void timeout_cut(struct request *rq, json_t *warnings, const char *array, size_t i, int64_t most_s, int64_t *timeout_s);
