#pragma once
#include "fcgi/page/page.h"
#include "model/callback.h"
#include "model/trigger.h"
#include "store/delivery_store.h"
#include "store/trigger_store.h"

/* Callbacks, their deliveries, and triggers (docs/callbacks.md). */
struct callbacks_view {
	struct callback *callbacks;
	struct delivery_entry *deliveries;
	struct trigger *triggers;
	size_t callback_count, delivery_count, trigger_count;
	struct str state;   /* of the deliveries shown; "" = all */
	int64_t older;      /* where the next page begins; 0 = there is none */
	const char *result; /* what was done, or NULL */
	bool may_change;
};
void callbacks_page_fill(struct page *p, const struct callbacks_view *v);
enum err callbacks_page(struct request *rq, struct reply *rp);
enum err callbacks_page_test(struct request *rq, struct reply *rp);

struct delivery_view {
	struct delivery_entry entry;
	struct delivery_try *tries;
	size_t n;
	const char *result;
	bool may_change;
};
void delivery_page_fill(struct page *p, const struct delivery_view *v);
enum err delivery_page(struct request *rq, struct reply *rp);
enum err delivery_page_again(struct request *rq, struct reply *rp);

struct trigger_view {
	struct trigger trigger;
	struct trigger_note *notes;
	size_t n;
};
void trigger_page_fill(struct page *p, const struct trigger_view *v);
enum err trigger_page(struct request *rq, struct reply *rp);
