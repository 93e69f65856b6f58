#include "fcgi/page/tasks_page.h"

#include "fcgi/page/task_words.h"
#include "fcgi/page/words.h"

enum { PER_PAGE = 50 };
static const int64_t SIZES[] = { 25, 50, 100 };

static const struct {
	const char *word, *filter;
	unsigned states;
} TABS[] = {
	{ "all", "", 0 },
	{ "waiting", "state:queued", 1u << TASK_QUEUED },
	{ "running", "state:preparing,running", 1u << TASK_PREPARING | 1u << TASK_RUNNING },
	{ "failed", "state:error,timeout,killed,expired",
	  1u << TASK_ERROR | 1u << TASK_TIMEOUT | 1u << TASK_KILLED | 1u << TASK_EXPIRED },
	{ "done", "state:complete", 1u << TASK_COMPLETE },
	{ "cancelled", "state:cancelled", 1u << TASK_CANCELLED },
};

/* --- URLs ------------------------------------------------------------------------------------------ */

/* The list's URL: filter, then whatever keyset, then the page's size if it is not the usual one. */
static const char *list_url(struct page *p, const char *text, int64_t per_page, const char *key, const struct id *at)
{
	const char *url = page_printf(p, "%s/tasks", p->project);
	char mark = '?';

	if (*text) {
		url = page_printf(p, "%s%cq=%s", url, mark, page_quote(p, str_of(text)));
		mark = '&';
	}
	if (at) {
		url = page_printf(p, "%s%c%s=%s", url, mark, key, id_format(at).s);
		mark = '&';
	}
	if (per_page != PER_PAGE)
		url = page_printf(p, "%s%cper=%lld", url, mark, (long long)per_page);
	return url;
}

/* --- filling --------------------------------------------------------------------------------------- */

static void fill_tabs(struct page *p, const struct tasks_view *v)
{
	for (size_t i = 0; i < sizeof TABS / sizeof *TABS; i++) {
		struct task_query other = v->query;
		struct html_at tab = html_piece(p->main, "tab");
		int64_t n = 0;

		other.states = TABS[i].states;
		other.has_id = false;
		for (int s = 0; s < TASK_STATE_COUNT; s++)
			if (!TABS[i].states || TABS[i].states & 1u << s)
				n += v->counts[s];
		html_text(tab, "word", str_of(TABS[i].word));
		html_text(tab, "number", str_of(words_count(p->html.arena, n, TASKS_COUNT_CEILING)));
		html_attr(tab, "href", str_of(list_url(p, v->wrong ? TABS[i].filter : task_query_text(p->html.arena, &other), v->per_page, NULL, NULL)));
		if (!v->wrong && v->query.states == TABS[i].states)
			html_attr(tab, "aria-current", STR_LIT("page"));
	}
}

static void add_option(struct html_at select, const char *value, struct str text, bool chosen)
{
	struct html_at option = html_add(select, "option");

	html_attr(option, "value", str_of(value));
	if (chosen)
		html_attr(option, "selected", STR_LIT("selected"));
	html_put(option, text);
}

static void fill_states(struct page *p, const struct tasks_view *v)
{
	struct html_at states = html_find(p->main, "states");
	bool named = false;

	for (int s = 0; s < TASK_STATE_COUNT; s++) {
		const char *name = task_state_name((enum task_state)s);

		add_option(states, name, str_of(name), v->query.states == 1u << s);
		named |= v->query.states == 1u << s;
	}
	for (size_t i = 1; i < sizeof TABS / sizeof *TABS; i++) {
		const char *value = strchr(TABS[i].filter, ':') + 1;

		if (strchr(value, ',')) {
			add_option(states, value, str_of(TABS[i].word), v->query.states == TABS[i].states);
			named |= v->query.states == TABS[i].states;
		}
	}
	if (v->query.states && !named)
		add_option(states, strchr(task_query_text(p->html.arena, &(struct task_query){ .states = v->query.states }), ':') + 1,
		           STR_LIT("several"), true);
}

static void fill_since(struct page *p, const struct tasks_view *v)
{
	static const char *const CHOICES[] = { "1h", "24h", "7d", "30d" };
	struct html_at since = html_find(p->main, "since");
	bool named = !v->query.since.n;

	for (size_t i = 0; i < sizeof CHOICES / sizeof *CHOICES; i++) {
		bool chosen = str_is(v->query.since, CHOICES[i]);

		add_option(since, CHOICES[i], str_of(page_printf(p, "last %s", CHOICES[i])), chosen);
		named |= chosen;
	}
	if (!named)
		add_option(since, str_c(p->html.arena, v->query.since), v->query.since, true);
}

static void fill_codes(struct page *p, const struct tasks_view *v)
{
	struct html_at codes = html_find(p->main, "codes");
	bool named = !v->query.code.n;

	for (size_t i = 0; i < v->code_count; i++) {
		bool chosen = str_equal(v->codes[i].name, v->query.code);

		add_option(codes, str_c(p->html.arena, v->codes[i].name), v->codes[i].name, chosen);
		named |= chosen;
	}
	if (!named)
		add_option(codes, str_c(p->html.arena, v->query.code), v->query.code, true);
}

static void fill_filter(struct page *p, const struct tasks_view *v)
{
	html_attr(html_find(p->main, "filter"), "action", str_of(page_printf(p, "%s/tasks", p->project)));
	show_value(p->main, "q", str_of(v->text));
	fill_states(p, v);
	fill_codes(p, v);
	fill_since(p, v);
	html_attr(html_find(p->main, "clear"), "href", str_of(page_printf(p, "%s/tasks", p->project)));
	if (!v->wrong)
		return;
	show_notice(p, html_piece(p->main, "wrong"), "bad", v->wrong);
	html_attr(html_find(p->main, "q"), "aria-invalid", STR_LIT("true"));
	html_attr(html_find(p->main, "q"), "aria-describedby", STR_LIT("q-wrong"));
}

static const struct code *code_of(const struct tasks_view *v, struct str name)
{
	for (size_t i = 0; i < v->code_count; i++)
		if (str_equal(v->codes[i].name, name))
			return &v->codes[i];
	return NULL;
}

/* A queued task says why it waits; the first reason is the one that fits a line. */
static struct str note_of(struct page *p, const struct tasks_view *v, const struct task *t)
{
	struct wait_facts facts = { p->now_us, p->frame->project->paused, code_of(v, t->code_name), p->frame->nodes, p->frame->node_count };
	struct wait_reason reasons[WAIT_REASONS_MOST];
	size_t n;

	if (t->state != TASK_QUEUED)
		return task_words_note(p->html.arena, t, p->now_us);
	task_words_waits(p->html.arena, t, &facts, reasons, &n);
	if (str_is(str_of(reasons[0].icon), "info"))
		return STR_LIT("");
	return str_of(reasons[0].text);
}

static void fill_row(struct page *p, struct html_at row, const struct tasks_view *v, const struct task *t)
{
	struct task_query same = v->query;
	int64_t waited = task_words_waited(t, p->now_us), ran = task_words_ran(t, p->now_us);
	struct arena *a = p->html.arena;
	struct str note = note_of(p, v, t);

	same.code = t->code_name;
	show_state(p, row, "state", t->state);
	show_task(p, row, "task", &t->id);
	show_link(row, "code", str_c(a, t->code_name), list_url(p, task_query_text(a, &same), v->per_page, NULL, NULL));
	html_text(row, "label", t->label);
	if (t->label.n)
		html_attr(html_find(row, "label"), "title", t->label);
	html_text(row, "priority", str_of(page_printf(p, "%lld", (long long)t->priority)));
	show_time(p, row, "queued", t->created_at);
	html_text(row, "waited", str_of(waited < 0 ? "" : words_duration(a, waited)));
	html_text(row, "ran", str_of(ran < 0 ? "" : words_duration(a, ran)));
	html_text(row, "note", note);
	if (note.n)
		html_attr(html_find(row, "note"), "title", t->note.n ? t->note : note);
}

static void fill_empty(struct page *p, const struct tasks_view *v)
{
	struct html_at none = html_piece(p->main, "none");
	struct arena *a = p->html.arena;

	if (v->wrong) {
		html_text(none, "why", STR_LIT("Nothing is shown: the filter is not understood."));
		html_text(none, "next", STR_LIT("The words it knows: state: code: label: cluster: since: until: id:"));
	} else if (*task_query_text(a, &v->query)) {
		html_text(none, "why", STR_LIT("No task fits this filter."));
		html_text(none, "next", STR_LIT("Take a word away, or look further back with another since:."));
	} else {
		html_text(none, "why", STR_LIT("No task was ever queued here."));
		html_text(none, "next", STR_LIT("The overview shows the commands that queue one."));
	}
}

/* The newest task the watcher sees: what the script asks about. */
static void fill_watch(struct page *p, const struct tasks_view *v)
{
	struct html_at news = html_find(p->main, "news");
	const char *newest = v->list.n ? id_format(&v->list.tasks[0].id).s : "";

	if (v->has_before || v->has_after || v->wrong || v->query.has_id)
		return;
	html_attr(html_find(p->main, "rows"), "data-newest", str_of(page_printf(p, "%s", newest)));
	if (v->news) {
		struct html_at show = html_piece(news, "show");

		html_attr(show, "href", str_of(list_url(p, v->text, v->per_page, NULL, NULL)));
		html_text(show, "text", str_of(page_printf(p, "%zu%s new · show", v->news, v->news >= 100 ? "+" : "")));
	}
}

static void fill_rows(struct page *p, const struct tasks_view *v)
{
	struct html_at table;

	if (!v->list.n) {
		fill_empty(p, v);
		return;
	}
	table = html_piece(p->main, "table");
	for (size_t i = 0; i < v->list.n; i++)
		fill_row(p, html_piece(table, "row"), v, &v->list.tasks[i]);
}

/* A search without an index looks at so many rows a request, and says where it stopped. */
static void fill_searched(struct page *p, const struct tasks_view *v)
{
	const char *key = v->has_after ? "after" : "before";
	struct html_at searched;

	if (v->list.searched_to == TIME_NONE)
		return;
	searched = html_piece(p->main, "searched");
	show_time(p, searched, "time", v->list.searched_to);
	html_attr(html_find(searched, "further"), "href",
	          str_of(list_url(p, v->text, v->per_page, key, &v->list.searched_before)));
}

static void fill_pager(struct page *p, const struct tasks_view *v)
{
	const struct task_page *l = &v->list;

	if (v->has_before || v->has_after)
		html_attr(html_piece(p->main, "newest"), "href", str_of(list_url(p, v->text, v->per_page, NULL, NULL)));
	if (l->n && v->has_newer)
		html_attr(html_piece(p->main, "newer"), "href", str_of(list_url(p, v->text, v->per_page, "after", &l->tasks[0].id)));
	if (l->n && l->more)
		html_attr(html_piece(p->main, "older"), "href", str_of(list_url(p, v->text, v->per_page, "before", &l->tasks[l->n - 1].id)));
	for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
		struct html_at size = html_piece(p->main, "size");

		html_put(size, str_of(page_printf(p, "%lld", (long long)SIZES[i])));
		html_attr(size, "href", str_of(list_url(p, v->text, SIZES[i], NULL, NULL)));
		if (SIZES[i] == v->per_page)
			html_attr(size, "aria-current", STR_LIT("true"));
	}
}

void tasks_page_fill(struct page *p, const struct tasks_view *v)
{
	page_title(p, page_printf(p, "Tasks%s%s · " STR_FMT, *v->text ? " " : "", v->text, STR_ARG(p->frame->project->name)));
	page_alternate(p, page_printf(p, "/2/projects/%s/tasks", id_format(&p->frame->project->id).s));
	fill_tabs(p, v);
	fill_filter(p, v);
	fill_watch(p, v);
	fill_rows(p, v);
	fill_searched(p, v);
	fill_pager(p, v);
}

/* --- reading ---------------------------------------------------------------------------------------- */

/* A form's drop-downs go into the text: then the canonical URL is another one. */
static enum err take_choices(struct request *rq, struct tasks_view *v, int64_t now_us, bool *moved)
{
	static const char *const CHOICES[] = { "state", "code", "since" };
	struct str value;

	for (size_t i = 0; i < sizeof CHOICES / sizeof *CHOICES; i++) {
		if (!request_query(rq, CHOICES[i], &value))
			continue;
		*moved = true;
		if (value.n)
			TRY(task_query_set(&rq->cx, &v->query, CHOICES[i], value, now_us));
	}
	return OK;
}

static enum err read_key(struct request *rq, const char *name, bool *has, struct id *out)
{
	struct str value;

	if (!request_query(rq, name, &value) || !value.n)
		return OK;
	*has = id_parse(value, out);
	return *has ? OK : err_set(&rq->cx, ERR_INPUT, "%s: takes a task's id", name);
}

/* What was asked for; *moved = the canonical URL is another one. ERR_INPUT goes into v->wrong. */
static enum err read_query(struct request *rq, struct tasks_view *v, bool *moved)
{
	struct str text = STR_LIT("");
	int64_t now_us = clock_wall_us(), per = PER_PAGE;

	request_query(rq, "q", &text);
	v->text = str_c(&rq->cx.arena, text);
	v->per_page = PER_PAGE;
	TRY(task_query_parse(&rq->cx, text, now_us, &v->query));
	TRY(take_choices(rq, v, now_us, moved));
	TRY(read_key(rq, "before", &v->has_before, &v->before));
	TRY(read_key(rq, "after", &v->has_after, &v->after));
	TRY(request_query_int(rq, "per", &per));
	for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
		if (per == SIZES[i])
			v->per_page = per;
	*moved |= per != v->per_page || !str_is(text, task_query_text(&rq->cx.arena, &v->query));
	v->text = task_query_text(&rq->cx.arena, &v->query);
	return OK;
}

/* The id behind `id` in order: "before" it includes `id` itself. */
static struct id id_after(struct id id)
{
	for (int i = ID_BYTES - 1; i >= 0 && ++id.b[i] == 0; i--)
		;
	return id;
}

static enum err read_one(struct request *rq, struct tasks_view *v)
{
	struct task *task = arena_take(&rq->cx.arena, sizeof *task);
	enum err e = task_store_get(rq->db, &rq->cx, &rq->project_id, &v->query.id, task);

	v->list = (struct task_page){ .tasks = task, .n = e == OK, .searched_to = TIME_NONE };
	return e == ERR_NOT_FOUND ? OK : e;
}

/* A watcher's rows stay the ones it sees: those up to the newest it has. */
static enum err read_list(struct request *rq, struct tasks_view *v)
{
	struct task_filter f;
	struct str newest = STR_LIT("");
	struct id top;

	if (v->query.has_id)
		return read_one(rq, v);
	task_query_filter(&v->query, &f);
	f.per_page = v->per_page;
	f.has_before = v->has_before;
	f.before = v->before;
	f.has_after = v->has_after;
	f.after = v->after;
	request_query(rq, "newest", &newest);
	if (!f.has_before && !f.has_after && id_parse(newest, &top)) {
		f.has_before = true;
		f.before = id_after(top);
	}
	TRY(task_store_list(rq->db, &rq->cx, &rq->project_id, &f, &v->list));
	v->has_newer = v->has_after ? v->list.more : v->has_before;
	if (v->has_after) /* we came from older ones, so there are such */
		v->list.more = true;
	return OK;
}

static enum err read_news(struct request *rq, struct tasks_view *v)
{
	struct task_filter f;
	struct task_page page;
	struct str newest = STR_LIT("");

	request_query(rq, "newest", &newest);
	task_query_filter(&v->query, &f);
	f.per_page = 100;
	f.has_after = true;
	if (!id_parse(newest, &f.after))
		return OK;
	TRY(task_store_list(rq->db, &rq->cx, &rq->project_id, &f, &page));
	v->news = page.n;
	return OK;
}

static enum err read_view(struct request *rq, struct tasks_view *v)
{
	struct code *codes = NULL;

	if (!v->wrong)
		TRY(read_list(rq, v));
	if (!v->wrong && page_is_part(rq))
		TRY(read_news(rq, v));
	TRY(task_store_count(rq->db, &rq->cx, &rq->project_id, TASKS_COUNT_CEILING, v->counts));
	TRY(code_store_list(rq->db, &rq->cx, &rq->project_id, 0, 100, &codes, &v->code_count));
	v->codes = codes;
	return OK;
}

enum err tasks_page(struct request *rq, struct reply *rp)
{
	struct tasks_view v = { .list = { .searched_to = TIME_NONE } };
	const struct frame *frame;
	auto_page page = { 0 };
	bool moved = false;

	if (read_query(rq, &v, &moved) != OK)
		v.wrong = arena_text(&rq->cx.arena, rq->cx.message);
	TRY(frame_read(rq, &frame));
	if (!moved || v.wrong)
		TRY(read_view(rq, &v));
	TRY(page_open(rq, rp, "tasks", frame, &page));
	if (moved && !v.wrong)
		return page_see_other(rq, rp, list_url(&page, v.text, v.per_page, v.has_before ? "before" : "after",
		                                       v.has_before ? &v.before : v.has_after ? &v.after : NULL));
	tasks_page_fill(&page, &v);
	return page_send(&page, v.wrong ? 400 : 200);
}
