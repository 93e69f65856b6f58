#pragma once
#include "fcgi/page/page.h"
#include "model/log_lines.h"
#include "store/log_store.h"

/* A piece of a task's log on a page: read from the store, made into lines, filled in. */
enum { LOG_PAGE_LINES = 1000, LOG_PAGE_BYTES = 256 * 1024, LOG_TASK_LINES = 200 };

/* Which piece. One of: the end (all -1), from a line, from a byte (following). */
struct log_want {
	int64_t from_line;      /* -1 = not asked for */
	int64_t from_byte;      /* -1 = not asked for */
	struct ansi_style style; /* with from_byte: as it was there */
	size_t lines;           /* at most */
};
struct log_part {
	const struct log_head *heads; /* of all attempts */
	size_t head_count;
	const struct log_head *head;  /* the one shown; NULL = nothing was written yet */
	struct log_lines lines;
};
/* `attempt` 0 = the newest. ERR_NOT_FOUND if that attempt has no log. Up to three statements. */
enum err log_part_read(struct request *rq, const struct id *task, int64_t attempt, const struct log_want *want, struct log_part *out);
void log_part_release(struct log_part *part);

/* How the lines are shown. */
struct log_show {
	const char *url;        /* of the log page, with the attempt if it is not the newest: "…/log?attempt=2" or "…/log" */
	int64_t mark, mark_to;  /* lines to be marked, from 0; -1 = none */
	bool ended;             /* no more will come */
	bool follow;            /* the end is shown: the script may go on from here */
	const char *verdict;    /* with ended: the last line, "complete after 2.1 s"; "" = none */
};
/* Fills the element marked `name`. */
void log_part_fill(struct page *p, struct html_at in, const char *name, const struct log_part *part, const struct log_show *show);
/* The last lines of stderr as plain text, at most `most`; "" if there are none. */
struct str log_part_last_err(struct arena *a, const struct log_part *part, size_t most);
