#include "store/calendar_store.h"

#include "base/buf.h"
#include "base/text.h"
#include "model/timetable.h"

static const struct sql CALENDARS = {
	"SELECT name, dates, updated_at FROM calendar WHERE project_id = ? ORDER BY name LIMIT 1000", "s" };
static const struct sql PUT_CALENDAR = {
	"INSERT INTO calendar (project_id, name, dates, updated_at) VALUES (?, ?, ?, NOW(6))"
	" ON DUPLICATE KEY UPDATE dates = VALUES(dates), updated_at = NOW(6)", "sss" };
static const struct sql DELETE_CALENDAR = {
	"DELETE FROM calendar WHERE project_id = ? AND name = ? AND NOT EXISTS (SELECT 1 FROM schedule s FORCE INDEX (list)"
	" WHERE s.project_id = ? AND s.state = 'scheduled' AND s.exclude_calendars <> ''"
	" AND LOCATE(CONCAT('\n', ?, '\n'), CONCAT('\n', s.exclude_calendars, '\n')))", "ssss" };
static const struct sql HAS_CALENDAR = { "SELECT 1 FROM calendar WHERE project_id = ? AND name = ?", "ss" };

enum err calendar_store_list(struct db *db, struct ctx *cx, const struct id *project, struct calendar **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &CALENDARS, VALS(v_id(project)), &r));
	*out = arena_array(&cx->arena, r.n + 1, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++)
		(*out)[i] = (struct calendar){ val_str(&row(&r, i)[0]), val_str(&row(&r, i)[1]), val_time(&row(&r, i)[2]) };
	return OK;
}

/* A date a line, as the table has them. */
static enum err tidy_dates(struct ctx *cx, struct str dates, struct buf *out)
{
	struct str line;
	size_t n = 0;

	while (str_cut(&dates, '\n', &line)) {
		line = str_trim(line);
		n += line.n > 0;
		buf_str(out, line);
		if (line.n)
			buf_char(out, '\n');
	}
	if (n > CALENDAR_DATES_MOST)
		return err_set(cx, ERR_INPUT, "field dates: more than %d dates", CALENDAR_DATES_MOST);
	return timetable_check_dates(cx, buf_view(out)) ? err_wrap(cx, "field dates") : OK;
}

enum err calendar_store_put(struct db *db, struct ctx *cx, const struct id *project, struct str name, struct str dates)
{
	auto_buf tidy = { 0 };

	if (!name.n || name.n > CALENDAR_NAME_BYTES || text_has_controls(name))
		return err_set(cx, ERR_INPUT, "a calendar's name must have 1 to %d bytes and no control characters", CALENDAR_NAME_BYTES);
	TRY(tidy_dates(cx, dates, &tidy));
	return db_exec(db, cx, &PUT_CALENDAR, VALS(v_id(project), v_s(name), v_s(tidy.n ? buf_view(&tidy) : STR_LIT(""))));
}

enum err calendar_store_delete(struct db *db, struct ctx *cx, const struct id *project, struct str name)
{
	struct rows r;

	TRY(db_query(db, cx, &HAS_CALENDAR, VALS(v_id(project), v_s(name)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no such calendar in this project");
	TRY(db_exec(db, cx, &DELETE_CALENDAR, VALS(v_id(project), v_s(name), v_id(project), v_s(name))));
	return db_changed(db) ? OK : err_set(cx, ERR_CONFLICT, "schedules that are not over name this calendar");
}
