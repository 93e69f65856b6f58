#pragma once
#include <jansson.h>

#include "base/ctx.h"
#include "model/cluster.h"

/* As an entry of a list (ironworker-api.md 7). A new reference. */
json_t *cluster_to_json(const struct cluster *c);
/* What a client says; unknown keys are ignored. ERR_INPUT names the field. */
enum err cluster_order_from_json(struct ctx *cx, const json_t *j, struct cluster_order *out);
