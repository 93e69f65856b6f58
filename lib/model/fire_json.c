#include "model/fire_json.h"

#include "base/json.h"

enum { US = 1000000, DAY_S = 86400 };

json_t *fire_to_json(const struct fire *f)
{
	json_t *j = json_object();
	struct id_text task = id_format(&f->task_id);

	json_object_set_new(j, "nominal_time", json_time(f->nominal));
	json_object_set_new(j, "outcome", json_string(fire_outcome_name(f->outcome)));
	json_object_set_new(j, "note", json_string(f->note));
	json_object_set_new(j, "due_time", json_time(f->due));
	json_object_set_new(j, "decided_time", json_time(f->at));
	json_object_set_new(j, "late_ms", json_integer((f->at - f->due) / 1000));
	if (id_is_zero(&f->task_id))
		return j;
	json_object_set_new(j, "task_id", json_string(task.s));
	json_object_set_new(j, "task_state", json_text(f->task_state));
	if (f->ran_us >= 0)
		json_object_set_new(j, "duration", json_integer(f->ran_us / 1000));
	return j;
}

json_t *pause_to_json(const struct pause *p)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "from", json_time(p->from), "paused_by", json_text(p->paused_by),
	                 "pause_reason", json_text(p->reason), "to", json_time(p->to), "resumed_by", json_text(p->resumed_by),
	                 "resume_reason", json_text(p->resume_reason));
}

const char *nominal_local(struct arena *a, const struct zone *z, int64_t at)
{
	int64_t offset = zone_span_at(z, at / US).offset, local = at / US + offset, day = time_day(local * US);
	int second = (int)(local - day * DAY_S), year, month, mday;
	int64_t size = offset < 0 ? -offset : offset;

	time_civil(day, &year, &month, &mday);
	return arena_printf(a, "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d", year, month, mday, second / 3600, second / 60 % 60,
	                    second % 60, offset < 0 ? '-' : '+', (int)(size / 3600), (int)(size / 60 % 60));
}

const char *nominal_note(struct arena *a, const struct timetable *t, const struct nominal *n)
{
	struct str zone = zone_name(t->zone);

	if (n->is_excluded)
		return "its date is excluded: it will not run";
	if (n->how.in_gap)
		return arena_printf(a, "%02d:%02d does not exist on that day in " STR_FMT ": the clock goes forward, %s",
		                    (int)(n->how.missing / 3600 % 24), (int)(n->how.missing / 60 % 60), STR_ARG(zone),
		                    n->how.is_skipped ? "it is skipped" : "it runs at the end of the gap");
	if (n->how.is_repeated)
		return arena_printf(a, "this time comes twice on that day in " STR_FMT ": the clock goes back", STR_ARG(zone));
	return "";
}

json_t *nominal_to_json(struct arena *a, const struct schedule *s, const struct timetable *t, const struct nominal *n)
{
	json_t *j = json_object();
	struct str abbreviation = zone_abbreviation(t->zone, n->at / US);

	json_object_set_new(j, "nominal_time", json_time(n->at));
	json_object_set_new(j, "due_time", json_time(n->due));
	json_object_set_new(j, "local_time", json_string(nominal_local(a, t->zone, n->at)));
	json_object_set_new(j, "zone", json_text(abbreviation));
	json_object_set_new(j, "runs", json_boolean(nominal_runs(n) && !schedule_is_stopped(s)));
	json_object_set_new(j, "note", json_string(nominal_note(a, t, n)));
	return j;
}

const char *coming_note(struct arena *a, const struct schedule *s, const struct timetable *t, const char *unowed)
{
	static const char SPREAD[] =
		"H follows from the id, which it gets when it is saved: its times will be others than these, as far apart";
	const struct pause p = { .paused_by = s->paused_by, .reason = s->pause_reason };

	if (s->paused_at != TIME_NONE)
		return arena_printf(a, "it is paused since %s (%s): none of these times runs unless it is resumed before",
		                    time_rfc3339(a, s->paused_at), pause_words(a, &p));
	if (s->is_held)
		return FIRE_HELD;
	if (!t->has_cron || !t->cron.is_spread || !id_is_zero(&s->id))
		return unowed;
	return *unowed ? arena_printf(a, "%s; %s", SPREAD, unowed) : SPREAD;
}

static const char *interval_words(struct arena *a, int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} UNITS[] = { { 604800, "week" }, { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
	size_t i = 0;

	while (seconds % UNITS[i].seconds)
		i++;
	if (seconds == UNITS[i].seconds)
		return arena_printf(a, "every %s", UNITS[i].name);
	return arena_printf(a, "every %lld %ss", (long long)(seconds / UNITS[i].seconds), UNITS[i].name);
}

const char *schedule_words(struct arena *a, const struct schedule *s)
{
	struct str zone = s->time_zone.n ? s->time_zone : STR_LIT("UTC");
	auto_ctx cx = { 0 };
	struct cron c;

	if (!s->cron.n)
		return s->run_every_s ? interval_words(a, s->run_every_s) : "once";
	if (cron_parse(&cx, s->cron, &s->id, &c))
		return arena_copy(a, s->cron.p, s->cron.n);
	if (c.is_spread && id_is_zero(&s->id)) /* what H will be nobody knows yet */
		return arena_printf(a, STR_FMT ", " STR_FMT, STR_ARG(s->cron), STR_ARG(zone));
	return arena_printf(a, "%s, " STR_FMT, cron_words(a, &c, s->cron), STR_ARG(zone));
}
