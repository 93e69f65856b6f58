#pragma once
#include "fcgi/page/page.h"

/* Search in logs (GET P/logs/search): a form, and what was found line by line. */
struct search_view {
	struct str text, code, state; /* as they were asked */
	const json_t *found;          /* the API's answer; NULL: nothing was asked, or it was wrong */
	const char *wrong;            /* why it was not, or NULL */
};
void search_page_fill(struct page *p, const struct search_view *v);
enum err search_page(struct request *rq, struct reply *rp);
