#pragma once
#include "fcgi/page/page.h"

/* The projects of a person; with exactly one of them 303 to it (unless ?all=1). */
enum err projects_page(struct request *rq, struct reply *rp);
void projects_page_fill(struct page *p);
