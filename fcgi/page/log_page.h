#pragma once
#include "fcgi/page/log_part.h"

/* The log alone (dashboard.md 4.4): at most 1,000 lines or 256 KiB, by default the end;
 * ?line=N marks a line, ?line=N-M a range, ?from=BYTE goes on from there (the script's polling). */
struct log_view {
	struct task task;
	struct log_part part;
	int64_t attempt;        /* asked for; 0 = the newest */
	int64_t first_line;     /* -1 = the end was asked for */
	int64_t mark, mark_to;  /* -1 = none */
	bool ended;             /* no more will come to this attempt's log */
	bool nowrap;
};
enum err log_page(struct request *rq, struct reply *rp);
void log_page_fill(struct page *p, const struct log_view *v);
/* The raw bytes as a download: text/plain, in pieces; of ?attempt=, or of all of them. */
enum err log_page_raw(struct request *rq, struct reply *rp);
/* Is the log of this attempt complete? */
bool log_page_has_ended(const struct task *t, const struct log_head *head);
/* "complete after 2.1 s": a followed log's last line. */
const char *log_page_verdict(struct page *p, const struct task *t);
