#pragma once
#include "fcgi/page/page.h"
#include "store/fire_store.h"
#include "store/schedule_store.h"

/* Schedules: the list, one with what comes and its ledger, and what one may ask of it. */

struct schedules_view {
	const struct schedule *schedules;
	size_t n;
	const struct fire *fires; /* the newest of each, in the order of the schedules */
	size_t fire_count;
	int64_t page;
	bool more;
};
void schedules_page_fill(struct page *p, const struct schedules_view *v);
enum err schedules_page(struct request *rq, struct reply *rp);

struct schedule_view {
	struct schedule_preview coming; /* with the schedule itself */
	const char *broken;             /* why nothing can be said of what comes; NULL = it can */
	const struct fire *fires;
	size_t fire_count;
	const struct pause *pauses;     /* newest first */
	size_t pause_count;
	bool more, is_newest;
	const char *result;             /* what was just done, or NULL */
};
void schedule_page_fill(struct page *p, const struct schedule_view *v);
enum err schedule_page(struct request *rq, struct reply *rp);
enum err schedule_page_run(struct request *rq, struct reply *rp);
enum err schedule_page_pause(struct request *rq, struct reply *rp);
enum err schedule_page_resume(struct request *rq, struct reply *rp);
enum err schedule_page_backfill(struct request *rq, struct reply *rp);
enum err schedule_page_cancel(struct request *rq, struct reply *rp);
/* 302 from the path that IronWorker's clients print. */
enum err schedule_page_worker_link(struct request *rq, struct reply *rp);

/* Rows of a table of coming times: the samples time, at, local, zone, note below `in`. */
void schedule_page_times(struct page *p, struct html_at in, const struct schedule_preview *coming);
