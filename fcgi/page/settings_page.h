#pragma once
#include "fcgi/page/page.h"
#include "store/log_destination_store.h"

/* What a project has set: where its output goes besides (docs/logs.md), and which payload keys are not shown. */
struct settings_view {
	const struct log_destination *destinations;
	const struct log_lag *lags; /* of each */
	size_t n;
	int64_t now;
	struct str payload_keys;    /* a word a line, as they are or as they were typed */
	struct str (*typed)(void *arg, const char *field); /* the values of the form for a new destination */
	void *arg;
	const char *result, *wrong; /* what was done; what could not be; or NULL */
	bool may_change, may_hide;  /* destinations; payload keys */
};
void settings_page_fill(struct page *p, const struct settings_view *v);
enum err settings_page(struct request *rq, struct reply *rp);
enum err settings_page_payload_keys(struct request *rq, struct reply *rp);
enum err settings_page_add(struct request *rq, struct reply *rp);
enum err settings_page_pause(struct request *rq, struct reply *rp);
enum err settings_page_resume(struct request *rq, struct reply *rp);
enum err settings_page_ping(struct request *rq, struct reply *rp);
/* Asks first. */
enum err settings_page_delete(struct request *rq, struct reply *rp);
