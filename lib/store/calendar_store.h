#pragma once
#include "store/db.h"

/* Dates on which schedules that name the calendar do not run. */
struct calendar {
	struct str name, dates; /* a date a line, checked by timetable_check_dates */
	int64_t updated_at;
};
enum err calendar_store_list(struct db *db, struct ctx *cx, const struct id *project, struct calendar **out, size_t *n);
enum { CALENDAR_NAME_BYTES = 255, CALENDAR_DATES_MOST = 10000 };
/* Makes or replaces it: it holds from the next fire on. `dates`, one a line, blank lines left out. ERR_INPUT names what is
 * wrong with the name or the dates. */
enum err calendar_store_put(struct db *db, struct ctx *cx, const struct id *project, struct str name, struct str dates);
/* ERR_CONFLICT while a schedule that is not over names it. */
enum err calendar_store_delete(struct db *db, struct ctx *cx, const struct id *project, struct str name);
