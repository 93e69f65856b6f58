#include "model/cron.h"

#include "base/clock.h"

#include <stdio.h>

enum { DAY_S = 86400, CYCLE_YEARS = 400 };

/* --- the grammar ------------------------------------------------------------------------------- */

static const char *const MONTHS[] = { "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC" };
static const char *const WEEKDAYS[] = { "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT" };

enum place { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, PLACES };

static const struct field {
	const char *name;
	int least, most, spread_most; /* H stays below */
	const char *const *names;
	int name_count;
} FIELDS[PLACES] = {
	[SECOND] = { "second", 0, 59, 59, NULL, 0 },
	[MINUTE] = { "minute", 0, 59, 59, NULL, 0 },
	[HOUR] = { "hour", 0, 23, 23, NULL, 0 },
	[DAY] = { "day of month", 1, 31, 28, NULL, 0 },
	[MONTH] = { "month", 1, 12, 12, MONTHS, 12 },
	[WEEKDAY] = { "day of week", 0, 7, 6, WEEKDAYS, 7 },
};

static const struct {
	const char *name, *means;
} MACROS[] = {
	{ "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" }, { "@weekly", "0 0 * * 0" },
	{ "@daily", "0 0 * * *" },  { "@midnight", "0 0 * * *" }, { "@hourly", "0 * * * *" },
};

struct parsing {
	struct ctx *cx;
	enum place place;
	const struct field *field;
	struct str item;  /* whole, for the sentence */
	struct str rest;  /* of it */
	const struct id *spread_by;
	struct cron *out;
	uint64_t bits;    /* of the field, bit 7 of weekdays is Sunday still */
};

static enum err wrong(struct parsing *p, const char *why)
{
	return err_set(p->cx, ERR_INPUT, "%s: \"" STR_FMT "\" %s", p->field->name, STR_ARG(p->item), why);
}

static bool take(struct str *s, char c)
{
	if (!s->n || (s->p[0] != c && !(c >= 'A' && c <= 'Z' && s->p[0] == (c | 32))))
		return false;
	s->p++;
	s->n--;
	return true;
}

static bool take_number(struct str *s, int *out)
{
	size_t n = 0;

	*out = 0;
	while (n < s->n && n < 4 && s->p[n] >= '0' && s->p[n] <= '9')
		*out = *out * 10 + (s->p[n++] - '0');
	s->p += n;
	s->n -= n;
	return n > 0;
}

static bool take_word(struct parsing *p, int *out)
{
	for (int i = 0; i < p->field->name_count; i++)
		if (p->rest.n >= 3 && str_is_nocase(str_bytes(p->rest.p, 3), p->field->names[i])) {
			p->rest.p += 3;
			p->rest.n -= 3;
			*out = i + p->field->least;
			return true;
		}
	return false;
}

static enum err take_value(struct parsing *p, int *out)
{
	if (!take_word(p, out) && !take_number(&p->rest, out))
		return wrong(p, "is not understood");
	if (*out < p->field->least || *out > p->field->most)
		return err_set(p->cx, ERR_INPUT, "%s: %d is not within %d to %d", p->field->name, *out, p->field->least,
		               p->field->most);
	return OK;
}

/* FNV-1a over id and field, then mixed: low digits must not follow from the id's time alone. */
static uint64_t spread(const struct parsing *p)
{
	uint64_t h = 14695981039346656037u ^ (uint64_t)p->place;

	for (int i = 0; i < ID_BYTES; i++)
		h = (h ^ p->spread_by->b[i]) * 1099511628211u;
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdu;
	return h ^ h >> 33;
}

/* How many there are; 0 and 7 are one weekday. */
static int values_of(const struct field *f)
{
	return f->most - f->least + (f->names == WEEKDAYS ? 0 : 1);
}

static enum err take_step(struct parsing *p, int *step)
{
	*step = 1;
	if (!take(&p->rest, '/'))
		return OK;
	if (!take_number(&p->rest, step) || *step < 1 || *step > values_of(p->field))
		return err_set(p->cx, ERR_INPUT, "%s: \"" STR_FMT "\" must have a step of 1 to %d", p->field->name,
		               STR_ARG(p->item), values_of(p->field));
	return OK;
}

static void set_range(struct parsing *p, int from, int to, int step)
{
	for (int i = from; i <= to; i += step)
		p->bits |= UINT64_C(1) << i;
}

/* H, H(a-b), each with or without a step. */
static enum err parse_spread(struct parsing *p)
{
	int from = p->field->least, to = p->field->spread_most, step;
	bool has_step;

	p->out->is_spread = true;
	if (take(&p->rest, '(')) {
		TRY(take_value(p, &from));
		if (!take(&p->rest, '-'))
			return wrong(p, "must be like H(1-15)");
		TRY(take_value(p, &to));
		if (!take(&p->rest, ')') || to < from)
			return wrong(p, "must be like H(1-15)");
	}
	has_step = p->rest.n > 0;
	TRY(take_step(p, &step));
	if (step > to - from + 1)
		return wrong(p, "has a step that is longer than its range");
	if (has_step)
		set_range(p, from + (int)(spread(p) % (unsigned)step), to, step);
	else
		p->bits |= UINT64_C(1) << (from + (int)(spread(p) % (unsigned)(to - from + 1)));
	return OK;
}

static enum err parse_range(struct parsing *p)
{
	int from, to, step;

	if (take(&p->rest, '*') || ((p->place == DAY || p->place == WEEKDAY) && take(&p->rest, '?'))) {
		from = p->field->least;
		to = p->place == WEEKDAY ? 6 : p->field->most;
	} else {
		TRY(take_value(p, &from));
		to = p->rest.n && p->rest.p[0] == '/' ? (p->place == WEEKDAY ? 6 : p->field->most) : from;
		if (take(&p->rest, '-')) {
			TRY(take_value(p, &to));
			if (p->place == WEEKDAY && to == 0 && from > 0)
				to = 7;
			if (to < from)
				return wrong(p, "goes down: a range goes up");
		}
	}
	TRY(take_step(p, &step));
	set_range(p, from, to, step);
	return OK;
}

/* L, L-3, LW, 15W. *done = it was one of these. */
static enum err parse_day(struct parsing *p, bool *done)
{
	struct str all = p->rest;
	int value;

	*done = true;
	if (take(&p->rest, 'L')) {
		if (take(&p->rest, 'W')) {
			p->out->last_weekday = true;
			return OK;
		}
		if (!take(&p->rest, '-')) {
			p->out->before_last |= 1;
			return OK;
		}
		if (!take_number(&p->rest, &value) || value < 1 || value > 30)
			return wrong(p, "must be L-1 to L-30");
		p->out->before_last |= 1u << value;
		return OK;
	}
	if (take_number(&p->rest, &value) && take(&p->rest, 'W')) {
		if (value < 1 || value > 31)
			return wrong(p, "must be 1W to 31W");
		p->out->nearest |= 1u << value;
		return OK;
	}
	p->rest = all;
	*done = false;
	return OK;
}

/* 5#2, 5L. */
static enum err parse_weekday(struct parsing *p, bool *done)
{
	struct str all = p->rest;
	int value, k;

	*done = true;
	if (p->rest.n == 1 && take(&p->rest, 'L'))
		return wrong(p, "needs a day in front of it, as in 5L");
	if ((take_word(p, &value) || take_number(&p->rest, &value)) && value <= 7) {
		value %= 7;
		if (take(&p->rest, 'L')) {
			p->out->last_of |= (uint8_t)(1u << value);
			return OK;
		}
		if (take(&p->rest, '#')) {
			if (!take_number(&p->rest, &k) || k < 1 || k > 5)
				return wrong(p, "must have 1 to 5 behind the #");
			p->out->nth[value] |= (uint8_t)(1u << k);
			return OK;
		}
	}
	p->rest = all;
	*done = false;
	return OK;
}

static enum err parse_item(struct parsing *p)
{
	bool done = false;

	if (!p->item.n)
		return err_set(p->cx, ERR_INPUT, "%s: has an empty item", p->field->name);
	p->rest = p->item;
	if (p->place == DAY)
		TRY(parse_day(p, &done));
	if (p->place == WEEKDAY)
		TRY(parse_weekday(p, &done));
	if (!done)
		TRY(take(&p->rest, 'H') ? parse_spread(p) : parse_range(p));
	return p->rest.n ? wrong(p, "is not understood") : OK;
}

static enum err parse_field(struct parsing *p, struct str text)
{
	struct str list = text;
	bool ends_in_comma = text.p[text.n - 1] == ',';

	p->bits = 0;
	p->field = &FIELDS[p->place];
	while (str_cut(&list, ',', &p->item))
		TRY(parse_item(p));
	if (ends_in_comma)
		return err_set(p->cx, ERR_INPUT, "%s: has an empty item", p->field->name);
	return OK;
}

static bool begins_with_star(struct str text)
{
	return text.p[0] == '*' || text.p[0] == '?';
}

static void keep(struct parsing *p, struct str text)
{
	struct cron *c = p->out;

	switch (p->place) {
	case SECOND:
		c->seconds = p->bits;
		break;
	case MINUTE:
		c->minutes = p->bits;
		break;
	case HOUR:
		c->hours = (uint32_t)p->bits;
		c->every_hour = begins_with_star(text) || p->bits == 0xffffff;
		break;
	case DAY:
		c->days = (uint32_t)p->bits;
		c->any_day = begins_with_star(text);
		break;
	case MONTH:
		c->months = (uint16_t)p->bits;
		break;
	default:
		c->weekdays = (uint8_t)((p->bits | p->bits >> 7) & 0x7f);
		c->any_weekday = begins_with_star(text);
	}
}

static size_t split(struct str text, struct str *out, size_t most)
{
	size_t n = 0;

	for (text = str_trim(text); text.n && n < most; text = str_trim(text)) {
		size_t length = 0;

		while (length < text.n && text.p[length] != ' ' && text.p[length] != '\t')
			length++;
		out[n++] = str_bytes(text.p, length);
		text = str_bytes(text.p + length, text.n - length);
	}
	return text.n ? most + 1 : n;
}

static enum err macro_of(struct ctx *cx, struct str *text)
{
	if (!text->n || text->p[0] != '@')
		return OK;
	for (size_t i = 0; i < sizeof MACROS / sizeof *MACROS; i++)
		if (str_is_nocase(*text, MACROS[i].name)) {
			*text = str_of(MACROS[i].means);
			return OK;
		}
	return err_set(cx, ERR_INPUT, STR_FMT ": is not one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly",
	               STR_ARG(*text));
}

enum err cron_parse(struct ctx *cx, struct str text, const struct id *spread_by, struct cron *out)
{
	struct str fields[PLACES];
	struct cron c = { 0 };
	struct parsing p = { .cx = cx, .spread_by = spread_by, .out = &c };
	int64_t ever;
	size_t n;

	text = str_trim(text);
	if (text.n > CRON_BYTES)
		return err_set(cx, ERR_INPUT, "is longer than %d bytes", CRON_BYTES);
	TRY(macro_of(cx, &text));
	n = split(text, fields, PLACES);
	if (n != 5 && n != 6)
		return err_set(cx, ERR_INPUT, "must have 5 fields (minute, hour, day of month, month, day of week) or 6 with seconds in front");
	c.has_seconds = n == 6;
	c.seconds = 1;
	for (size_t i = 0; i < n; i++) {
		p.place = (enum place)(i + (n == 5));
		TRY(parse_field(&p, fields[i]));
		keep(&p, fields[i]);
	}
	if (!cron_next_local(&c, 0, &ever))
		return err_set(cx, ERR_INPUT, "never fires: no month has such a day");
	*out = c;
	return OK;
}

/* --- local time -------------------------------------------------------------------------------- */

static int month_length(int year, int month)
{
	static const int DAYS[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return DAYS[month - 1] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

/* The weekday next to a day, in the same month. `first` = weekday of its first day. */
static int nearest_weekday(int day, int first, int length)
{
	int weekday = (first + day - 1) % 7;

	if (weekday == 6)
		return day > 1 ? day - 1 : day + 2;
	if (weekday == 0)
		return day < length ? day + 1 : day - 2;
	return day;
}

static uint32_t days_by_date(const struct cron *c, int first, int length)
{
	uint32_t days = c->days;

	for (int i = 0; i < length; i++)
		if (c->before_last >> i & 1)
			days |= 1u << (length - i);
	for (int day = 1; day <= length; day++)
		if (c->nearest >> day & 1)
			days |= 1u << nearest_weekday(day, first, length);
	if (c->last_weekday)
		days |= 1u << nearest_weekday(length, first, length);
	return days;
}

static uint32_t days_by_weekday(const struct cron *c, int first, int length)
{
	uint32_t days = 0;

	for (int day = 1; day <= length; day++) {
		int weekday = (first + day - 1) % 7;

		if ((c->weekdays >> weekday & 1) || (c->nth[weekday] >> ((day - 1) / 7 + 1) & 1) ||
		    ((c->last_of >> weekday & 1) && day + 7 > length))
			days |= 1u << day;
	}
	return days;
}

/* The days of a month that match, bit d = day d. */
static uint32_t month_days(const struct cron *c, int year, int month)
{
	int length = month_length(year, month);
	int64_t day = time_days_from_civil(year, month, 1);
	int first = (int)(((day + 4) % 7 + 7) % 7);
	uint32_t in_month = (uint32_t)((UINT64_C(2) << length) - 2);
	uint32_t by_date = days_by_date(c, first, length), by_weekday = days_by_weekday(c, first, length);

	if (!(c->months >> month & 1))
		return 0;
	return in_month & (c->any_day || c->any_weekday ? by_date & by_weekday : by_date | by_weekday);
}

/* The lowest bit at or above `from`; -1 if there is none. */
static int bit_from(uint64_t bits, int from)
{
	bits = from < 64 ? bits >> from << from : 0;
	return bits ? __builtin_ctzll(bits) : -1;
}

/* The first second of a day that matches, at or after `from`; -1 if there is none. */
static int second_of_day(const struct cron *c, int from)
{
	int h = bit_from(c->hours, from / 3600), m, s;

	if (h == from / 3600) {
		m = bit_from(c->minutes, from / 60 % 60);
		if (m == from / 60 % 60) {
			s = bit_from(c->seconds, from % 60);
			if (s >= 0)
				return h * 3600 + m * 60 + s;
			m = bit_from(c->minutes, m + 1);
		}
		if (m >= 0)
			return h * 3600 + m * 60 + bit_from(c->seconds, 0);
		h = bit_from(c->hours, h + 1);
	}
	return h < 0 ? -1 : h * 3600 + bit_from(c->minutes, 0) * 60 + bit_from(c->seconds, 0);
}

bool cron_next_local(const struct cron *c, int64_t local, int64_t *out)
{
	int64_t day = local >= 0 ? local / DAY_S : -((-local + DAY_S - 1) / DAY_S);
	int year, month, mday, second = (int)(local - day * DAY_S), next;

	time_civil(day, &year, &month, &mday);
	for (int i = 0; i <= 12 * CYCLE_YEARS; i++) {
		uint32_t days = month_days(c, year, month);

		for (mday = bit_from(days, mday); mday > 0; mday = bit_from(days, mday + 1), second = 0) {
			int64_t found = time_days_from_civil(year, month, mday);

			next = second_of_day(c, found == day ? second : 0);
			if (next < 0)
				continue;
			*out = found * DAY_S + next;
			return true;
		}
		mday = 1;
		year += month == 12;
		month = month == 12 ? 1 : month + 1;
	}
	return false;
}

/* --- how close its times are --------------------------------------------------------------------- */

/* Do two days that match ever follow one another? */
static bool has_neighbours(const struct cron *c)
{
	bool last_matched = false;

	for (int i = 0; i < 12 * CYCLE_YEARS; i++) {
		int year = 2000 + i / 12, month = i % 12 + 1;
		uint32_t days = month_days(c, year, month);

		if ((days & days >> 1) || (last_matched && (days & 2)))
			return true;
		last_matched = days >> month_length(year, month) & 1;
	}
	return false;
}

int64_t cron_least_gap(const struct cron *c)
{
	int64_t least = INT64_MAX;
	int first = second_of_day(c, 0), last = first;

	for (int next; last + 1 < DAY_S && (next = second_of_day(c, last + 1)) >= 0; last = next)
		if (next - last < least)
			least = next - last;
	if (first + DAY_S - last < least && has_neighbours(c))
		least = first + DAY_S - last;
	return least < DAY_S ? least : DAY_S;
}

/* --- the zone ---------------------------------------------------------------------------------- */

struct rules {
	enum dst_gap gap;
	bool passes_gaps, in_first, in_second;
};

static struct rules rules_of(const struct cron *c, enum dst_gap gap, enum dst_repeat repeat)
{
	bool both = repeat == DST_REPEAT_BOTH || (repeat == DST_REPEAT_AUTO && c->every_hour);

	return (struct rules){ gap, gap == DST_GAP_AUTO && c->every_hour, both || repeat != DST_REPEAT_SECOND,
		               both || repeat == DST_REPEAT_SECOND };
}

/* Does a local time that matches fall into the gap at the beginning of `span`? */
static bool find_in_gap(const struct cron *c, const struct zone_span *before, const struct zone_span *span, int64_t *local)
{
	return before->offset < span->offset && cron_next_local(c, span->from + before->offset, local) &&
	       *local < span->from + span->offset;
}

/* Looks within one span, at or after `from`. */
static bool find_in_span(const struct cron *c, const struct zone *z, const struct rules *r, const struct zone_span *span,
                         int64_t from, struct cron_time *out)
{
	enum { WIDEST_S = 3 * DAY_S }; /* no two offsets are further apart */
	struct zone_span before = *span, after = *span;
	int64_t low = from + span->offset, high = INT64_MAX, local, repeat_to = INT64_MIN, repeat_from = INT64_MAX;

	if ((span->from == INT64_MIN || from - span->from > WIDEST_S) && cron_next_local(c, low, &local) &&
	    (span->to == INT64_MAX || local - span->offset < span->to - WIDEST_S)) {
		*out = (struct cron_time){ .at = local - span->offset }; /* far from both ends: the usual case */
		return true;
	}
	if (span->from != INT64_MIN)
		before = zone_span_at(z, span->from - 1);
	if (span->to != INT64_MAX) {
		after = zone_span_at(z, span->to);
		high = span->to + span->offset;
	}
	if (before.offset > span->offset)
		repeat_to = span->from + before.offset; /* until then this is the second pass */
	if (after.offset < span->offset)
		repeat_from = span->to + after.offset;  /* from then on this is the first pass */
	if (!r->in_second && repeat_to > low)
		low = repeat_to;
	if (!r->in_first && repeat_from < high)
		high = repeat_from;
	if (low >= high || !cron_next_local(c, low, &local) || local >= high)
		return false;
	*out = (struct cron_time){ .at = local - span->offset, .is_repeated = local < repeat_to || local >= repeat_from };
	return true;
}

bool cron_next(const struct cron *c, const struct zone *z, enum dst_gap gap, enum dst_repeat repeat, int64_t after,
               struct cron_time *out)
{
	static const int64_t HORIZON = INT64_C(146097) * DAY_S;
	const struct rules r = rules_of(c, gap, repeat);
	int64_t missing;

	for (int64_t t = after + 1; t - after <= HORIZON;) {
		struct zone_span span = zone_span_at(z, t);
		bool found = find_in_span(c, z, &r, &span, t, out);

		if (t == span.from && !r.passes_gaps) {
			struct zone_span before = zone_span_at(z, t - 1);

			if (find_in_gap(c, &before, &span, &missing) && !(found && out->at == t)) {
				*out = (struct cron_time){ .at = t, .in_gap = true, .missing = missing,
					                   .is_skipped = gap == DST_GAP_SKIP };
				return true;
			}
		}
		if (found)
			return true;
		if (span.to == INT64_MAX)
			return false;
		t = span.to;
	}
	return false;
}
