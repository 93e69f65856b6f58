#include "model/log_body.h"

#include "base/clock.h"
#include "base/json.h"

#include <stdio.h>
#include <unistd.h>

enum { MICROSECONDS = 1000000, TIME_TEXT = 19 };

static const char *stream_name(enum log_stream s)
{
	static const char *const NAMES[] = { "notice", "stdout", "stderr" };

	return NAMES[s];
}

/* With microseconds; RFC 5424 allows six digits. */
static char *time_text(struct arena *a, int64_t at)
{
	int64_t fraction = ((at % MICROSECONDS) + MICROSECONDS) % MICROSECONDS;

	return arena_printf(a, "%.*s.%06lldZ", TIME_TEXT, time_rfc3339(a, at), (long long)fraction);
}

static void put_text(json_t *j, const char *name, struct str text)
{
	json_object_set_new(j, name, json_text(text));
}

static void put_id(json_t *j, const char *name, const struct id *id)
{
	json_object_set_new(j, name, json_string(id_format(id).s));
}

/* What is said of a message wherever it goes; as texts for receivers that take no others. */
static void put_facts(json_t *j, const struct log_message *m, struct arena *a, bool as_text)
{
	const struct log_source *of = m->of;

	put_id(j, "project", &of->project);
	put_text(j, "code", of->code);
	put_id(j, "task", &of->task);
	if (as_text) {
		json_object_set_new(j, "attempt", json_string(arena_printf(a, "%lld", (long long)of->attempt)));
		json_object_set_new(j, "sequence", json_string(arena_printf(a, "%lld", (long long)m->sequence)));
	} else {
		json_object_set_new(j, "attempt", json_integer((json_int_t)of->attempt));
		json_object_set_new(j, "sequence", json_integer((json_int_t)m->sequence));
	}
	json_object_set_new(j, "stream", json_string(stream_name(m->stream)));
	if (!m->part)
		return;
	json_object_set_new(j, "part", as_text ? json_string(arena_printf(a, "%lld", (long long)m->part))
	                                       : json_integer((json_int_t)m->part));
	json_object_set_new(j, "more", as_text ? json_string(m->more ? "true" : "false") : json_boolean(m->more));
}

static void put_line(struct buf *b, struct arena *a, const json_t *j)
{
	buf_str(b, json_write(a, j));
	buf_char(b, '\n');
}

/* --- templates ------------------------------------------------------------------------------------------ */

static void ndjson(struct buf *b, struct arena *a, const struct log_message *m)
{
	auto_json *j = json_object();

	json_object_set_new(j, "time", json_string(time_text(a, m->at)));
	put_facts(j, m, a, false);
	put_text(j, "message", m->text);
	put_line(b, a, j);
}

/* Its id follows from where it stands, so that sent again it is not stored again. */
static void elasticsearch(struct buf *b, struct arena *a, const struct log_message *m)
{
	auto_json *action = json_object(), *j = json_object();
	char *id = arena_printf(a, "%s-%lld-%lld", id_format(&m->of->task).s, (long long)m->of->attempt, (long long)m->sequence);
	json_t *create = json_object(), *facts = json_object();

	json_object_set_new(create, "_id", json_string(id));
	json_object_set_new(action, "create", create);
	json_object_set_new(j, "@timestamp", json_string(time_text(a, m->at)));
	put_text(j, "message", m->text);
	put_facts(facts, m, a, false);
	json_object_set_new(j, "stoker", facts);
	put_line(b, a, action);
	put_line(b, a, j);
}

static void splunk(struct buf *b, struct arena *a, const struct log_message *m, const char *host)
{
	auto_json *j = json_object();
	json_t *facts = json_object();

	json_object_set_new(j, "time", json_real((double)m->at / MICROSECONDS));
	json_object_set_new(j, "host", json_string(host));
	json_object_set_new(j, "source", json_string("stoker"));
	json_object_set_new(j, "sourcetype", json_string("stoker:log"));
	put_text(j, "event", m->text.n ? m->text : STR_LIT(" ")); /* an empty one is an error there */
	put_facts(facts, m, a, true);
	json_object_set_new(j, "fields", facts);
	put_line(b, a, j);
}

/* The stream of values that a message belongs to: few labels, the rest beside each line. */
static json_t *loki_values(json_t *streams, const struct log_message *m)
{
	json_t *one, *labels, *values;
	size_t i;

	json_array_foreach(streams, i, one) {
		labels = json_object_get(one, "stream");
		if (strcmp(json_string_value(json_object_get(labels, "project")), id_format(&m->of->project).s) == 0 &&
		    str_is(m->of->code, json_string_value(json_object_get(labels, "code"))) &&
		    strcmp(json_string_value(json_object_get(labels, "stream")), stream_name(m->stream)) == 0)
			return json_object_get(one, "values");
	}
	labels = json_object();
	values = json_array();
	put_id(labels, "project", &m->of->project);
	put_text(labels, "code", m->of->code);
	json_object_set_new(labels, "stream", json_string(stream_name(m->stream)));
	json_object_set_new(labels, "job", json_string("stoker"));
	json_array_append_new(streams, json_pack("{s:o, s:o}", "stream", labels, "values", values));
	return values;
}

static struct str loki(const struct log_batch *b)
{
	auto_json *j = json_object();
	json_t *streams = json_array();

	json_object_set_new(j, "streams", streams);
	for (size_t i = 0; i < b->n; i++) {
		const struct log_message *m = &b->messages[i];
		json_t *value = json_array(), *facts = json_object();

		put_facts(facts, m, b->arena, true);
		json_object_del(facts, "project");
		json_object_del(facts, "code");
		json_object_del(facts, "stream");
		json_array_append_new(value, json_string(arena_printf(b->arena, "%lld000", (long long)m->at)));
		json_array_append_new(value, json_text(m->text));
		json_array_append_new(value, facts);
		json_array_append_new(loki_values(streams, m), value);
	}
	return json_write(b->arena, j);
}

struct str log_body(const struct log_batch *b, enum log_template t, const char *host)
{
	auto_buf out = { 0 };

	if (t == LOG_LOKI)
		return loki(b);
	for (size_t i = 0; i < b->n; i++)
		if (t == LOG_ELASTICSEARCH)
			elasticsearch(&out, b->arena, &b->messages[i]);
		else if (t == LOG_SPLUNK)
			splunk(&out, b->arena, &b->messages[i], host);
		else
			ndjson(&out, b->arena, &b->messages[i]);
	return str_bytes(arena_copy(b->arena, out.p, out.n), out.n);
}

const char *log_body_type(enum log_template t)
{
	return t == LOG_LOKI || t == LOG_SPLUNK ? "application/json" : "application/x-ndjson";
}

struct log_bulk_answer log_bulk_answer(struct ctx *cx, struct str body)
{
	enum { DEPTH = 16, NODES = 1000000, BAD = 400, CONFLICT = 409, TOO_LARGE = 413, UNPROCESSABLE = 422, ERRORS = 400 };
	struct log_bulk_answer answer = { .again = true };
	auto_json *j = NULL;
	json_t *items, *one;
	size_t i;

	if (json_read(cx, body, (struct json_limits){ DEPTH, NODES }, &j) != OK || !json_is_boolean(json_object_get(j, "errors")))
		return answer;
	answer.again = false;
	items = json_object_get(j, "items");
	json_array_foreach(items, i, one) { /* each an object of one action */
		json_t *what = json_object_iter_value(json_object_iter(one));
		json_int_t status = json_integer_value(json_object_get(what, "status"));

		bool is_refused = status == BAD || status == TOO_LARGE || status == UNPROCESSABLE;

		/* no index, no right to write: that is not the line's fault, and may be mended */
		answer.again |= status >= ERRORS && !is_refused && status != CONFLICT;
		answer.refused += is_refused;
	}
	return answer;
}

/* --- syslog ------------------------------------------------------------------------------------------------ */

/* PRINTUSASCII, at most so many; "-" for nothing. */
static void put_word(struct buf *b, struct str s, size_t most)
{
	if (!s.n)
		buf_char(b, '-');
	for (size_t i = 0; i < s.n && i < most; i++)
		buf_char(b, s.p[i] > 0x20 && s.p[i] < 0x7f ? s.p[i] : '_');
}

static void put_param(struct buf *b, const char *name, struct str value)
{
	buf_printf(b, " %s=\"", name);
	for (size_t i = 0; i < value.n; i++) {
		if (memchr("\"\\]", value.p[i], 3))
			buf_char(b, '\\');
		buf_char(b, value.p[i]);
	}
	buf_char(b, '"');
}

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* Facility local0; stderr is a warning, what we say ourselves a notice. */
static int priority(enum log_stream s)
{
	enum { LOCAL0 = 16, EIGHT = 8 };
	static const int SEVERITIES[] = { 5, 6, 4 };

	return LOCAL0 * EIGHT + SEVERITIES[s];
}

void log_syslog(struct buf *b, const struct log_message *m, const char *host)
{
	enum { HOST_MOST = 255, APP_MOST = 48 };
	const struct log_source *of = m->of;
	struct arena a = { 0 };

	buf_printf(b, "<%d>1 %s ", priority(m->stream), time_text(&a, m->at));
	arena_release(&a);
	put_word(b, str_of(host), HOST_MOST);
	buf_char(b, ' ');
	put_word(b, of->code, APP_MOST);
	buf_printf(b, " %s %s [stoker@32473", id_format(&of->task).s, stream_name(m->stream));
	put_param(b, "project", str_of(id_format(&of->project).s));
	put_param(b, "code", of->code);
	put_param(b, "task", str_of(id_format(&of->task).s));
	buf_printf(b, " attempt=\"%lld\" sequence=\"%lld\"", (long long)of->attempt, (long long)m->sequence);
	if (m->part)
		buf_printf(b, " part=\"%lld\" more=\"%s\"", (long long)m->part, m->more ? "true" : "false");
	buf_text(b, "] ");
	if (!is_ascii(m->text))
		buf_text(b, "\xef\xbb\xbf");
	buf_str(b, m->text);
}

void log_syslog_counted(struct buf *b, const struct log_message *m, const char *host)
{
	auto_buf one = { 0 };

	log_syslog(&one, m, host);
	buf_printf(b, "%zu ", one.n);
	buf_str(b, buf_view(&one));
}
