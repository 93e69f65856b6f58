#pragma once
/* Inside worker/courier: what its files share. The loop never waits for the database: `fetch` and `tell`
 * run in store threads with a connection each. */
#include "base/http_pool.h"
#include "base/seal.h"
#include "base/version.h"
#include "model/signature.h"
#include "store/outbox_store.h"
#include "worker/courier/lane.h"
#include "worker/courier/retry.h"
#include "worker/export/export.h"
#include "worker/store_thread.h"

#define USER_AGENT "Stoker/" STOKER_VERSION

struct fetch;
struct courier {
	const struct settings *set;
	struct seal_key key;
	bool has_key;
	struct egress_list allow;
	struct loop *loop;
	struct store_pool *store;
	struct http_pool *http;
	struct export *export;
	struct retry_plan plan;
	struct lanes *lanes;
	struct lane *ready[2], **ready_last[2]; /* lanes that may begin a call: 0 = they fare well, 1 = others */
	size_t held;        /* deliveries in memory that have no outcome yet */
	size_t held_bytes;  /* of their bodies */
	size_t suspects;    /* calls under way to lanes that do not fare well */
	struct delivery *told, **told_last; /* outcomes to be stored */
	size_t told_n;
	bool fetching, telling, ending;
	struct loop_timer poll, tell_again, guard, tidy;
	int64_t pause_us;
	enum err last;
};

/* One row that was taken, until its outcome is stored. Its texts live as long as its fetch. */
struct delivery {
	struct delivery *next;
	struct courier *courier;
	struct fetch *fetch;
	struct lane *lane;
	struct outbox_outcome out; /* .row: what was taken */
	bool settled;      /* it has its outcome without a call */
	bool is_suspect;   /* the lane did not fare well as it began */
	const char *traceparent;
	struct str body;
	struct signature_keys keys;
	char error[300], address[64], answer[HTTP_POOL_ANSWER_BYTES];
};

/* A piece of taken rows; freed with its last delivery. */
struct fetch {
	struct store_work w;
	struct courier *courier;
	const struct seal_key *key; /* NULL = none */
	struct outbox_want want;
	struct outbox_taken taken;
	struct delivery *deliveries;
	size_t n, left, body_bytes, body_most;
	int64_t began_us;
};

enum {
	HELD_MOST = 8192,           /* rows in memory */
	HELD_BYTES_MOST = 64 << 20, /* of bodies */
	HOLD_EXTRA_S = 15,          /* over the longest call: a row that waited nearly so long is left to the next */
};

/* fetch.c: takes what there is room for; courier_take with what came. */
void courier_fetch(struct courier *c);
void courier_take(struct courier *c, struct fetch *f);
void fetch_release(struct delivery *d);
/* deliver.c: begins what may begin. */
void courier_run_lanes(struct courier *c);
void courier_lane_ready(struct courier *c, struct lane *lane);
/* Behind what waits for a place in its lane. */
void courier_wait(struct delivery *d);
/* What waits for a place in a lane that is not called now goes back. */
void courier_give_back(struct courier *c, struct lane *lane);
/* tell.c: hands an outcome over to be stored. */
void courier_tell(struct courier *c, struct delivery *d);
void courier_tell_now(struct courier *c);
/* courier.c */
void courier_look_at_end(struct courier *c);
void courier_poll_soon(struct courier *c, int64_t in_us);
