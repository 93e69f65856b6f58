#include "fcgi/warning.h"

enum { WARNINGS_MOST = 10 };

void warning_add(struct request *rq, json_t *warnings, const char *array, size_t i, const char *text)
{
	const char *where;

	if (!warnings || json_array_size(warnings) >= WARNINGS_MOST)
		return;
	where = array ? arena_printf(&rq->cx.arena, "%s[%zu]: ", array, i) : "";
	json_array_append_new(warnings, json_string(arena_printf(&rq->cx.arena, "%s%s", where, text)));
}

void warning_say(json_t *answer, json_t *warnings)
{
	if (json_array_size(warnings))
		json_object_set(answer, "warnings", warnings);
}
