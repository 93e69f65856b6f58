#pragma once
#include "fcgi/page/page.h"

/* Is it well? Figures, what failed lately, the latest tasks, the nodes (dashboard.md 4.1, less what
 * needs rollups). */
struct overview_view {
	struct task_page failed; /* queued in the last 24 hours; shown as they ended, newest first */
	struct task_page latest;
};
enum err overview_page(struct request *rq, struct reply *rp);
/* Puts v->failed into the order of its ends. */
void overview_page_fill(struct page *p, struct overview_view *v);
