#pragma once
#include <jansson.h>

#include "base/ctx.h"
#include "model/code.h"
#include "model/settings.h"

/* A code as IronWorker's clients read it (ironworker-api.md 4.2), plus paused, callback, timeout,
 * memory_mb, grace. While it is paused max_concurrency reads -1, as IronWorker has it. A new
 * reference. */
json_t *code_to_json(const struct code *c);
/* What it was at one revision (4.3): `was` has the texts, number and time of then. A new reference. */
json_t *code_revision_to_json(const struct code *was, const struct id *revision);
/* What a registration says (4.1); has_… tells what it does say. Unknown keys are ignored, what
 * clients send for "unset" is unset. Without a name, the image without registry and tag is the name.
 * A runtime or stack that the settings do not know is refused unless an image is given. The package is
 * the caller's to fill in. Texts are views into `j` or in the arena. ERR_INPUT and ERR_REQUIRED name the field. */
enum err code_order_from_json(struct ctx *cx, const struct settings *set, const json_t *j, struct code_order *out);
