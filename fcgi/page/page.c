#include "fcgi/page/page.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crypt.h"
#include "base/version.h"
#include "fcgi/page/words.h"
#include "fcgi/route.h"
#include "fcgi/session.h"

/* reliability.md 7.6. */
static const char POLICY[] =
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/* --- kit --------------------------------------------------------------------------------------- */

static void stamp(const char *www, const char *file, char out[9])
{
	char path[4096], hex[2 * SHA256_BYTES + 1], piece[4096];
	unsigned char hash[SHA256_BYTES];
	auto_buf all = { 0 };
	FILE *f;
	size_t n;

	snprintf(path, sizeof path, "%s/static/%s", www, file);
	if (!(f = fopen(path, "re"))) {
		snprintf(out, 9, "0");
		return;
	}
	while ((n = fread(piece, 1, sizeof piece, f)) > 0)
		buf_add(&all, piece, n);
	fclose(f);
	crypt_sha256(buf_view(&all), hash);
	hex_format(hash, sizeof hash, hex);
	snprintf(out, 9, "%.8s", hex);
}

struct page_kit *page_kit_new(const char *www)
{
	struct page_kit *kit = calloc(1, sizeof *kit);

	if (!kit)
		abort();
	html_shelf_init(&kit->shelf, www);
	kit->frames = frame_cache_new();
	stamp(www, "app.css", kit->css);
	stamp(www, "app.js", kit->js);
	stamp(www, "icons.svg", kit->icons);
	return kit;
}

void page_kit_free(struct page_kit *kit)
{
	if (!kit)
		return;
	frame_cache_free(kit->frames);
	html_shelf_release(&kit->shelf);
	free(kit);
}

struct page_kit *page_kit_of(struct request *rq)
{
	if (!rq->process->pages)
		rq->process->pages = page_kit_new(rq->set->api.www);
	return rq->process->pages;
}

/* --- opening ------------------------------------------------------------------------------------ */

static const char *static_url(struct page *p, const char *file, const char *version)
{
	return page_printf(p, STR_FMT "/static/%s?v=%s", STR_ARG(request_base(p->rq)), file, version);
}

static void fill_head(struct page *p)
{
	const struct page_kit *kit = p->rq->process->pages;
	struct str theme = session_theme(p->rq);

	if (theme.n)
		html_attr(p->root, "data-theme", theme);
	html_attr(html_find(p->root, "css"), "href", str_of(static_url(p, "app.css", kit->css)));
	html_attr(html_find(p->root, "js"), "src", str_of(static_url(p, "app.js", kit->js)));
	html_attr(html_find(p->root, "body"), "data-now", str_of(time_rfc3339(p->html.arena, p->now_us)));
	html_attr(html_find(p->root, "home"), "href", str_of(page_printf(p, "%s/", p->ui)));
}

static void fill_foot(struct page *p)
{
	struct str theme = session_theme(p->rq), uri = request_env(p->rq, "REQUEST_URI");
	struct html_at form = html_find(p->root, "theme");

	html_attr(form, "action", str_of(page_printf(p, "%s/theme", p->ui)));
	show_value(form, "theme-csrf", str_of(p->csrf));
	show_value(form, "theme-back", str_of(session_next(p->rq, uri)));
	if (theme.n) {
		struct html_at button;

		if (html_find_by(form, "value", theme, &button))
			html_attr(button, "aria-pressed", STR_LIT("true"));
	}
	html_text(p->root, "version", STR_LIT(STOKER_VERSION));
	if (*p->rq->cx.trace)
		html_text(html_piece(p->root, "trace"), "text", str_of(p->rq->cx.trace));
}

/* "{base}" + the row's path with this project. */
static const char *menu_url(struct page *p, const struct route *row)
{
	struct str path = str_of(row->path);
	size_t at = str_find(path, "{project}");
	struct id_text id;

	if (at == (size_t)-1)
		return page_printf(p, STR_FMT "%s", STR_ARG(request_base(p->rq)), row->path);
	id = id_format(&p->frame->project->id);
	return page_printf(p, STR_FMT "%.*s%s%s", STR_ARG(request_base(p->rq)), (int)at, path.p, id.s,
	                   path.p + at + strlen("{project}"));
}

/* The menu's row that the page belongs to: the longest that its own path begins with. */
static const struct route *current_row(const struct request *rq)
{
	const struct route *best = NULL;

	for (size_t i = 0; rq->route && i < ROUTE_COUNT; i++) {
		const struct route *r = &ROUTES[i];

		if (r->title && strncmp(rq->route->path, r->path, strlen(r->path)) == 0 &&
		    (!best || strlen(r->path) > strlen(best->path)))
			best = r;
	}
	return best;
}

static void fill_menu(struct page *p)
{
	struct html_at nav = html_piece(p->root, "nav");
	const struct route *here = current_row(p->rq);

	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		struct html_at item;

		if (!ROUTES[i].title)
			continue;
		item = html_piece(nav, "item");
		show_link(item, "link", ROUTES[i].title, menu_url(p, &ROUTES[i]));
		if (&ROUTES[i] == here)
			html_attr(html_find(item, "link"), "aria-current", STR_LIT("page"));
	}
}

static void fill_projects(struct page *p)
{
	struct html_at drop = html_piece(p->root, "projects");

	html_text(drop, "project", p->frame->project->name);
	for (size_t i = 0; i < p->frame->project_count; i++) {
		const struct project *o = &p->frame->projects[i];
		struct id_text id = id_format(&o->id);

		if (!id_equal(&o->id, &p->frame->project->id))
			show_link(html_piece(drop, "other"), "link", str_c(p->html.arena, o->name),
			          page_printf(p, "%s/p/%s", p->ui, id.s));
	}
	html_attr(html_find(drop, "all"), "href", str_of(page_printf(p, "%s/?all=1", p->ui)));
}

static void fill_person(struct page *p)
{
	struct html_at you = html_piece(p->root, "you");

	html_text(you, "user", p->rq->who.user_name);
	html_text(you, "role", str_of(role_name(p->rq->who.role)));
	html_text(you, "token", p->rq->who.token_name);
	html_attr(html_find(you, "signout"), "action", str_of(page_printf(p, "%s/signout", p->ui)));
	show_value(you, "csrf", str_of(p->csrf));
}

/* One number of the health line; `more` and `trouble` may be NULL. */
static void fill_figure(struct page *p, struct html_at line, const char *word, const char *number,
                        const char *url, const char *more, const char *trouble)
{
	struct html_at f = html_piece(line, "figure");

	html_attr(html_find(f, "link"), "href", str_of(url));
	html_text(f, "word", str_of(word));
	html_text(f, "number", str_of(number));
	if (more)
		html_text(html_piece(f, "more"), "text", str_of(more));
	if (trouble) {
		struct html_at t = html_piece(f, "trouble");

		show_icon(p, html_find(t, "icon"), "warning");
		html_text(t, "text", str_of(trouble));
	}
}

static const char *node_trouble(struct page *p)
{
	const struct node_figures *n = &p->frame->node_figures;

	if (n->live == 0)
		return "none live";
	if (n->lost)
		return page_printf(p, "%lld lost", (long long)n->lost);
	return NULL;
}

const char *page_waits(struct page *p)
{
	const struct task_overview *o = &p->frame->figures;
	struct arena *a = p->html.arena;
	const char *oldest = "", *later = "";

	if (o->waiting && o->oldest_waiting_at != TIME_NONE)
		oldest = page_printf(p, "oldest %s", words_duration(a, p->now_us - o->oldest_waiting_at));
	if (o->later)
		later = page_printf(p, "%s scheduled for later", words_number(a, o->later));
	return page_printf(p, "%s%s%s", oldest, *oldest && *later ? ", " : "", later);
}

static void fill_health(struct page *p)
{
	struct arena *a = p->html.arena;
	const struct task_overview *o = &p->frame->figures;
	const struct node_figures *n = &p->frame->node_figures;
	struct html_at line = html_piece(p->root, "health");
	const char *tasks = page_printf(p, "%s/tasks?q=", p->project);
	const char *waits = page_waits(p);

	fill_figure(p, line, "running", words_number(a, o->running), page_printf(p, "%sstate:preparing,running", tasks), NULL, NULL);
	fill_figure(p, line, "waiting", words_number(a, o->waiting), page_printf(p, "%sstate:queued", tasks), *waits ? page_printf(p, "(%s)", waits) : NULL, NULL);
	fill_figure(p, line, "failed 1 h", words_number(a, o->failed_hour),
	            page_printf(p, "%sstate:error,timeout,killed,expired+since:1h", tasks), NULL, NULL);
	fill_figure(p, line, "nodes", page_printf(p, "%lld of %lld", (long long)n->live, (long long)(n->live + n->lost)),
	            page_printf(p, "%s#nodes", p->project), NULL, node_trouble(p));
	html_text(line, "now", str_of(words_time(a, p->frame->read_us, p->now_us)));
}

enum err page_open(struct request *rq, struct reply *rp, const char *name, const struct frame *f, struct page *out)
{
	struct page_kit *kit = page_kit_of(rq);

	*out = (struct page){ .rq = rq, .rp = rp, .frame = f, .now_us = clock_wall_us() };
	TRY(html_open(&kit->shelf, &rq->cx, name, &out->html));
	/* from here on the page points at itself: it must not be copied */
	out->root = html_root(&out->html);
	out->main = html_find(out->root, "page");
	out->csrf = session_csrf(rq, rp);
	out->ui = page_printf(out, STR_FMT "/ui", STR_ARG(request_base(rq)));
	out->icons = static_url(out, "icons.svg", kit->icons);
	fill_head(out);
	fill_foot(out);
	if (!f)
		return OK;
	fill_person(out);
	if (!f->project)
		return OK;
	out->project = page_printf(out, "%s/p/%s", out->ui, id_format(&f->project->id).s);
	fill_menu(out);
	fill_projects(out);
	fill_health(out);
	return OK;
}

void page_close(struct page *p)
{
	html_close(&p->html);
}

void page_title(struct page *p, const char *title)
{
	html_text(p->root, "title", str_of(page_printf(p, "%s · Stoker", title)));
}

void page_alternate(struct page *p, const char *path)
{
	html_attr(html_piece(p->root, "alternate"), "href",
	          str_of(page_printf(p, STR_FMT "%s", STR_ARG(request_base(p->rq)), path)));
}

/* --- sending -------------------------------------------------------------------------------------- */

void page_headers(struct request *rq, struct reply *rp, const char *policy)
{
	reply_header(rp, "Content-Security-Policy", str_of(policy ? policy : POLICY));
	reply_header(rp, "X-Content-Type-Options", STR_LIT("nosniff"));
	reply_header(rp, "X-Frame-Options", STR_LIT("DENY"));
	reply_header(rp, "Cross-Origin-Opener-Policy", STR_LIT("same-origin"));
	reply_header(rp, "Cross-Origin-Resource-Policy", STR_LIT("same-origin"));
	/* not no-referrer: with that browsers send "Origin: null" with our own forms */
	reply_header(rp, "Referrer-Policy", STR_LIT("same-origin"));
	reply_header(rp, "Permissions-Policy", STR_LIT("camera=(), geolocation=(), microphone=(), payment=(), usb=()"));
	reply_header(rp, "Cache-Control", STR_LIT("no-store"));
	if (str_is(request_env(rq, "REQUEST_SCHEME"), "https"))
		reply_header(rp, "Strict-Transport-Security", STR_LIT("max-age=31536000"));
}

enum err page_see_other(struct request *rq, struct reply *rp, const char *url)
{
	rp->status = 303;
	rp->type = "text/plain; charset=utf-8";
	buf_clear(&rp->body);
	reply_header(rp, "Location", str_of(url));
	page_headers(rq, rp, NULL);
	return OK;
}

bool page_is_part(const struct request *rq)
{
	struct str part;

	return request_query(rq, "part", &part) && part.n;
}

static enum err write_parts(struct page *p, struct str names)
{
	struct str name;

	while (str_cut(&names, ',', &name)) {
		struct html_at at;

		if (!html_find_by(p->root, "data-part", name, &at))
			return err_set(&p->rq->cx, ERR_NOT_FOUND, "this page has no part '" STR_FMT "'", STR_ARG(name));
		TRY(html_write_part(at, &p->rq->cx, &p->rp->body));
	}
	return OK;
}

/* Pages are no-store: the script keeps the tag and sends it itself (dashboard.md 8). */
static void tag_parts(struct page *p)
{
	unsigned char hash[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1], tag[20];

	crypt_sha256(buf_view(&p->rp->body), hash);
	hex_format(hash, sizeof hash, hex);
	snprintf(tag, sizeof tag, "\"%.16s\"", hex);
	reply_header(p->rp, "ETag", str_of(tag));
	if (str_is(request_header(p->rq, "If-None-Match"), tag)) {
		p->rp->status = 304;
		buf_clear(&p->rp->body);
	}
}

enum err page_send(struct page *p, int status)
{
	struct str part, token = session_token(p->rq);

	p->rp->status = status;
	p->rp->type = "text/html; charset=utf-8";
	buf_clear(&p->rp->body);
	if (status == 200 && request_query(p->rq, "part", &part) && part.n) {
		TRY(write_parts(p, part));
		tag_parts(p);
	} else {
		html_text(p->root, "took", str_of(page_printf(p, "%lld", (long long)((clock_boot_us() - p->rq->begun_us) / 1000))));
		TRY(html_write(&p->html, &p->rq->cx, &p->rp->body));
	}
	page_headers(p->rq, p->rp, NULL);
	if (p->frame && token.n)
		TRY(session_keep(p->rq, p->rp, token));
	return OK;
}

enum err page_ask(struct request *rq, struct reply *rp, const struct question *q)
{
	const struct frame *frame;
	auto_page p = { 0 };
	struct html_at form;

	TRY(frame_read(rq, &frame));
	TRY(page_open(rq, rp, "confirm", frame, &p));
	page_title(&p, q->question);
	html_text(p.main, "question", str_of(q->question));
	html_text(p.main, "what", str_of(q->what));
	html_text(p.main, "untouched", str_of(q->untouched));
	form = html_find(p.main, "form");
	html_attr(form, "action", str_of(q->action));
	show_value(form, "form-csrf", str_of(p.csrf));
	html_text(form, "button", str_of(q->button));
	html_attr(html_find(form, "back"), "href", str_of(q->from));
	return page_send(&p, 200);
}
