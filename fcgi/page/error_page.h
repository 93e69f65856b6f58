#pragma once
#include "fcgi/page/page.h"

/* The page of an error (and its headers), or for a visitor whom nobody knows the way to sign in:
 * what the surface PAGE answers when something fails. Never fails itself: without templates it is
 * plain text. */
void error_page(struct request *rq, struct reply *rp);
