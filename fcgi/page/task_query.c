#include "fcgi/page/task_query.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/text.h"

enum { WORD_BYTES_MOST = 512, VALUE_BYTES_MOST = 255 };
static const int64_t SECOND = 1000000;

static enum err no_prefix(struct ctx *cx, const char *word, struct str value)
{
	if (value.n && memchr(value.p, '*', value.n))
		return err_set(cx, ERR_INPUT, "%s: takes a whole value; '*' is not searched yet", word);
	if (value.n > VALUE_BYTES_MOST)
		return err_set(cx, ERR_INPUT, "%s: is longer than %d bytes", word, VALUE_BYTES_MOST);
	return OK;
}

/* --- one function a word --------------------------------------------------------------------- */

static const struct {
	const char *name;
	unsigned states;
} GROUPS[] = {
	{ "waiting", 1u << TASK_QUEUED },
	{ "failed", 1u << TASK_ERROR | 1u << TASK_TIMEOUT | 1u << TASK_KILLED | 1u << TASK_EXPIRED },
	{ "done", 1u << TASK_COMPLETE },
};

static bool states_of(struct str name, unsigned *out)
{
	enum task_state s;

	for (size_t i = 0; i < sizeof GROUPS / sizeof *GROUPS; i++) {
		if (str_is(name, GROUPS[i].name)) {
			*out = GROUPS[i].states;
			return true;
		}
	}
	if (!task_state_parse(name, &s))
		return false;
	*out = 1u << s;
	return true;
}

static enum err set_state(struct ctx *cx, struct task_query *q, struct str value, int64_t now_us)
{
	struct str one;
	unsigned bits;

	(void)now_us;
	q->states = 0;
	while (str_cut(&value, ',', &one)) {
		if (!states_of(one, &bits))
			return err_set(cx, ERR_INPUT, "state: knows queued preparing running complete error timeout "
			               "cancelled killed expired failed waiting done, not '" STR_FMT "'", STR_ARG(text_cut(one, 40)));
		q->states |= bits;
	}
	return OK;
}

static enum err set_code(struct ctx *cx, struct task_query *q, struct str value, int64_t now_us)
{
	(void)now_us;
	q->code = value;
	return no_prefix(cx, "code", value);
}

static enum err set_label(struct ctx *cx, struct task_query *q, struct str value, int64_t now_us)
{
	(void)now_us;
	q->label = value;
	return no_prefix(cx, "label", value);
}

static enum err set_cluster(struct ctx *cx, struct task_query *q, struct str value, int64_t now_us)
{
	(void)now_us;
	q->cluster = value;
	return no_prefix(cx, "cluster", value);
}

/* "30s", "15min", "24h", "7d": so long ago; else a date or a time. */
static bool moment(struct str value, int64_t now_us, int64_t *out)
{
	static const struct {
		const char *unit;
		int64_t seconds;
	} UNITS[] = { { "min", 60 }, { "m", 60 }, { "s", 1 }, { "h", 3600 }, { "d", 86400 }, { "w", 604800 } };
	size_t digits = 0;
	int64_t n;

	while (digits < value.n && value.p[digits] >= '0' && value.p[digits] <= '9')
		digits++;
	if (digits && digits < 7 && str_int(str_bytes(value.p, digits), &n)) {
		for (size_t i = 0; i < sizeof UNITS / sizeof *UNITS; i++) {
			if (str_is(str_bytes(value.p + digits, value.n - digits), UNITS[i].unit)) {
				*out = now_us - n * UNITS[i].seconds * SECOND;
				return true;
			}
		}
	}
	return time_parse(value, out);
}

static enum err set_moment(struct ctx *cx, const char *word, struct str value, int64_t now_us, struct str *text, int64_t *at)
{
	char day[32];

	*text = value;
	*at = TIME_NONE;
	if (!value.n || moment(value, now_us, at))
		return OK;
	if (value.n == 10) { /* a day alone begins at midnight */
		snprintf(day, sizeof day, STR_FMT "T00:00:00Z", STR_ARG(value));
		if (time_parse(str_of(day), at))
			return OK;
	}
	return err_set(cx, ERR_INPUT, "%s: takes 15min, 24h, 7d, 2026-11-23 or 2026-11-23T08:12:00Z, not '" STR_FMT "'",
	               word, STR_ARG(text_cut(value, 40)));
}

static enum err set_since(struct ctx *cx, struct task_query *q, struct str value, int64_t now_us)
{
	return set_moment(cx, "since", value, now_us, &q->since, &q->from);
}

static enum err set_until(struct ctx *cx, struct task_query *q, struct str value, int64_t now_us)
{
	return set_moment(cx, "until", value, now_us, &q->until, &q->to);
}

static enum err set_id(struct ctx *cx, struct task_query *q, struct str value, int64_t now_us)
{
	(void)now_us;
	q->has_id = value.n > 0;
	if (value.n && !id_parse(value, &q->id))
		return err_set(cx, ERR_INPUT, "id: takes a task's whole id, 24 hex digits");
	return OK;
}

/* --- the words, in canonical order ------------------------------------------------------------- */

static const struct {
	const char *word;
	enum err (*set)(struct ctx *cx, struct task_query *q, struct str value, int64_t now_us);
} WORDS[] = {
	{ "state", set_state }, { "code", set_code },   { "label", set_label }, { "cluster", set_cluster },
	{ "since", set_since }, { "until", set_until }, { "id", set_id },
};

enum err task_query_set(struct ctx *cx, struct task_query *q, const char *word, struct str value, int64_t now_us)
{
	for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
		if (strcmp(WORDS[i].word, word) == 0)
			return WORDS[i].set(cx, q, value, now_us);
	return err_set(cx, ERR_INPUT, "the filter does not know '%s:'; it knows state: code: label: cluster: since: until: id:", word);
}

/* Cuts the next word off *text; blanks inside "…" belong to it. */
static bool next_word(struct str *text, struct str *word)
{
	bool quoted = false;
	size_t n = 0;

	*text = str_trim(*text);
	if (!text->n)
		return false;
	for (; n < text->n && (quoted || text->p[n] != ' '); n++)
		quoted ^= text->p[n] == '"';
	*word = str_bytes(text->p, n);
	*text = str_bytes(text->p + n, text->n - n);
	return true;
}

static struct str unquoted(struct arena *a, struct str s)
{
	char *out = arena_take(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '"')
			out[n++] = s.p[i];
	return str_bytes(out, n);
}

static enum err take_word(struct ctx *cx, struct str word, int64_t now_us, struct task_query *q)
{
	struct str value = word, name;

	if (word.n > WORD_BYTES_MOST)
		return err_set(cx, ERR_INPUT, "a word of the filter is longer than %d bytes", WORD_BYTES_MOST);
	if (id_parse(word, &q->id)) {
		q->has_id = true;
		return OK;
	}
	if (!memchr(word.p, ':', word.n))
		return err_set(cx, ERR_INPUT, "'" STR_FMT "' is no whole id; write code:" STR_FMT " or label:" STR_FMT,
		               STR_ARG(text_cut(word, 40)), STR_ARG(text_cut(word, 40)), STR_ARG(text_cut(word, 40)));
	str_cut(&value, ':', &name);
	if (!value.n)
		return err_set(cx, ERR_INPUT, "'" STR_FMT "' has nothing behind the colon", STR_ARG(text_cut(word, 40)));
	if (*name.p == '-')
		return err_set(cx, ERR_INPUT, "'" STR_FMT "': a word cannot be turned round by '-' yet", STR_ARG(text_cut(word, 40)));
	return task_query_set(cx, q, str_c(&cx->arena, text_cut(name, 40)), unquoted(&cx->arena, value), now_us);
}

enum err task_query_parse(struct ctx *cx, struct str text, int64_t now_us, struct task_query *out)
{
	struct str word;

	*out = (struct task_query){ .from = TIME_NONE, .to = TIME_NONE };
	while (next_word(&text, &word))
		TRY(take_word(cx, word, now_us, out));
	return OK;
}

static void add_word(struct buf *b, const char *word, struct str value)
{
	const char *quote = value.n && memchr(value.p, ' ', value.n) ? "\"" : "";

	if (!value.n)
		return;
	buf_printf(b, "%s%s:%s", b->n ? " " : "", word, quote);
	buf_str(b, value);
	buf_text(b, quote);
}

static void add_states(struct buf *b, unsigned states)
{
	const char *before = b->n ? " state:" : "state:";

	for (int s = 0; s < TASK_STATE_COUNT; s++) {
		if (!(states & 1u << s))
			continue;
		buf_text(b, before);
		buf_text(b, task_state_name((enum task_state)s));
		before = ",";
	}
}

char *task_query_text(struct arena *a, const struct task_query *q)
{
	auto_buf b = { 0 };

	add_states(&b, q->states);
	add_word(&b, "code", q->code);
	add_word(&b, "label", q->label);
	add_word(&b, "cluster", q->cluster);
	add_word(&b, "since", q->since);
	add_word(&b, "until", q->until);
	if (q->has_id)
		add_word(&b, "id", str_of(id_format(&q->id).s));
	return arena_copy(a, b.p, b.n);
}

void task_query_filter(const struct task_query *q, struct task_filter *out)
{
	*out = (struct task_filter){ .states = q->states, .code_name = q->code, .label = q->label,
	                             .cluster = q->cluster, .from = q->from, .to = q->to };
}
