#include "model/schedule_json.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "model/code.h"
#include "model/schedule_keys.h"
#include "model/task.h"
#include "model/timetable.h"

static const char *const STATES[] = { "scheduled", "complete", "cancelled" };
enum { STATE_COUNT = sizeof STATES / sizeof *STATES, US = 1000000 };
static const int64_t SECONDS_MOST = INT64_C(100) * 365 * 86400;

const char *const MISFIRE_NAMES[] = { "one", "skip", "all", NULL };
const char *const OVERLAP_NAMES[] = { "allow", "skip", "queue_one", "queue_all", "replace", NULL };
const char *const DST_GAP_NAMES[] = { "auto", "end", "skip", NULL };
const char *const DST_REPEAT_NAMES[] = { "auto", "first", "second", "both", NULL };

const char *schedule_state_name(enum schedule_state s)
{
	return STATES[s];
}

const char *schedule_state_words(const struct schedule *s)
{
	if (s->state == SCHEDULE_SCHEDULED && schedule_is_stopped(s))
		return s->paused_at != TIME_NONE ? "paused" : "code paused";
	return schedule_state_name(s->state);
}

bool schedule_state_parse(struct str text, enum schedule_state *out)
{
	for (int i = 0; i < STATE_COUNT; i++)
		if (str_is(text, STATES[i])) {
			*out = (enum schedule_state)i;
			return true;
		}
	return false;
}

int64_t schedule_word(const char *const *names, struct str word)
{
	for (int64_t i = 0; names[i]; i++)
		if (str_is(word, names[i]))
			return i;
	return 0;
}

/* --- the fields -------------------------------------------------------------------------------- */

enum kind {
	LINE,    /* a text without control characters, of at most so many bytes */
	CRON,    /* the same, but a tab is a blank */
	TEXT,    /* any text; at most limits.payload */
	TIME,
	SECONDS, /* 0 to a hundred years, or what the row says; a fraction is cut off, as of a task */
	WHOLE,   /* the same, but a fraction is refused: it would be another timetable */
	NUMBER,
	WORD,    /* one of a list; "" = the first */
	LINES,   /* an array of texts, kept a line each */
	FLAG,
};

/* Keys of our own are shown when they say something; IronWorker's always are, each in its own form below. */
static const struct field {
	const char *key;
	enum kind kind;
	size_t at;              /* in struct schedule */
	int64_t least, most;
	const char *const *words;
	bool is_ours;
} FIELDS[SCHEDULE_FIELDS] = {
#define AT(member) offsetof(struct schedule, member)
	[FIELD_CODE_NAME] = { "code_name", LINE, AT(code_name), 0, CODE_NAME_BYTES, NULL, false },
	[FIELD_CLUSTER] = { "cluster", LINE, AT(cluster_name), 0, 255, NULL, false },
	[FIELD_LABEL] = { "label", LINE, AT(label), 0, TASK_LABEL_BYTES, NULL, false },
	[FIELD_PAYLOAD] = { "payload", TEXT, AT(payload), 0, 0, NULL, false },
	[FIELD_START_AT] = { "start_at", TIME, AT(start_at), 0, 0, NULL, false },
	[FIELD_END_AT] = { "end_at", TIME, AT(end_at), 0, 0, NULL, false },
	[FIELD_RUN_EVERY] = { "run_every", WHOLE, AT(run_every_s), 0, 0, NULL, false },
	[FIELD_RUN_TIMES] = { "run_times", WHOLE, AT(run_times), 0, 0, NULL, false },
	[FIELD_PRIORITY] = { "priority", NUMBER, AT(priority), INT64_MIN, INT64_MAX, NULL, false },
	[FIELD_TIMEOUT] = { "timeout", SECONDS, AT(timeout_s), 0, INT64_MAX, NULL, false },
	[FIELD_TASK_DELAY] = { "task_delay", SECONDS, AT(task_delay_s), 0, 0, NULL, false },
	[FIELD_CRON] = { "cron", CRON, AT(cron), 0, CRON_BYTES, NULL, true },
	[FIELD_TIME_ZONE] = { "time_zone", LINE, AT(time_zone), 0, ZONE_NAME_BYTES, NULL, true },
	[FIELD_DST_GAP] = { "dst_gap", WORD, AT(dst_gap), 0, 0, DST_GAP_NAMES, true },
	[FIELD_DST_REPEAT] = { "dst_repeat", WORD, AT(dst_repeat), 0, 0, DST_REPEAT_NAMES, true },
	[FIELD_MISFIRE] = { "misfire", WORD, AT(misfire), 0, 0, MISFIRE_NAMES, true },
	[FIELD_MISFIRE_LIMIT] = { "misfire_limit", NUMBER, AT(misfire_limit), 1, 1000, NULL, true },
	[FIELD_MISFIRE_WINDOW] = { "misfire_window", WHOLE, AT(misfire_window_s), 0, 0, NULL, true },
	[FIELD_MISFIRE_AFTER] = { "misfire_after", WHOLE, AT(misfire_after_s), 1, 86400, NULL, true },
	[FIELD_OVERLAP] = { "overlap", WORD, AT(overlap), 0, 0, OVERLAP_NAMES, true },
	[FIELD_JITTER] = { "jitter", WHOLE, AT(jitter_s), 0, 86400, NULL, true },
	[FIELD_EXCLUDE_DATES] = { "exclude_dates", LINES, AT(exclude_dates), 0, 10, NULL, true },
	[FIELD_EXCLUDE_CALENDARS] = { "exclude_calendars", LINES, AT(exclude_calendars), 0, 255, NULL, true },
	[FIELD_RETRIES] = { "retries", NUMBER, AT(retries), -1, CODE_RETRIES_MOST, NULL, true },
	[FIELD_RETRIES_DELAY] = { "retries_delay", NUMBER, AT(retries_delay_s), -1, 86400 * 365, NULL, true },
	[FIELD_PAYLOAD_TIMES] = { "payload_times", FLAG, AT(payload_times), 0, 0, NULL, true },
#undef AT
};

static struct str *text_at(struct schedule *s, const struct field *f)
{
	return (struct str *)((char *)s + f->at);
}

static int64_t *int_at(struct schedule *s, const struct field *f)
{
	return (int64_t *)((char *)s + f->at);
}

static bool *flag_at(struct schedule *s, const struct field *f)
{
	return (bool *)((char *)s + f->at);
}

static bool is_text(const struct field *f)
{
	return f->kind == LINE || f->kind == CRON || f->kind == TEXT || f->kind == LINES;
}

void schedule_apply(const struct schedule_order *o, struct schedule *s)
{
	struct schedule from = o->value;

	for (int i = 0; i < SCHEDULE_FIELDS; i++) {
		const struct field *f = &FIELDS[i];

		if (!schedule_is_sent(o, (enum schedule_field)i))
			continue;
		if (is_text(f))
			*text_at(s, f) = *text_at(&from, f);
		else if (f->kind == FLAG)
			*flag_at(s, f) = *flag_at(&from, f);
		else
			*int_at(s, f) = *int_at(&from, f);
	}
	if (from.cron.n)
		s->run_every_s = 0; /* it takes the interval's place */
	else if (from.run_every_s)
		s->cron = STR_LIT("");
}

struct schedule schedule_default(void)
{
	return (struct schedule){ .start_at = TIME_NONE, .end_at = TIME_NONE, .next_at = TIME_NONE, .last_at = TIME_NONE,
		                  .accounted_to = TIME_NONE, .misfire_limit = 100, .misfire_window_s = 86400,
		                  .misfire_after_s = 10, .priority = TASK_PRIORITY_UNSET, .retries = -1,
		                  .retries_delay_s = -1, .paused_at = TIME_NONE, .waiting_from = TIME_NONE,
		                  .resumed_at = TIME_NONE };
}

/* --- out --------------------------------------------------------------------------------------- */

static void set_id(json_t *j, const char *key, const struct id *id)
{
	struct id_text text = id_format(id);

	json_object_set_new(j, key, json_string(text.s));
}

static void set_int(json_t *j, const char *key, int64_t i)
{
	json_object_set_new(j, key, json_integer(i));
}

/* All of them, always: rule 15. */
static void set_times(json_t *j, const struct schedule *s)
{
	json_object_set_new(j, "created_at", json_time(s->created_at));
	json_object_set_new(j, "updated_at", json_time(s->updated_at));
	json_object_set_new(j, "start_at", json_time(s->start_at));
	json_object_set_new(j, "end_at", json_time(s->end_at));
	json_object_set_new(j, "next_start", json_time(s->next_at));
	json_object_set_new(j, "last_run_time", json_time(s->last_at));
}

static json_t *array_of_lines(struct str lines)
{
	json_t *array = json_array();
	struct str line;

	while (str_cut(&lines, '\n', &line))
		if (line.n)
			json_array_append_new(array, json_text(line));
	return array;
}

static json_t *value_of(const struct schedule *s, const struct field *f)
{
	struct schedule copy = *s;

	switch (f->kind) {
	case LINE:
	case CRON:
	case TEXT:
		return json_text(*text_at(&copy, f));
	case LINES:
		return array_of_lines(*text_at(&copy, f));
	case WORD:
		return json_string(f->words[*int_at(&copy, f)]);
	case FLAG:
		return json_boolean(*flag_at(&copy, f));
	case TIME:
		return json_time(*int_at(&copy, f));
	default:
		return json_integer(*int_at(&copy, f));
	}
}

static void set_ours(json_t *j, const struct schedule *s)
{
	for (int i = 0; i < SCHEDULE_FIELDS; i++)
		if (FIELDS[i].is_ours)
			json_object_set_new(j, FIELDS[i].key, value_of(s, &FIELDS[i]));
	json_object_set_new(j, "paused", json_boolean(s->paused_at != TIME_NONE));
	json_object_set_new(j, "code_paused", json_boolean(s->is_held));
	if (s->paused_at != TIME_NONE) {
		json_object_set_new(j, "paused_at", json_time(s->paused_at));
		json_object_set_new(j, "paused_by", json_text(s->paused_by));
		json_object_set_new(j, "pause_reason", json_text(s->pause_reason));
	} else if (s->resumed_at != TIME_NONE) {
		json_object_set_new(j, "resumed_at", json_time(s->resumed_at));
		json_object_set_new(j, "resumed_by", json_text(s->resumed_by));
		json_object_set_new(j, "resume_reason", json_text(s->resume_reason));
	}
}

json_t *schedule_to_json(const struct schedule *s)
{
	json_t *j = json_object();

	set_id(j, "id", &s->id);
	set_id(j, "project_id", &s->project_id);
	set_id(j, "code_id", &s->code_id);
	json_object_set_new(j, "code_name", json_text(s->code_name));
	json_object_set_new(j, "status", json_string(schedule_state_name(s->state)));
	set_times(j, s);
	set_int(j, "run_every", s->run_every_s);
	set_int(j, "run_times", s->run_times);
	set_int(j, "run_count", s->run_count);
	set_int(j, "priority", s->priority < 0 ? 0 : s->priority);
	set_int(j, "timeout", s->timeout_s > 0 ? s->timeout_s : TASK_TIMEOUT_DEFAULT_S);
	set_int(j, "delay", s->task_delay_s);
	json_object_set_new(j, "cluster", json_text(s->cluster_name.n ? s->cluster_name : STR_LIT("default")));
	json_object_set_new(j, "label", json_text(s->label));
	if (s->payload.p)
		json_object_set_new(j, "payload", json_text(s->payload));
	else
		set_int(j, "payload_size", s->payload_bytes);
	if (s->msg.n)
		json_object_set_new(j, "msg", json_text(s->msg));
	set_ours(j, s);
	return j;
}

json_t *schedule_definition_to_json(const struct schedule *s)
{
	struct schedule plain = schedule_default(), copy = *s;
	json_t *j = json_object();

	for (int i = 0; i < SCHEDULE_FIELDS; i++) {
		const struct field *f = &FIELDS[i];
		bool is_plain = is_text(f)          ? !text_at(&copy, f)->n
		                : f->kind == FLAG ? *flag_at(&copy, f) == *flag_at(&plain, f)
		                                  : *int_at(&copy, f) == *int_at(&plain, f);

		if (!is_plain)
			json_object_set_new(j, f->key, value_of(s, f));
	}
	return j;
}

/* --- in ---------------------------------------------------------------------------------------- */

static struct str without_tabs(struct arena *a, struct str text)
{
	char *copy;

	if (!memchr(text.p ? text.p : "", '\t', text.n))
		return text;
	copy = arena_copy(a, text.p, text.n);
	for (size_t i = 0; i < text.n; i++)
		if (copy[i] == '\t')
			copy[i] = ' ';
	return str_bytes(copy, text.n);
}

static enum err read_text(struct ctx *cx, const json_t *j, const struct field *f, int64_t most, struct str *out, bool *sent)
{
	TRY(json_get_text(cx, j, f->key, out));
	*sent = out->p != NULL;
	if ((int64_t)out->n > most)
		return err_set(cx, out->n > CODE_CONFIG_BYTES ? ERR_TOO_LARGE : ERR_INPUT,
		               "field %s: is longer than %" PRId64 " bytes", f->key, most);
	if (f->kind == CRON)
		*out = without_tabs(&cx->arena, *out);
	if (f->kind != TEXT && text_has_controls(*out))
		return err_set(cx, ERR_INPUT, "field %s: must not have control characters", f->key);
	return OK;
}

static enum err refuse_fraction(struct ctx *cx, const json_t *j, const struct field *f)
{
	const json_t *value = json_object_get(j, f->key);

	if (json_is_real(value) && json_real_value(value) != floor(json_real_value(value)))
		return err_set(cx, ERR_INPUT, "field %s: must be a whole number", f->key);
	return OK;
}

static enum err read_seconds(struct ctx *cx, const json_t *j, const struct field *f, int64_t *out, bool *sent)
{
	int64_t most = f->most ? f->most : SECONDS_MOST;

	*sent = json_object_get(j, f->key) && !json_is_null(json_object_get(j, f->key));
	if (f->kind == WHOLE)
		TRY(refuse_fraction(cx, j, f));
	TRY(json_get_amount(cx, j, f->key, out));
	*sent = *sent && (*out != 0 || json_is_number(json_object_get(j, f->key)));
	if (*sent && (*out < f->least || *out > most))
		return err_set(cx, ERR_INPUT, "field %s: must be %" PRId64 " to %" PRId64, f->key, f->least, most);
	return OK;
}

static enum err read_number(struct ctx *cx, const json_t *j, const struct field *f, int64_t *out, bool *sent)
{
	const json_t *value = json_object_get(j, f->key);

	if (f->is_ours)
		TRY(refuse_fraction(cx, j, f));
	TRY(json_get_int(cx, j, f->key, out));
	*sent = value && !json_is_null(value);
	if (*sent && (*out < f->least || *out > f->most))
		return err_set(cx, ERR_INPUT, "field %s: must be %" PRId64 " to %" PRId64, f->key, f->least, f->most);
	return OK;
}

/* What lies before 1970 is the zero time of those who fill in every field. */
static enum err read_time(struct ctx *cx, const json_t *j, const struct field *f, int64_t *out, bool *sent)
{
	struct str text = { 0 };

	*out = TIME_NONE;
	TRY(json_get_text(cx, j, f->key, &text));
	if (text.n && !time_parse(text, out))
		return err_set(cx, ERR_INPUT, "field %s: must be a time such as 2031-04-05T06:07:08Z", f->key);
	*sent = text.n && *out >= 0;
	if (!*sent)
		*out = TIME_NONE;
	return OK;
}

static enum err read_word(struct ctx *cx, const json_t *j, const struct field *f, int64_t *out, bool *sent)
{
	auto_buf all = { 0 };
	struct str text = { 0 };

	TRY(json_get_text(cx, j, f->key, &text));
	*sent = text.p != NULL;
	*out = 0;
	if (!text.n)
		return OK;
	for (int i = 0; f->words[i]; i++) {
		if (str_is(text, f->words[i])) {
			*out = i;
			return OK;
		}
		buf_printf(&all, "%s%s", i ? ", " : "", f->words[i]);
	}
	return err_set(cx, ERR_INPUT, "field %s: must be one of %s", f->key, all.p);
}

static enum err read_lines(struct ctx *cx, const json_t *j, const struct field *f, struct str *out, bool *sent)
{
	enum { LINES_MOST = 1000 };
	auto_buf lines = { 0 };
	json_t *array = NULL;

	TRY(json_get_array(cx, j, f->key, &array));
	*sent = array != NULL;
	*out = STR_LIT("");
	if (json_array_size(array) > LINES_MOST)
		return err_set(cx, ERR_INPUT, "field %s: has more than %d items", f->key, LINES_MOST);
	for (size_t i = 0; i < json_array_size(array); i++) {
		json_t *item = json_array_get(array, i);
		struct str line = str_bytes(json_string_value(item), json_string_length(item));

		if (!line.n || (int64_t)line.n > f->most || text_has_controls(line))
			return err_set(cx, ERR_INPUT, "field %s: must be an array of texts of 1 to %" PRId64 " bytes", f->key,
			               f->most);
		buf_printf(&lines, "%s" STR_FMT, i ? "\n" : "", STR_ARG(line));
	}
	if (lines.n)
		*out = str_bytes(arena_copy(&cx->arena, lines.p, lines.n), lines.n);
	return OK;
}

static enum err read_field(struct ctx *cx, const struct settings *set, const json_t *j, const struct field *f,
                           struct schedule *s, bool *sent)
{
	switch (f->kind) {
	case LINE:
	case CRON:
		return read_text(cx, j, f, f->most, text_at(s, f), sent);
	case TEXT:
		return read_text(cx, j, f, set->limits.payload_bytes, text_at(s, f), sent);
	case TIME:
		return read_time(cx, j, f, int_at(s, f), sent);
	case SECONDS:
	case WHOLE:
		return read_seconds(cx, j, f, int_at(s, f), sent);
	case NUMBER:
		return read_number(cx, j, f, int_at(s, f), sent);
	case WORD:
		return read_word(cx, j, f, int_at(s, f), sent);
	case LINES:
		return read_lines(cx, j, f, text_at(s, f), sent);
	default:
		*sent = json_is_boolean(json_object_get(j, f->key));
		return json_get_bool(cx, j, f->key, flag_at(s, f));
	}
}

/* Clients send it as a float, too. */
static enum err read_delay(struct ctx *cx, const json_t *j, int64_t *us)
{
	const json_t *value = json_object_get(j, "delay");
	double real = json_real_value(value);
	int64_t seconds = 0;

	TRY(json_get_amount(cx, j, "delay", &seconds));
	if (seconds < 0 || real < 0)
		return err_set(cx, ERR_INPUT, "field delay: must not be negative");
	if (seconds >= TASK_DELAY_MOST_S)
		*us = TASK_DELAY_MOST_S * US;
	else
		*us = json_is_real(value) ? (int64_t)(real * US) : seconds * US;
	return OK;
}

static enum err check_keys(struct ctx *cx, const json_t *j, struct schedule_order *o)
{
	struct schedule_key keys[SCHEDULE_FIELDS + 1] = { [SCHEDULE_FIELDS] = { "delay", false } };
	const char *ignored;

	for (int i = 0; i < SCHEDULE_FIELDS; i++)
		keys[i] = (struct schedule_key){ FIELDS[i].key, FIELDS[i].is_ours };
	TRY(schedule_keys_check(cx, j, keys, SCHEDULE_FIELDS + 1, &ignored));
	o->ignored = ignored ? arena_text(&cx->arena, ignored) : NULL;
	return OK;
}

/* One that was meant to be filled in would run once, at once. Of an answer that is sent back it says that there is none. */
static enum err refuse_empty_cron(struct ctx *cx, const json_t *j, const struct schedule_order *o)
{
	if (!schedule_is_sent(o, FIELD_CRON) || o->value.cron.n || json_object_get(j, "run_every"))
		return OK;
	return err_set(cx, ERR_INPUT, "field cron: is empty; without an expression leave it out");
}

/* How often it may run holds for an expression, too. */
static enum err check_cron(struct ctx *cx, const struct settings *set, const struct schedule *s)
{
	struct cron c;

	if (!s->cron.n)
		return OK;
	if (s->run_every_s > 0)
		return err_set(cx, ERR_INPUT, "field cron: run_every is there too; a schedule has one of them");
	if (cron_parse(cx, s->cron, &s->id, &c))
		return err_wrap(cx, "field cron");
	if (cron_least_gap(&c) < set->limits.run_every_min)
		return err_set(cx, ERR_INPUT, "field cron: two of its times are only %" PRId64 " s apart; at least %" PRId64
		               " s must lie between", cron_least_gap(&c), set->limits.run_every_min);
	return OK;
}

/* What holds whatever else is sent. */
static enum err check(struct ctx *cx, const struct settings *set, struct schedule_order *o)
{
	struct schedule *s = &o->value;

	if (schedule_is_sent(o, FIELD_PRIORITY) && (s->priority < 0 || s->priority > 2)) {
		o->sent &= ~(UINT64_C(1) << FIELD_PRIORITY);
		s->priority = TASK_PRIORITY_UNSET;
	}
	if (s->run_every_s > 0 && s->run_every_s < set->limits.run_every_min)
		return err_set(cx, ERR_INPUT, "field run_every: must be at least %" PRId64, set->limits.run_every_min);
	TRY(check_cron(cx, set, s));
	if (schedule_is_sent(o, FIELD_START_AT) && schedule_is_sent(o, FIELD_END_AT) && s->end_at < s->start_at)
		return err_set(cx, ERR_INPUT, "field end_at: is before start_at");
	if (s->time_zone.n && !zone_name_is_valid(s->time_zone))
		return err_set(cx, ERR_INPUT, "field time_zone: must be the name of a zone such as Europe/Berlin");
	if (timetable_check_dates(cx, s->exclude_dates))
		return err_wrap(cx, "field exclude_dates");
	return OK;
}

enum err schedule_order_from_json(struct ctx *cx, const struct settings *set, const json_t *j, const struct id *id,
                                  struct schedule_order *out)
{
	struct schedule_order o = { .value = schedule_default() };

	if (!json_is_object(j))
		return err_set(cx, ERR_INPUT, "must be an object");
	if (id)
		o.value.id = *id;
	TRY(check_keys(cx, j, &o));
	for (int i = 0; i < SCHEDULE_FIELDS; i++) {
		bool sent = false;

		TRY(read_field(cx, set, j, &FIELDS[i], &o.value, &sent));
		o.sent |= (uint64_t)sent << i;
	}
	if (!o.value.code_name.n)
		o.sent &= ~(UINT64_C(1) << FIELD_CODE_NAME);
	TRY(read_delay(cx, j, &o.delay_us));
	TRY(refuse_empty_cron(cx, j, &o));
	TRY(check(cx, set, &o));
	*out = o;
	return OK;
}

enum err schedule_orders_from_json(struct ctx *cx, const struct settings *set, const json_t *body,
                                   struct schedule_order **out, size_t *n)
{
	json_t *array = NULL;
	size_t count;
	struct id *ids;

	TRY(json_get_array(cx, body, "schedules", &array));
	count = json_array_size(array);
	if (!count)
		return err_set(cx, ERR_REQUIRED, "field schedules: must be an array of at least one schedule");
	if (count > (size_t)set->limits.tasks_per_request)
		return err_set(cx, ERR_INPUT, "field schedules: has %zu; at most %" PRId64 " are taken at once", count,
		               set->limits.tasks_per_request);
	*out = arena_array(&cx->arena, count, sizeof **out);
	ids = arena_array(&cx->arena, count, sizeof *ids);
	id_make_many(clock_wall_us(), ids, count);
	for (size_t i = 0; i < count; i++) {
		if (schedule_order_from_json(cx, set, json_array_get(array, i), &ids[i], &(*out)[i]))
			return err_wrap(cx, "schedules[%zu]", i);
		if (!schedule_is_sent(&(*out)[i], FIELD_CODE_NAME))
			return err_set(cx, ERR_REQUIRED, "schedules[%zu]: field code_name: is missing", i);
	}
	*n = count;
	return OK;
}
