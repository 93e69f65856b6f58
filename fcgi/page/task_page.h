#pragma once
#include "fcgi/page/log_part.h"
#include "store/code_store.h"

/* One task: verdict or why it waits, facts, time line, attempts, payload, log (dashboard.md 4.3). */
struct task_view {
	struct task task;
	const struct code *code;          /* read for a waiting task; NULL = not read or not there any more */
	const struct task_event *events;
	size_t event_count;
	const struct task_attempt *attempts;
	size_t attempt_count;
	const struct task_delivery *deliveries;
	size_t delivery_count;
	struct log_part log;
	const char *result;               /* what an action did; NULL = nothing */
};
enum err task_page(struct request *rq, struct reply *rp);
void task_page_fill(struct page *p, const struct task_view *v);

/* POST: without confirm=yes the page that asks; with it the cancel, and 303 back. */
enum err task_page_cancel(struct request *rq, struct reply *rp);
/* 302 for links that IronWorker's clients print: /worker/projects/{project}/tasks/{id}. */
enum err task_page_worker_link(struct request *rq, struct reply *rp);
