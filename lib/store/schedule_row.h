#pragma once
#include "model/fire.h"
#include "store/db.h"

/* Inside lib/store: the columns of a schedule, listed once. */

/* `name`, `held` (is its code paused?) and `payload` are expressions; for a query FROM schedule s. */
#define SCHEDULE_COLUMNS(name, held, payload)                                                                     \
	"s.id, s.project_id, s.code_id, " name ", s.state, s.created_at, s.updated_at, s.start_at, s.end_at,"   \
	" s.next_at, s.last_at, s.run_every_s, s.run_times, s.run_count, s.priority, s.timeout_s, s.task_delay_s," \
	" s.cluster_name, s.label, s.msg, s.accounted_to, s.cron, s.time_zone, s.dst_gap, s.dst_repeat, s.misfire," \
	" s.misfire_limit, s.misfire_window_s, s.misfire_after_s, s.overlap, s.jitter_s, s.exclude_dates,"      \
	" s.exclude_calendars, s.payload_times, s.retries, s.retries_delay_s, s.last_task_id, s.waiting,"       \
	" s.waiting_from, s.paused_at, s.pauses, s.zone_digest, OCTET_LENGTH(s.payload), " held ", " payload
struct schedule schedule_from_row(const struct val *v);
/* The column zone_digest of such a row; "" if it is NULL. */
struct str schedule_row_digest(const struct val *v);

/* Makes timetables of schedules in one piece of work: each zone's file is read once, and the calendars
 * that they name are looked up. Zero-initialised but for `folder`; memory is the ctx's arena. */
struct timetables {
	const char *folder; /* of zones */
	const struct zone **zones;
	size_t zone_count, zone_room;
};
/* ERR_INPUT names the field at fault (also a zone or calendar that is not there). */
enum err timetables_make(struct timetables *t, struct db *db, struct ctx *cx, const struct schedule *s, struct timetable *out);
/* "" = UTC. ERR_INPUT "field time_zone: …". */
enum err timetables_zone(struct timetables *t, struct ctx *cx, struct str name, const struct zone **out);
/* Its pauses that end after `since` (TIME_NONE = all), oldest first. */
enum err schedule_pauses_read(struct db *db, struct ctx *cx, const struct id *schedule, int64_t since, struct pause **out,
                              size_t *n);
/* The newest `most` of them, newest first. */
enum err schedule_pauses_newest(struct db *db, struct ctx *cx, const struct id *schedule, int64_t most, struct pause **out,
                                size_t *n);
/* The database's clock, asked for: inside a transaction what decides is this. */
enum err schedule_now(struct db *db, struct ctx *cx, int64_t *now);
