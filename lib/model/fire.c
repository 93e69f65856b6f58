#include "model/fire.h"

#include "base/buf.h"

#include <stdio.h>

enum { US = 1000000, SCAN_MOST = 31 * 86400, WAITING_MOST = 1000 };

static const struct {
	const char *name, *words;
} OUTCOMES[FIRE_OUTCOMES] = {
	[FIRE_FIRED] = { "fired", "fired" },
	[FIRE_CAUGHT_UP] = { "caught_up", "missed, then caught up" },
	[FIRE_MISSED] = { "missed", "missed" },
	[FIRE_OVERLAP] = { "overlap", "skipped: the run before was not over" },
	[FIRE_DST] = { "dst", "skipped: this local time did not exist" },
	[FIRE_EXCLUDED] = { "excluded", "skipped: its date is excluded" },
	[FIRE_PAUSED] = { "paused", "paused" },
	[FIRE_REFUSED] = { "refused", "its task could not be queued" },
	[FIRE_WAITING] = { "waiting", "waits for the end of the run before" },
	[FIRE_RUN_NOW] = { "run_now", "run by hand" },
	[FIRE_BACKFILLED] = { "backfilled", "backfilled" },
};

const char *fire_outcome_name(enum fire_outcome o)
{
	return OUTCOMES[o].name;
}

const char *fire_outcome_words(enum fire_outcome o)
{
	return OUTCOMES[o].words;
}

bool fire_outcome_parse(struct str text, enum fire_outcome *out)
{
	for (int i = 0; i < FIRE_OUTCOMES; i++)
		if (str_is(text, OUTCOMES[i].name)) {
			*out = (enum fire_outcome)i;
			return true;
		}
	return false;
}

/* NULL = in none. */
static const struct pause *pause_of(const struct fire_plan *p, int64_t at)
{
	for (size_t i = 0; i < p->pause_count; i++)
		if (at >= p->pauses[i].from && (p->pauses[i].to == TIME_NONE || at < p->pauses[i].to))
			return &p->pauses[i];
	return NULL;
}

/* Why a time is no candidate for a run at all. */
static bool is_out(const struct fire_plan *p, const struct nominal *n, struct fire *f)
{
	if (n->how.is_skipped)
		f->outcome = FIRE_DST;
	else if (n->is_excluded)
		f->outcome = FIRE_EXCLUDED;
	else if (pause_of(p, n->at))
		f->outcome = FIRE_PAUSED;
	else
		return false;
	return true;
}

/* How many candidates, from the one that is decided on, count against the limit: each time is looked at once for all. */
struct ahead {
	struct nominal next; /* the first that was not looked at */
	int64_t n;           /* candidates before it */
	bool has_begun, is_over;
};

static bool is_late(const struct fire_plan *p, int64_t due)
{
	return p->now - due > p->schedule->misfire_after_s * US;
}

/* Counts them to `most`, from `from` on: what is late, and by `one` also what is not, for it runs in the place of all.
 * What lies behind a month of pauses of each second is not seen. */
static void look_ahead(const struct fire_plan *p, const struct nominal *from, int64_t most, struct ahead *a)
{
	bool all = p->schedule->misfire == MISFIRE_ALL;
	struct fire unused;

	if (!a->has_begun)
		*a = (struct ahead){ .next = *from, .has_begun = true };
	for (int i = 0; i < SCAN_MOST && a->n < most && !a->is_over && (all ? is_late(p, a->next.due) : a->next.due <= p->now); i++) {
		a->n += !is_out(p, &a->next, &unused);
		a->is_over = !timetable_next(p->timetable, a->next.at, &a->next);
	}
}

/* Of the times that were missed the newest so many are caught up, whatever is in time after them. */
static enum fire_outcome late(const struct fire_plan *p, const struct nominal *n, struct ahead *ahead, const char **note)
{
	const struct schedule *s = p->schedule;
	int64_t limit = s->misfire == MISFIRE_ALL ? s->misfire_limit : 1;

	*note = "";
	if (s->end_at != TIME_NONE && p->now > s->end_at) {
		*note = "its end had come";
		return FIRE_MISSED;
	}
	if (s->misfire == MISFIRE_SKIP)
		return FIRE_MISSED;
	if (s->misfire == MISFIRE_ALL && p->now - n->due > s->misfire_window_s * US) {
		*note = "older than the misfire window";
		return FIRE_MISSED;
	}
	look_ahead(p, n, limit + 1, ahead);
	if (ahead->n-- > limit) { /* less this one */
		*note = s->misfire == MISFIRE_ALL ? "more than the misfire limit came after it" : "a newer time ran in its place";
		return FIRE_MISSED;
	}
	return FIRE_CAUGHT_UP;
}

/* The rule of overlap, for a time that would run. */
static enum fire_outcome overlapped(int64_t rule, enum fire_outcome would, bool is_running, int64_t waiting)
{
	if (rule == OVERLAP_ALLOW || (!is_running && !waiting))
		return would;
	if (rule == OVERLAP_SKIP || (rule == OVERLAP_QUEUE_ONE && waiting > 0) || waiting >= WAITING_MOST)
		return FIRE_OVERLAP;
	return FIRE_WAITING;
}

static const char *dst_note(struct arena *a, const struct fire_plan *p, const struct cron_time *how)
{
	struct str zone = zone_name(p->timetable->zone);

	if (!how->in_gap)
		return "";
	return arena_printf(a, "%02d:%02d does not exist on that day in " STR_FMT, (int)(how->missing / 3600 % 24),
	                    (int)(how->missing / 60 % 60), STR_ARG(zone));
}

const char *pause_words(struct arena *a, const struct pause *p)
{
	return arena_printf(a, "by " STR_FMT "%s" STR_FMT, STR_ARG(p->paused_by), p->reason.n ? ": " : "", STR_ARG(p->reason));
}

static void decide_one(struct arena *a, const struct fire_plan *p, const struct nominal *n, struct ahead *ahead, struct fire *f)
{
	*f = (struct fire){ .schedule_id = p->schedule->id, .nominal = n->at, .due = n->due, .at = p->now,
		            .note = dst_note(a, p, &n->how) };
	if (is_out(p, n, f)) {
		if (f->outcome == FIRE_PAUSED)
			f->note = pause_words(a, pause_of(p, n->at));
		return;
	}
	f->outcome = FIRE_FIRED;
	if (is_late(p, n->due))
		f->outcome = late(p, n, ahead, &f->note);
}

static bool is_run(enum fire_outcome o)
{
	return o == FIRE_FIRED || o == FIRE_CAUGHT_UP;
}

size_t fire_decide(struct arena *a, const struct fire_plan *p, struct fire *out, size_t most, struct nominal *next,
                   bool *has_next)
{
	const struct schedule *s = p->schedule;
	int64_t waiting = s->waiting, left = schedule_runs_left(s);
	bool is_running = p->is_running;
	struct ahead ahead = { 0 };
	size_t n = 0;

	*has_next = left > 0 && timetable_next(p->timetable, p->accounted_to, next);
	while (*has_next && n < most && next->due <= p->now) {
		struct fire *f = &out[n++];

		decide_one(a, p, next, &ahead, f);
		if (is_run(f->outcome)) {
			int64_t before = waiting;

			f->outcome = overlapped(s->overlap, f->outcome, is_running, waiting);
			if (f->outcome == FIRE_WAITING) /* by `replace` it takes the place of the one that waits */
				waiting = s->overlap == OVERLAP_REPLACE ? 1 : waiting + 1;
			is_running |= is_run(f->outcome);
			left -= is_run(f->outcome) + (waiting - before);
		}
		*has_next = left > 0 && timetable_next(p->timetable, next->at, next);
	}
	return n;
}

/* --- payload ----------------------------------------------------------------------------------- */

struct str fire_payload(struct arena *a, struct str payload, const struct id *schedule, int64_t nominal)
{
	struct id_text id = id_format(schedule);
	const struct {
		const char *name, *value;
	} fills[] = {
		{ "{{nominal_time}}", time_rfc3339(a, nominal) },
		{ "{{nominal_unix}}", arena_printf(a, "%lld", (long long)(nominal / US)) },
		{ "{{schedule_id}}", id.s },
	};
	auto_buf out = { 0 };

	while (payload.n) {
		size_t taken = 1, i = 0;

		for (; i < sizeof fills / sizeof *fills && !str_starts(payload, fills[i].name); i++)
			continue;
		if (i < sizeof fills / sizeof *fills) {
			buf_text(&out, fills[i].value);
			taken = strlen(fills[i].name);
		} else {
			buf_char(&out, payload.p[0]);
		}
		payload = str_bytes(payload.p + taken, payload.n - taken);
	}
	return str_bytes(arena_copy(a, out.p ? out.p : "", out.n), out.n);
}
