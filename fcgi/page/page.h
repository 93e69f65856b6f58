#pragma once
#include "base/html.h"
#include "fcgi/reply.h"
#include "model/task_state.h"
#include "store/node_store.h"
#include "store/project_store.h"
#include "store/task_store.h"

/* One page of the dashboard while it is being made: template, frame, and how values are shown. A
 * page comes in three steps, each a function: read (store → a struct of what is shown), fill (struct
 * → page, no store in reach, so that tests fill pages with made-up structs), send. */

struct frame_cache;

/* What a process keeps for its pages. */
struct page_kit {
	struct html_shelf shelf;
	struct frame_cache *frames;
	char css[9], js[9], icons[9]; /* first digits of the SHA-256 of static files: their URL changes
	                                 with them, so that browsers may keep them for good */
};
/* `www` is the folder with layout.xml; never NULL. */
struct page_kit *page_kit_new(const char *www);
void page_kit_free(struct page_kit *kit);
/* The process's own, made when first asked for. */
struct page_kit *page_kit_of(struct request *rq);

/* What stands around a page: where one is, and the health line. */
struct frame {
	const struct project *projects; /* those of the person, for the menu */
	size_t project_count;
	const struct project *project;  /* the one of the path; NULL = a page without */
	struct task_overview figures;   /* with a project only */
	const struct node *nodes;
	size_t node_count;
	int64_t read_us;                /* when, CLOCK_REALTIME of this machine */
	struct node_figures {
		int64_t live, draining, lost, slots, running;
	} node_figures;
};
/* Reads it: three statements, one on a page without project. What was read is kept for a second,
 * so that many watchers cost no more than one; *out is valid for this request. */
enum err frame_read(struct request *rq, const struct frame **out);
struct frame_cache *frame_cache_new(void);
void frame_cache_free(struct frame_cache *cache);
/* Counts the nodes of f->nodes into f->node_figures. */
void frame_count_nodes(struct frame *f, int64_t now_us);

struct page {
	struct html html;
	struct request *rq;
	struct reply *rp;
	struct html_at root, main;
	const struct frame *frame;
	int64_t now_us;
	const char *ui;      /* "{base}/ui" */
	const char *project; /* "{base}/ui/p/<id>"; NULL on a page without project */
	const char *icons;   /* URL of the sprite */
	const char *csrf;
};
#define auto_page __attribute__((cleanup(page_close))) struct page

/* Opens page/NAME.xml and fills the frame (NULL: nobody is signed in). */
enum err page_open(struct request *rq, struct reply *rp, const char *name, const struct frame *f, struct page *out);
void page_close(struct page *p);
/* The title, before " · Stoker". */
void page_title(struct page *p, const char *title);
/* Names the API URL with the same data, less the base path. */
void page_alternate(struct page *p, const char *path);
/* Writes page, or the parts that `?part=a,b` asks for, with an ETag; and the headers every page has. */
enum err page_send(struct page *p, int status);
/* The headers alone (redirects, raw logs). `policy` NULL = the pages' own. */
void page_headers(struct request *rq, struct reply *rp, const char *policy);
/* 303 to a URL that has the base path already, with the headers of pages. */
enum err page_see_other(struct request *rq, struct reply *rp, const char *url);
/* Asks before something that cannot be undone; the answer is the same POST with confirm=yes. */
struct question {
	const char *question, *what, *untouched, *button;
	const char *from;   /* the page it was asked on */
	const char *action; /* where the answer goes */
};
enum err page_ask(struct request *rq, struct reply *rp, const struct question *q);
/* Is there `?part=`? Then only what the parts need must be read. */
bool page_is_part(const struct request *rq);

/* --- how values are shown --------------------------------------------------------------------- */

/* What stands beside the number of waiting tasks: "oldest 3 min 12 s, 2 scheduled for later"; may be "". */
const char *page_waits(struct page *p);
/* printf into the page's arena. */
#define page_printf(p, ...) arena_printf(&(p)->rq->cx.arena, __VA_ARGS__)
/* Appends an icon by its name in the sprite, without "i-". */
void show_icon(struct page *p, struct html_at at, const char *name);
/* Fills the <time> element marked `name`: text, datetime, title, and how long ago. */
void show_time(struct page *p, struct html_at in, const char *name, int64_t us);
/* Fills the element marked `name` with the badge of a state: icon and word. */
void show_state(struct page *p, struct html_at in, const char *name, enum task_state s);
/* Fills the <a> marked `name` with the short form of a task's id, its link and its title. */
void show_task(struct page *p, struct html_at in, const char *name, const struct id *task);
/* Text and link of the <a> marked `name`. */
void show_link(struct html_at in, const char *name, const char *text, const char *url);
/* Fills a notice's icon and text. Kind: "warn", "bad", "good", "info". */
void show_notice(struct page *p, struct html_at notice, const char *kind, const char *text);
/* Sets value and name of hidden fields: the element's `value`. */
void show_value(struct html_at in, const char *name, struct str value);
/* A query value: percent-encoded, in the arena. */
const char *page_quote(struct page *p, struct str s);
const char *query_quote(struct arena *a, struct str s);
