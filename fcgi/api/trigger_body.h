#pragma once
#include <jansson.h>

#include "fcgi/request.h"

/* What came to a trigger, as JSON for its filter and map: a JSON document; or of a form (GitHub's and Slack's
 * application/x-www-form-urlencoded) the JSON of its field `payload`, without one its fields as an object of
 * strings. ERR_INPUT says why it is neither. A new reference. */
enum err trigger_body_read(struct request *rq, json_t **out);
