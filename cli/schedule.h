#pragma once
#include <jansson.h>

#include "cli/client.h"

/* Shared by the commands of schedules. */

/* Asks the server what `schedule` would mean: its words, and its first time. ERR_INPUT with the server's sentence. */
enum err schedule_preview(struct cli *c, const struct client *to, const json_t *schedule, int64_t n, json_t **out);
/* Makes it; *id is the new one's. */
enum err schedule_make(struct cli *c, const struct client *to, json_t *schedule, struct id_text *id);
/* A text of an object, "" if it has none. */
struct str schedule_text(const json_t *j, const char *name);
