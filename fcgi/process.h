#pragma once
#include "fcgi/brake.h"
#include "fcgi/breaker.h"
#include "store/db.h"

struct token_cache;
struct doorbells;
struct page_kit;
struct targets;
struct quota;

/* What one process of the front door keeps from request to request. Everything else lives in the
 * request and goes with it. */
struct process {
	const struct settings *set;
	struct db *db, *logs;       /* task tables; log tables */
	struct token_cache *tokens; /* fcgi/auth: principals, at most a second old */
	struct targets *targets;    /* fcgi/targets: where the tasks of a code go */
	struct quota *quota;        /* fcgi/quota: how much of a project waits; NULL = nobody counts */
	struct doorbells *bells;    /* fcgi/doorbell: whom to wake after a commit */
	struct breaker breaker;     /* is the database answering? */
	bool may_wait;              /* an answer may be put off (reply.h): stoker-tail, while it has a place */
	bool schema_known;          /* the schema was found to be one that this program may use */
	int64_t sign_in_failed_us;  /* CLOCK_BOOTTIME of the last wrong password */
	struct brake sign_ins;      /* of the pages: who failed lately */
	struct page_kit *pages;     /* fcgi/page: parsed templates; NULL until a page was asked for */
};

/* With everything but the pages' templates, which are read when one is asked for. */
void process_open(struct process *p, const struct settings *set);
void process_close(struct process *p);
