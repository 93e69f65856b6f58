#pragma once
#include "fcgi/request.h"

/* What was done otherwise than it was asked for, or not at all: the array `warnings` of an answer that went well. */

/* A sentence into the array (NULL = nowhere; at most ten). Of a request for several `array` is the name of its field and
 * `i` the place in it; NULL = a single one. */
void warning_add(struct request *rq, json_t *warnings, const char *array, size_t i, const char *text);
/* The answer gets the key `warnings` when there is one. */
void warning_say(json_t *answer, json_t *warnings);
