#include "fcgi/page/signin_page.h"

#include "base/clock.h"
#include "fcgi/auth.h"
#include "fcgi/page/page.h"
#include "fcgi/session.h"

static enum err show(struct request *rq, struct reply *rp, struct str next, const char *wrong, int status)
{
	const char *after = session_next(rq, next);
	struct html_at form;
	auto_page page;

	TRY(page_open(rq, rp, "signin", NULL, &page));
	page_title(&page, "Sign in");
	if (wrong)
		show_notice(&page, html_piece(page.main, "wrong"), "bad", wrong);
	form = html_find(page.main, "form");
	html_attr(form, "action", str_of(page_printf(&page, "%s/signin", page.ui)));
	show_value(form, "form-csrf", str_of(page.csrf));
	show_value(form, "next", str_of(after));
	if (strcmp(after, session_next(rq, STR_LIT(""))) != 0)
		html_text(html_piece(page.main, "after"), "text", str_of(after));
	return page_send(&page, status);
}

enum err signin_page(struct request *rq, struct reply *rp)
{
	struct str next = STR_LIT("");

	request_query(rq, "next", &next);
	return show(rq, rp, next, NULL, 200);
}

static enum err show_wait(struct request *rq, struct reply *rp, struct str next, int wait_s)
{
	reply_header(rp, "Retry-After", str_of(arena_printf(&rq->cx.arena, "%d", wait_s)));
	return show(rq, rp, next, arena_printf(&rq->cx.arena, "Too many attempts from your address failed. Wait %d s, then try again.", wait_s), 429);
}

enum err signin_page_enter(struct request *rq, struct reply *rp)
{
	struct str token = STR_LIT(""), next = STR_LIT(""), who = request_env(rq, "REMOTE_ADDR");
	int wait_s = brake_wait_s(&rq->process->sign_ins, who, clock_boot_us());
	enum err e;

	TRY(session_guard(rq));
	request_form(rq, "token", &token);
	request_form(rq, "next", &next);
	if (wait_s)
		return show_wait(rq, rp, next, wait_s);
	token = str_trim(token);
	e = token.n && token.n <= SESSION_TOKEN_BYTES ? auth_look_up(rq, token, NULL) : ERR_AUTH;
	if (e == OK)
		e = session_keep(rq, rp, token);
	if (e == ERR_AUTH) {
		brake_note(&rq->process->sign_ins, who, clock_boot_us());
		return show(rq, rp, next, "That did not work.", 401);
	}
	TRY(e);
	return page_see_other(rq, rp, session_next(rq, next));
}

enum err signin_page_leave(struct request *rq, struct reply *rp)
{
	TRY(session_guard(rq));
	session_end(rq, rp);
	return page_see_other(rq, rp, arena_printf(&rq->cx.arena, STR_FMT "/ui/signin", STR_ARG(request_base(rq))));
}

enum err signin_page_theme(struct request *rq, struct reply *rp)
{
	struct str theme = STR_LIT(""), back = STR_LIT("");

	TRY(session_guard(rq));
	request_form(rq, "theme", &theme);
	request_form(rq, "back", &back);
	session_set_theme(rq, rp, theme);
	return page_see_other(rq, rp, session_next(rq, back));
}

enum err signin_page_front(struct request *rq, struct reply *rp)
{
	return page_see_other(rq, rp, session_next(rq, STR_LIT("")));
}
