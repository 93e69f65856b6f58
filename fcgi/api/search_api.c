#include "fcgi/api/search_api.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "fcgi/api/stream_api.h"
#include "fcgi/api/task_api.h"
#include "store/log_store.h"
#include "store/task_store.h"

enum { TEXT_BYTES = 200, TASKS_MOST = 1000, TASKS_A_PAGE = 100, HITS_MOST = 100, LINE_BYTES = 400, CHUNKS_A_ROUND = 32 };
static const int64_t BYTES_MOST = 32 << 20, TIME_US = 1500000;

struct search {
	struct request *rq;
	struct str text;
	json_t *hits;
	int64_t tasks, bytes;
	bool is_cut;          /* by a bound: it goes on at the place below */
	struct id task;
	int64_t attempt, byte;
	int64_t end;          /* of the chunk before */
};

/* "TASK-ATTEMPT-BYTE"; *has = there was one. */
static enum err read_next(struct search *s, bool *has)
{
	struct str text, id = STR_LIT("");

	*has = request_query(s->rq, "next", &text);
	if (!*has)
		return OK;
	str_cut(&text, '-', &id);
	if (!id_parse(id, &s->task) || !stream_place_parse(text, &s->attempt, &s->byte))
		return err_set(&s->rq->cx, ERR_INPUT, "query field next: must be the `next` of the answer before");
	return OK;
}

/* --- one log ---------------------------------------------------------------------------------------- */
/* The line that a hit stands in, or its surroundings where that is long. */
static struct str line_around(struct str all, size_t at, size_t n)
{
	size_t from = at, to = at + n;

	while (from > 0 && all.p[from - 1] != '\n' && at - from < LINE_BYTES / 2)
		from--;
	while (to < all.n && all.p[to] != '\n' && to - from < LINE_BYTES)
		to++;
	return str_bytes(all.p + from, to - from);
}

static void add_hit(struct search *s, const struct task *t, int64_t attempt, int64_t byte, struct str line)
{
	json_t *hit = json_pack("{s:s, s:o, s:s, s:I, s:I, s:o}", "task_id", id_format(&t->id).s, "code_name",
	                        json_text(t->code_name), "state", task_state_name(t->state), "attempt", (json_int_t)attempt,
	                        "byte", (json_int_t)byte, "text", json_text(line));

	json_array_append_new(s->hits, hit);
}

static bool is_spent(const struct search *s)
{
	return json_array_size(s->hits) >= HITS_MOST || s->bytes >= BYTES_MOST || s->tasks >= TASKS_MOST ||
	       clock_boot_us() - s->rq->begun_us > TIME_US;
}

/* Looks through bytes that begin at `first`; one hit a line. */
static void look(struct search *s, const struct task *t, int64_t attempt, int64_t first, struct str all)
{
	size_t at = first < s->byte ? (size_t)(s->byte - first) : 0;

	while (at < all.n && json_array_size(s->hits) < HITS_MOST) {
		const char *hit = memmem(all.p + at, all.n - at, s->text.p, s->text.n), *end;

		if (!hit)
			return;
		at = (size_t)(hit - all.p);
		add_hit(s, t, attempt, first + (int64_t)at, line_around(all, at, s->text.n));
		s->byte = first + (int64_t)(at + s->text.n);
		end = memchr(hit + s->text.n, '\n', all.n - at - s->text.n);
		at = end ? (size_t)(end - all.p) : all.n;
		if (s->byte < first + (int64_t)at)
			s->byte = first + (int64_t)at;
	}
}

/* What may be the beginning of a hit is looked at again with the chunk behind it. */
static void look_at_chunk(struct search *s, const struct task *t, int64_t attempt, const struct log_chunk *c, struct buf *joined)
{
	size_t keep;

	if (c->first_byte != s->end)
		buf_clear(joined);
	s->end = c->first_byte + (int64_t)c->plain.n;
	s->bytes += (int64_t)c->plain.n;
	keep = joined->n;
	buf_str(joined, c->plain);
	look(s, t, attempt, c->first_byte - (int64_t)keep, buf_view(joined));
	keep = joined->n < s->text.n - 1 ? joined->n : s->text.n - 1;
	buf_drop(joined, joined->n - keep);
	if (json_array_size(s->hits) < HITS_MOST && s->byte < s->end - (int64_t)keep)
		s->byte = s->end - (int64_t)keep;
}

static enum err search_attempt(struct search *s, const struct task *t, const struct log_head *head)
{
	auto_buf joined = { 0 };
	int64_t number = 0;

	if (s->byte)
		TRY(log_store_seek(s->rq->logs, &s->rq->cx, &t->id, head, s->byte, &number));
	while (number < head->next && !s->is_cut) {
		auto_ctx cx = { 0 };
		struct log_chunk *chunks;
		size_t n;

		if (log_store_read(s->rq->logs, &cx, &t->id, head, number, CHUNKS_A_ROUND, &chunks, &n))
			return err_set(&s->rq->cx, cx.err, "%s", cx.message);
		for (size_t i = 0; i < n && !s->is_cut; i++) {
			look_at_chunk(s, t, head->attempt, &chunks[i], &joined);
			number = chunks[i].number + 1;
			s->is_cut = is_spent(s);
		}
		if (!n)
			return OK;
	}
	return OK;
}

static enum err search_task(struct search *s, const struct task *t)
{
	struct log_head *heads;
	size_t n;

	s->tasks++;
	TRY(log_store_heads(s->rq->logs, &s->rq->cx, &t->id, &heads, &n));
	for (size_t i = 0; i < n && !s->is_cut; i++) {
		if (heads[i].attempt < s->attempt)
			continue;
		if (heads[i].attempt > s->attempt)
			s->byte = 0;
		s->attempt = heads[i].attempt;
		TRY(search_attempt(s, t, &heads[i]));
	}
	return OK;
}

/* --- the tasks --------------------------------------------------------------------------------------- */
/* The id behind it, so that one that must be below it may be itself. */
static struct id next_id(struct id id)
{
	for (size_t i = sizeof id.b; i-- > 0 && ++id.b[i] == 0;)
		;
	return id;
}

static enum err search_all(struct search *s, struct task_filter *f, bool goes_on)
{
	struct task_page page = { .more = true };

	f->has_before = goes_on;
	f->before = next_id(s->task);
	while (page.more || !id_is_zero(&page.searched_before)) {
		TRY(task_store_list(s->rq->db, &s->rq->cx, &s->rq->project_id, f, &page));
		for (size_t i = 0; i < page.n && !s->is_cut; i++) {
			if (!id_equal(&s->task, &page.tasks[i].id))
				s->attempt = s->byte = 0;
			s->task = page.tasks[i].id;
			s->is_cut = is_spent(s);
			if (!s->is_cut)
				TRY(search_task(s, &page.tasks[i]));
		}
		if (s->is_cut)
			return OK;
		f->has_before = true;
		f->before = page.n ? page.tasks[page.n - 1].id : page.searched_before;
		if (!page.more && !id_is_zero(&page.searched_before)) {
			s->task = f->before = page.searched_before; /* the list looked at no more rows */
			s->attempt = s->byte = 0;
			s->is_cut = true;
			return OK;
		}
	}
	return OK;
}

enum err search_api_run(struct request *rq, json_t **out)
{
	struct search s = { .rq = rq };
	struct task_filter f;
	bool goes_on;
	enum err e;
	json_t *j;

	TRY(task_api_filter(rq, &f));
	TRY(read_next(&s, &goes_on));
	if (!request_query(rq, "q", &s.text) || !s.text.n || s.text.n > TEXT_BYTES)
		return err_set(&rq->cx, ERR_INPUT, "query field q: must be the text to look for, 1 to %d bytes", TEXT_BYTES);
	f.page = 0;
	f.per_page = TASKS_A_PAGE;
	f.with_payload = false;
	s.hits = json_array();
	e = search_all(&s, &f, goes_on);
	j = json_pack("{s:o, s:I, s:I}", "hits", s.hits, "searched_tasks", (json_int_t)s.tasks, "searched_bytes", (json_int_t)s.bytes);
	if (s.is_cut)
		json_object_set_new(j, "next", json_string(arena_printf(&rq->cx.arena, "%s-%lld-%lld", id_format(&s.task).s,
		                                                        (long long)s.attempt, (long long)s.byte)));
	if (e != OK)
		json_decref(j);
	else
		*out = j;
	return e;
}

enum err search_api_logs(struct request *rq, struct reply *rp)
{
	json_t *found = NULL;

	TRY(search_api_run(rq, &found));
	return reply_json(rp, 200, found);
}
