#include "fcgi/page/overview_page.h"

#include <stdlib.h>

#include "fcgi/page/task_words.h"
#include "fcgi/page/words.h"

enum { FAILED_SHOWN = 8, FAILED_LOOKED = 100, LATEST_SHOWN = 8 };
static const int64_t DAY_US = INT64_C(86400000000);
static const unsigned FAILED = 1u << TASK_ERROR | 1u << TASK_TIMEOUT | 1u << TASK_KILLED | 1u << TASK_EXPIRED;

static void add_figure(struct page *p, const char *number, const char *word, const char *more, const char *url)
{
	struct html_at f = html_piece(p->main, "figure");

	html_attr(f, "href", str_of(url));
	html_text(f, "number", str_of(number));
	html_text(f, "word", str_of(word));
	html_text(f, "more", str_of(more));
}

/* What went well of what ended in the last hour. */
static const char *share_text(struct page *p, const struct task_overview *o)
{
	int64_t ended = o->complete_hour + o->failed_hour;
	int64_t mille = ended ? o->failed_hour * 1000 / ended : 0;

	if (!ended)
		return "in the last hour";
	return page_printf(p, "in the last hour, %lld.%lld %%", (long long)(mille / 10), (long long)(mille % 10));
}

static void fill_figures(struct page *p)
{
	const struct task_overview *o = &p->frame->figures;
	const struct node_figures *n = &p->frame->node_figures;
	struct arena *a = p->html.arena;
	const char *list = page_printf(p, "%s/tasks?q=", p->project);

	add_figure(p, words_number(a, o->running), "running",
	           page_printf(p, "%lld of %lld slots taken", (long long)n->running, (long long)n->slots),
	           page_printf(p, "%sstate:preparing,running", list));
	add_figure(p, words_number(a, o->waiting), "waiting", page_waits(p), page_printf(p, "%sstate:queued", list));
	add_figure(p, words_number(a, o->complete_hour), "complete", "in the last hour",
	           page_printf(p, "%sstate:complete+since:1h", list));
	add_figure(p, words_number(a, o->failed_hour), "failed", share_text(p, o),
	           page_printf(p, "%sstate:error,timeout,killed,expired+since:1h", list));
}

static void fill_notices(struct page *p)
{
	const struct frame *f = p->frame;
	struct arena *a = p->html.arena;

	if (f->project->paused)
		show_notice(p, html_piece(p->main, "notice"), "warn", "This project is paused: nothing of it starts.");
	if (!f->node_figures.live)
		show_notice(p, html_piece(p->main, "notice"), f->figures.waiting ? "bad" : "warn",
		            f->figures.waiting ? page_printf(p, "No node is live: %s tasks wait and none will start.", words_number(a, f->figures.waiting)) :
		                                 "No node is live: what is queued now waits until one is.");
	if (f->node_figures.lost)
		show_notice(p, html_piece(p->main, "notice"), "warn",
		            page_printf(p, "%lld of the nodes did not renew its lease; its tasks get their next attempt elsewhere.",
		                        (long long)f->node_figures.lost));
}

static int last_ended_first(const void *a, const void *b)
{
	const struct task *x = a, *y = b;

	return (x->ended_at < y->ended_at) - (x->ended_at > y->ended_at);
}

/* The list comes in the order of queueing; people look for what failed last. */
static void fill_failed(struct page *p, struct task_page *failed)
{
	struct html_at list;

	html_attr(html_find(p->main, "all-failed"), "href",
	          str_of(page_printf(p, "%s/tasks?q=state:error,timeout,killed,expired+since:24h", p->project)));
	if (!failed->n) {
		show_icon(p, html_find(html_piece(p->main, "calm"), "icon"), "complete");
		return;
	}
	qsort(failed->tasks, failed->n, sizeof *failed->tasks, last_ended_first);
	list = html_piece(p->main, "failed");
	for (size_t i = 0; i < failed->n && i < FAILED_SHOWN; i++) {
		const struct task *t = &failed->tasks[i];
		struct html_at row = html_piece(list, "row");

		show_state(p, row, "state", t->state);
		show_task(p, row, "task", &t->id);
		html_text(row, "code", t->code_name);
		show_time(p, row, "ended", t->ended_at);
		html_text(row, "note", task_words_note(p->html.arena, t, p->now_us));
	}
}

/* The commands that queue a first task, with this host and project; never a token. */
static void fill_first(struct page *p, struct html_at box)
{
	struct str scheme = request_env(p->rq, "REQUEST_SCHEME"), host = request_header(p->rq, "Host");
	struct id_text id = id_format(&p->frame->project->id);

	html_text(box, "commands", str_of(page_printf(p,
		"export IRON_TOKEN=…  IRON_PROJECT_ID=%s  IRON_HOST=" STR_FMT "  IRON_SCHEME=" STR_FMT "\n"
		"stoker code register hello --image busybox\n"
		"stoker queue hello --payload '{\"name\":\"world\"}' --wait\n",
		id.s, STR_ARG(host), STR_ARG(scheme.n ? scheme : STR_LIT("http")))));
}

static void fill_latest(struct page *p, const struct task_page *latest)
{
	struct html_at list;

	html_attr(html_find(p->main, "all-tasks"), "href", str_of(page_printf(p, "%s/tasks", p->project)));
	if (!latest->n) {
		fill_first(p, html_piece(p->main, "first"));
		return;
	}
	list = html_piece(p->main, "tasks");
	for (size_t i = 0; i < latest->n; i++) {
		const struct task *t = &latest->tasks[i];
		struct html_at row = html_piece(list, "row");

		show_state(p, row, "state", t->state);
		show_task(p, row, "task", &t->id);
		html_text(row, "code", t->code_name);
		show_time(p, row, "queued", t->created_at);
	}
}

static const char *node_state(const struct node *n, int64_t now_us)
{
	if (str_is(n->state, "gone"))
		return "gone";
	if (n->lease_until < now_us)
		return "lost";
	return str_is(n->state, "draining") ? "draining" : "taking";
}

static void fill_nodes(struct page *p)
{
	struct html_at list;
	size_t shown = 0;

	for (size_t i = 0; i < p->frame->node_count; i++) {
		const struct node *n = &p->frame->nodes[i];
		struct html_at row;

		if (str_is(n->state, "gone"))
			continue;
		if (!shown++)
			list = html_piece(p->main, "nodes");
		row = html_piece(list, "row");
		html_text(row, "name", n->name);
		html_text(row, "cluster", n->cluster_name);
		html_text(row, "state", str_of(node_state(n, p->now_us)));
		html_text(row, "running", str_of(page_printf(p, "%lld", (long long)n->running)));
		html_text(row, "slots", str_of(page_printf(p, "%lld", (long long)n->slots)));
		show_time(p, row, "beat", n->beat_at);
	}
	if (!shown)
		html_piece(p->main, "none");
}

void overview_page_fill(struct page *p, struct overview_view *v)
{
	struct id_text id = id_format(&p->frame->project->id);

	page_title(p, page_printf(p, "Overview · " STR_FMT, STR_ARG(p->frame->project->name)));
	page_alternate(p, page_printf(p, "/2/projects/%s", id.s));
	html_text(p->main, "name", p->frame->project->name);
	html_text(p->main, "id", str_of(id.s));
	fill_notices(p);
	fill_figures(p);
	fill_failed(p, &v->failed);
	fill_latest(p, &v->latest);
	fill_nodes(p);
}

enum err overview_page(struct request *rq, struct reply *rp)
{
	struct task_filter failed = { .states = FAILED, .from = clock_wall_us() - DAY_US, .to = TIME_NONE, .per_page = FAILED_LOOKED };
	struct task_filter latest = { .from = TIME_NONE, .to = TIME_NONE, .per_page = LATEST_SHOWN };
	struct overview_view v = { 0 };
	const struct frame *frame;
	auto_page page = { 0 };

	TRY(frame_read(rq, &frame));
	TRY(task_store_list(rq->db, &rq->cx, &rq->project_id, &failed, &v.failed));
	TRY(task_store_list(rq->db, &rq->cx, &rq->project_id, &latest, &v.latest));
	TRY(page_open(rq, rp, "overview", frame, &page));
	overview_page_fill(&page, &v);
	return page_send(&page, 200);
}
