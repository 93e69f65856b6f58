#pragma once
#include "fcgi/reply.h"

/* Sign in by token, sign out, choose a theme (dashboard.md 4.12). */
enum err signin_page(struct request *rq, struct reply *rp);
/* POST: looks the token up; what was wrong with it is not said. 303 to the page that was wanted. */
enum err signin_page_enter(struct request *rq, struct reply *rp);
enum err signin_page_leave(struct request *rq, struct reply *rp);
enum err signin_page_theme(struct request *rq, struct reply *rp);
/* "/": 303 to the dashboard. */
enum err signin_page_front(struct request *rq, struct reply *rp);
