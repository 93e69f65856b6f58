#pragma once
#include "fcgi/page/page.h"
#include "fcgi/page/task_query.h"

/* The list of tasks (dashboard.md 4.2): filter, tabs with counts, keyset paging. */
enum { TASKS_COUNT_CEILING = 10000 };

struct tasks_view {
	struct task_query query;
	const char *text;            /* canonical, or as typed when `wrong` is set */
	const char *wrong;           /* what the filter did not understand; NULL = nothing */
	bool has_before, has_after;
	struct id before, after;
	int64_t per_page;
	struct task_page list;
	bool has_newer;              /* there is something before the first row */
	int64_t counts[TASK_STATE_COUNT];
	const struct code *codes;    /* for the drop-down */
	size_t code_count;
	size_t news;                 /* tasks newer than those the watcher sees */
};
enum err tasks_page(struct request *rq, struct reply *rp);
void tasks_page_fill(struct page *p, const struct tasks_view *v);
