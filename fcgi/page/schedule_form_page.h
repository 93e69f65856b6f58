#pragma once
#include "fcgi/page/schedule_page.h"
#include "store/code_store.h"

/* Making and editing a schedule: "Check" shows what it would do, "Save" does it. What was typed stays. */
struct schedule_form {
	bool is_new;
	struct id id;                          /* of the one that is edited */
	struct str (*value)(void *arg, const char *field); /* what stands in a field */
	void *arg;
	const struct code *codes;
	size_t code_count;
	const struct schedule_preview *preview; /* NULL = not asked for */
	const char *wrong;                      /* a sentence, or NULL */
};
void schedule_form_page_fill(struct page *p, const struct schedule_form *f);
enum err schedule_form_page_new(struct request *rq, struct reply *rp);
enum err schedule_form_page_make(struct request *rq, struct reply *rp);
enum err schedule_form_page_edit(struct request *rq, struct reply *rp);
enum err schedule_form_page_change(struct request *rq, struct reply *rp);
