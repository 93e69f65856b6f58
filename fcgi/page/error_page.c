#include "fcgi/page/error_page.h"

#include "fcgi/route.h"
#include "fcgi/session.h"

static const struct {
	int status;
	const char *headline, *hint;
} WORDS[] = {
	{ 400, "This request makes no sense", "Go back, change it and try again." },
	{ 401, "Nobody is signed in", "Sign in with a token first." },
	{ 403, "This is not allowed", "Nothing was changed." },
	{ 404, "There is nothing here", "It may belong to another project, or never have been there." },
	{ 405, "This page does not take that", "Go back and try it from there." },
	{ 409, "Somebody else was faster", "Reload the page to see how it stands now." },
	{ 413, "That is too large", "Nothing was changed." },
	{ 503, "Not just now", "The database does not answer. Jobs that run go on running; this page works again by itself when it is back. Nothing was changed." },
	{ 500, "Something broke here", "It was our mistake, and it is in the log under the request id below." },
};

static size_t words_for(int status)
{
	size_t i = 0;

	while (i < sizeof WORDS / sizeof *WORDS - 1 && WORDS[i].status != status)
		i++;
	return i;
}

static enum err show(struct request *rq, struct reply *rp, int status, const char *sentence)
{
	size_t w = words_for(status);
	auto_page page;

	TRY(page_open(rq, rp, "error", NULL, &page));
	page_title(&page, WORDS[w].headline);
	html_text(page.main, "headline", str_of(WORDS[w].headline));
	html_text(page.main, "text", str_of(status == 500 ? "" : sentence));
	html_text(page.main, "hint", str_of(WORDS[w].hint));
	html_attr(html_find(page.main, "home"), "href", str_of(page_printf(&page, "%s/", page.ui)));
	return page_send(&page, status);
}

/* A person whom nobody knows goes to sign in, and back here afterwards; a script gets the 401. */
static bool sends_to_signin(const struct request *rq, int status)
{
	return status == 401 && (rq->method == METHOD_GET || rq->method == METHOD_HEAD) && !page_is_part(rq);
}

static void to_signin(struct request *rq, struct reply *rp)
{
	struct page quoting = { .rq = rq, .html = { .arena = &rq->cx.arena } };
	struct str uri = request_env(rq, "REQUEST_URI");

	page_see_other(rq, rp, arena_printf(&rq->cx.arena, STR_FMT "/ui/signin?next=%s", STR_ARG(request_base(rq)),
	                                    page_quote(&quoting, uri)));
}

void error_page(struct request *rq, struct reply *rp)
{
	int status = reply_status_of(rq->cx.err ? rq->cx.err : ERR_INTERNAL);
	char sentence[sizeof rq->cx.message];

	memcpy(sentence, rq->cx.message, sizeof sentence);
	reply_error(rq, rp); /* status, Retry-After */
	if (sends_to_signin(rq, status)) {
		buf_clear(&rp->headers);
		to_signin(rq, rp);
		return;
	}
	if (show(rq, rp, status, sentence) == OK)
		return;
	reply_text(rp, status, STR_LIT("something broke here; the log says what\n"));
	page_headers(rq, rp, NULL);
}

const struct surface PAGE = { session_identify, error_page, session_guard };
