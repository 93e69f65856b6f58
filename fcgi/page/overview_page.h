#pragma once
#include "fcgi/page/page.h"

/* Is it well? Figures, what failed lately, the latest tasks, the nodes (dashboard.md 4.1, less what
 * needs rollups). */
struct overview_view {
	struct task_page failed; /* of the last 24 hours */
	struct task_page latest;
};
enum err overview_page(struct request *rq, struct reply *rp);
void overview_page_fill(struct page *p, const struct overview_view *v);
