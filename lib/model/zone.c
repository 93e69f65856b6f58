#include "model/zone.h"

#include "base/clock.h"
#include "base/crypt.h"

enum { HEADER = 44, TYPE_BYTES = 6, DAY_S = 86400, OFFSET_MOST = 26 * 3600 };

struct kind {
	int32_t offset;
	struct str abbreviation;
};

/* When one of the two yearly changes comes, by the footer. */
struct rule {
	enum { RULE_JULIAN, RULE_DAY, RULE_WEEK } form; /* Jn (no 29 February), n, Mm.w.d */
	int month, week, day;
	int32_t time_s; /* local time, may be negative or over a day */
};

struct zone {
	struct str name;
	unsigned char digest[ZONE_DIGEST_BYTES];
	size_t n;             /* changes; neighbours differ in their offset */
	int64_t *at;
	struct kind *kinds;   /* n + 1: kinds[0] holds before the first change */
	int64_t last_at;      /* from here on the footer holds */
	bool has_footer, has_summer;
	struct kind standard, summer;
	struct rule begins, ends; /* of summer time */
};

/* --- names ------------------------------------------------------------------------------------- */

bool zone_name_is_valid(struct str name)
{
	static const char *const NO[] = { "posix/", "right/", "localtime", "posixrules", "Factory" };

	if (!name.n || name.n > ZONE_NAME_BYTES || name.p[0] == '/' || name.p[name.n - 1] == '/')
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
		      c == '+' || c == '/'))
			return false;
	}
	for (size_t i = 0; i < sizeof NO / sizeof *NO; i++)
		if (str_starts(name, NO[i]))
			return false;
	return str_find(name, "//") == (size_t)-1;
}

/* --- the footer: POSIX's TZ, with RFC 8536's wider times of day ---------------------------------------- */

static bool take(struct str *s, char c)
{
	if (!s->n || s->p[0] != c)
		return false;
	s->p++;
	s->n--;
	return true;
}

static bool take_digits(struct str *s, int most, int *out)
{
	size_t digits = 0;

	*out = 0;
	for (; digits < s->n && s->p[digits] >= '0' && s->p[digits] <= '9'; digits++)
		if ((*out = *out * 10 + (s->p[digits] - '0')) > most)
			return false;
	s->p += digits;
	s->n -= digits;
	return digits > 0;
}

/* [+-]hh[:mm[:ss]] */
static bool take_seconds(struct str *s, int hours_most, int32_t *out)
{
	bool minus = take(s, '-');
	int h, m = 0, sec = 0;

	if (!minus)
		take(s, '+');
	if (!take_digits(s, hours_most, &h))
		return false;
	if (take(s, ':') && (!take_digits(s, 59, &m) || (take(s, ':') && !take_digits(s, 59, &sec))))
		return false;
	*out = (h * 3600 + m * 60 + sec) * (minus ? -1 : 1);
	return true;
}

/* Letters, or anything within <>. */
static bool take_name(struct str *s, struct str *out)
{
	bool quoted = take(s, '<');
	size_t n = 0;

	while (n < s->n && (quoted ? s->p[n] != '>' : (s->p[n] | 32) >= 'a' && (s->p[n] | 32) <= 'z'))
		n++;
	*out = str_bytes(s->p, n);
	s->p += n;
	s->n -= n;
	return n >= 3 && (!quoted || take(s, '>'));
}

static bool take_rule(struct str *s, struct rule *r)
{
	*r = (struct rule){ .form = RULE_DAY, .time_s = 7200 };
	if (take(s, 'M')) {
		r->form = RULE_WEEK;
		if (!take_digits(s, 12, &r->month) || !take(s, '.') || !take_digits(s, 5, &r->week) || !take(s, '.') ||
		    !take_digits(s, 6, &r->day) || !r->month || !r->week)
			return false;
	} else {
		if (take(s, 'J'))
			r->form = RULE_JULIAN;
		if (!take_digits(s, 365, &r->day) || (r->form == RULE_JULIAN && !r->day))
			return false;
	}
	return !take(s, '/') || take_seconds(s, 167, &r->time_s);
}

static bool read_footer(struct str s, struct zone *z)
{
	int32_t west;

	if (!s.n)
		return true;
	if (!take_name(&s, &z->standard.abbreviation) || !take_seconds(&s, 24, &west))
		return false;
	z->standard.offset = -west;
	z->has_footer = true;
	if (!s.n)
		return true;
	if (!take_name(&s, &z->summer.abbreviation))
		return false;
	z->summer.offset = z->standard.offset + 3600;
	if (s.n && s.p[0] != ',') {
		if (!take_seconds(&s, 24, &west))
			return false;
		z->summer.offset = -west;
	}
	z->has_summer = z->summer.offset != z->standard.offset;
	return take(&s, ',') && take_rule(&s, &z->begins) && take(&s, ',') && take_rule(&s, &z->ends) && !s.n;
}

static bool is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* The day of a rule in a year, as days since 1970. */
static int64_t rule_day(const struct rule *r, int year)
{
	int64_t first = time_days_from_civil(year, 1, 1), day;
	int next_year = r->month == 12 ? year + 1 : year, next_month = r->month == 12 ? 1 : r->month + 1;

	if (r->form == RULE_DAY)
		return first + r->day;
	if (r->form == RULE_JULIAN)
		return first + r->day - 1 + (r->day >= 60 && is_leap(year));
	first = time_days_from_civil(year, r->month, 1);
	day = first + (r->day - (first + 4) % 7 + 7) % 7 + (int64_t)(r->week - 1) * 7; /* 1970 began on a Thursday */
	return day >= time_days_from_civil(next_year, next_month, 1) ? day - 7 : day;
}

struct change {
	int64_t at;
	const struct kind *to;
};

enum { YEARS = 3, CHANGES_MOST = 2 * YEARS };

/* The footer's changes of three years around `at`, in order; of two at one moment the one that begins
 * summer time is the last (a zone that has it all year long says so in this way). */
static size_t footer_changes(const struct zone *z, int64_t at, struct change *out)
{
	int64_t day = at >= 0 ? at / DAY_S : -((-at + DAY_S - 1) / DAY_S);
	int year, month, mday;
	size_t n = 0;

	time_civil(day, &year, &month, &mday);
	for (int y = year - 1; y <= year + 1; y++) {
		const struct change two[2] = {
			{ rule_day(&z->ends, y) * DAY_S + z->ends.time_s - z->summer.offset, &z->standard },
			{ rule_day(&z->begins, y) * DAY_S + z->begins.time_s - z->standard.offset, &z->summer },
		};

		for (int i = 0; i < 2; i++) {
			size_t place = n++;

			for (; place && (out[place - 1].at > two[i].at ||
			                 (out[place - 1].at == two[i].at && out[place - 1].to == &z->summer)); place--)
				out[place] = out[place - 1];
			out[place] = two[i];
		}
	}
	return n;
}

/* What the footer says of a moment; `span` is bounded by the change that made it hold. */
static const struct kind *footer_at(const struct zone *z, int64_t at, struct zone_span *span)
{
	struct change changes[CHANGES_MOST];
	size_t n = z->has_summer ? footer_changes(z, at, changes) : 0;
	const struct kind *now = n ? (changes[0].to == &z->summer ? &z->standard : &z->summer) : &z->standard;
	int64_t from = z->n ? z->at[z->n - 1] : INT64_MIN;

	span->to = INT64_MAX;
	for (size_t i = 0; i < n; i++) {
		bool is_undone = i + 1 < n && changes[i + 1].at == changes[i].at;

		if (is_undone || changes[i].to == now)
			continue;
		if (changes[i].at > at) {
			span->to = changes[i].at;
			break;
		}
		now = changes[i].to;
		from = changes[i].at > z->last_at || !z->n ? changes[i].at : from;
	}
	span->from = from;
	span->offset = now->offset;
	return now;
}

/* --- the file ---------------------------------------------------------------------------------- */

static uint32_t be32(const char *p)
{
	const unsigned char *b = (const unsigned char *)p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int64_t be64(const char *p)
{
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

struct counts {
	uint32_t isut, isstd, leap, time, type, chars;
};

static bool read_counts(struct str s, struct counts *c)
{
	enum { MOST = 10000 };

	if (s.n < HEADER || memcmp(s.p, "TZif", 4) != 0 || s.p[4] < '2')
		return false;
	*c = (struct counts){ be32(s.p + 20), be32(s.p + 24), be32(s.p + 28), be32(s.p + 32), be32(s.p + 36), be32(s.p + 40) };
	return c->isut <= MOST && c->isstd <= MOST && c->leap <= MOST && c->time <= MOST && c->type >= 1 && c->type <= 256 &&
	       c->chars >= 1 && c->chars <= MOST;
}

static size_t block_bytes(const struct counts *c, size_t time_bytes)
{
	return c->time * (time_bytes + 1) + (size_t)c->type * TYPE_BYTES + c->chars + c->leap * (time_bytes + 4) + c->isstd + c->isut;
}

static bool read_kind(struct str types, struct str names, size_t i, struct kind *out)
{
	const char *p = types.p + i * TYPE_BYTES;
	size_t at = (unsigned char)p[5];
	const char *end;

	out->offset = (int32_t)be32(p);
	if (at >= names.n || out->offset > OFFSET_MOST || out->offset < -OFFSET_MOST)
		return false;
	end = memchr(names.p + at, 0, names.n - at);
	out->abbreviation = str_bytes(names.p + at, end ? (size_t)(end - names.p) - at : names.n - at);
	return true;
}

/* The changes of the file, those left out that leave the offset as it is. */
static bool read_changes(struct arena *a, struct str s, const struct counts *c, struct zone *z)
{
	const char *index = s.p + (size_t)c->time * 8, *types = index + c->time;
	struct str type_bytes = str_bytes(types, (size_t)c->type * TYPE_BYTES);
	struct str names = str_bytes(types + type_bytes.n, c->chars);

	z->at = arena_array(a, c->time + 1, sizeof *z->at);
	z->kinds = arena_array(a, c->time + 1, sizeof *z->kinds);
	z->last_at = INT64_MIN;
	if (!read_kind(type_bytes, names, 0, &z->kinds[0]))
		return false;
	for (size_t i = 0; i < c->time; i++) {
		int64_t at = be64(s.p + i * 8);
		struct kind k;

		if ((unsigned char)index[i] >= c->type || (i && at <= z->last_at) ||
		    !read_kind(type_bytes, names, (unsigned char)index[i], &k))
			return false;
		z->last_at = at;
		if (k.offset == z->kinds[z->n].offset)
			continue;
		z->at[z->n++] = at;
		z->kinds[z->n] = k;
	}
	return true;
}

/* RFC 8536, 3.3: the footer says of the last change what the table says. */
static bool goes_on(const struct zone *z)
{
	struct zone_span span;

	return !z->has_footer || z->last_at == INT64_MIN || footer_at(z, z->last_at, &span)->offset == z->kinds[z->n].offset;
}

static bool read_all(struct arena *a, struct str s, struct zone *z)
{
	struct counts c;
	size_t skip;

	if (!read_counts(s, &c) || s.n < HEADER + (skip = block_bytes(&c, 4)))
		return false;
	s = str_bytes(s.p + HEADER + skip, s.n - HEADER - skip);
	if (!read_counts(s, &c) || s.n < HEADER + (skip = block_bytes(&c, 8)) + 2 || c.leap)
		return false;
	if (!read_changes(a, str_bytes(s.p + HEADER, skip), &c, z))
		return false;
	s = str_bytes(s.p + HEADER + skip, s.n - HEADER - skip);
	return s.p[0] == '\n' && s.p[s.n - 1] == '\n' && read_footer(str_bytes(s.p + 1, s.n - 2), z) && goes_on(z);
}

enum err zone_read(struct ctx *cx, struct str name, struct str bytes, const struct zone **out)
{
	struct zone *z = arena_take(&cx->arena, sizeof *z);
	unsigned char digest[SHA256_BYTES];

	z->name = name;
	bytes.p = arena_copy(&cx->arena, bytes.p, bytes.n); /* abbreviations are views into it */
	if (!read_all(&cx->arena, bytes, z))
		return err_set(cx, ERR_INPUT, "read time zone " STR_FMT ": this is no TZif file of version 2 or later without leap seconds",
		               STR_ARG(name));
	crypt_sha256(bytes, digest);
	memcpy(z->digest, digest, sizeof z->digest);
	*out = z;
	return OK;
}

/* --- questions --------------------------------------------------------------------------------- */

const struct zone *zone_utc(void)
{
	static const struct zone UTC = { .name = { "UTC", 3 }, .last_at = INT64_MIN, .has_footer = true,
		                         .standard = { 0, { "UTC", 3 } } };

	return &UTC;
}

struct str zone_name(const struct zone *z)
{
	return z->name;
}

const unsigned char *zone_digest(const struct zone *z)
{
	return z->digest;
}

/* How many changes came at or before `at`. */
static size_t changes_until(const struct zone *z, int64_t at)
{
	size_t low = 0, high = z->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (z->at[middle] <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct kind *kind_at(const struct zone *z, int64_t at, struct zone_span *span)
{
	size_t i;

	if (z->has_footer && at >= z->last_at)
		return footer_at(z, at, span);
	i = changes_until(z, at);
	span->from = i ? z->at[i - 1] : INT64_MIN;
	span->to = i < z->n ? z->at[i] : INT64_MAX;
	span->offset = z->kinds[i].offset;
	if (i == z->n && z->has_footer) { /* the last change kept lies before the last of the file */
		struct zone_span later;
		const struct kind *then = footer_at(z, z->last_at, &later);

		span->to = then->offset == span->offset ? later.to : z->last_at;
	}
	return &z->kinds[i];
}

struct zone_span zone_span_at(const struct zone *z, int64_t at)
{
	struct zone_span span;

	kind_at(z, at, &span);
	return span;
}

struct str zone_abbreviation(const struct zone *z, int64_t at)
{
	struct zone_span span;

	return kind_at(z, at, &span)->abbreviation;
}
