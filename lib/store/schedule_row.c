#include "store/schedule_row.h"

#include "base/buf.h"
#include "base/zoneinfo.h"

enum { COLUMN_DIGEST = 41 };

static void read_rules(const struct val *v, struct schedule *s)
{
	s->accounted_to = val_time(&v[20]);
	s->cron = val_str(&v[21]);
	s->time_zone = val_str(&v[22]);
	s->dst_gap = schedule_word(DST_GAP_NAMES, val_str(&v[23]));
	s->dst_repeat = schedule_word(DST_REPEAT_NAMES, val_str(&v[24]));
	s->misfire = schedule_word(MISFIRE_NAMES, val_str(&v[25]));
	s->misfire_limit = val_int(&v[26]);
	s->misfire_window_s = val_int(&v[27]);
	s->misfire_after_s = val_int(&v[28]);
	s->overlap = schedule_word(OVERLAP_NAMES, val_str(&v[29]));
	s->jitter_s = val_int(&v[30]);
	s->exclude_dates = val_str(&v[31]);
	s->exclude_calendars = val_str(&v[32]);
	s->payload_times = val_int(&v[33]) != 0;
	s->retries = val_int(&v[34]);
	s->retries_delay_s = val_int(&v[35]);
	s->last_task_id = val_id(&v[36]);
	s->waiting = val_int(&v[37]);
	s->waiting_from = val_time(&v[38]);
	s->paused_at = val_time(&v[39]);
	s->pauses = val_int(&v[40]);
	s->resumed_at = TIME_NONE; /* in its pauses */
}

struct schedule schedule_from_row(const struct val *v)
{
	struct schedule s = {
		.id = val_id(&v[0]), .project_id = val_id(&v[1]), .code_id = val_id(&v[2]), .code_name = val_str(&v[3]),
		.created_at = val_time(&v[5]), .updated_at = val_time(&v[6]), .start_at = val_time(&v[7]),
		.end_at = val_time(&v[8]), .next_at = val_time(&v[9]), .last_at = val_time(&v[10]),
		.run_every_s = val_int(&v[11]), .run_times = val_int(&v[12]), .run_count = val_int(&v[13]),
		.priority = val_int(&v[14]), .timeout_s = val_int(&v[15]), .task_delay_s = val_int(&v[16]),
		.cluster_name = val_str(&v[17]), .label = val_str(&v[18]), .msg = val_str(&v[19]),
		.payload_bytes = val_int(&v[42]),
	};

	schedule_state_parse(val_str(&v[4]), &s.state);
	read_rules(v, &s);
	s.is_held = val_int(&v[43]) != 0;
	if (v[44].type != VAL_NULL)
		s.payload = s.payload_bytes ? val_str(&v[44]) : STR_LIT("");
	return s;
}

struct str schedule_row_digest(const struct val *v)
{
	return val_str(&v[COLUMN_DIGEST]);
}

/* --- zones and calendars ------------------------------------------------------------------------- */

static void keep_zone(struct timetables *t, struct ctx *cx, const struct zone *z)
{
	if (t->zone_count == t->zone_room) {
		size_t room = t->zone_room ? 2 * t->zone_room : 8;
		const struct zone **zones = arena_array(&cx->arena, room, sizeof *zones);

		for (size_t i = 0; i < t->zone_count; i++)
			zones[i] = t->zones[i];
		t->zones = zones;
		t->zone_room = room;
	}
	t->zones[t->zone_count++] = z;
}

enum err timetables_zone(struct timetables *t, struct ctx *cx, struct str name, const struct zone **out)
{
	struct str bytes;
	enum err e;

	if (!name.n) {
		*out = zone_utc();
		return OK;
	}
	for (size_t i = 0; i < t->zone_count; i++)
		if (str_equal(zone_name(t->zones[i]), name)) {
			*out = t->zones[i];
			return OK;
		}
	if (!zone_name_is_valid(name))
		return err_set(cx, ERR_INPUT, "field time_zone: must be the name of a zone such as Europe/Berlin");
	e = zoneinfo_read(cx, t->folder, name, ZONE_FILE_BYTES, &bytes);
	if (e == OK)
		e = zone_read(cx, name, bytes, out);
	if (e == ERR_NOT_FOUND || e == ERR_INPUT)
		return err_set(cx, ERR_INPUT, "field time_zone: there is no zone \"" STR_FMT "\" in %s", STR_ARG(name), t->folder);
	TRY(e);
	keep_zone(t, cx, *out);
	return OK;
}

static const struct sql DATES = { "SELECT dates FROM calendar WHERE project_id = ? AND name = ?", "ss" };

static enum err dates_of(struct db *db, struct ctx *cx, const struct schedule *s, struct str *out)
{
	struct str names = s->exclude_calendars, name;
	auto_buf dates = { 0 };
	struct rows r;

	*out = STR_LIT("");
	while (str_cut(&names, '\n', &name)) {
		TRY(db_query(db, cx, &DATES, VALS(v_id(&s->project_id), v_s(name)), &r));
		if (!r.n)
			return err_set(cx, ERR_INPUT, "field exclude_calendars: there is no calendar \"" STR_FMT "\" in this project",
			               STR_ARG(name));
		buf_str(&dates, val_str(&row(&r, 0)[0]));
		buf_char(&dates, '\n');
	}
	if (dates.n)
		*out = str_bytes(arena_copy(&cx->arena, dates.p, dates.n), dates.n);
	return OK;
}

enum err timetables_make(struct timetables *t, struct db *db, struct ctx *cx, const struct schedule *s, struct timetable *out)
{
	const struct zone *zone;
	struct str dates;

	TRY(timetables_zone(t, cx, s->time_zone, &zone));
	TRY(dates_of(db, cx, s, &dates));
	return timetable_init(cx, s, zone, dates, out);
}

#define PAUSES "SELECT from_at, to_at, paused_by, reason, resumed_by, resume_reason FROM schedule_pause WHERE schedule_id = ?"
static const struct sql PAUSES_SINCE = { PAUSES " AND (to_at IS NULL OR to_at > ?) ORDER BY from_at", "st" };
static const struct sql PAUSES_NEWEST = { PAUSES " ORDER BY from_at DESC LIMIT ?", "si" };

static void pauses_from(struct ctx *cx, const struct rows *r, struct pause **out, size_t *n)
{
	*out = arena_array(&cx->arena, r->n + 1, sizeof **out);
	*n = r->n;
	for (size_t i = 0; i < r->n; i++) {
		const struct val *v = row(r, i);

		(*out)[i] = (struct pause){ val_time(&v[0]), val_time(&v[1]), val_str(&v[2]), val_str(&v[3]), val_str(&v[4]),
			                    val_str(&v[5]) };
	}
}

enum err schedule_pauses_read(struct db *db, struct ctx *cx, const struct id *schedule, int64_t since, struct pause **out,
                              size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &PAUSES_SINCE, VALS(v_id(schedule), v_t(since == TIME_NONE ? 0 : since)), &r));
	pauses_from(cx, &r, out, n);
	return OK;
}

enum err schedule_pauses_newest(struct db *db, struct ctx *cx, const struct id *schedule, int64_t most, struct pause **out,
                                size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &PAUSES_NEWEST, VALS(v_id(schedule), v_i(most)), &r));
	pauses_from(cx, &r, out, n);
	return OK;
}

static const struct sql NOW = { "SELECT NOW(6)", "" };

enum err schedule_now(struct db *db, struct ctx *cx, int64_t *now)
{
	struct rows r;

	TRY(db_query(db, cx, &NOW, NULL, 0, &r));
	*now = val_time(&row(&r, 0)[0]);
	return OK;
}
